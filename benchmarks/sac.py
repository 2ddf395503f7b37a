"""Recurrent SAC beside stable-baselines3's SAC on Pendulum-v1, whole and with the velocity hidden, at equal settings.

One environment, one update a control step, both networks (64, 64). Returns are those of the mean action on 20 episodes
with seeds of their own. "memoryless" with sequences of one step is the algorithm of stable-baselines3's SAC, behind one
more layer of 64 units. Appends each finished run to the CSV and prints the table of all.

    python benchmarks/sac.py [--steps 8000] [--seeds 2] [--out benchmarks/results/sac.csv]
"""

from __future__ import annotations

import argparse
import copy
import csv
import statistics
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch

from rlmem.agents import RecurrentSAC
from rlmem.envs.wrappers import hide_velocity

COMMON: dict[str, Any] = {"learning_rate": 1e-3, "learning_starts": 1000, "batch_size": 256}
ONCE: dict[str, Any] = {
    "train_freq": 1,
    "gradient_steps": 1,
    "buffer_size": 100_000,
    "policy_kwargs": {"net_arch": [64, 64]},
}
OURS: dict[str, dict[str, Any]] = {
    "recurrent_sac, gru": {"cell": "gru", "hidden_size": 64, "seq_len": 16, "burn_in": 8},
    "recurrent_sac, memoryless": {"cell": "memoryless", "hidden_size": 64, "seq_len": 1, "burn_in": 0},
}
TASKS = ("Pendulum-v1", "Pendulum-v1, velocity hidden")
EPISODES, TEST_SEED = 20, 10_000
COLUMNS = ("task", "agent", "seed", "steps", "updates", "return", "cpu_seconds")


def make_env(task: str) -> gymnasium.Env[Any, Any]:
    """Make the whole or the masked pendulum."""
    env = gymnasium.make("Pendulum-v1")
    return hide_velocity(env) if "hidden" in task else env


def make_agent(name: str, task: str, seed: int) -> Any:
    """Make an agent for a task."""
    once = copy.deepcopy(ONCE)  # stable-baselines3 writes into policy_kwargs
    if name in OURS:
        return RecurrentSAC("MlpPolicy", make_env(task), seed=seed, **COMMON, **once, **OURS[name])
    return stable_baselines3.SAC("MlpPolicy", make_env(task), seed=seed, device="cpu", **COMMON, **once)


def test(agent: Any, task: str) -> float:
    """Return the mean return of the mean action."""
    env, returns = make_env(task), []
    for seed in range(TEST_SEED, TEST_SEED + EPISODES):
        observation, _ = env.reset(seed=seed)
        state, start, total, done = None, np.ones(1, bool), 0.0, False
        while not done:
            action, state = agent.predict(observation[None], state, start, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action[0])
            total, done, start = total + float(reward), terminated or truncated, np.zeros(1, bool)
        returns.append(total)
    return statistics.mean(returns)


def run(task: str, name: str, seed: int, steps: int) -> dict[str, Any]:
    """Train, test and return a row."""
    agent = make_agent(name, task, seed)
    started = time.process_time()
    agent.learn(steps)
    seconds = time.process_time() - started
    values = (task, name, seed, steps, agent._n_updates, round(test(agent, task), 1), round(seconds, 1))
    return dict(zip(COLUMNS, values, strict=True))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown table of all runs."""
    lines = ["| task | agent | steps | return, each seed | CPU ms an update |", "|---|---|---|---|---|"]
    for task, agent, steps in dict.fromkeys((row["task"], row["agent"], row["steps"]) for row in rows):
        own = [row for row in rows if (row["task"], row["agent"], row["steps"]) == (task, agent, steps)]
        cost = statistics.mean(1e3 * float(row["cpu_seconds"]) / int(row["updates"]) for row in own)
        returns = ", ".join(f"{float(row['return']):.0f}" for row in own)
        lines.append(f"| {task} | {agent} | {int(steps):,} | {returns} | {cost:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sac.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = list(csv.DictReader(options.out.open())) if options.out.is_file() else []
    for seed in range(options.seeds):
        for task in TASKS:
            for name in ("stable-baselines3 SAC", *OURS):
                known = {(row["task"], row["agent"], int(row["seed"]), int(row["steps"])) for row in done}
                if (task, name, seed, options.steps) in known:
                    continue
                done.append(run(task, name, seed, options.steps))
                with options.out.open("w", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(done)
                print(table(done), flush=True)


if __name__ == "__main__":
    main()
