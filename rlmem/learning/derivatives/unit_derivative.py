"""Traces of cells that are made of units: steps, episode starts, and the gradient by the input of a step.

Axes: N streams, D input, H hidden, K units, M parts of a unit's state, P parameters of the cell, V vectors.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep, Tensors, check_step
from rlmem.learning.derivatives.memory import Recycler
from rlmem.networks.cell import choose
from rlmem.networks.units import AnyUnits, Read, UnitStep


class UnitDerivative(Derivative):
    """Common base of traces over units.

    Args:
        units: The cell as units.
        name: What the derivative is called, in :data:`rlmem.learning.derivatives.DERIVATIVES`.
    """

    def __init__(self, units: AnyUnits, name: str) -> None:
        self.units, self.cell, self.name = units, units.cell, name
        self.num_parameters, self.output_size = units.num_parameters, self.cell.hidden_size
        self._parts = units.n_parts
        self._like = next(self.cell.parameters())
        self._memory = Recycler()

    @torch.no_grad()
    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input: all traces are 0."""
        state = tuple(self.cell.initial_state(num_streams))
        like = self._like.detach()
        taken = self.units.step(like.new_zeros(num_streams, self.cell.input_size), state)
        tape = tuple(torch.zeros_like(part) for part in (*taken.drive, *taken.tape))
        return Carry(state, self._zero_traces(like, num_streams), tape)

    @torch.no_grad()
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        taken, after = self.take(x, episode_start, carry)
        return DerivativeStep(taken.output, after)

    def take(self, x: Tensor, episode_start: Tensor, carry: Carry) -> tuple[UnitStep, Carry]:
        """Take one input [N, D], and return what it did to the units."""
        check_step(x, episode_start, self.cell.input_size, self._like)
        state, traces = carry.state, carry.traces
        if episode_start.any():
            state = choose(episode_start, tuple(self.cell.initial_state(len(x))), state)
            traces = tuple(self._memory.cleared(trace, episode_start) for trace in traces)
        taken = self.units.step(x, state)
        return taken, Carry(taken.state, self._advance(taken, traces), (*taken.drive, *taken.tape))

    def read(self, carry: Carry, vectors: Tensor) -> Read:
        """Take vectors [N, V, H] back through the last output, to the state and to what it depends on besides."""
        return self.units.read(carry.tape[self._parts :], vectors)

    @torch.no_grad()
    def input_gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient by the last input, [N, D] or [N, V, D]: what passes through no earlier step."""
        vectors = by_output if by_output.dim() == 3 else by_output.unsqueeze(1)
        read = self.read(carry, vectors)
        found = past_state(read, vectors, self.cell.input_size)
        for by_state, drive in zip(read.by_state, carry.tape, strict=False):
            if by_state is not None:
                by_gates = by_state.unsqueeze(-1) * drive.unsqueeze(1)
                found = found + torch.matmul(by_gates.flatten(2), self.units.input_weight().flatten(0, 1))
        return found if by_output.dim() == 3 else found.squeeze(1)

    @abstractmethod
    def _zero_traces(self, like: Tensor, num_streams: int) -> Tensors:
        """Return M traces of zeros."""

    @abstractmethod
    def _advance(self, taken: UnitStep, traces: Tensors) -> Tensors:
        """Return the traces after a step; may write into ``taken.immediate``."""


def past_state(read: Read, vectors: Tensor, input_size: int) -> Tensor:
    """Return the gradient [N, V, D] by the input that does not pass through the state."""
    found = vectors.new_zeros(*vectors.shape[:2], input_size)
    for direct in read.direct:
        if direct.into_input is not None:
            found = found + torch.matmul(direct.left, direct.into_input)
    return found
