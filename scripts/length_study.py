"""How long a memory the recurrent agent learns in the T-maze: lengths x robots x seeds, trained and tested.

Each run trains on lengths drawn from 5 to L (or on L alone), is validated at L, stops once all 50 validation episodes
succeed, and is then evaluated on 200 test seeds at L. Rows go to a CSV file as runs end; runs in it are not run again.

    python scripts/length_study.py --out benchmarks/results/t_maze_lengths.csv
"""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro

from rlmem.evaluation.episodes import evaluate
from rlmem.evaluation.seeds import test_seeds
from rlmem.runs.checkpoints import BEST
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, make_env, train

FROM = 5


@dataclass(frozen=True, kw_only=True)
class Study:
    """Length study of the T-maze.

    Args:
        out: CSV file of results.
        agent: Name of the agent.
        cells: Memory cells, for this package's own agents; others have the one they have.
        inits: How gated cells start: "forget", "chrono" or "torch".
        lengths: Memory lengths, control steps.
        robots: Bodies.
        training: Train on a range of lengths from 5, or on the fixed length.
        seeds: Runs for each length and robot.
        steps: Control steps at most.
        envs: Environments that an agent learns in.
        batch: "large": 64 environments instead, and minibatches of 16 sequences over a whole rollout. For the recurrent
            PPOs.
        processes: Runs side by side.
    """

    out: Path = Path("benchmarks/results/t_maze_lengths.csv")
    agent: str = "recurrent_ppo"
    cells: tuple[str, ...] = ("lstm",)
    inits: tuple[str, ...] = ("forget",)
    lengths: tuple[int, ...] = (20, 50, 100, 400)
    robots: tuple[str, ...] = ("planar", "diff_drive")
    training: tuple[str, ...] = ("range", "fixed")
    seeds: int = 5
    steps: int = 1_000_000
    envs: int = 16
    batch: Literal["", "large"] = ""
    processes: int = 2


class Run(NamedTuple):
    """One run of the study."""

    agent: str
    cell: str
    init: str
    memory_length: int
    robot: str
    training: str
    seed: int
    batch: str = ""

    @property
    def agent_settings(self) -> dict[str, Any]:
        """The agent's hyperparameters that are not its defaults."""
        large = self.batch == "large"
        if self.agent.startswith("recurrent_"):
            return {"cell": self.cell, "init": self.init} | ({"rows": 16} if large else {})
        if self.agent == "rtrl_actor_critic":
            return {"cell": self.cell}
        if self.agent == "sb3_recurrent_ppo":
            rollout = max(256, math.ceil(1.4 * self.memory_length))
            return {"lstm_init": self.init} | ({"batch_size": 16 * rollout} if large else {})
        return {}


def one(run: Run, steps: int, envs: int) -> dict[str, float | str]:
    """Train, evaluate, and return a row."""
    length = run.memory_length
    settings = RunSettings(
        env="TMaze-v0",
        agent=run.agent,
        seed=run.seed,
        steps=steps,
        envs=64 if run.batch == "large" else envs,
        eval_every=max(10_000, 40 * length),
        stop_at=1.0,
        knobs={"robot": run.robot, "memory_length": (FROM, length) if run.training == "range" else length},
        eval_knobs={"memory_length": length},
        agent_settings=run.agent_settings,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        env = make_env(settings, 50, "disabled")
        try:
            result = evaluate(load_agent(folder, env, BEST), env, test_seeds(200))
        finally:
            env.close()
    low, high = result.interval
    return {
        **{name: value for name, value in run._asdict().items() if isinstance(value, str)},
        "memory_length": length,
        "seed": run.seed,
        "env_steps": progress.last("env_steps", 0.0),
        "cpu_seconds": round(progress.last("cpu_seconds", 0.0), 1),
        "test_success": result.value,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def todo(study: Study) -> Iterator[Run]:
    """Yield the runs that the CSV file does not hold yet."""
    done = set()
    if study.out.is_file():
        with study.out.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                numbers = {name: int(row[name]) for name in ("memory_length", "seed")}
                done.add(Run(**{name: row.get(name) or "" for name in Run._fields} | numbers))
    for cell, init, training, length, robot, seed in product(
        study.cells, study.inits, study.training, study.lengths, study.robots, range(study.seeds)
    ):
        run = Run(study.agent, cell, init, length, robot, training, seed, study.batch)
        if run not in done:
            yield run


def main(study: Study) -> None:
    """Run what is missing and print each row."""
    table = Progress(study.out)
    with ProcessPoolExecutor(study.processes) as pool:
        for finished in as_completed([pool.submit(one, run, study.steps, study.envs) for run in todo(study)]):
            row = finished.result()
            table.add(row)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
