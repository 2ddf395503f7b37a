"""Measure where agents keep a memory: train on the T-maze with both guards, swap bodies in the delay, write a CSV file.

With ``guard="delay"`` the body is on rails until the query and can hold nothing. With ``guard="cue"`` the robot drives
itself after the cue, and an agent can lean to one side and read its own pose at the junction: ``leans``, which is
scripted and remembers one step, does so.

    python scripts/body_swap.py                                  # into benchmarks/results/body_swap.csv
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from rlmem.csv_table import text_row, write_rows
from rlmem.evaluation.body_swap import body_swap_test, swap_moment
from rlmem.evaluation.episodes import evaluate_on, make_test_env
from rlmem.evaluation.seeds import test_seeds
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, train

_ENV = "TMaze-v0"
_LEANS = "leans (scripted)"


class Leans:
    """Begins to turn to the lamp's side as the lamp goes out, goes on as it turns, and answers to the side it faces.

    Its state is the observation of the step before, which says for one step which lamp was lit.
    """

    env_steps = 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Act."""
        before = np.zeros_like(observation) if state is None else state.copy()
        before[episode_start] = 0.0
        lamp = np.where(observation[:, :2].any(axis=1), 0.0, before[:, 0] - before[:, 1])
        go, side = observation[:, 2] == 1.0, np.where(observation[:, 9] >= 0.0, 1.0, -1.0)
        turned = go & (np.abs(observation[:, 9]) > 0.9)
        leaning = np.sign(np.round(observation[:, 11], 2)) * (np.abs(observation[:, 9]) < 0.3)
        steering = np.where(go, np.where(turned, 0.0, side), np.where(lamp != 0.0, lamp, leaning))
        return np.stack((np.where(go & ~turned, 0.0, 1.0), steering), axis=1), observation.copy()


@dataclass(frozen=True, kw_only=True)
class Options:
    """Body swap on the T-maze.

    Args:
        agents: Names of agents that are trained.
        memory_length: Control steps of the delay.
        seeds: Runs of each.
        steps: Control steps of training, at most.
        out: CSV file.
    """

    agents: tuple[str, ...] = ("recurrent_ppo",)
    memory_length: int = 20
    seeds: int = 1
    steps: int = 200_000
    out: Path = Path("benchmarks/results/body_swap.csv")


def main(options: Options) -> None:
    """Train, test, swap, write a row a run."""
    rows = []
    runs = [(agent, "delay", seed) for agent in options.agents for seed in range(options.seeds)]
    for agent, guard, seed in [*runs, (_LEANS, "delay", 0), (_LEANS, "cue", 0)]:
        knobs = {"robot": "planar", "memory_length": options.memory_length, "guard": guard}
        policy = Leans() if agent == _LEANS else trained(options, agent, seed, knobs)
        run = {"agent": agent, "guard": guard, "memory_length": options.memory_length, "seed": seed}
        rows.append(text_row(run | measured(policy, knobs)))
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
        write_rows(options.out, rows)


def trained(options: Options, agent: str, seed: int, knobs: dict[str, Any]) -> Any:
    """Train an agent and return it with its best weights."""
    settings = RunSettings(
        env=_ENV, agent=agent, seed=seed, steps=options.steps, stop_at=0.98, eval_every=20_000, knobs=knobs
    )
    with tempfile.TemporaryDirectory() as folder:
        train(settings, folder=Path(folder) / "run")
        env = make_test_env(_ENV, 1, knobs)
        found = load_agent(Path(folder) / "run", env, "best")
        env.close()
    return found


def measured(agent: Any, knobs: dict[str, Any]) -> dict[str, float | int]:
    """Return an agent's success, and what its answers follow after a body swap."""
    seeds = test_seeds(200)
    intact = evaluate_on(agent, _ENV, knobs=knobs, seeds=seeds)
    swap = body_swap_test(agent, _ENV, swap_moment(knobs["memory_length"]), knobs=knobs, seeds=seeds)
    row: dict[str, float | int] = {"env_steps": agent.env_steps, "success": intact.value, "swapped": len(swap.body)}
    for name, rate in swap.rates.items():
        column = name.replace(" ", "_")
        row |= {column: rate.value, f"{column}_low": rate.low, f"{column}_high": rate.high}
    return row


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
