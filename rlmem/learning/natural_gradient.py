"""The natural gradient, online: a running mean of the Fisher information of all parameters, or of blocks of them.

A policy whose features are large in one direction and small in another drifts at random along the large one, long
before it has learnt along the small one; a cue that was seen long ago is such a small direction. Steps measured by how
much they change the policy (Kullback-Leibler divergence) treat both alike.

Source: Amari, "Natural Gradient Works Efficiently in Learning", Neural Computation 10(2), 1998; Kakade, "A Natural
Policy Gradient", NIPS 2001. Ollivier, "Online Natural Gradient as a Kalman Filter", Electronic Journal of Statistics
12(2), 2018 shows that the covariance of :mod:`rlmem.learning.kalman` is its inverse. Here the mean is inverted anew
every few steps, which costs less than a Kalman update a step and cannot lose its definiteness.

Axes: M rows, p parameters, G blocks of a bucket, B parameters of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.kalman.layout import Layout


@dataclass(frozen=True, kw_only=True)
class FisherSettings:
    """How the Fisher information is averaged and inverted.

    Args:
        damping: Added to its diagonal, above 0. In a direction that no output depends on, steps are at most 1 / damping
            times the gradient.
        horizon: Steps over which it is averaged, at least ``warm_up``.
        warm_up: Steps that count as seen with no information in them, so that early estimates do not make large steps.
        every: Steps between two inversions.

    Raises:
        UserError: If a value is out of bounds.
    """

    damping: float = 0.1
    horizon: int = 1_000
    warm_up: int = 200
    every: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.damping < math.inf:
            raise UserError(f"damping must be a finite number above 0, got {self.damping}")
        if self.every < 1 or self.warm_up < 0:
            raise UserError(f"every must be at least 1 and warm_up at least 0, got {self.every} and {self.warm_up}")
        if self.horizon < max(self.warm_up, self.every):
            raise UserError(
                f"horizon must be at least warm_up and every ({max(self.warm_up, self.every)} steps), "
                f"got {self.horizon}"
            )


class FisherState(NamedTuple):
    """What has been learnt of the Fisher information; never changed in place."""

    means: tuple[Tensor, ...]
    """Of each bucket, [G, B, B]."""
    inverses: tuple[Tensor, ...]
    """Of the damped means, [G, B, B]."""
    recent: tuple[Tensor, ...]
    """Rows [M, p] that are in no mean yet, one tensor a step."""
    steps: int
    """Steps that are in the means."""


class Fisher:
    """A running mean of F = E[rows^T rows], and its inverse. The state is passed as a value.

    Args:
        p: Number of parameters.
        groups: Indices of the parameters of each block, a partition of ``range(p)``; None: one block.
        settings: See :class:`FisherSettings`.

    Raises:
        UserError: If the groups are not a partition.
    """

    def __init__(self, p: int, groups: Iterable[Tensor] | None = None, settings: FisherSettings | None = None) -> None:
        self.settings = settings or FisherSettings()
        self.layout = Layout(p, groups)

    def initial_state(self) -> FisherState:
        """Return no information: natural gradients are plain ones over the damping."""
        shapes = [(len(bucket.groups), bucket.size, bucket.size) for bucket in self.layout.buckets]
        eyes = [torch.eye(shape[1], dtype=torch.float64).expand(shape) for shape in shapes]
        return FisherState(
            tuple(torch.zeros(shape, dtype=torch.float64) for shape in shapes),
            tuple(eye / self.settings.damping for eye in eyes),
            (),
            0,
        )

    def see(self, state: FisherState, rows: Tensor) -> FisherState:
        """Take rows [M, p] of one step, whose outer products sum to the information of that step."""
        recent = (*state.recent, rows)
        if len(recent) < self.settings.every:
            return state._replace(recent=recent)
        count = len(recent)
        weight = max(
            -math.expm1(count * math.log1p(-1.0 / self.settings.horizon)),
            count / (state.steps + count + self.settings.warm_up),
        )
        spread = self.layout.spread(torch.cat(recent))
        means, inverses = [], []
        for bucket, mean in zip(self.layout.buckets, state.means, strict=True):
            block = bucket.view(spread)
            new = torch.baddbmm(mean, block.mT, block, beta=1.0 - weight, alpha=weight / count)
            damped = new + self.settings.damping * torch.eye(bucket.size, dtype=torch.float64)
            means.append(new)
            # by rows, as a checkpoint gives it back: sums of products depend on it in their last bit
            inverses.append(torch.cholesky_inverse(torch.linalg.cholesky(damped)).contiguous())
        return FisherState(tuple(means), tuple(inverses), (), state.steps + count)

    def natural(self, state: FisherState, gradients: Tensor) -> Tensor:
        """Return (F + damping)^-1 times gradients [M, p]."""
        spread = self.layout.spread(gradients)
        found = torch.empty_like(spread)
        for bucket, inverse in zip(self.layout.buckets, state.inverses, strict=True):
            bucket.view(found).copy_(bucket.view(spread) @ inverse)
        return found if self.layout.slots is None else found[:, self.layout.slots]

    @staticmethod
    def to_tree(state: FisherState) -> dict[str, Any]:
        """Return the state as nested lists, for a checkpoint."""
        return {name: list(part) if isinstance(part, tuple) else part for name, part in state._asdict().items()}

    @staticmethod
    def from_tree(tree: Mapping[str, Any]) -> FisherState:
        """Take back what :meth:`to_tree` gave."""
        parts = [tuple(torch.as_tensor(part) for part in tree[name]) for name in FisherState._fields[:3]]
        return FisherState(parts[0], parts[1], parts[2], int(tree["steps"]))
