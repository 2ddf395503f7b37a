"""What Kalman filters make of reward, beside Adam in the same agent; and a controller trained through a model.

Each run is validated as it learns, stops once 95 % of 50 validation episodes succeed, and is evaluated on 200 test
seeds. Adam first chooses its learning rate and how far a rollout may move the policy (``max_kl``) on run seeds of its
own, validated less often, and has rollouts a quarter as long, so that it takes four times as many steps; the Kalman
filters run at their defaults, which were found on TMaze-v0 at length 20 with run seeds from 1000 on. Rows go to a CSV
file as runs end; runs in it are not run again. The table is of the seeds that are asked for.

    python scripts/reward_study.py --out benchmarks/results/reward.csv --first-seed 5
    python scripts/reward_study.py --out benchmarks/results/reward.csv --table
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

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

RATES = (3e-3, 1e-2, 3e-2)
BOUNDS = (0.01, 0.03, 0.1)
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
    bounds: tuple[float, ...] = ()
    tasks: tuple[str, ...] = tuple(TASKS)


METHODS = {
    "actor-critic, Kalman": Method(agent="kalman_actor_critic"),
    "actor-critic, Adam": Method(
        agent="kalman_actor_critic", settings={"update": "adam", "n_steps": 32}, rates=RATES, bounds=BOUNDS
    ),
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
        first_seed: Of these.
        tuning_seeds: Runs of each learning rate and bound.
        table: Only print the table.
    """

    out: Path = Path("benchmarks/results/reward.csv")
    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = tuple(METHODS)
    seeds: int = 5
    first_seed: int = 0
    tuning_seeds: int = 1
    table: bool = False


class Tuned(NamedTuple):
    """What is chosen on the tuning seeds; 0: the agent's default."""

    rate: float = 0.0
    max_kl: float = 0.0

    def settings(self) -> dict[str, float]:
        """Return settings of the agent."""
        chosen = {"learning_rate": self.rate, "max_kl": self.max_kl}
        return {name: value for name, value in chosen.items() if value}


def one(task: str, method: str, seed: int, tuned: Tuned, *, test: bool) -> dict[str, float | str]:
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
        agent_settings=by.settings | tuned.settings(),
    )
    row: dict[str, float | str] = {"task": task, "method": method, "seed": seed, **tuned._asdict()}
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

    def get(self, task: str, method: str, seed: int, tuned: Tuned) -> dict[str, str]:
        """Return the row of a run, which is run and written if it is not there."""
        key = (task, method, seed, tuned)
        for row in self._progress.rows:
            if (row["task"], row["method"], int(row["seed"]), tuned_of(row)) == key:
                return row
        row_now = one(task, method, seed, tuned, test=seed < _TUNING_SEED)
        self._progress.add(row_now)
        print(", ".join(f"{name} {value}" for name, value in row_now.items()), flush=True)
        return self._progress.rows[-1]


def tuned_of(row: Mapping[str, str]) -> Tuned:
    """Return what was chosen for the run of a row."""
    return Tuned(*(float(row[name] or 0.0) for name in Tuned._fields))


def best(rows: Rows, task: str, method: str, tuning_seeds: int) -> Tuned:
    """Return the rate and bound that miss least on the tuning seeds, then those that need fewest steps."""
    by = METHODS[method]
    grid = [Tuned(*values) for values in product(by.rates or (0.0,), by.bounds or (0.0,))]
    if len(grid) == 1:
        return grid[0]

    def cost(tuned: Tuned) -> tuple[float, float]:
        own = [rows.get(task, method, _TUNING_SEED + seed, tuned) for seed in range(tuning_seeds)]
        missed = 1.0 - float(np.mean([float(row["validation"]) for row in own]))
        return max(missed - (1.0 - SOLVED), 0.0), float(np.mean([float(row["env_steps"]) for row in own]))

    return min(grid, key=cost)


def main(study: Study) -> None:
    """Run what is missing and print the table."""
    torch.set_num_threads(1)
    seeds = range(study.first_seed, study.first_seed + study.seeds)
    if not study.table:
        rows = Rows(study.out)
        for task, method in product(study.tasks, study.methods):
            if task in METHODS[method].tasks:
                tuned = best(rows, task, method, study.tuning_seeds)
                for seed in seeds:
                    rows.get(task, method, seed, tuned)
    print(markdown(study.out, seeds))


def markdown(path: Path, seeds: range) -> str:
    """Return the table of the rows of some seeds in a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["seed"]) in seeds]
    lines = [
        "| task | method | learns from | solved | test success | env steps | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        own = [row for row in rows if (row["task"], row["method"]) == (task, method)]
        solved = sum(float(row["test_success"]) >= SOLVED for row in own)
        tuned = tuned_of(own[0]).settings()
        names = {"learning_rate": "rate", "max_kl": "max_kl"}
        chosen = ", ".join(f"{names[name]} {value:g}" for name, value in tuned.items())
        label = f"{method} ({chosen})" if chosen else method
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
