"""The cell without memory, the baseline every memory is measured against.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.numpy_cells import memoryless_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.units import Direct, Read, Units, UnitStep


class Memoryless(Cell[tuple[Tensor, ...]]):
    """A linear layer and tanh; its state is empty.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Checked, and without effect.

    Raises:
        UserError: If a size is less than 1 or ``memory_length`` less than 2.
    """

    gates: ClassVar[Gates] = dict.fromkeys(("linear.weight", "linear.bias"), ("drive",))

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.linear = nn.Linear(input_size, hidden_size)

    def initial_state(self, num_envs: int) -> tuple[Tensor, ...]:
        """Return the empty tuple."""
        return ()

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map one input [N, D] to one output [N, H]."""
        return torch.tanh(self.linear(x)), state

    def scan(self, xs: Tensor, blank: Tensor | None, state: tuple[Tensor, ...]) -> Unfolded[tuple[Tensor, ...]]:
        """Map all inputs [T, N, D] at once."""
        return Unfolded(torch.tanh(self.linear(xs)), state)

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(memoryless_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        return graph.add("Tanh", graph.linear(x, w["linear.weight"], w["linear.bias"])), state

    def units(self) -> MemorylessUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return MemorylessUnits(self)


class MemorylessUnits(Units[Memoryless]):
    """tanh(W x + b): no state, all parameters direct."""

    n_parts = 0

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        output = torch.tanh(self.cell.linear(x))
        return UnitStep(output, (), (), (), (), (), (x, 1.0 - output * output))

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back to weight and bias."""
        x, slope = tape
        left = by_output * slope.unsqueeze(1)
        return Read((), (Direct(left, x, self.cell.linear.weight.detach()), Direct(left, None, None)))

    def _columns(self) -> Tensor:
        return torch.empty(0, 0, dtype=torch.long)

    def _direct(self) -> tuple[Tensor, ...]:
        return self.index["linear.weight"], self.index["linear.bias"]
