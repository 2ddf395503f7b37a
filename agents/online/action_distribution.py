"""Action distributions of stochastic online policies: normal for bounded vectors, softmax for discrete actions.

Axes: N environments, A action, K choices, Q outputs.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from rlmem.agents.check_spaces import shown
from rlmem.errors import UserError
from rlmem.learning.kalman import CategoricalLikelihood, GaussianLikelihood, Likelihood


class ActionDistribution(Protocol):
    """A distribution of actions, parametrized by the outputs [N, Q] of a network."""

    size: int
    """Q, number of outputs."""
    likelihood: Likelihood
    """Likelihood of a sampled action, given the outputs."""

    def draw(self, output: Tensor, rng: np.random.Generator) -> Tensor:
        """Sample actions, as the likelihood expects them."""

    def mode(self, output: Tensor) -> Tensor:
        """Return the most likely actions, as the likelihood expects them."""

    def to_env(self, action: Tensor) -> NDArray[Any]:
        """Convert actions to elements of the action space."""


class NormalActions:
    """Independent normal actions with the outputs as means, in units of half the range; clipped for the environment.

    Args:
        space: A bounded vector.
        deviation: Standard deviation, in units of half the range.
    """

    def __init__(self, space: spaces.Box, deviation: float) -> None:
        self._space, self._deviation = space, deviation
        self._center = (space.high.astype(np.float64) + space.low) / 2
        self._radius = (space.high.astype(np.float64) - space.low) / 2
        self.size = space.shape[0]
        self.likelihood: Likelihood = GaussianLikelihood(variance=deviation**2)

    def draw(self, output: Tensor, rng: np.random.Generator) -> Tensor:
        """Sample actions [N, A], not clipped."""
        return output + self._deviation * torch.from_numpy(rng.standard_normal(tuple(output.shape)))

    def mode(self, output: Tensor) -> Tensor:
        """Return the outputs, which are the means."""
        return output

    def to_env(self, action: Tensor) -> NDArray[Any]:
        """Return actions [N, A] in the units of the action space, clipped to its bounds."""
        bounded = np.clip(action.numpy(), -1.0, 1.0) * self._radius + self._center
        converted: NDArray[Any] = bounded.astype(self._space.dtype)
        return converted


class DiscreteActions:
    """One of K choices, with the outputs as logits.

    Args:
        space: With at least two choices.
    """

    def __init__(self, space: spaces.Discrete) -> None:
        self._first = int(space.start)
        self.size = int(space.n)
        self.likelihood: Likelihood = CategoricalLikelihood()

    def draw(self, output: Tensor, rng: np.random.Generator) -> Tensor:
        """Sample choices [N], counted from 0."""
        # the largest of logits + Gumbel noise is a sample of their softmax
        return (output + torch.from_numpy(rng.gumbel(size=tuple(output.shape)))).argmax(-1)

    def mode(self, output: Tensor) -> Tensor:
        """Return the most likely choices [N], counted from 0."""
        return output.argmax(-1)

    def to_env(self, action: Tensor) -> NDArray[Any]:
        """Return choices [N], counted from the space's first."""
        shifted: NDArray[Any] = action.numpy() + self._first
        return shifted


def make_action_distribution(space: spaces.Space[Any], deviation: float) -> ActionDistribution:
    """Return the distribution of actions for an action space.

    Raises:
        UserError: If the space is neither a bounded vector nor a choice among two or more.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.shape[0] and space.is_bounded():
        return NormalActions(space, deviation)
    if isinstance(space, spaces.Discrete) and space.n >= 2:
        return DiscreteActions(space)
    raise UserError(f"actions must be bounded vectors or one of two or more choices, and not empty, got {shown(space)}")
