"""Several layers of one cell as one cell: each layer's outputs are the inputs of the next.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from rlmem.networks.cell import AnyCell, Cell, Unfolded, rebuild
from rlmem.networks.numpy_steps import NumpyStep, stack_step
from rlmem.networks.onnx_graph import OnnxGraph


class Stack(Cell[tuple[Tensor, ...]]):
    """Layers one upon the other; the state is the parts of all layers, from the lowest up.

    Args:
        layers: At least one cell, each taking as input the output of the one before.

    Raises:
        ValueError: If there is no layer, or two neighbors do not fit.
    """

    def __init__(self, layers: Sequence[AnyCell]) -> None:
        if not layers:
            raise ValueError("a stack needs at least one layer, got none")
        for lower, upper in pairwise(layers):
            if lower.hidden_size != upper.input_size:
                raise ValueError(
                    f"a layer with {lower.hidden_size} outputs cannot feed one of {upper.input_size} inputs"
                )
        super().__init__(layers[0].input_size, layers[-1].hidden_size, memory_length=layers[0].memory_length)
        self.layers = nn.ModuleList(layers)
        self._cells = tuple(layers)
        self._widths = tuple(len(layer.initial_state(0)) for layer in layers)

    def initial_state(self, num_envs: int) -> tuple[Tensor, ...]:
        """Return the initial states of all layers, one after the other."""
        return tuple(part for layer in self._cells for part in layer.initial_state(num_envs))

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        after: list[Tensor] = []
        for layer, parts in zip(self._cells, self._split(state), strict=True):
            x, new = layer(x, rebuild(layer.initial_state(0), parts))
            after.extend(new)
        return x, tuple(after)

    def scan(self, xs: Tensor, blank: Tensor | None, state: tuple[Tensor, ...]) -> Unfolded[tuple[Tensor, ...]]:
        """Run each layer over the whole sequence in turn."""
        after: list[Tensor] = []
        for layer, parts in zip(self._cells, self._split(state), strict=True):
            xs, new = layer.scan(xs, blank, rebuild(layer.initial_state(0), parts))
            after.extend(new)
        return Unfolded(xs, tuple(after))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays through all layers."""
        return stack_step([layer.numpy_step() for layer in self._cells], self._widths)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step of each layer in turn. See :meth:`Cell.onnx_step`."""
        after: list[str] = []
        for layer, width in zip(self._cells, self._widths, strict=True):
            x, new = layer.onnx_step(graph, x, state[:width])
            state, after = state[width:], after + new
        return x, after

    def _split(self, state: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
        parts, at = [], 0
        for width in self._widths:
            parts.append(state[at : at + width])
            at += width
        return parts
