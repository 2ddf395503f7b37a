"""Print what 300 random control steps of every task add up to, so that two machines or Pythons can be compared.

    python scripts/simulation_sums.py [TASK ...]

One line a task: its name, the sums of its observations and rewards, and a digest of every bit of them. Needs Gymnasium,
numpy and PyBullet only.
"""

from __future__ import annotations

import hashlib
import sys

import gymnasium
import numpy as np

from rlmem.registry import NAMESPACE, TASKS

STEPS = 300


def main() -> None:
    """Print a line for each task that is named, or for all."""
    for name in sys.argv[1:] or TASKS:
        print(line(name), flush=True)


def line(name: str) -> str:
    """Return the sums and the digest of one task, at its default knobs and with seeds of its own."""
    env = gymnasium.make(f"{NAMESPACE}/{name}")
    rng, digest = np.random.default_rng(0), hashlib.sha256()
    observation, _ = env.reset(seed=1)
    observations, rewards = 0.0, 0.0
    for _ in range(STEPS):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape or ()).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        digest.update(np.asarray(observation).tobytes() + np.float64(reward).tobytes())
        observations += float(np.asarray(observation, dtype=np.float64).sum())
        rewards += float(reward)
        if terminated or truncated:
            env.reset()
    env.close()
    return f"{name:24} {observations:22.15g} {rewards:22.15g} {digest.hexdigest()[:16]}"


if __name__ == "__main__":
    main()
