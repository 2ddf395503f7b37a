"""What Kalman filters make of reward, beside Adam in the same agent; and a controller trained through a model.

Each run is validated as it learns, stops once 95 % of 50 validation episodes succeed, and is evaluated on 200 test
seeds. Adam first chooses its learning rate on run seeds of its own, validated less often, and has rollouts a quarter as
long, so that it takes four times as many steps; the Kalman filters run at their defaults, which were found on TMaze-v0
at length 20 with run seeds from 1000 on. Rows go to a CSV file as runs end; runs in it are not run again.

    python scripts/reward_study.py --out benchmarks/results/reward.csv
    python scripts/reward_study.py --out benchmarks/results/reward.csv --table
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from rlmem.evaluation import evaluate
from rlmem.registry import agent_class
from rlmem.run_folder import BEST, Progress, RunSettings
from rlmem.seeds import test_seeds
from rlmem.training import load_agent, make_env, train

RATES = (3e-3, 1e-2, 3e-2)
_TUNING_SEED = 1_000
SOLVED = 0.95


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task and its knobs; all lengths of a range are trained on, and the longest is judged."""

    env: str
    knobs: dict[str, Any] = field(default_factory=dict)
    eval_knobs: dict[str, Any] = field(default_factory=dict)
    steps: int = 40_960
    eval_every: int = 2_048


TASKS = {
    "TMaze 5 to 20": Task(env="TMaze-v0", knobs={"memory_length": (5, 20)}, eval_knobs={"memory_length": 20}),
    "TMaze 20": Task(env="TMaze-v0", knobs={"memory_length": 20}),
    "FlashedGoal, goal shown": Task(env="FlashedGoal-v0", knobs={"cue": "always"}, eval_every=4_096),
}


@dataclass(frozen=True, kw_only=True)
class Method:
    """An agent and its settings."""

    agent: str
    settings: dict[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    tasks: tuple[str, ...] = tuple(TASKS)


METHODS = {
    "actor-critic, Kalman": Method(agent="kalman_actor_critic"),
    "actor-critic, Adam": Method(agent="kalman_actor_critic", settings={"update": "adam", "n_steps": 32}, rates=RATES),
    "recurrent PPO": Method(agent="recurrent_ppo"),
    "through a model, EKF": Method(agent="model_controller", tasks=("FlashedGoal, goal shown",)),
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
        table: Only print the table.
    """

    out: Path = Path("benchmarks/results/reward.csv")
    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = 5
    tuning_seeds: int = 1
    table: bool = False


def one(task: str, method: str, seed: int, rate: float, *, test: bool) -> dict[str, float | str]:
    """Train, evaluate if it is no tuning run, and return a row."""
    of, by = TASKS[task], METHODS[method]
    settings = RunSettings(
        env=of.env,
        agent=by.agent,
        seed=seed,
        steps=of.steps,
        envs=8,
        eval_every=of.eval_every * (1 if test else 4),
        stop_at=(SOLVED - 0.5) / 0.5 if of.env == "TMaze-v0" else SOLVED,
        knobs=of.knobs,
        eval_knobs=of.eval_knobs,
        agent_settings=by.settings | ({"learning_rate": rate} if rate else {}),
    )
    row: dict[str, float | str] = {"task": task, "method": method, "seed": seed, "rate": rate}
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        row |= {"validation": max(float(entry["eval/value"]) for entry in progress.rows)}
        row |= {name: round(progress.last(name, 0.0), 2) for name in ("env_steps", "cpu_seconds")}
        if test:
            env = make_env(settings, 50, "disabled")
            try:
                result = evaluate(load_agent(folder, env, BEST), env, test_seeds(200))
            finally:
                env.close()
            low, high = result.interval
            row |= {"test_success": result.value, "low": round(low, 4), "high": round(high, 4)}
    return row


class Rows:
    """The CSV file, and what runs in it need not be run again."""

    def __init__(self, path: Path) -> None:
        self._progress = Progress(path)

    def get(self, task: str, method: str, seed: int, rate: float) -> dict[str, str]:
        """Return the row of a run, which is run and written if it is not there."""
        key = (task, method, str(seed), f"{rate:.10g}")
        for row in self._progress.rows:
            if (row["task"], row["method"], row["seed"], row["rate"]) == key:
                return row
        row_now = one(task, method, seed, rate, test=seed < _TUNING_SEED)
        self._progress.add(row_now)
        print(", ".join(f"{name} {value}" for name, value in row_now.items()), flush=True)
        return self._progress.rows[-1]


def best_rate(rows: Rows, task: str, method: str, tuning_seeds: int) -> float:
    """Return the learning rate that misses least on the tuning seeds, then the one that needs fewest steps."""
    rates = METHODS[method].rates
    if not rates:
        return 0.0

    def cost(rate: float) -> tuple[float, float]:
        own = [rows.get(task, method, _TUNING_SEED + seed, rate) for seed in range(tuning_seeds)]
        missed = 1.0 - float(np.mean([float(row["validation"]) for row in own]))
        return max(missed - (1.0 - SOLVED), 0.0), float(np.mean([float(row["env_steps"]) for row in own]))

    return min(rates, key=cost)


def main(study: Study) -> None:
    """Run what is missing and print the table."""
    torch.set_num_threads(1)
    if not study.table:
        rows = Rows(study.out)
        for task, method in product(study.tasks, study.methods):
            if task in METHODS[method].tasks:
                rate = best_rate(rows, task, method, study.tuning_seeds)
                for seed in range(study.seeds):
                    rows.get(task, method, seed, rate)
    print(markdown(study.out))


def markdown(path: Path) -> str:
    """Return the table of a CSV file, without the runs that chose learning rates."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["seed"]) < _TUNING_SEED]
    lines = [
        "| task | method | learns from | solved | test success | env steps | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        own = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        solved = sum(float(row["test_success"]) >= SOLVED for row in own)
        label = method + (f" (rate {float(own[0]['rate']):g})" if float(own[0]["rate"]) else "")
        columns = [_range(own, name) for name in ("test_success", "env_steps", "cpu_seconds")]
        information = agent_class(METHODS[method].agent).information
        lines.append(f"| {task} | {label} | {information} | {solved} of {len(own)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _range(rows: Sequence[dict[str, str]], column: str) -> str:
    """Return the median and the range of a column, in words."""
    values = np.sort([float(row[column] or "nan") for row in rows])
    middle, least, most = (
        f"{value:,.0f}" if value >= 10 else f"{value:.3g}" for value in (np.median(values), values[0], values[-1])
    )
    return f"{middle} ({least}..{most})"


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
