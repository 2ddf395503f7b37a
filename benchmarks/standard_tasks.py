"""RecurrentPPO with its defaults on standard tasks, beside sb3-contrib's with its own: steps and CPU time.

For users who replace ``sb3_contrib.RecurrentPPO`` by ``rlmem.agents.RecurrentPPO`` and change nothing else: is it at
least as good, also where no memory is needed? "identity" tasks pay for naming or copying the observation; "masked" ones
hide the velocities. Returns are means over the last 100 training episodes. Rows go to ``results/standard_tasks.csv`` as
runs end; runs in it are not run again. The table is written to ``results/standard_tasks.md``. LunarLander needs Box2D
(``pip install Box2D pygame``) and is left out without it.

    OMP_NUM_THREADS=1 python benchmarks/standard_tasks.py [--seeds 5] [--only masked] [--agents rlmem] [--minutes 10]
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from sb3_contrib import RecurrentPPO as ContribPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import IdentityEnv, IdentityEnvBox
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rlmem.agents import RecurrentPPO
from rlmem.envs.wrappers import hide_velocity

N_ENVS = 8
RESULTS = Path(__file__).parent / "results"
_COLUMNS = ("task", "agent", "seed", "env_steps", "half_return", "final_return", "cpu_seconds")


class Task(NamedTuple):
    """An environment and how long it is trained."""

    make: Callable[[], gymnasium.Env[Any, Any]]
    steps: int


TASKS = {
    "CartPole-v1": Task(lambda: gymnasium.make("CartPole-v1"), 30_000),
    "masked CartPole-v1": Task(lambda: hide_velocity(gymnasium.make("CartPole-v1")), 40_000),
    "Pendulum-v1": Task(lambda: gymnasium.make("Pendulum-v1"), 40_000),
    "masked Pendulum-v1": Task(lambda: hide_velocity(gymnasium.make("Pendulum-v1")), 40_000),
    "Acrobot-v1": Task(lambda: gymnasium.make("Acrobot-v1"), 40_000),
    "LunarLander-v3": Task(lambda: gymnasium.make("LunarLander-v3"), 40_000),
    "identity, discrete": Task(lambda: IdentityEnv(5, ep_length=100), 8_000),
    "identity, continuous": Task(lambda: IdentityEnvBox(ep_length=100), 8_000),
}
AGENTS: dict[str, Any] = {"rlmem": RecurrentPPO, "sb3-contrib": ContribPPO}


class _Half(BaseCallback):
    """Notes the return of the last 100 episodes when half of the steps are done."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.value = steps, float("nan")

    def _on_step(self) -> bool:
        if self.num_timesteps * 2 >= self.steps and np.isnan(self.value):
            self.value = _recent(self.model)
        return True


def _recent(model: Any) -> float:
    return float(np.mean([episode["r"] for episode in model.ep_info_buffer] or [float("nan")]))


def run(task: Task, agent: str, seed: int) -> tuple[float, float, float]:
    """Train once and return the return at half of the steps and at the end, and CPU seconds."""
    env: VecEnv = make_vec_env(lambda: Monitor(task.make()), N_ENVS, seed=seed, vec_env_cls=DummyVecEnv)
    half = _Half(task.steps)
    start = time.process_time()
    model = AGENTS[agent]("MlpLstmPolicy", env, seed=seed, device="cpu").learn(task.steps, half)
    return half.value, _recent(model), time.process_time() - start


def write_table(rows: list[dict[str, str]], path: Path) -> None:
    """Write medians over seeds as a Markdown table."""
    lines = [
        "# Standard tasks with default hyperparameters",
        "",
        f"Made by `OMP_NUM_THREADS=1 python benchmarks/standard_tasks.py`: {N_ENVS} environments, one thread, mean",
        "return of the last 100 training episodes after half and all of the steps, medians over seeds (rlmem's,",
        "sb3-contrib's). Most ran beside other work: CPU seconds are upper bounds. A seed of all tasks",
        "took sb3-contrib's agent 25 to 45 CPU minutes.",
        "",
        "| task | env steps | seeds | rlmem: return | CPU s | sb3-contrib: return | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, task in TASKS.items():
        cells, seeds = [], []
        for agent in AGENTS:
            own = [row for row in rows if (row["task"], row["agent"]) == (name, agent)]
            if own:
                half, final, cpu = (
                    median(float(row[key]) for row in own) for key in ("half_return", "final_return", "cpu_seconds")
                )
                cells += [f"{half:.0f}, {final:.0f}", f"{cpu:.0f}"]
                seeds.append(f"{len(own)}")
            else:
                cells += ["", ""]
        if seeds:
            lines.append(f"| {name} | {task.steps:,} | {', '.join(seeds)} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], help="tasks with this in their name")
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after this")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "standard_tasks.csv"
    rows = list(csv.DictReader(path.open())) if path.is_file() else []
    done = {(row["task"], row["agent"], int(row["seed"]), int(row["env_steps"])) for row in rows}
    end = time.monotonic() + 60 * options.minutes
    names = [name for name in TASKS if not options.only or any(part in name for part in options.only)]
    if find_spec("Box2D") is None:
        names = [name for name in names if not name.startswith("LunarLander")]
        print("LunarLander is left out: pip install Box2D pygame")
    for seed, name, agent in ((s, n, a) for s in range(options.seeds) for n in names for a in options.agents):
        if (name, agent, seed, TASKS[name].steps) in done or time.monotonic() > end:
            continue
        half, final, cpu = run(TASKS[name], agent, seed)
        values = (name, agent, seed, TASKS[name].steps, f"{half:.2f}", f"{final:.2f}", f"{cpu:.1f}")
        rows.append(dict(zip(_COLUMNS, map(str, values), strict=True)))
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(rows[-1])
        print(rows[-1], flush=True)
    write_table(rows, options.out / "standard_tasks.md")


if __name__ == "__main__":
    main()
