"""Rewards divided by the running deviation of their discounted sum, so that one learning rate fits tasks of any scale.

A walker's reward sums to a hundred and more, and of one gradient, shortened to ``max_grad_norm``, the value's part then
leaves nothing to the policy's.
"""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

STATISTICS = ("mean", "var", "count")
"""What a checkpoint holds of the statistics of returns."""


def scale_rewards(env: VecEnv, settings: Any, returns: RunningMeanStd) -> VecEnv:
    """Return a training environment with its rewards scaled, where the settings ask for it.

    Args:
        env: The environment; observations, and the returns of episodes that it reports, stay as they are.
        settings: With ``norm_reward`` and ``gamma``.
        returns: Statistics of discounted returns: those so far, updated while training.
    """
    if not settings.norm_reward:
        return env
    scaled = VecNormalize(env, norm_obs=False, gamma=settings.gamma)
    scaled.ret_rms = returns
    return scaled
