"""What an EKF-trained controller needs to solve a task, beside Adam on the same labels and PPO on the reward alone.

Each run is validated as it learns, stops once 95 % of 50 validation episodes succeed (with the goal flashed, where
success comes and goes while it learns: 98 % of 100), and is evaluated on 200 test seeds. Adam first chooses its
learning rate on run seeds of its own; the Kalman filter runs at its defaults, but for R with the goal flashed, which
was chosen by hand on run seeds from 100 on: docs/learning.md tells how. PPO has its tuned settings where there are any
for so long a memory, and five times the steps, on the flashed goal twenty times. Rows go to a CSV file as runs end;
runs in it are not run again. Rows of "labels not censored" are of the agent as it was before, and are not made any
more.

    python scripts/imitation_study.py --out benchmarks/results/imitation.csv
    python scripts/imitation_study.py --out benchmarks/results/imitation.csv --table
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from rlmem.evaluation.episodes import evaluate
from rlmem.evaluation.seeds import test_seeds
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import BEST
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, make_env, train
from rlmem.runs.tuned import tuned_settings

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
_TUNING_SEED = 1_000
SOLVED = 0.95


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task and its knobs, how a run is validated, what is set of the filter, and how many times the steps PPO has."""

    env: str
    knobs: dict[str, Any] = field(default_factory=dict)
    steps: int = 100_000
    eval_every: int = 512
    eval_episodes: int = 50
    stop_at: float = SOLVED
    ekf: dict[str, Any] = field(default_factory=dict)
    ppo_times: int = 5


TASKS = {
    "TMaze 20": Task(env="TMaze-v0", knobs={"memory_length": 20}, eval_every=256),
    "TMaze 100": Task(env="TMaze-v0", knobs={"memory_length": 100}, eval_every=768),
    "TMaze 1000": Task(env="TMaze-v0", knobs={"memory_length": 1_000}, steps=400_000, eval_every=8_000),
    "FlashedGoal": Task(
        env="FlashedGoal-v0", eval_every=2_048, eval_episodes=100, stop_at=0.98, ekf={"noise": 0.2}, ppo_times=20
    ),
    "FlashedGoal, goal shown": Task(env="FlashedGoal-v0", knobs={"cue": "always"}, ppo_times=20),
}


