"""How far back a robot remembers while it works: the T-maze with gates to pass, lamps that distract, and docks.

The robot drives all the way itself. It passes gates, left or right of the middle, one in every 25 control steps; lamps
flash as the cue did in a tenth of the steps; after every 100 steps it goes through a dock, which leaves nothing of the
cue in the robot's pose or in what it sees. Training has three parts: memory lengths of 3 to 20 control steps, of 5 to
200, and of 5 to 1,000, each until 97 % of the validation episodes at its longest count (right at the end, and at least
80 % of the gates passed), and each from the weights of the one before. Then the same agent is tested on held-out seeds
at lengths far beyond, and at 1,000 with its hidden state set to zero at the question.

Rows go to ``benchmarks/results/working_horizon.csv`` as runs end, and a summary beside it. What is finished is not run
again, and what was stopped goes on.

    OMP_NUM_THREADS=1 python scripts/working_horizon.py [--seeds 5] [--robot diff_drive] [--cell gru]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import tyro

from rlmem import load_run
from rlmem.csv_table import read_rows, text_row, write_rows
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesion import lesion_test
from rlmem.evaluation.lesioning import Lesion
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import replacing
from rlmem.runs.checkpoints import LAST
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import train

ENV = "TMaze-v0"
WORK = {"guard": "dock", "dock_every": 100, "gates": 4, "distractors": 0.1}
ENOUGH = 0.97
"""Share of the validation episodes that ends a part of training."""
EPISODES = {5: 200, 100: 200, 1_000: 200, 10_000: 50}
"""Test episodes at each memory length, control steps."""
LESIONED = 1_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of training."""

    lengths: tuple[int, int]
    steps: int
    eval_every: int
    settings: Mapping[str, Any]


_SHORT = {"learning_rate": 1e-3, "n_steps": 256, "seq_len": 256, "rows": 4, "ent_coef": 0.0}
PARTS = (
    Part(lengths=(3, 20), steps=1_000_000, eval_every=16_384, settings=_SHORT),
    Part(lengths=(5, 200), steps=3_000_000, eval_every=65_536, settings=_SHORT),
    Part(
        lengths=(5, 1_000),
        steps=6_000_000,
        eval_every=262_144,
        settings={"learning_rate": 5e-4, "n_steps": 1_024, "seq_len": 1_024, "rows": 2, "ent_coef": 0.0},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Args:
        seeds: Runs.
        robot: planar or diff_drive.
        cell: Memory cell; "memoryless" for an agent without memory.
        out: Folder of the training runs.
        table: Where the rows go.
    """

    seeds: int = 5
    robot: str = "planar"
    cell: str = "lstm"
    out: Path = Path("benchmark/working_horizon")
    table: Path = Path("benchmarks/results/working_horizon.csv")


def main(options: Options) -> None:
    """Train and test what is not in the table."""
    for seed in range(options.seeds):
        rows = read_rows(options.table)
        if (options.robot, options.cell, str(seed)) in {(row["robot"], row["cell"], row["seed"]) for row in rows}:
            continue
        measured = measure(options, seed)
        rows = [*read_rows(options.table), *map(text_row, measured)]
        write_rows(options.table, rows)
        with replacing(options.table.with_suffix(".md")) as path:
            path.write_text(summary(rows), encoding="utf-8")
        for row in measured:
            print(row, flush=True)


def measure(options: Options, seed: int) -> list[dict[str, Any]]:
    """Train in parts, and return a row for each length of the tests."""
    knobs, before, env_steps, cpu = {**WORK, "robot": options.robot}, "", 0, 0.0
    for part in PARTS:
        settings = RunSettings(
            env=ENV,
            agent="recurrent_ppo",
            seed=seed,
            steps=part.steps,
            envs=32,
            eval_every=part.eval_every,
            stop_at=ENOUGH,
            init_from=before,
            knobs={**knobs, "memory_length": part.lengths},
            eval_knobs={"memory_length": part.lengths[1]},
            agent_settings={**part.settings, "cell": options.cell},
        )
        folder = options.out / f"{options.robot}-{options.cell}-{seed}" / str(part.lengths[1])
        train(settings, folder=folder, resume=(folder / LAST).is_file())
        ended = load_checkpoint(folder / LAST).meta
        before, env_steps, cpu = str(folder), env_steps + ended["env_steps"], cpu + ended["cpu_seconds"]
    run, rows = load_run(before), []
    same = {"robot": options.robot, "cell": options.cell, "seed": seed, "env_steps": env_steps, "cpu_seconds": cpu}
    for length, episodes in EPISODES.items():
        arguments: dict[str, Any] = {"knobs": {**knobs, "memory_length": length}, "seeds": test_seeds(episodes)}
        intact = evaluate_on(run, ENV, **arguments)
        low, high = intact.interval
        row = {**same, "memory_length": length, "episodes": episodes, "success": intact.value, "low": low, "high": high}
        row |= {"work": intact.mean_work, "zeroed": math.nan}
        if length == LESIONED and options.cell != "memoryless":
            row["zeroed"] = lesion_test(run, ENV, Lesion(), intact=intact, **arguments).lesioned.value
        rows.append(row)
    return rows


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a Markdown page: each robot and cell at each length, the median and the worst of its runs."""
    text = [
        "# How far back a robot remembers while it works",
        "",
        "Made by `OMP_NUM_THREADS=1 python scripts/working_horizon.py`, which says what is trained; a row of the table",
        "beside is one run at one length. An episode counts only if at least 80 % of the gates were passed.",
        "",
        "| robot | cell | memory length | runs | success: median, worst | work done | state zeroed at the question |"
        " training: env steps, CPU s (median) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (robot, cell, length), group in groupby(sorted(rows, key=_case), _case):
        runs = list(group)
        of = {name: [float(run[name]) for run in runs] for name in ("success", "work", "zeroed")}
        cost = [median(float(run[name]) for run in runs) for name in ("env_steps", "cpu_seconds")]
        zeroed = "" if math.isnan(of["zeroed"][0]) else f"{median(of['zeroed']):.2f}"
        work = "" if math.isnan(of["work"][0]) else f"{median(of['work']):.2f}"
        text.append(
            f"| {robot} | {cell} | {length:,} | {len(runs)} | {median(of['success']):.2f}, {min(of['success']):.2f} | "
            f"{work} | {zeroed} | {cost[0]:,.0f}, {cost[1]:.0f} |"
        )
    return "\n".join(text) + "\n"


def _case(row: Mapping[str, str]) -> tuple[str, str, int]:
    return row["robot"], row["cell"], int(row["memory_length"])


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
