"""h[t] = a[t] h[t - 1] + b[t] over a sequence, with a backward pass written by hand.

One multiply-add a step reads each number once; a log-depth scan reads it log2(T) times and saves it as often for the
backward pass.

Axes: T time, N environments, K units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlmem.networks.numpy_function import Array, Back, fits_arrays, on_arrays


def linear_scan(decay: Tensor, drive: Tensor, start: Tensor) -> Tensor:
    """Return h with h[t] = decay[t] h[t - 1] + drive[t] and h[-1] = start; real or complex.

    Args:
        decay: [T, N, K], 0 where the past is forgotten.
        drive: [T, N, K], of the same type.
        start: [N, K] the state before the first step.

    Returns:
        [T, N, K] all states.
    """
    if fits_arrays(drive):
        return on_arrays(_scan, decay, drive, start)
    states, hidden = [], start
    for a, b in zip(decay.unbind(), drive.unbind(), strict=True):
        hidden = torch.addcmul(b, a, hidden)
        states.append(hidden)
    return torch.stack(states)


def _scan(decay: Array, drive: Array, start: Array) -> tuple[Array, Back]:
    decay = np.ascontiguousarray(decay)
    states = scan(decay, drive, start)

    def back(grad: Array) -> tuple[Array, ...]:
        factors = decay.conj()
        by_drive = scan_back(factors, grad)
        by_decay = np.empty_like(states)
        np.multiply(by_drive[1:], states[:-1].conj(), by_decay[1:])
        np.multiply(by_drive[0], start.conj(), by_decay[0])
        return by_decay, by_drive, factors[0] * by_drive[0]

    return states, back


def scan(decay: Array, drive: Array, start: Array) -> Array:
    """Return h[t] = decay[t] h[t - 1] + drive[t], with h[-1] = start, as arrays."""
    states, hidden = np.empty_like(drive), start
    for a, b, h in zip(decay, drive, states, strict=True):
        np.multiply(a, hidden, h)
        hidden = np.add(h, b, h)
    return states


def scan_back(decay: Array, grad: Array) -> Array:
    """Return g[t] = grad[t] + decay[t + 1] g[t + 1]: what reaches a state directly and by all that follow."""
    arriving = np.empty_like(grad)
    arriving[-1] = later = grad[-1]
    for a, g, now in zip(decay[:0:-1], grad[-2::-1], arriving[-2::-1], strict=True):
        np.multiply(a, later, now)
        later = np.add(now, g, now)
    return arriving


def blanked(values: Tensor, blank: Tensor | None) -> Tensor:
    """Return ``values`` [T, N, K] (or broadcastable to it) with zeros in blank slots [T, N]."""
    return values if blank is None else values.masked_fill(blank.unsqueeze(-1), 0.0)
