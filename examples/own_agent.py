"""Evaluate an agent of your own on a memory task: anything with stable-baselines3's recurrent ``predict``."""

import gymnasium
import numpy as np

import rlmem  # noqa: F401 - registers the tasks
from rlmem.evaluation import Evaluation, evaluate
from rlmem.seeds import test_seeds


class WriteItDown:
    """A memory of one number: the lamp it saw. At the go light it turns there."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        """Return actions [N, 2] and what is remembered [N]."""
        lamps, go = observation[:, :2], observation[:, 2] == 1.0
        side = np.zeros(len(observation)) if state is None else np.where(episode_start, 0.0, state)
        side = np.where(lamps.any(axis=1), lamps[:, 0] - lamps[:, 1], side)
        sine = observation[:, 9]
        turned = go & (sine * side > 0.9)
        actions = np.stack((np.where(turned, 1.0, 0.0), np.where(go & ~turned, side, 0.0)), axis=1)
        return actions, side


def main(episodes: int = 200) -> Evaluation:
    """Evaluate on held-out seeds and print success with its interval."""
    env = gymnasium.make_vec("rlmem/TMaze-v0", num_envs=25, memory_length=100, autoreset_mode="disabled")
    try:
        result = evaluate(WriteItDown(), env, test_seeds(episodes))
    finally:
        env.close()
    low, high = result.interval
    print(f"success {result.value:.3f} ({low:.3f} to {high:.3f}), memory score {result.memory_score:.2f}")
    return result


if __name__ == "__main__":
    main()
