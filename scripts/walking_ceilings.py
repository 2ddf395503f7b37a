"""Measure what the walking tasks can be worth without memory: full state, half of it, half of it with four frames.

Trains ``ppo`` on the full state (what could be had), ``ppo`` on each half (no memory) and ``frame_stack_ppo`` on each
half (a memory of four frames), and evaluates the best checkpoint of each on test seeds. What a trained agent reaches is
a lower bound of what can be reached without memory, the tighter the longer it has trained. Rows go to a CSV file as
runs end; runs in it are not run again.

    python scripts/walking_ceilings.py --robots Hopper HalfCheetah --steps 2000000 --seeds 3
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import tyro

from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate, make_test_env
from rlmem.evaluation.seeds import test_seeds
from rlmem.runs.checkpoints import BEST
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, train

ROBOTS = ("Hopper", "Walker2D", "HalfCheetah", "Ant")
CASES = (
    ("Position", "full", "ppo"),
    ("Position", "partial", "ppo"),
    ("Velocity", "partial", "ppo"),
    ("Position", "partial", "frame_stack_ppo"),
    ("Velocity", "partial", "frame_stack_ppo"),
)
"""What is seen, whether the other half is seen too, and who learns. With the full state both halves are one task."""
_WORLDS = 8


@dataclass(frozen=True, kw_only=True)
class Study:
    """Study of the walking tasks' ceilings.

    Args:
        out: CSV file of results.
        robots: Hopper, Walker2D, HalfCheetah, Ant.
        steps: Control steps of each run.
        seeds: Runs for each robot and case.
        episodes: Test episodes of each run.
    """

    out: Path = Path("benchmarks/results/walking_ceilings.csv")
    robots: tuple[str, ...] = ROBOTS
    steps: int = 2_000_000
    seeds: int = 3
    episodes: int = 50

    def __post_init__(self) -> None:
        for robot in self.robots:
            if robot not in ROBOTS:
                raise UserError(f"robots must be among {', '.join(ROBOTS)}, got {robot!r}")


class Run(NamedTuple):
    """One run of the study."""

    robot: str
    seen: str
    observation: str
    agent: str
    steps: int
    seed: int


def one(run: Run, episodes: int) -> dict[str, float | str]:
    """Train, evaluate, and return a row."""
    settings = RunSettings(
        env=f"{run.robot}{run.seen}-v0",
        agent=run.agent,
        seed=run.seed,
        steps=run.steps,
        eval_every=max(1, run.steps // 10),
        eval_episodes=5,
        knobs={"observation": run.observation},
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        env = make_test_env(settings.env, _WORLDS, settings.knobs)
        try:
            result = evaluate(load_agent(folder, env, BEST), env, test_seeds(episodes))
        finally:
            env.close()
    low, high = result.interval
    return {
        **run._asdict(),
        "cpu_seconds": round(progress.last("cpu_seconds", 0.0), 1),
        "episodes": episodes,
        "test_return": round(result.value, 1),
        "low": round(low, 1),
        "high": round(high, 1),
    }


def todo(study: Study) -> Iterator[Run]:
    """Yield the runs that the CSV file does not hold yet."""
    done = set()
    for row in Progress(study.out).rows:
        numbers = {name: int(row[name]) for name in ("steps", "seed")}
        done.add(Run(**{name: row[name] for name in Run._fields} | numbers))
    for seed, robot, case in product(range(study.seeds), study.robots, CASES):
        run = Run(robot, *case, study.steps, seed)
        if run not in done:
            yield run


def main(study: Study) -> None:
    """Run what is missing and print each row."""
    table = Progress(study.out)
    for run in todo(study):
        row = one(run, study.episodes)
        table.add(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
