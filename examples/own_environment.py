"""An environment of your own, or any of Gymnasium's, made to need memory by wrappers; with a cue, it can be probed.

The agent is a few lines that remember; RecurrentPPO would be trained on the same environment, see hidden_velocity.py.
"""

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from rlmem.envs.wrappers import AppendPreviousAction, hide_velocity
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.lesion import Lesion, lesion_test


def cart_pole(num_envs: int, **knobs):
    """Return CartPole without velocities, as a vector environment that does not reset itself."""
    return gymnasium.make_vec(
        "CartPole-v1",
        num_envs=num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED},
        wrappers=[hide_velocity, AppendPreviousAction],
        **knobs,
    )


def by_differences(observation, state, episode_start):
    """Remember the last position and angle: their changes are the velocities that are hidden."""
    now = observation[:, :2].astype(np.float64)
    before = now if state is None else np.where(episode_start[:, None], now, state)
    (x, angle), (speed, turning) = now.T, ((now - before) / 0.02).T
    push = angle + 0.3 * turning + 0.05 * x + 0.1 * speed > 0
    return push.astype(np.int64), now


class Balancer:
    """The same as an object; rlmem.evaluation.own_agent.as_policy(by_differences) would do."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        """Act. See stable-baselines3."""
        return by_differences(observation, state, episode_start)


def main(episodes: int = 20) -> tuple[float, float]:
    """Return the mean return (500 at most) with memory, and with the memory frozen from step 5 on."""
    seeds = range(episodes)
    whole = evaluate_on(Balancer(), cart_pole, seeds=seeds)
    test = lesion_test(Balancer(), cart_pole, Lesion(kind="freeze", step=5), seeds=seeds)
    print(f"return {whole.value:.0f}, with the memory frozen from step 5 on {test.lesioned.value:.0f}")
    return whole.value, test.lesioned.value


if __name__ == "__main__":
    main()
