"""What the table of a benchmark says, in Markdown: for each task and agent, and over all tasks, with intervals.

Axes: R runs (seeds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

import numpy as np

from rlmem.errors import UserError
from rlmem.evaluation.horizon import length_at, length_in_words
from rlmem.evaluation.statistics import Estimate, interquartile_interval, probability_of_improvement

Row = Mapping[str, str]
FEW = 5
"""Runs below which a bootstrap over runs is too narrow."""
_BASELINES = ("ppo", "frame_stack_ppo", "random")
"""Agents that the others are compared with: the first of them that is there."""
_PLAIN = ("reward", "none", "its own")
"""What agents may act or learn from without it being said."""
_CURVE = 3
"""Lengths that make a curve."""


OVERALL, HORIZON = "All tasks together", "How far back"
"""Titles of the sections over all tasks."""


class Test(NamedTuple):
    """A task with the knobs that it was tested at."""

    task: str
    name: str


class SummaryTable(NamedTuple):
    """A table with its title; each row is as long as the head."""

    title: str
    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Return the table in Markdown, its title in bold above it."""
        table = markdown_table([self.head, ["---"] * len(self.head), *self.rows])
        return f"**{self.title}**\n\n{table}" if self.title else table


class SummarySection(NamedTuple):
    """Tables under a heading."""

    title: str
    text: list[str]
    """Paragraphs above the tables."""
    tables: list[SummaryTable]
    note: str = ""
    """A sentence below the tables."""

    def markdown(self) -> str:
        """Return the section in Markdown."""
        parts = [f"## {self.title}", *self.text, *(table.markdown() for table in self.tables), self.note]
        return "\n\n".join(part for part in parts if part)


def summary(rows: Sequence[Row], title: str) -> str:
    """Return the summary of a benchmark's table in Markdown.

    Args:
        rows: Of the CSV file.
        title: Of the page.

    Raises:
        UserError: If there are no rows.
    """
    sections = summary_sections(rows)
    warning = [f"**{few}.**"] if (few := few_runs(rows)) else []
    parts = [f"# {title}", *warning, LEGEND, *(section.markdown() for section in sections)]
    return "\n\n".join(parts) + "\n"


def few_runs(rows: Sequence[Row]) -> str:
    """Return the warning that stands above all tables where no agent has enough runs, without a full stop; or ""."""
    seeds = {agent: len({row["seed"] for row in rows if row["agent"] == agent}) for agent in {r["agent"] for r in rows}}
    if max(seeds.values()) >= FEW:
        return ""
    return f"With fewer than {FEW} runs an agent, intervals over runs are too narrow: do not compare by them"


def summary_sections(rows: Sequence[Row]) -> list[SummarySection]:
    """Return the summary of a benchmark's table: a section for each task, then those over all tasks.

    Args:
        rows: Of the CSV file.

    Raises:
        UserError: If there are no rows.
    """
    if not rows:
        raise UserError("the table has no rows yet")
    tests = list(dict.fromkeys(Test(row["task"], row["test"]) for row in rows))
    sections = []
    for task in dict.fromkeys(test.task for test in tests):
        here = [test for test in tests if test.task == task]
        tables = [_test_table([row for row in rows if (row["task"], row["test"]) == test], test) for test in here]
        sections.append(SummarySection(task, [], tables))
    sections += [part for part in (_overall(rows), horizon_section(rows)) if part is not None]
    return [*sections, _about(rows)]


def runs_of(rows: Sequence[Row], column: str) -> list[float]:
    """Return the finite numbers of a column."""
    values = [float(row[column]) for row in rows if row.get(column, "") != ""]
    return [value for value in values if math.isfinite(value)]


def run_interval(rows: Sequence[Row], column: str) -> Estimate:
    """Return the interquartile mean over runs with its interval: of runs, or where there is one run, of episodes."""
    values = runs_of(rows, column)
    if len(values) > 1:
        return interquartile_interval({"runs": values})
    return Estimate(values[0], float(rows[0]["low"]), float(rows[0]["high"]))


def score_interval(rows: Sequence[Row]) -> Estimate:
    """Return the interquartile mean of the memory score with its interval: of runs, or where there is one of episodes.

    It is not a number where the task has no memory score.
    """
    values = runs_of(rows, "memory_score")
    if not values:
        return Estimate(math.nan, math.nan, math.nan)
    if len(values) > 1:
        return interquartile_interval({"runs": values})
    floor, oracle = float(rows[0]["memoryless"]), float(rows[0]["oracle"])
    low, high = ((float(rows[0][end]) - floor) / (oracle - floor) for end in ("low", "high"))
    return Estimate(values[0], low, high)


