"""How long a memory the recurrent agent learns in the T-maze: lengths x robots x seeds, trained and tested.

Each run trains on lengths drawn from 5 to L (or on L alone), is validated at L, stops once all 50 validation episodes
succeed, and is then evaluated on 200 test seeds at L. Rows go to a CSV file as runs end; runs in it are not run again.

    python scripts/length_study.py --out benchmarks/results/t_maze_lengths.csv
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import tyro

from rlmem.evaluation import evaluate
from rlmem.run_folder import BEST, Progress, RunSettings
from rlmem.seeds import test_seeds
from rlmem.training import load_agent, make_env, train

FROM = 5


@dataclass(frozen=True, kw_only=True)
class Study:
    """Length study of the T-maze.

    Args:
        out: CSV file of results.
        agent: Name of the agent.
        cells: Memory cells, for this package's own agents; others have the one they have.
        lengths: Memory lengths, control steps.
        robots: Bodies.
        training: Train on a range of lengths from 5, or on the fixed length.
        seeds: Runs for each length and robot.
        steps: Control steps at most.
        processes: Runs side by side.
    """

    out: Path = Path("benchmarks/results/t_maze_lengths.csv")
    agent: str = "recurrent_ppo"
    cells: tuple[str, ...] = ("lstm",)
    lengths: tuple[int, ...] = (20, 50, 100, 400)
    robots: tuple[str, ...] = ("planar", "diff_drive")
    training: tuple[str, ...] = ("range", "fixed")
    seeds: int = 5
    steps: int = 1_000_000
    processes: int = 2


def one(agent: str, cell: str, length: int, robot: str, training: str, seed: int, steps: int) -> dict[str, float | str]:
    """Train, evaluate, and return a row."""
    settings = RunSettings(
        env="TMaze-v0",
        agent=agent,
        seed=seed,
        steps=steps,
        eval_every=max(10_000, 40 * length),
        stop_at=1.0,
        knobs={"robot": robot, "memory_length": (FROM, length) if training == "range" else length},
        eval_knobs={"memory_length": length},
        agent_settings={"cell": cell} if agent.startswith("recurrent_") else {},
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        env = make_env(settings, 50, "disabled")
        try:
            trained = load_agent(folder, env, BEST)
            result = evaluate(trained, env, test_seeds(200))
        finally:
            env.close()
    low, high = result.interval
    return {
        "agent": agent,
        "cell": cell,
        "robot": robot,
        "training": training,
        "memory_length": length,
        "seed": seed,
        "env_steps": progress.last("env_steps", 0.0),
        "cpu_seconds": round(progress.last("cpu_seconds", 0.0), 1),
        "test_success": result.value,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def todo(study: Study) -> Iterator[tuple[str, str, int, str, str, int, int]]:
    """Yield the runs that the CSV file does not hold yet."""
    done = set()
    if study.out.is_file():
        with study.out.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                length, seed = int(row["memory_length"]), int(row["seed"])
                done.add((row["agent"], row["cell"], length, row["robot"], row["training"], seed))
    for cell, training, length, robot, seed in product(
        study.cells, study.training, study.lengths, study.robots, range(study.seeds)
    ):
        if (study.agent, cell, length, robot, training, seed) not in done:
            yield study.agent, cell, length, robot, training, seed, study.steps


def main(study: Study) -> None:
    """Run what is missing and print each row."""
    table = Progress(study.out)
    with ProcessPoolExecutor(study.processes) as pool:
        for run in as_completed([pool.submit(one, *arguments) for arguments in todo(study)]):
            row = run.result()
            table.add(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
