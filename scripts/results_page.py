"""Make ``docs/results.md``, its figures and ``docs/results/tests.csv`` from the tables in ``benchmarks/results``.

A table that is not finished gives a page that says how many runs are missing.

    rlmem benchmark standard --out benchmark/standard
    python scripts/results_page.py --merge benchmark/standard
    python scripts/results_page.py                               # the page anew, from the tables in the repository
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import tyro
from length_table import SOLVED, by_cell
from suite_rows import made_with, take_over

from rlmem.benchmark.figures import write_figures
from rlmem.benchmark.overview import (
    memoryless_when_lesioned,
    overall,
    plot_generalization,
    plot_scores,
    solved,
)
from rlmem.benchmark.suite import Suite, read_suite
from rlmem.benchmark.summary import (
    FEW,
    Row,
    horizon_groups,
    horizon_section,
    markdown_table,
    run_interval,
    runs_of,
    score_interval,
)
from rlmem.benchmark.table import read_rows, write_rows
from rlmem.evaluation.horizon import length_at, length_in_words
from rlmem.evaluation.statistics import Estimate

_BASELINES = ("sb3-contrib, our LSTM start", "sb3_recurrent_ppo", "sb3-contrib as shipped", "ppo")
_MORE = """\
## More

- [What learning and simulation cost](results-cost.md): CPU time beside stable-baselines3's and skrl's agents, time to
  solve, speed of the environments, environments of others.
