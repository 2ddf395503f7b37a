"""Distributions of actions whose outputs say all about them, with gradients of log-probability and entropy.

Axes: N environments, A action, K choices, Q outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from rlmem.agents.online.action_distribution import DiscreteActions, NormalActions, make_action_distribution


class LearnedNormalActions(NormalActions):
    """Independent normal actions; outputs [N, 2 A] are the means, then what softplus makes the standard deviations.

    Args:
        space: A bounded vector. Means and deviations are in units of half its range.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space, 1.0)
        self.size = 2 * space.shape[0]

    def draw(self, output: Tensor, rng: np.random.Generator) -> Tensor:
        """Sample actions [N, A], not clipped."""
        mean, raw = output.chunk(2, -1)
        return mean + softplus(raw) * torch.from_numpy(rng.standard_normal(tuple(mean.shape)))

    def mode(self, output: Tensor) -> Tensor:
        """Return the means [N, A]."""
        return output.chunk(2, -1)[0]

    def score(self, output: Tensor, action: Tensor) -> Tensor:
        """Return d log pi / d output [N, Q] of actions [N, A]."""
        mean, raw = output.chunk(2, -1)
        deviation = softplus(raw)
        off = (action - mean) / deviation
        return torch.cat((off / deviation, (off * off - 1.0) / deviation * torch.sigmoid(raw)), -1)

    def entropy_slope(self, output: Tensor) -> Tensor:
        """Return d entropy / d output [N, Q]."""
        mean, raw = output.chunk(2, -1)
        return torch.cat((torch.zeros_like(mean), torch.sigmoid(raw) / softplus(raw)), -1)


class LearnedDiscreteActions(DiscreteActions):
    """One of K choices, with the outputs as logits."""

    def score(self, output: Tensor, action: Tensor) -> Tensor:
        """Return d log pi / d output [N, K] of choices [N]."""
        return one_hot(action, self.size) - torch.softmax(output, -1)

    def entropy_slope(self, output: Tensor) -> Tensor:
        """Return d entropy / d output [N, K]."""
        log_p = torch.log_softmax(output, -1)
        p = log_p.exp()
        return -p * (log_p - (p * log_p).sum(-1, keepdim=True))


def make_learned_actions(space: spaces.Space[Any]) -> LearnedNormalActions | LearnedDiscreteActions:
    """Return the distribution of actions for an action space.

    Raises:
        UserError: If the space is neither a bounded vector nor a choice among two or more.
    """
    make_action_distribution(space, 1.0)  # refuses other spaces
    return LearnedNormalActions(space) if isinstance(space, spaces.Box) else LearnedDiscreteActions(space)  # type: ignore[arg-type]
