"""Make ``docs/results.md`` and its figures from the table of a benchmark and the tables of the length studies.

It shows what is there: a table that is not finished gives a page that says how many runs are missing.

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

import tyro
from length_table import by_cell, by_length

from rlmem.benchmark.figures import write_figures
from rlmem.benchmark.overview import (
    memoryless_when_lesioned,
    overall,
    plot_generalization,
    plot_improvement,
    plot_matrix,
    plot_scores,
    solved,
)
from rlmem.benchmark.suite import Suite, read_suite
from rlmem.benchmark.summary import (
    FEW,
    Row,
    horizon_section,
    markdown_table,
    memory_scores,
    run_interval,
    runs_of,
    score_interval,
)
from rlmem.benchmark.table import RESULTS, merge_tables, read_rows, write_rows
from rlmem.evaluation.statistics import Estimate

_BASELINES = ("sb3-contrib, our LSTM start", "sb3_recurrent_ppo", "sb3-contrib as shipped", "ppo")
_STUDIES = (
    ("How long a memory is learnt, by agent, robot and kind of training", "t_maze_lengths.csv"),
    ("Which cells learn it", "t_maze_cells.csv"),
    ("Learnt fully online", "t_maze_online.csv"),
)
_VARIED = {"cells": "cell", "inits": "init", "robots": "robot", "training": "training", "lengths": "memory_length"}
"""Option of the length study -> column of its table."""


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
    if options.merge:
        tables = [path / RESULTS if path.is_dir() else path for path in options.merge]
        for path in tables:
            if not path.is_file():
                raise SystemExit(f"{path} is no table of a benchmark: there is no such file")
        write_rows(options.table, merge_tables([options.table, *tables]))
    rows = read_rows(options.table)
    if not rows:
        raise SystemExit(f"{options.table} has no rows: run `rlmem benchmark {options.suite}` first, then --merge it")
    suite = read_suite(options.suite)
    baseline = options.baseline or next((name for name in _BASELINES if any(r["agent"] == name for r in rows)), "")
    figures = options.out.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    parts = [*_head(rows, suite, options), *_together(rows, baseline, figures)]
    parts += [*_lengths(rows, figures), *_tables(rows, options.suite), *_maps(rows, figures), *_studies(options)]
    options.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"{options.out}, figures in {figures}")


def _head(rows: Sequence[Row], suite: Suite, options: Options) -> list[str]:
    wanted, found = {job.key for job in suite.jobs()}, {row["cell"] for row in rows}
    counts = f"**{len(wanted & found)} of the {len(wanted)} runs** of the suite `{suite.name}` are in the table"
    counts += f", and {len(found - wanted)} with other settings." if found - wanted else "."
    seeds = [len({row["seed"] for row in rows if row["agent"] == agent}) for agent in {row["agent"] for row in rows}]
    few = (
        f" An agent has at most {max(seeds)} runs on a task: with fewer than {FEW}, intervals over runs are too narrow."
    )
    versions, machines = (sorted({row[name] for row in rows}) for name in ("version", "machine"))
    return [
        "# Results",
        f"Made by `python scripts/results_page.py` from [the table]({_link(options.table, options.out)}) that "
        f"`rlmem benchmark {options.suite}` writes, a row for each run and test. {counts}"
        f"{few if max(seeds) < FEW else ''}",
        "Runs are tested on 200 held-out seeds; those of training, validation and test never meet. Success or score: "
        "interquartile mean (IQM) over runs with its 95 % interval by stratified bootstrap; where there is one run, "
        "the interval over its episodes. Memory score: 0 at the ceiling without memory, 1 at the oracle. State zeroed: "
        "success with the hidden state zeroed as the query begins, and in how many runs it is then not above the "
        "ceiling without memory (the lower end of its interval over episodes). Env steps and CPU seconds of training: "
        "medians; training stops when 50 of 50 validation episodes succeed. Learns from: what an agent is told beside "
        "what it sees.",
        f"rlmem {', '.join(versions)}; {'; '.join(machines)}.",
    ]


def _together(rows: Sequence[Row], baseline: str, figures: Path) -> list[str]:
    parts = ["## All tasks together"]
    if memory_scores(rows):
        plot_matrix(rows, figures / "matrix.png")
        parts.append(f"![Memory score of each agent in each test]({figures.name}/matrix.png)")
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
    if any(one.improves for one in found):
        plot_improvement(found, baseline, figures / "improvement.png")
        parts.append(f"![Probability of improvement over {baseline}]({figures.name}/improvement.png)")
    if any(path.name == "profiles.png" for path in write_figures(rows, figures, kinds=("profiles",))):
        parts.append(f"![Performance profiles: fraction of runs above a memory score]({figures.name}/profiles.png)")
    return parts


def _lengths(rows: Sequence[Row], figures: Path) -> list[str]:
    if not plot_generalization(rows, figures / "generalization.png"):
        return []
    section = horizon_section(rows)
    return [
        "## Beyond the lengths of training",
        f"![Memory score against memory length, by agent]({figures.name}/generalization.png)",
        *([section.markdown()] if section else []),
    ]


def _tables(rows: Sequence[Row], suite: str) -> list[str]:
    parts = []
    for task in dict.fromkeys(row["task"] for row in rows):
        parts.append(f"## {task}")
        mine = [row for row in rows if row["task"] == task]
        for test in dict.fromkeys(row["test"] for row in mine):
            here = [row for row in mine if row["test"] == test]
            ceilings = f"without memory {float(here[0]['memoryless']):.3g}, oracle {float(here[0]['oracle']):.3g}"
            parts.append(
                f"**{'Tested at ' + test if test else 'Tested as trained'}** ({ceilings}); `rlmem benchmark {suite}`:"
            )
            parts.append(_table(here))
    return parts


def _table(rows: Sequence[Row]) -> str:
    measure = "success" if rows[0]["metric"] == "success" else "score"
    head = ["agent", "learns from", "runs", measure, "95 % interval", "memory score (IQM)", "95 % interval"]
    head += ["state zeroed", "then at the ceiling", "env steps", "CPU s"]
    table = [head, ["---"] * len(head)]
    for agent in dict.fromkeys(row["agent"] for row in rows):
        runs = [row for row in rows if row["agent"] == agent]
        value, score, lesioned = run_interval(runs, "value"), score_interval(runs), runs_of(runs, "lesioned")
        steps, seconds, fallen = (
            runs_of(runs, "env_steps"),
            runs_of(runs, "cpu_seconds"),
            memoryless_when_lesioned(runs),
        )
        defined = math.isfinite(score.value)
        table.append(
            [
                f"**{agent}**" if solved(runs) else agent,
                runs[0].get("information", ""),
                str(len(runs)),
                f"{value.value:.3f}",
                _range(value),
                f"{score.value:.2f}" if defined else "",
                _range(score) if defined else "",
                f"{fmean(lesioned):.2f}" if lesioned else "",
                f"{fallen[0]} of {fallen[1]}" if fallen else "",
                f"{median(steps):,.0f}" if any(steps) else "",
                f"{median(seconds):,.1f}" if seconds else "",
            ]
        )
    return markdown_table(table)


def _maps(rows: Sequence[Row], figures: Path) -> list[str]:
    paths = write_figures(rows, figures, kinds=("maps",))
    return [f"![Memory score over memory length and credit length]({figures.name}/{path.name})" for path in paths]


def _credit(options: Options, figures: Path) -> list[str]:
    path = options.studies / "credit.csv"
    if not path.is_file():
        return []
    rows = read_rows(path)
    seeds = len({row["seed"] for row in rows})
    said = f"`rlmem benchmark benchmarks/credit.toml`, {seeds} seed{'s' * (seeds > 1)}, at most 400,000 env steps, the "
    said += f"agents at their defaults, sb3-contrib's with our forget biases; [table]({_link(path, options.out)}):"
    return ["## By memory length and credit length", said, *_maps(rows, figures)]


def _studies(options: Options) -> list[str]:
    parts = _credit(options, options.out.with_suffix(""))
    horizon = options.studies / "horizon.csv"
    if horizon.is_file():
        parts += ["## To 10,000 steps of memory", "`rlmem benchmark benchmarks/horizon.toml`, drawn by"]
        parts[-1] += f" `python scripts/horizon_figure.py`; [table]({_link(horizon, options.out)}):"
        section = horizon_section(read_rows(horizon))
        assert section is not None
        parts += [
            "![Success against memory length](horizon.png)",
            *(table.markdown() for table in section.tables),
        ]
    for title, name in _STUDIES:
        path = options.studies / name
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            said = f"{len(rows)} runs; [table]({_link(path, options.out)}). They are among those of"
            commands = "\n".join(_commands(rows, name))
            cells = len({row["cell"] for row in rows}) > 1 == len({row["agent"] for row in rows})
            parts += [f"## {title}", said, f"```\n{commands}\n```", by_cell(rows) if cells else by_length(rows)]
    more = "[learning.md](learning.md) has what imitation, Kalman filters and online learning reach and cost."
    return [*parts, more]


def _commands(rows: Sequence[Row], name: str) -> list[str]:
    """Return the command for each agent and batch that makes the runs of a length study, and perhaps more."""
    commands = []
    for agent, batch in dict.fromkeys((row["agent"], row.get("batch") or "") for row in rows):
        words = [f"python scripts/length_study.py --out benchmarks/results/{name} --agent {agent}"]
        words += [f"--batch {batch}"] * bool(batch)
        own = [row for row in rows if (row["agent"], row.get("batch") or "") == (agent, batch)]
        for option, column in _VARIED.items():
            values = dict.fromkeys(row[column] for row in own)
            words.append(f"--{option} {' '.join(sorted(values, key=lambda value: (len(value), value)))}")
        commands.append(" ".join(words))
    return commands


def _link(path: Path, page: Path) -> str:
    """Return a path as seen from the page."""
    return Path(os.path.relpath(path.resolve(), page.resolve().parent)).as_posix()


def _range(one: Estimate) -> str:
    return f"{one.low:.2f} to {one.high:.2f}"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