- [What imitation, Kalman filters and online learning reach](learning.md).
- [Every task](suite.md), with agents without memory, adversaries and lesions."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Page of results.

    Args:
        table: Table of the benchmark.
        merge: Folders or tables of benchmarks whose rows are put into the table first; of a run that is in several the
            last stays.
        suite: What was run: a preset, or a TOML file.
        out: The page. Its figures go to a folder beside it that has its name.
        studies: Folder of the tables of the length studies, of horizon.csv and of credit.csv.
        baseline: Label of the agent that the others are compared with; if not given, sb3-contrib's.
    """

    table: Path = Path("benchmarks/results/standard.csv")
    merge: tuple[Path, ...] = ()
    suite: str = "standard"
    out: Path = Path("docs/results.md")
    studies: Path = Path("benchmarks/results")
    baseline: str = ""


def main(options: Options) -> None:
    """Merge, draw, write the page."""
    take_over(options.table, options.merge)
    rows = read_rows(options.table)
    if not rows:
        raise SystemExit(f"{options.table} has no rows: run `rlmem benchmark {options.suite}` first, then --merge it")
    suite = read_suite(options.suite)
    baseline = options.baseline or next((name for name in _BASELINES if any(r["agent"] == name for r in rows)), "")
    figures = options.out.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    _write_tests(rows, figures / "tests.csv")
    parts = [*_head(rows, suite, options), *_headlines(rows, options), *_together(rows, baseline, figures)]
    parts += [*_lengths(rows, figures), *_credit(options, figures), *_horizon(options), *_studies(options)]
    parts += _body_swap(options)
    options.out.write_text("\n\n".join([*parts, _MORE]) + "\n", encoding="utf-8")
    print(f"{options.out}, figures in {figures}")


def _head(rows: Sequence[Row], suite: Suite, options: Options) -> list[str]:
    wanted, found = {job.key for job in suite.jobs()}, {row["cell"] for row in rows}
    counts = f"**{len(wanted & found)} of the {len(wanted)} runs** of the suite `{suite.name}` are in its table"
    counts += f", and {len(found - wanted)} with other settings." if found - wanted else "."
    seeds = [len({row["seed"] for row in rows if row["agent"] == agent}) for agent in {row["agent"] for row in rows}]
    few = f" An agent has at most {max(seeds)} runs on a task: with fewer than {FEW}, intervals are too narrow."
    return [
        "# Results",
        "Everything here is measured on held-out seeds: those of training, validation and test never meet. A run is "
        f"*solved* when at least {SOLVED:.0%} of 200 test episodes succeed at the stated memory length. Numbers of "
        "several runs are medians, or interquartile means (IQM) with a 95 % bootstrap interval in brackets. The memory "
        "score is 0 at the ceiling without memory and 1 at the oracle. One thread a run.",
        f"Made by `python scripts/results_page.py` from the tables in [`benchmarks/results`]"
        f"({_link(options.studies, options.out)}), a row a run. {counts}{few * (max(seeds) < FEW)} "
        f"{made_with(rows)}",
    ]


def _headlines(rows: Sequence[Row], options: Options) -> list[str]:
    """Return the table that the page opens with: a question a row, as far as there are runs that answer it."""
    table = [["what", "agent", "runs solved", "env steps", "CPU s", "rows"], ["---"] * 6]

    def add(what: str, agent: str, name: str, solved_of: tuple[int, int], runs: Sequence[Row]) -> None:
        cost = [median(float(row[column]) for row in runs) for column in ("env_steps", "cpu_seconds")]
        link = f"[{name}]({_link(options.studies / name, options.out)})"
        table.append([what, agent, f"{solved_of[0]} of {solved_of[1]}", f"{cost[0]:,.0f}", f"{cost[1]:,.1f}", link])

    for length, agent, init, words in (
        (100, "recurrent_ppo", "forget", "`recurrent_ppo`"),
        (100, "sb3_recurrent_ppo", "torch", "sb3-contrib, LSTM as shipped"),
        (1_000, "recurrent_ppo", "forget", "`recurrent_ppo`"),
        (10_000, "recurrent_ppo", "forget", "`recurrent_ppo`"),
    ):
        name = "t_maze_cells.csv" if length == 10_000 else "t_maze_lengths.csv"
        kept = {"agent": agent, "init": init, "cell": "lstm", "robot": "planar", "training": "range"}
        runs = _where(_study(options, name), **kept, memory_length=str(length))
        if runs:
            solved_runs = sum(float(row["test_success"]) >= SOLVED for row in runs)
            add(f"remember the lamp for {length:,} steps (`TMaze`)", words, name, (solved_runs, len(runs)), runs)
    active = [row for row in rows if row["env"].endswith("TMazeActive-v0") and row["memory_length"] == "50"]
    for agent, words in (("recurrent_ppo", "`recurrent_ppo`, three cells"), ("sb3-contrib", "sb3-contrib")):
        runs = [row for row in active if row["agent"].startswith(agent)]
        if runs:
            solved_of = sum(float(row["value"]) >= SOLVED for row in runs), len(runs)
            add("look for the cue first (`TMazeActive`, 50 steps)", words, "standard.csv", solved_of, runs)
    for what, name, agent in (
        ("remember from 64 x 64 pictures (`TMaze`, 20 steps)", "pixels.csv", "recurrent_ppo"),
        ("learn at every step, no replay (`TMaze`, 20 steps)", "t_maze_online.csv", "rtrl_actor_critic"),
    ):
        runs = _where(_study(options, name), agent=agent)
        runs = [row for row in runs if row.get("training", "fixed") == "fixed"]
        if runs:
            solved_runs = sum(float(row.get("test_success") or row["value"]) >= SOLVED for row in runs)
            add(what, f"`{agent}`", name, (solved_runs, len(runs)), runs)
    every = "Every task of the package, agents without memory and adversaries: [suite.md](suite.md)."
    return ["## In short", every, markdown_table(table)] if len(table) > 2 else ["## In short", every]


def _together(rows: Sequence[Row], baseline: str, figures: Path) -> list[str]:
    parts = ["## All agents on five corridor tasks"]
    parts.append(
        "Memory score (IQM over runs) at the longest memory length of training, bold from 0.9 on; of `KeyToDoor`, "
        "which asks for no memory, the points of 8. All agents have their defaults and at most 400,000 env steps; "
        "training stops when 50 of 50 validation episodes succeed. Every test, with intervals, costs and lesions: "
        f"[tests.csv]({figures.name}/tests.csv)."
    )
    parts.append(_by_task(rows))
    parts.append("### Over all tests together")
    found = overall(rows, baseline)
    every = list(dict.fromkeys(row["agent"] for row in rows))
    left_out = [agent for agent in every if agent not in [one.agent for one in found]]
    if len(found) < 2:
        return [*parts, "No two agents were run on all tasks yet, so they are not compared over all of them."]
    head = ["agent", "memory score (IQM)", "95 % interval"] + [f"P(better than {baseline})"] * bool(baseline)
    table = [head, ["---"] * len(head)]
    for one in found:
        line = [one.agent, f"{one.score.value:.2f}", _range(one.score) if one.several else "one run a task"]
        if baseline:
            better = one.improves
            said = "" if better is None else f"{better.value:.2f}" + f" ({_range(better)})" * one.several
            line.append(said)
        table.append(line)
    parts.append(markdown_table(table))
    if left_out:
        parts.append(f"Not run on all tasks, so not compared over all of them: {', '.join(left_out)}.")
    plot_scores(found, figures / "scores.png")
    parts.append(f"![Memory score of each agent over all tasks]({figures.name}/scores.png)")
    return parts


def _by_task(rows: Sequence[Row]) -> str:
    """Return a table of agents against tasks."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    table = [["agent", *(_short(task) for task in tasks)], ["---"] * (len(tasks) + 1)]
    for agent in dict.fromkeys(row["agent"] for row in rows):
        line = [agent]
        for task in tasks:
            runs = [row for row in rows if (row["agent"], row["task"]) == (agent, task)]
            runs = [row for row in runs if row["test"] == runs[0]["test"]]
            scores = runs_of(runs, "memory_score")
            said = f"{score_interval(runs).value:.2f}" if scores else ""
            if runs and not scores:
                value = run_interval(runs, "value").value
                said = f"success {value:.2f}" if runs[0]["metric"] == "success" else f"{value:.1f} points"
            line.append(f"**{said}**" if solved(runs) else said.replace("-0.00", "0.00"))
        table.append(line)
    return markdown_table(table)


