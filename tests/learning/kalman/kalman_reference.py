"""The filter as in a textbook, in numpy: dense, one group after the other, with explicit inverses. And data for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlmem.learning.kalman import KalmanFilter, KalmanSettings, KalmanState

Array = NDArray[np.float64]


def textbook_update(
    theta: Array,
    P: Array,
    H: Array,
    error: Array,
    R: Array,
    *,
    forgetting: float = 1.0,
    q: float = 0.0,
    groups: Sequence[Array] | None = None,
) -> tuple[Array, Array]:
    """Return theta and P after theta + K e, (P - K H P) / lambda + Q, with P cut to the blocks of the groups."""
    S = H @ P @ H.T + R
    K = P @ H.T @ np.linalg.inv(S)
    after = (P - K @ H @ P) / forgetting + q * np.eye(len(P))
    if groups is not None:
        blocks = np.zeros_like(after)
        for group in groups:
            blocks[np.ix_(group, group)] = after[np.ix_(group, group)]
        after = blocks
    return theta + K @ error, after


def whole(kf: KalmanFilter, state: KalmanState) -> Tensor:
    """Return P of all parameters, [p, p]."""
    P = torch.zeros(kf.layout.p, kf.layout.p, dtype=torch.float64)
    for group, block in zip(kf.layout.groups, kf.covariances(state), strict=True):
        P[group[:, None], group] = block
    return P


def normal(seed: int, *shape: int) -> Tensor:
    """Return normal noise."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear_data(seed: int, steps: int, streams: int, outputs: int, p: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows [N, q, p] and targets [N, q] of a noisy linear model."""
    truth = normal(seed, p)
    rows, noise = normal(seed + 1, steps, streams, outputs, p), normal(seed + 2, steps, streams, outputs)
    yield from zip(rows, rows @ truth + 0.3 * noise, strict=True)


def run(
    p: int,
    data: Iterator[tuple[Tensor, Tensor]],
    noise: Any,
    *,
    groups: Sequence[Tensor] | None = None,
    **settings: Any,
) -> tuple[KalmanFilter, Tensor, KalmanState]:
    """Fit a linear model from 0 on; settings do not clip where nothing else is said."""
    kf = KalmanFilter(p, KalmanSettings(**{"clip": None, "p0": 2.0, "trace_cap": 1e6} | settings), groups=groups)
    theta, state = torch.zeros(p, dtype=torch.float64), kf.initial_state()
    for rows, targets in data:
        theta, state, _ = kf.update(theta, state, rows, targets - rows @ theta, noise)
    return kf, theta, state
