"""Measure what untrained memory reaches: ``recurrent_ppo`` with cells that stay as they are initialized.

Each task is trained at its default knobs with the settings and the budget that it has in ``rlmem benchmark tasks``, but
for ``frozen_cells``: only what reads the cells learns. Where this reaches the oracle, the task asks for retention
only. Rows, with intervals over 200 held-out episodes, go to ``benchmarks/results/untrained.csv`` as runs end, and a
summary of each task to ``rlmem/untrained.csv``, from which the package tells it. Runs in the table are not made again,
and a run that was killed goes on.

    python scripts/untrained_memory.py                           # one seed of each task, the cheapest tasks first
    python scripts/untrained_memory.py --seeds 3 --only TMaze-v0 ShellGame-v0
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import tyro

from rlmem.benchmark.local import Local
from rlmem.benchmark.runner import not_in, run_benchmark
from rlmem.benchmark.suite import Suite, read_suite
from rlmem.benchmark.suite_parts import SuiteAgent, SuiteTask
from rlmem.benchmark.summary import Row, run_interval, runs_of
from rlmem.benchmark.table import RESULTS, merge_tables, read_rows, write_rows
from rlmem.csv_table import text_row
from rlmem.environments import UNTRAINED
from rlmem.registry import canonical_id

SUITE = "tasks"
LABEL = "untrained memory"
_TOO_LITTLE = -0.2
"""Memory score below which an agent has not learnt what needs no memory."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Args:
        seeds: Runs of each task.
        only: Ids of tasks; all of the suite if there are none.
        steps: Control steps of training at most, where fewer than the suite's.
        minutes: Start no run after this.
        out: Folder of the training runs.
        table: Where the rows go.
        summary: Where a row for each task goes.
        cost: Table of the same agent with trained cells, which tells which tasks are cheap.
    """

    seeds: int = 1
    only: tuple[str, ...] = ()
    steps: int | None = None
    minutes: float = math.inf
    out: Path = Path("benchmark/untrained")
    table: Path = Path("benchmarks/results/untrained.csv")
    summary: Path = UNTRAINED
    cost: Path = Path("benchmarks/results/tasks.csv")


def main(options: Options) -> None:
    """Run what is missing; the first seed of every task before the second."""
    end = time.monotonic() + 60.0 * options.minutes
    suite = suite_of(options)
    for seeds in range(1, options.seeds + 1):
        for task in suite.task:
            part = replace(suite, task=[task], seeds=seeds)
            if not not_in(part.jobs(), read_rows(options.table)):
                continue
            if time.monotonic() > end:
                print("not all is measured: run this again")
                return
            done = run_benchmark(part, options.out, Local(1))
            write_rows(options.table, merge_tables([options.table, options.out / RESULTS]))
            write_rows(options.summary, summary(read_rows(options.table)))
            row = done.rows[-1]
            said = [f"{name} {row[name]}" for name in ("task", "seed", "value", "low", "high", "memory_score")]
            print(", ".join([*said, *(f"failed: {one.error}" for one in done.failed)]), flush=True)


def suite_of(options: Options) -> Suite:
    """Return the suite of all tasks with this one agent, the cheapest tasks first."""
    suite, known = read_suite(SUITE), cpu_seconds(read_rows(options.cost))
    wanted = {canonical_id(name) for name in options.only}
    tasks = [replace(task, agents=[]) for task in suite.task if not wanted or task.env in wanted]
    tasks = [_with_steps(task, min(task.steps or suite.steps, options.steps or suite.steps)) for task in tasks]
    agent = SuiteAgent(agent="recurrent_ppo", label=LABEL, tuned=True, settings={"frozen_cells": True})
    ordered = sorted(tasks, key=lambda task: known.get(task.env, math.inf))
    return replace(suite, name="untrained", lesion=False, task=ordered, agent=[agent])


def summary(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return a row for each task: what its runs reach, with the interval over them, or over the episodes of one.

    A task whose agents end far below the ceiling without memory is left out: they were trained too little to say what
    untrained memory reaches.
    """
    of: dict[str, list[Row]] = {}
    for row in rows:
        of.setdefault(row["env"], []).append(row)
    found = []
    for env, runs in sorted(of.items()):
        if min(runs_of(runs, "memory_score"), default=0.0) < _TOO_LITTLE:
            continue
        interval = run_interval(runs, "value")
        values = {"value": interval.value, "low": interval.low, "high": interval.high}
        counts = {"env": env, "seeds": len(runs), "steps": max(int(row["steps"]) for row in runs)}
        found.append(text_row(counts | values))
    return found


def cpu_seconds(rows: Sequence[Row]) -> dict[str, float]:
    """Return what training ``recurrent_ppo`` took on each task, the median of its runs."""
    of: dict[str, list[float]] = {}
    for row in rows:
        if row["agent"] == "recurrent_ppo":
            of.setdefault(row["env"], []).append(float(row["cpu_seconds"]))
    return {env: median(times) for env, times in of.items()}


def _with_steps(task: SuiteTask, steps: int) -> SuiteTask:
    return replace(task, steps=steps)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
