"""The gated recurrent unit, with a whole-sequence path of its own: PyTorch has no fused one on the CPU.

Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, in PyTorch's form, where
the reset gate multiplies the recurrent product of the candidate.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from rlmem.array_steps import NumpyStep, gru_step
from rlmem.cell import Cell, Unfolded
from rlmem.cells.initialisation import Init, check_init, forget_bias, uniform


class GRUState(NamedTuple):
    """The state of a GRU."""

    hidden: Tensor
    """[N, H] the last output, in (-1, 1)."""


class GRU(Cell[GRUState]):
    """One GRU layer; gates in PyTorch's order: reset, update (keep), candidate.

    The write gate is one minus the keep gate, so "forget" and "chrono" are the same here.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gates start, see :data:`rlmem.cells.initialisation.Init`.

    Raises:
        ValueError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.hidden_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.candidate_bias = nn.Parameter(torch.empty(hidden_size))
        for parameter in self.parameters():
            uniform(parameter, hidden_size)
        if init != "torch":
            with torch.no_grad():
                self.bias.zero_()
                self.candidate_bias.zero_()
                self.bias.chunk(3)[1].copy_(forget_bias(hidden_size, memory_length))

    def initial_state(self, num_envs: int) -> GRUState:
        """Return zeros [N, H]."""
        return GRUState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        drive = nn.functional.linear(x, self.input_weight, self.bias)
        reset, keep, candidate = drive.chunk(3, -1)
        past_reset, past_keep, past = nn.functional.linear(state.hidden, self.hidden_weight).chunk(3, -1)
        fresh = torch.tanh(candidate + torch.sigmoid(reset + past_reset) * (past + self.candidate_bias))
        hidden = torch.lerp(fresh, state.hidden, torch.sigmoid(keep + past_keep))
        return hidden, GRUState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: GRUState) -> Unfolded[GRUState]:
        """Run over a sequence with a backward pass written by hand."""
        drive = nn.functional.linear(xs, self.input_weight, self.bias)
        keep = None if blank is None else (~blank).unsqueeze(-1).to(xs.dtype)
        hidden: Tensor = _GRUScan.apply(drive, self.hidden_weight, self.candidate_bias, state.hidden, keep)  # type: ignore[no-untyped-call]
        return Unfolded(hidden, GRUState(hidden[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(gru_step)


class _GRUScan(Function):
    """All steps of a GRU from the input products: one matrix product a step forward, one backward, one for weights."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, drive: Tensor, weight: Tensor, bias: Tensor, start: Tensor, unblank: Tensor | None
    ) -> Tensor:
        size = start.shape[-1]
        gates = drive[..., : 2 * size].clone()
        past = drive.new_empty(*drive.shape[:2], size)
        fresh = drive[..., 2 * size :].clone()
        states = torch.empty_like(past)
        transposed, hidden = weight.t(), start
        for t in range(len(drive)):
            product = hidden @ transposed
            gates[t].add_(product[:, : 2 * size]).sigmoid_()
            torch.add(product[:, 2 * size :], bias, out=past[t])
            fresh[t].addcmul_(gates[t, :, :size], past[t]).tanh_()
            hidden = torch.lerp(fresh[t], hidden, gates[t, :, size:], out=states[t])
            if unblank is not None:
                hidden.mul_(unblank[t])
        ctx.save_for_backward(weight, start, gates, past, fresh, states)
        ctx.unblank = unblank  # type: ignore[attr-defined]
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        weight, start, gates, past, fresh, states = ctx.saved_tensors  # type: ignore[attr-defined]
        unblank: Tensor | None = ctx.unblank  # type: ignore[attr-defined]
        size = start.shape[-1]
        before = torch.cat((start.unsqueeze(0), states[:-1]))
        reset, keep = gates[..., :size], gates[..., size:]
        # d hidden' / d (reset, keep, candidate) before their squashing, all steps at once
        by_candidate = (1.0 - keep) * (1.0 - fresh * fresh)
        by_keep = (before - fresh) * keep * (1.0 - keep)
        by_reset = by_candidate * past * reset * (1.0 - reset)
        factors = torch.cat((by_reset, by_keep, by_candidate * reset), -1)
        grad_product = torch.empty_like(factors)
        grad_hidden = torch.empty_like(states)
        carried = torch.zeros_like(start)
        for t in range(len(states) - 1, -1, -1):
            arriving = torch.add(grad[t], carried, out=grad_hidden[t])
            if unblank is not None:
                arriving.mul_(unblank[t])
            torch.mul(factors[t].view(-1, 3, size), arriving.unsqueeze(1), out=grad_product[t].view(-1, 3, size))
            carried = torch.addmm(arriving * keep[t], grad_product[t], weight)
        grad_drive = torch.cat((grad_product[..., : 2 * size], grad_hidden * by_candidate), -1)
        grad_weight = grad_product.flatten(0, 1).t() @ before.flatten(0, 1)
        return grad_drive, grad_weight, grad_product[..., 2 * size :].sum((0, 1)), carried, None