def _short(task: str) -> str:
    name, *knobs = task.split(", ")
    length = next((knob.removeprefix("memory_length ") for knob in knobs if knob.startswith("memory_length")), "")
    return f"{name.removesuffix('-v0')} {length}".strip()


def _write_tests(rows: Sequence[Row], path: Path) -> None:
    """Write a row for each agent in each test, of all its runs."""
    lines = []
    for task, test, agent in dict.fromkeys((row["task"], row["test"], row["agent"]) for row in rows):
        runs = [row for row in rows if (row["task"], row["test"], row["agent"]) == (task, test, agent)]
        value, score, lesioned = run_interval(runs, "value"), score_interval(runs), runs_of(runs, "lesioned")
        fallen, costs = memoryless_when_lesioned(runs), {}
        for column in ("env_steps", "cpu_seconds"):
            known = runs_of(runs, column)
            costs[column] = f"{median(known):.10g}" if known else ""
        line = {"task": task, "test": test, "agent": agent, "learns_from": runs[0].get("information", "")}
        line |= {"runs": str(len(runs)), "metric": runs[0]["metric"]}
        line |= {name: f"{number:.4f}" for name, number in zip(("value", "low", "high"), value, strict=True)}
        names = ("memory_score", "memory_score_low", "memory_score_high")
        line |= {
            name: f"{number:.4f}" if math.isfinite(number) else "" for name, number in zip(names, score, strict=True)
        }
        line |= {"state_zeroed": f"{fmean(lesioned):.4f}" if lesioned else ""}
        line |= {"then_at_the_ceiling": f"{fallen[0]} of {fallen[1]}" if fallen else ""}
        line |= {name: runs[0][name] for name in ("memoryless", "oracle")}
        lines.append(line | costs)
    write_rows(path, lines)


def _lengths(rows: Sequence[Row], figures: Path) -> list[str]:
    groups = horizon_groups(rows)
    if not plot_generalization(rows, figures / "generalization.png"):
        return []
    table = [["agent", *map(_short, groups)], ["---"] * (len(groups) + 1)]
    for agent in dict.fromkeys(agent for agents in groups.values() for agent in agents):
        line = [agent]
        for agents in groups.values():
            found = agents.get(agent, {})
            runs = min(map(len, found.values()), default=0)
            scores = np.array([runs_of(rows, "memory_score")[:runs] for rows in found.values()])
            line.append(length_in_words(length_at(list(found), scores, 0.5), list(found)) if runs else "")
        table.append(line)
    return [
        "## Beyond the lengths of training",
        "Memory length (control steps) at which the memory score has fallen to 0.5, with its 95 % interval; where it "
        'begins lower or rises again, the lengths at which it is not lower, after "only".',
        markdown_table(table),
        f"![Memory score against memory length, by agent]({figures.name}/generalization.png)",
    ]


def _credit(options: Options, figures: Path) -> list[str]:
    path = options.studies / "credit.csv"
    if not path.is_file():
        return []
    rows = read_rows(path)
    seeds = len({row["seed"] for row in rows})
    said = f"`rlmem benchmark benchmarks/credit.toml`, {seeds} seed{'s' * (seeds > 1)}, at most 400,000 env steps, the "
    said += f"agents at their defaults, sb3-contrib's with our forget biases; [rows]({_link(path, options.out)})."
    paths = write_figures(rows, figures, kinds=("maps",))
    maps = [f"![Memory score over memory length and credit length]({figures.name}/{path.name})" for path in paths]
    return ["## By memory length and credit length", said, *maps]


