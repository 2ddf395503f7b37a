"""Generalized advantage estimation, with terminations and truncations kept apart.

Source: Schulman, Moritz, Levine, Jordan and Abbeel, "High-Dimensional Continuous Control Using Generalized Advantage
Estimation", ICLR 2016, equation 16; truncation after Pardo, Tavakoli, Levdik and Kormushev, "Time Limits in
Reinforcement Learning", ICML 2018.

Axes: T time, N environments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


class Returns(NamedTuple):
    """What :func:`generalized_advantages` returns."""

    advantages: FloatArray
    """[T, N] how much better than expected each action turned out."""
    returns: FloatArray
    """[T, N] the targets of the value function, advantages + values."""


def generalized_advantages(
    rewards: FloatArray,
    values: FloatArray,
    next_values: FloatArray,
    terminated: BoolArray,
    truncated: BoolArray,
    *,
    gamma: float,
    gae_lambda: float,
) -> Returns:
    """Estimate advantages that reach neither over a termination nor over a truncation.

    Args:
        rewards: [T, N] the reward of each step.
        values: [T, N] the value of the observation each step started from.
        next_values: [T, N] the value of the observation each step led to: at a truncation that of the terminal
            observation, not that of the next episode's first one. Ignored at terminations.
        terminated: [T, N] true where the episode ended for good: the future is worth 0.
        truncated: [T, N] true where the episode was cut off: the future is worth ``next_values``.
        gamma: Discount factor, 0 to 1.
        gae_lambda: Trade-off between bias (0) and variance (1).

    Raises:
        ValueError: If shapes differ, or ``gamma`` or ``gae_lambda`` is not in [0, 1].
    """
    for name, number in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0.0 <= number <= 1.0:
            raise UserError(f"{name} must be in [0, 1], got {number}")
    shapes = {array.shape for array in (rewards, values, next_values, terminated, truncated)}
    if len(shapes) != 1:
        raise ValueError(f"all arrays must have one shape [T, N], got {sorted(shapes)}")
    errors = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    carry = gamma * gae_lambda * ~(terminated | truncated)
    advantages = np.empty(rewards.shape, np.float32)
    following = np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        following = errors[t] + carry[t] * following
        advantages[t] = following
    return Returns(advantages, (advantages + values).astype(np.float32))