def memory_scores(rows: Sequence[Row]) -> dict[str, dict[str, list[float]]]:
    """Return agent -> task and test -> memory scores [R], where the task has any."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        score = float(row["memory_score"])
        if math.isfinite(score):
            found.setdefault(row["agent"], {}).setdefault(f"{row['task']} / {row['test']}", []).append(score)
    return found


def complete_agents(scores: Mapping[str, Mapping[str, list[float]]]) -> list[str]:
    """Return the agents that were tested on all that any was tested on."""
    every = {test for tests in scores.values() for test in tests}
    return [agent for agent, tests in scores.items() if set(tests) == every]


def horizon_groups(rows: Sequence[Row]) -> dict[str, dict[str, dict[int, list[Row]]]]:
    """Return task -> agent -> memory length -> rows, for tasks tested at several memory lengths."""
    found: dict[str, dict[str, dict[int, list[Row]]]] = {}
    for row in rows:
        length = int(row["memory_length"])
        if length and math.isfinite(float(row["memory_score"])):
            found.setdefault(row["task"], {}).setdefault(row["agent"], {}).setdefault(length, []).append(row)
    return {
        task: {agent: dict(sorted(lengths.items())) for agent, lengths in agents.items()}
        for task, agents in found.items()
        if max(map(len, agents.values())) >= _CURVE
    }


def _test_table(rows: Sequence[Row], test: Test) -> SummaryTable:
    first = rows[0]
    measure = "success" if first["metric"] == "success" else "score"
    floor, oracle = float(first["memoryless"]), float(first["oracle"])
    ceilings = f" (without memory {floor:.3g}, oracle {oracle:.3g})" if math.isfinite(oracle) else ""
    head = ["agent (runs)", measure, "memory score", "state zeroed", "env steps", "CPU s"]
    lines = []
    for agent in dict.fromkeys(row["agent"] for row in rows):
        runs = [row for row in rows if row["agent"] == agent]
        value, scores, lesioned = run_interval(runs, "value"), runs_of(runs, "memory_score"), runs_of(runs, "lesioned")
        steps, seconds = runs_of(runs, "env_steps"), runs_of(runs, "cpu_seconds")
        lines.append(
            [
                f"{agent} ({len(runs)})",
                f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})",
                f"{fmean(scores):.2f}" if scores else "",
                f"{fmean(lesioned):.2f}" if lesioned else "",
                f"{median(steps):,.0f}" if any(steps) else "",
                f"{median(seconds):,.1f}" if seconds else "",
            ]
        )
    name = f"Tested at {test.name}" if test.name else "Tested as trained"
    return SummaryTable(f"{name}{ceilings}", head, lines)


def _overall(rows: Sequence[Row]) -> SummarySection | None:
    scores = memory_scores(rows)
    agents = complete_agents(scores)
    if len(agents) < 2 or max(map(len, scores.values())) < 2:
        return None
    baseline = next((name for name in _BASELINES if name in agents), None)
    head = ["agent", "memory score (IQM)", "95 % interval"] + ([f"P(better than {baseline})"] if baseline else [])
    lines = []
    for agent in agents:
        iqm, several = interquartile_interval(scores[agent]), max(map(len, scores[agent].values())) > 1
        line = [agent, f"{iqm.value:.2f}", f"{iqm.low:.2f} to {iqm.high:.2f}" if several else "one run a task"]
        if baseline == agent:
            line.append("")
        elif baseline is not None:
            better = probability_of_improvement(scores[agent], scores[baseline])
            line.append(f"{better.value:.2f}" + f" ({better.low:.2f} to {better.high:.2f})" * several)
        lines.append(line)
    left_out = [agent for agent in scores if agent not in agents]
    note = f"Not run on every task yet: {', '.join(left_out)}." if left_out else ""
    return SummarySection(OVERALL, [], [SummaryTable("", head, lines)], note)


def horizon_section(rows: Sequence[Row]) -> SummarySection | None:
    """Return L50 and L90 of each agent, for tasks tested at several memory lengths; None where there is none."""
    tables = []
    for task, agents in horizon_groups(rows).items():
        lines = []
        for agent, lengths in agents.items():
            runs = min(map(len, lengths.values()))
            scores = np.array([runs_of(found, "memory_score")[:runs] for found in lengths.values()])
            at = [length_in_words(length_at(list(lengths), scores, level), list(lengths)) for level in (0.5, 0.9)]
            lines.append([agent, str(runs), *at])
        tables.append(SummaryTable(task, ["agent", "runs", "L50", "L90"], lines))
    text = (
        "Memory length (control steps) at which the memory score has fallen to 0.5 (L50) and to 0.9 (L90); where it "
        'begins lower or rises again, the lengths at which it is not lower, after "only".'
    )
    return SummarySection(HORIZON, [text], tables) if tables else None


LEGEND = (
    "Success (or score) is the interquartile mean over runs, each tested on held-out seeds; in brackets its interval, "
    "a stratified bootstrap over runs, or of one run over its episodes. Memory score: 0 at the ceiling without memory, "
    "1 at the oracle. State zeroed: with the hidden state zeroed at the query; an agent that remembers falls to the "
    "ceiling. Env steps and CPU seconds of training: medians."
)
"""What the columns mean."""


def _about(rows: Sequence[Row]) -> SummarySection:
    text = []
    taught = {row["agent"]: row["information"] for row in rows if row.get("information", "reward") not in _PLAIN}
    if taught:
        named = ", ".join(f"{agent} ({what})" for agent, what in taught.items())
        text.append(f"Not trained by reward alone: {named}.")
    versions, machines = (sorted({row[name] for row in rows}) for name in ("version", "machine"))
    text.append(f"rlmem {', '.join(versions)}; {'; '.join(machines)}.")
    return SummarySection("About these numbers", text, [])


def markdown_table(table: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table, columns aligned; a row of ``"---"`` follows the head."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        cells = ["-" * width if cell == "---" else cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