@dataclass(frozen=True)
class Method:
    """An agent and its settings."""

    agent: str
    settings: dict[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    envs: int = 8


METHODS = {
    "EKF, asked where unsure": Method("ekf"),
    "EKF, asked always": Method("ekf", {"queries": "all"}),
    "NDEKF, asked where unsure": Method("ekf", {"groups": "node"}),
    "Adam with replay": Method("adam_dagger", {"replay": True}, RATES),
    "Adam without replay": Method("adam_dagger", {"replay": False}, RATES),
    "recurrent PPO (reward)": Method("recurrent_ppo", envs=16),
}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Which runs.

    Args:
        out: CSV file of rows.
        tasks: Names of tasks.
        methods: Names of methods.
        seeds: Runs of each.
        tuning_seeds: Runs of each learning rate.
        processes: Side by side.
        table: Only print the table.
    """

    out: Path = Path("benchmarks/results/imitation.csv")
    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = 5
    tuning_seeds: int = 3
    processes: int = 2
    table: bool = False


def one(task: str, method: str, seed: int, rate: float | None, test: bool = True) -> dict[str, float | str]:
    """Train, evaluate, and return a row."""
    torch.set_num_threads(1)
    of, by = TASKS[task], METHODS[method]
    learns_from_reward = agent_class(by.agent).information == "reward"
    tuned = tuned_settings(by.agent, of.env)
    found = tuned.agent if tuned is not None and tuned.fits(of.knobs) else {}
    own = of.ekf if by.agent == "ekf" else {}
    settings = RunSettings(
        env=of.env,
        agent=by.agent,
        seed=seed,
        steps=of.steps * (of.ppo_times if learns_from_reward else 1),
        envs=by.envs,
        eval_every=of.eval_every * (8 if learns_from_reward else 1),
        eval_episodes=of.eval_episodes,
        stop_at=(of.stop_at - 0.5) / 0.5 if of.env == "TMaze-v0" else of.stop_at,
        knobs=of.knobs,
        agent_settings=found | own | by.settings | ({"learning_rate": rate} if rate else {}),
    )
    row: dict[str, float | str] = {"task": task, "method": method, "seed": seed, "rate": rate or 0.0}
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        row |= {"validation": progress.last("eval/value", 0.0), "env_steps": progress.last("env_steps", 0.0)}
        row |= {"cpu_seconds": round(progress.last("cpu_seconds", 0.0), 2)}
        row |= {"episodes": progress.last("rollout/episodes", 0.0), "queries": progress.last("expert/queries", 0.0)}
        if test:
            env = make_env(settings, 50, "disabled")
            try:
                result = evaluate(load_agent(folder, env, BEST), env, test_seeds(200))
            finally:
                env.close()
            low, high = result.interval
            row |= {"test_success": result.value, "low": round(low, 4), "high": round(high, 4)}
    return row


def seeds_of(task: str, method: str, seeds: Sequence[int], tuning_seeds: int) -> Iterator[dict[str, float | str]]:
    """Choose the learning rate, run the seeds, and yield their rows."""
    rate, best = None, (np.inf, np.inf)
    for tried in METHODS[method].rates:
        rows = [one(task, method, _TUNING_SEED + seed, tried, test=False) for seed in range(tuning_seeds)]
        missed = float(np.mean([1.0 - float(row["validation"]) for row in rows]))
        cost = (max(missed - (1 - SOLVED), 0.0), float(np.mean([float(row["env_steps"]) for row in rows])))
        if cost < best:
            best, rate = cost, tried
    for seed in seeds:
        yield one(task, method, seed, rate)


def listed(*what: Any) -> list[dict[str, float | str]]:
    """Return what :func:`seeds_of` yields, from another process."""
    return list(seeds_of(*what))


def rows_of(jobs: Sequence[tuple[Any, ...]], processes: int) -> Iterator[dict[str, float | str]]:
    """Yield the rows of all jobs as runs end; with several processes, as jobs end."""
    if processes == 1:
        for job in jobs:
            yield from seeds_of(*job)
        return
    with ProcessPoolExecutor(processes) as pool:
        for done in as_completed([pool.submit(listed, *job) for job in jobs]):
            yield from done.result()


def main(study: Study) -> None:
    """Run what is missing and print the table."""
    table = Progress(study.out)
    done = {(row["task"], row["method"], int(row["seed"])) for row in table.rows}
    if not study.table:
        jobs = []
        for task, method in product(study.tasks, study.methods):
            missing = [seed for seed in range(study.seeds) if (task, method, seed) not in done]
            if missing:
                jobs.append((task, method, missing, study.tuning_seeds))
        for row in rows_of(jobs, study.processes):
            table.add(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    print(markdown(study.out))


def markdown(path: Path) -> str:
    """Return the table of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [
        "| task | method | learns from | solved | test success | episodes | expert queries | env steps | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        own = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        solved = sum(float(row["test_success"]) >= SOLVED for row in own)
        success = np.mean([float(row["test_success"]) for row in own])
        low = min(float(row["low"]) for row in own)
        columns = [_range(own, name) for name in ("episodes", "queries", "env_steps", "cpu_seconds")]
        label = method + (f" (rate {float(own[0]['rate']):g})" if float(own[0]["rate"]) else "")
        information = agent_class(METHODS[method].agent).information
        if information == "reward":
            columns[:2] = ["", "0"]
        lines.append(
            f"| {task} | {label} | {information} | {solved} of {len(own)} | {success:.3f} (least bound {low:.2f}) | "
            + " | ".join(columns)
            + " |"
        )
    return "\n".join(lines)


def _range(rows: Sequence[dict[str, str]], column: str) -> str:
    """Return the median and the range of a column, in words."""
    values = np.array([float(row[column] or "nan") for row in rows])
    shown = (f"{value:,.0f}" if value >= 10 else f"{value:.2g}" for value in (np.median(values), *np.sort(values)))
    middle, *rest = shown
    return f"{middle} ({rest[0]}..{rest[-1]})"


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