def _horizon(options: Options) -> list[str]:
    path = options.studies / "horizon.csv"
    section = horizon_section(read_rows(path))
    if section is None:
        return []
    made = f"`rlmem benchmark benchmarks/horizon.toml`, 3 runs each; [rows]({_link(path, options.out)})."
    said = " ".join([made, *section.text])
    figure = "![Success against memory length](horizon.png)"
    return ["## To 10,000 steps of memory", said, figure, *(table.markdown() for table in section.tables)]


def _studies(options: Options) -> list[str]:
    """Return how long a memory is learnt, by agent and by cell, on the planar robot."""
    rows = _where(_study(options, "t_maze_lengths.csv"), robot="planar", training="range", cell="lstm", init="forget")
    rows += _where(_study(options, "t_maze_cells.csv"), robot="planar", cell="lstm", memory_length="10000")
    parts = []
    if rows:
        head = [
            "memory length L",
            "`recurrent_ppo`",
            "env steps, CPU s",
            "sb3-contrib, our LSTM start",
            "env steps, CPU s",
        ]
        table = [head, ["---"] * len(head)]
        for length in sorted({int(row["memory_length"]) for row in rows}):
            line = [f"{length:,}"]
            for agent in ("recurrent_ppo", "sb3_recurrent_ppo"):
                own = _where(rows, agent=agent, memory_length=str(length))
                count = sum(float(row["test_success"]) >= SOLVED for row in own)
                steps, seconds = (
                    median(float(row[name]) for row in own) if own else 0.0 for name in ("env_steps", "cpu_seconds")
                )
                line += [f"{count} of {len(own)}", f"{steps:,.0f}, {seconds:.1f}"] if own else ["not run", ""]
            table.append(line)
        said = "`TMaze-v0`, planar robot, trained on lengths drawn log-uniformly from 5 to L and tested at L. Both "
        said += "robots, one length alone, and what the start of the LSTM decides: [lengths.md](lengths.md); "
        link = _link(options.studies / "t_maze_lengths.csv", options.out)
        parts += ["## How long a memory is learnt", f"{said}[rows]({link}).", markdown_table(table)]
    cells = _where(_study(options, "t_maze_cells.csv"), robot="planar")
    if cells:
        link = _link(options.studies / "t_maze_cells.csv", options.out)
        said = f"The same, by memory cell: runs solved, env steps in thousands and CPU seconds; [rows]({link})."
        parts += ["## Which cells learn it", said, by_cell(cells)]
    return parts


def _body_swap(options: Options) -> list[str]:
    """Return what answers follow where bodies are swapped in the delay, a row a run."""
    rows = _study(options, "body_swap.csv")
    if not rows:
        return []
    head = ["agent, guard", "success", "answer follows the hidden state", "the body", "neither", "env steps"]
    table = [head, ["---"] * len(head)]
    for row in rows:
        line = [f"{row['agent']}, `{row['guard']}`", f"{float(row['success']):.2f}"]
        for name in ("hidden_state", "body", "neither"):
            value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
            line.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
        table.append([*line, f"{int(row['env_steps']):,}"])
    link = _link(options.studies / "body_swap.csv", options.out)
    said = (
        "In the middle of the delay the robots of episodes with different cues are swapped, while the agent keeps "
        "its hidden state: does its answer follow the cue that the hidden state was shown, or that of the body? "
        f"`TMaze-v0`, {rows[0]['memory_length']} steps, 200 test episodes a row; `python scripts/body_swap.py`, "
        f'[rows]({link}). With `guard="delay"` the body is on rails and can hold nothing. With `guard="cue"` the robot '
        "drives itself: a scripted agent that remembers one step leans to the lamp's side, reads its own pose at the "
        "junction and is right, and the swap shows where its memory was."
    )
    return ["## Where is the memory?", said, markdown_table(table)]


def _study(options: Options, name: str) -> list[dict[str, str]]:
    """Return the rows of a study's table, none where there is no such file."""
    path = options.studies / name
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _where(rows: Sequence[Row], **values: str) -> list[Row]:
    """Return the rows that have these values, of the agents' own batches."""
    return [row for row in rows if not row.get("batch") and all(row[name] == value for name, value in values.items())]


def _link(path: Path, page: Path) -> str:
    """Return a path as seen from the page."""
    return Path(os.path.relpath(path.resolve(), page.resolve().parent)).as_posix()


def _range(one: Estimate) -> str:
    return f"{one.low:.2f} to {one.high:.2f}"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
