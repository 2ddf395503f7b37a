"""Agents that learn at every control step of one environment, without a buffer, at equal CPU time.

Two tasks of the T-maze, both with the planar robot:

- ``silent``: lengths of 5 to 256 control steps, tested at 256. Between the cue and the junction nothing is observed.
- ``work``: the robot drives itself, passes four gates in each 100 control steps and a dock, which leaves nothing of the
  cue in its pose. Lengths of 5 to 40 control steps, tested at 40. An episode counts only if at least 80 % of the gates
  were passed.

Each run ends when all 50 validation episodes succeed or its CPU seconds are used up, and its best weights are then
tested on 200 test seeds. Rows go to ``benchmarks/results/streaming.csv`` as runs end, and a summary beside it. What is
finished is not run again, and what was stopped goes on.

    OMP_NUM_THREADS=1 python scripts/streaming_study.py [--seeds 5] [--seconds 900]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from equal_cpu import train_for

from rlmem import load_run
from rlmem.csv_table import read_rows, text_row, write_rows
from rlmem.evaluation.episodes import clopper_pearson, evaluate_on
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import replacing
from rlmem.runs.settings import RunSettings

ENV = "TMaze-v0"
EVERY = 10_000
"""Control steps between evaluations."""
EPISODES = 200
SOLVED = 0.95
"""Test success that counts as solved."""
TASKS: Mapping[str, tuple[dict[str, Any], int]] = {
    "silent": ({}, 256),
    "work": ({"guard": "dock", "gates": 4}, 40),
}
"""Name -> knobs, longest memory length."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Args:
        tasks: silent and work.
        agents: Names of agents.
        seeds: Runs of each.
        first_seed: Of the first run; settings are chosen with seeds from 100 on.
        seconds: CPU seconds of a run.
        out: Folder of the training runs.
        table: Where the rows go.
    """

    tasks: tuple[str, ...] = ("silent", "work")
    agents: tuple[str, ...] = ("rtrl_actor_critic", "stream_actor_critic")
    seeds: int = 5
    first_seed: int = 0
    seconds: float = 900.0
    out: Path = Path("benchmark/streaming")
    table: Path = Path("benchmarks/results/streaming.csv")


def main(options: Options) -> None:
    """Train and test what is not in the table."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed, task, agent in product(seeds, options.tasks, options.agents):
        rows = read_rows(options.table)
        if (task, agent, str(seed)) in {(row["task"], row["agent"], row["seed"]) for row in rows}:
            continue
        row = measure(options, task, agent, seed)
        rows = [*read_rows(options.table), text_row(row)]
        write_rows(options.table, rows)
        with replacing(options.table.with_suffix(".md")) as path:
            path.write_text(summary(rows), encoding="utf-8")
        print(row, flush=True)


def measure(options: Options, task: str, agent: str, seed: int) -> dict[str, Any]:
    """Train until validation is perfect or the time is used up, and return a row."""
    more, longest = TASKS[task]
    knobs = {"robot": "planar", **more}
    folder = options.out / f"{task}-{agent}-{seed}"
    settings = RunSettings(
        env=ENV,
        agent=agent,
        seed=seed,
        envs=1,
        eval_every=EVERY,
        stop_at=1.0,
        knobs={**knobs, "memory_length": (5, longest)},
        eval_knobs={"memory_length": longest},
    )
    spent = train_for(settings, folder, options.seconds)
    tested = evaluate_on(load_run(folder), ENV, knobs={**knobs, "memory_length": longest}, seeds=test_seeds(EPISODES))
    low, high = tested.interval
    return {
        "task": task,
        "agent": agent,
        "memory_length": longest,
        "seed": seed,
        "env_steps": spent.env_steps,
        "cpu_seconds": spent.cpu_seconds,
        "budget": options.seconds,
        "success": tested.value,
        "low": low,
        "high": high,
    }


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a Markdown page: each task and agent, how many of its runs solved it and what they took."""
    text = [
        "# Learning at every control step, without a buffer",
        "",
        "Made by `OMP_NUM_THREADS=1 python scripts/streaming_study.py`, which says what the tasks are; a row of the",
        f"table beside is one run. Solved: at least {SOLVED:.0%} of {EPISODES} test episodes; in brackets the exact",
        "95 % interval of the share of runs. CPU seconds are those of training, without evaluations.",
        "",
        "| task | agent | memory length | solved | test success: median, worst | env steps (median) | CPU s (median) |"
        " ms a step | most CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (task, agent), group in groupby(sorted(rows, key=_case), _case):
        runs = list(group)
        success, steps, seconds = (
            [float(run[name]) for run in runs] for name in ("success", "env_steps", "cpu_seconds")
        )
        solved = sum(value >= SOLVED for value in success)
        low, high = clopper_pearson(solved, len(runs))
        text.append(
            f"| {task} | `{agent}` | {runs[0]['memory_length']} | {solved} of {len(runs)} ({low:.2f} to {high:.2f}) | "
            f"{median(success):.2f}, {min(success):.2f} | {median(steps):,.0f} | {median(seconds):.0f} | "
            f"{1e3 * sum(seconds) / sum(steps):.2f} | {float(runs[0]['budget']):.0f} |"
        )
    return "\n".join(text) + "\n"


def _case(row: Mapping[str, str]) -> tuple[str, str]:
    return row["task"], row["agent"]


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
