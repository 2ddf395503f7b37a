"""Error of RTRL traces that is due to parameters changing during an episode.

Source of the question: Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural
Networks", Neural Computation 1(2), 1989.

Axes: T time, N streams, D input.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative


def stale_trace_error(derivative: Derivative, carry: Carry, xs: Tensor, episode_start: Tensor) -> Tensor:
    """Return the relative error of each stream's traces, |J - J*| / |J*| in the Frobenius norm.

    J* comes from the same inputs with the parameters as they are now, along the states that these lead to. It costs T
    steps.

    Args:
        derivative: Of RTRL or SnAp-1.
        carry: With the traces to judge, after ``xs[-1]``.
        xs: [T, N, D] all inputs since the start of the episode, or before it.
        episode_start: [T, N] bool, true at least at the first input of the present episode of each stream.

    Returns:
        [N]; 0 where both are 0, infinite where only J* is.

    Raises:
        ValueError: If the derivative keeps no traces, or no episode of a stream starts in ``xs``.
    """
    if derivative.name not in ("rtrl", "snap1"):
        raise ValueError(f"only the traces of rtrl and snap1 grow stale; {derivative.name} keeps inputs")
    if not bool(episode_start.any(0).all()):
        raise ValueError("xs must reach back to the start of each stream's episode: a stream has no episode start")
    fresh = derivative.start(xs.shape[1])
    for x, start in zip(xs, episode_start, strict=True):
        fresh = derivative.step(x, start, fresh).carry
    wrong, right = xs.new_zeros(xs.shape[1]), xs.new_zeros(xs.shape[1])
    for old, new in zip(carry.traces, fresh.traces, strict=True):
        wrong += (old - new).flatten(1).square().sum(1)
        right += new.flatten(1).square().sum(1)
    return torch.where(wrong > 0, (wrong / right).sqrt(), 0.0)
