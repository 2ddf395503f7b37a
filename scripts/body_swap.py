"""Measure where agents keep a memory: train on the T-maze with both guards, swap bodies in the delay, write a CSV file.

With ``guard="delay"`` the body is on rails until the query and can hold nothing. With ``guard="cue"`` the robot drives
itself after the cue, and an agent with four frames of memory can lean to one side and read its pose at the junction.

    python scripts/body_swap.py                                  # into benchmarks/results/body_swap.csv
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import tyro

from rlmem.csv_table import text_row, write_rows
from rlmem.evaluation.body_swap import body_swap_test, swap_moment
from rlmem.evaluation.episodes import evaluate_on, make_test_env
from rlmem.evaluation.seeds import test_seeds
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import load_agent, train

_PLAIN = ("hidden state", "body", "neither")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Body swap on the T-maze.

    Args:
        agents: Names of agents.
        guards: Of the task.
        memory_length: Control steps of the delay.
        seeds: Runs of each.
        steps: Control steps of training, at most.
        out: CSV file.
    """

    agents: tuple[str, ...] = ("recurrent_ppo", "frame_stack_ppo")
    guards: tuple[str, ...] = ("delay", "cue")
    memory_length: int = 20
    seeds: int = 3
    steps: int = 200_000
    out: Path = Path("benchmarks/results/body_swap.csv")


def main(options: Options) -> None:
    """Train, test, swap, write a row a run."""
    rows = []
    for guard, agent, seed in product(options.guards, options.agents, range(options.seeds)):
        knobs = {"robot": "planar", "memory_length": options.memory_length, "guard": guard}
        settings = RunSettings(
            env="TMaze-v0", agent=agent, seed=seed, steps=options.steps, stop_at=0.98, eval_every=20_000, knobs=knobs
        )
        run = {"agent": agent, "guard": guard, "memory_length": options.memory_length, "seed": seed}
        rows.append(text_row(run | measured(settings)))
        print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
        write_rows(options.out, rows)


def measured(settings: RunSettings) -> dict[str, float | int]:
    """Train an agent and return its success, and what its answers follow after a body swap."""
    with tempfile.TemporaryDirectory() as folder:
        train(settings, folder=Path(folder) / "run")
        env = make_test_env(settings.env, 1, settings.knobs)
        agent = load_agent(Path(folder) / "run", env, "best")
        env.close()
    seeds, knobs = test_seeds(200), settings.knobs
    intact = evaluate_on(agent, settings.env, knobs=knobs, seeds=seeds)
    moment = swap_moment(settings.knobs["memory_length"])
    swap = body_swap_test(agent, settings.env, moment, knobs=knobs, seeds=seeds)
    row: dict[str, float | int] = {"env_steps": agent.env_steps, "success": intact.value, "swapped": len(swap.body)}
    for name in _PLAIN:
        rate = swap.rates[name]
        column = name.replace(" ", "_")
        row |= {column: rate.value, f"{column}_low": rate.low, f"{column}_high": rate.high}
    return row


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
