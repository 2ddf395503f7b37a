"""Agents of your own on a memory task: a class, a plain function, and what either really remembers.

On the command line: rlmem evaluate --policy examples/own_agent.py:WriteItDown --env TMaze-v0 --lesion zero
"""

import numpy as np

from rlmem.evaluation.episodes import Evaluation, evaluate_on
from rlmem.evaluation.lesion import lesion_test
from rlmem.evaluation.own_agent import as_policy
from rlmem.evaluation.seeds import test_seeds


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


def always_left(observation, _):
    """Act without memory: turn left at the go light. A function is an agent too."""
    go, facing = observation[:, 2] == 1.0, observation[:, 9] > 0.9
    return np.stack((np.where(go & facing, 1.0, 0.0), np.where(go & ~facing, 1.0, 0.0)), axis=1), None


def main(episodes: int = 200) -> Evaluation:
    """Evaluate on held-out seeds, print success with its interval, and prove the memory."""
    task = {"env": "TMaze-v0", "knobs": {"memory_length": 100}, "seeds": test_seeds(episodes)}
    for agent in (as_policy(always_left), WriteItDown()):
        result = evaluate_on(agent, **task)
        low, high = result.interval
        print(f"success {result.value:.3f} ({low:.3f} to {high:.3f}), memory score {result.memory_score:.2f}")
    lesioned = lesion_test(WriteItDown(), **task)
    print(f"its memory zeroed at the junction: success {lesioned.lesioned.value:.3f}")
    return result


if __name__ == "__main__":
    main()
