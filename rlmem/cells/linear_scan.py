"""h[t] = a[t] h[t - 1] + b[t] over a sequence, with a backward pass written by hand.

One fused multiply-add a step reads each number once; a log-depth scan reads it log2(T) times and saves it as often for
the backward pass. Forward and backward on one CPU thread, milliseconds, loop against log-depth scan: T 128, N 8, K 64
real 0.8 against 1.6, complex 0.9 against 3.9; T 2048, N 4, K 64 complex 17 against 63.

Axes: T time, N environments, K units.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


class _LinearScan(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, decay: Tensor, drive: Tensor, start: Tensor) -> Tensor:
        states = torch.empty_like(drive)
        previous = start
        for a, b, h in zip(decay.unbind(), drive.unbind(), states.unbind(), strict=True):
            previous = torch.addcmul(b, a, previous, out=h)
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, start = ctx.saved_tensors  # type: ignore[attr-defined]
        decay = decay.conj().resolve_conj()
        # grad_drive[t] = grad[t] + conj(a[t + 1]) grad_drive[t + 1]
        grad_drive = torch.empty_like(states)
        grad_drive[-1] = grad[-1]
        rows, steps, factors = grad_drive.unbind(), grad.unbind(), decay.unbind()
        for t in range(len(rows) - 2, -1, -1):
            torch.addcmul(steps[t], factors[t + 1], rows[t + 1], out=rows[t])
        grad_decay = torch.empty_like(states)
        torch.mul(grad_drive[1:], states[:-1].conj(), out=grad_decay[1:])
        torch.mul(grad_drive[0], start.conj(), out=grad_decay[0])
        return grad_decay, grad_drive, factors[0] * rows[0]


def linear_scan(decay: Tensor, drive: Tensor, start: Tensor) -> Tensor:
    """Return h with h[t] = decay[t] h[t - 1] + drive[t] and h[-1] = start; real or complex.

    Args:
        decay: [T, N, K], 0 where the past is forgotten.
        drive: [T, N, K], of the same type.
        start: [N, K] the state before the first step.

    Returns:
        [T, N, K] all states.
    """
    states: Tensor = _LinearScan.apply(decay, drive, start)  # type: ignore[no-untyped-call]
    return states


def blanked(values: Tensor, blank: Tensor | None) -> Tensor:
    """Return ``values`` [T, N, K] (or broadcastable to it) with zeros in blank slots [T, N]."""
    return values if blank is None else values.masked_fill(blank.unsqueeze(-1), 0.0)
