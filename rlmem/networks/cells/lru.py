"""The linear recurrent unit: a complex diagonal linear recurrence between dense linear maps.

Source: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023 (arXiv 2303.06349),
sections 3.3 and 3.4. Deviation: decays and angles start from the memory length of the task, not on a fixed ring.

Axes: T time, N environments, D input, H hidden (complex units and outputs).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rlmem.networks.cell import Gates
from rlmem.networks.cells.complex_cell import ComplexCell, ComplexUnits
from rlmem.networks.numpy_cells import lru_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.units import Direct, Read, UnitStep


class LRU(ComplexCell):
    """c' = lambda c + gamma B x, output Re(C c') + D x, with lambda = exp(-exp(log_decay) + i exp(log_angle)).

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: The time constants start uniform from 1 to twice as many steps.

    Raises:
        UserError: If a size or ``memory_length`` is out of range.
    """

    gates: ClassVar[Gates] = {
        **ComplexCell.gates,
        "log_gain": ("gain",),
        "output_weight": ("output",),
        "skip_weight": ("output",),
    }
    output_parameters = frozenset(("output_weight", "skip_weight"))

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        scales = self.make_eigenvalues(hidden_size)
        # gamma = sqrt(1 - |lambda|^2) at the start, free afterwards
        self.log_gain = nn.Parameter(0.5 * torch.log(-torch.expm1(-2.0 / scales)))
        self.input_weight = nn.Parameter(torch.randn(2 * hidden_size, input_size) * (2 * input_size) ** -0.5)
        self.output_weight = nn.Parameter(torch.randn(hidden_size, 2 * hidden_size) * hidden_size**-0.5)
        self.skip_weight = nn.Parameter(torch.randn(hidden_size, input_size) * input_size**-0.5)

    def gain(self) -> Tensor:
        """Return gamma [K]."""
        return torch.exp(self.log_gain)

    def read(self, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        """Return Re(C c) + D x, [..., H]."""
        # Re(C c) = C_re c_re - C_im c_im, with the sign kept in the second half of the weights
        return linear(torch.cat((real, imaginary), -1), self.output_weight) + linear(x, self.skip_weight)

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(lru_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        after = self.onnx_state(graph, x, state)
        weight = torch.cat((self.output_weight, self.skip_weight), 1).detach().cpu().numpy()
        return graph.linear(graph.join(*after, x), weight), after

    def units(self) -> LRUUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return LRUUnits(self)


class LRUUnits(ComplexUnits[LRU]):
    """Gain a parameter of its own, output Re(C c') + D x."""

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        turn = self.turn(state)
        gain = torch.exp(self.cell.log_gain)
        real_drive, imaginary_drive = linear(x, self.cell.input_weight).chunk(2, -1)
        by_gain = gain * real_drive, gain * imaginary_drive
        after = turn.real + by_gain[0], turn.imaginary + by_gain[1]
        joined = torch.cat(after, -1)
        output = linear(joined, self.cell.output_weight) + linear(x, self.cell.skip_weight)
        immediate = self.immediate(x, gain, turn.by_decay, turn.by_angle, by_gain)
        return UnitStep(output, after, turn.keep, (), self.by_drive(gain, len(x)), immediate, (x, joined))

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through the linear output."""
        x, joined = tape
        by_state = torch.matmul(by_output, self.cell.output_weight.detach()).chunk(2, -1)
        into_input = self.cell.skip_weight.detach()
        return Read(by_state, (Direct(by_output, joined, None), Direct(by_output, x, into_input)))

    def _direct(self) -> tuple[Tensor, ...]:
        return self.index["output_weight"], self.index["skip_weight"]
