"""Recurrent trace units: a complex diagonal linear recurrence, written in real numbers, with a nonlinear output.

Source: Elelimy, White, Bowling and White, "Real-Time Recurrent Learning using Trace Units in Reinforcement Learning",
NeurIPS 2024 (arXiv 2409.01449), linear recurrence with f = tanh. Deviation: decays and angles start from the memory
length of the task, not on a fixed ring.

Axes: T time, N environments, D input, H hidden, K = H / 2 complex units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rlmem.errors import UserError
from rlmem.networks.cells.complex_cell import ComplexCell, ComplexUnits
from rlmem.networks.numpy_cells import rtu_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.units import Read, UnitStep


class RTU(ComplexCell):
    """lambda = r exp(i angle), c' = lambda c + sqrt(1 - r^2) W x, output tanh of real and imaginary parts.

    With r = exp(-exp(log_decay)) in (0, 1) and angle = exp(log_angle).

    Args:
        input_size: D, at least 1.
        hidden_size: H, even, at least 2.
        memory_length: The time constants start uniform from 1 to twice as many steps.

    Raises:
        UserError: If a size or ``memory_length`` is out of range, or ``hidden_size`` odd.
    """

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        if hidden_size % 2:
            raise UserError(f"hidden_size must be even (real and imaginary parts), got {hidden_size}")
        self.make_eigenvalues(hidden_size // 2)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        nn.init.normal_(self.input_weight, std=input_size**-0.5)

    def gain(self) -> Tensor:
        """Return sqrt(1 - r^2) [K], exact also for r near 1."""
        return torch.sqrt(-torch.expm1(-2.0 * torch.exp(self.log_decay)))

    def read(self, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        """Return tanh of both parts, [..., H]."""
        return torch.tanh(torch.cat((real, imaginary), -1))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(rtu_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        after = self.onnx_state(graph, x, state)
        return graph.add("Tanh", graph.join(*after)), after

    def units(self) -> RTUUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return RTUUnits(self)


class RTUUnits(ComplexUnits[RTU]):
    """Gain sqrt(1 - |lambda|^2), output tanh of real and imaginary parts."""

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        turn = self.turn(state)
        square = torch.exp(-2.0 * turn.modulus)
        gain = torch.sqrt(-torch.expm1(-2.0 * turn.modulus))
        slope = turn.modulus * square / gain  # of the gain, by log_decay
        real_drive, imaginary_drive = linear(x, self.cell.input_weight).chunk(2, -1)
        by_decay = (
            torch.addcmul(turn.by_decay[0], slope, real_drive),
            torch.addcmul(turn.by_decay[1], slope, imaginary_drive),
        )
        after = torch.addcmul(turn.real, gain, real_drive), torch.addcmul(turn.imaginary, gain, imaginary_drive)
        output = torch.tanh(torch.cat(after, -1))
        immediate = self.immediate(x, gain, by_decay, turn.by_angle)
        tape = (1.0 - output * output,)
        return UnitStep(output, after, turn.keep, (), self.by_drive(gain, len(x)), immediate, tape)

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through tanh."""
        return Read((by_output * tape[0].unsqueeze(1)).chunk(2, -1), ())
