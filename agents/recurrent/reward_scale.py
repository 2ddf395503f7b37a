"""Rewards of training on one scale: divided by the deviation of their discounted sum, so that one rate suits all tasks.

As stable-baselines3's VecNormalize does, but a rollout at a time, and inside the agent: its environment, and what is
logged of it, keep their rewards.

Axes: T time, N environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlmem.agents.recurrent.packing import BoolArray
from rlmem.networks.feature_scale import FeatureScale
from rlmem.networks.numpy_steps import FEATURE_BOUND, FEATURE_EPSILON, FloatArray


class RewardScale:
    """Running statistics of discounted returns."""

    def __init__(self) -> None:
        self.returns = FeatureScale(1)
        self.discounted: NDArray[np.float64] = np.zeros(0)
        """[N] the discounted sum of each environment's rewards since its episode began."""

    def __call__(self, rewards: FloatArray, ends: BoolArray, gamma: float) -> FloatArray:
        """Count the rewards of a rollout and return them scaled.

        Args:
            rewards: [T, N]
            ends: [T, N] true where an episode ended with the step.
            gamma: Discount factor per control step.
        """
        total = self.discounted if self.discounted.shape == rewards.shape[1:] else np.zeros(rewards.shape[1])
        totals = np.empty(rewards.shape, np.float32)
        for t in range(len(rewards)):
            totals[t] = total = gamma * total + rewards[t]
            total[ends[t]] = 0.0
        self.discounted = total
        self.returns.update(totals.reshape(-1, 1))
        deviation = np.sqrt(self.returns.variance.item() + FEATURE_EPSILON)
        scaled: FloatArray = np.clip(rewards / deviation, -FEATURE_BOUND, FEATURE_BOUND).astype(np.float32)
        return scaled

    def state(self) -> dict[str, Any]:
        """Return the statistics."""
        return {"returns": dict(self.returns.state_dict()), "discounted": self.discounted}

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Take what :meth:`state` returned."""
        self.returns.load_state_dict({name: torch.as_tensor(value) for name, value in saved["returns"].items()})
        self.discounted = np.asarray(saved["discounted"])
