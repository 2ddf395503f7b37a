"""The simple recurrent network: h' = tanh(W x + U h + b).

Source: Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import uniform
from rlmem.networks.numpy_cells import elman_step
from rlmem.networks.numpy_function import Array, Back, emptied, fits_arrays, flat, on_arrays, product
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.units import Read, Units, UnitStep, gate_columns, with_one


class ElmanState(NamedTuple):
    """The state of an Elman network."""

    hidden: Tensor
    """[N, H] the last output, in (-1, 1)."""


class Elman(Cell[ElmanState]):
    """One Elman layer; the recurrent weights start orthogonal, so that activity neither dies nor explodes at once.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Checked, and without effect: there is no gate to set.

    Raises:
        UserError: If a size is less than 1 or ``memory_length`` less than 2.
    """

    gates: ClassVar[Gates] = dict.fromkeys(("input_weight", "hidden_weight", "bias"), ("drive",))

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.hidden_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        uniform(self.input_weight, hidden_size)
        nn.init.orthogonal_(self.hidden_weight)

    def initial_state(self, num_envs: int) -> ElmanState:
        """Return zeros [N, H]."""
        return ElmanState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: ElmanState) -> tuple[Tensor, ElmanState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        drive = linear(x, self.input_weight, self.bias)
        hidden = torch.tanh(drive + linear(state.hidden, self.hidden_weight))
        return hidden, ElmanState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: ElmanState) -> Unfolded[ElmanState]:
        """Run over a sequence with a backward pass written by hand."""
        if not fits_arrays(xs):
            return super().scan(xs, blank, state)
        drive = linear(xs, self.input_weight, self.bias)
        run = partial(_scan, None if blank is None else blank.numpy())
        hidden = on_arrays(run, drive, self.hidden_weight, state.hidden)
        return Unfolded(hidden, ElmanState(hidden[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(elman_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        weight = np.hstack((w["input_weight"], w["hidden_weight"]))
        hidden = graph.add("Tanh", graph.linear(graph.join(x, state[0]), weight, w["bias"]))
        return hidden, [hidden]

    def units(self) -> ElmanUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return ElmanUnits(self)


def _scan(blank: NDArray[np.bool_] | None, drive: Array, weight: Array, start: Array) -> tuple[Array, Back]:
    """Return all states [T, N, H] from the products with all inputs [T, N, H]."""
    states = np.concatenate((start[None], np.empty_like(drive)))
    recur, hidden = product(weight, len(start)), states[0]
    for d, after, empty in zip(drive, states[1:], emptied(blank, len(drive)), strict=True):
        np.add(recur(hidden), d, after)
        hidden = np.tanh(after, after)
        if empty is not None:
            hidden[empty] = 0.0

    def back(grad: Array) -> tuple[Array, ...]:
        # tanh' = 1 - tanh^2, and nothing passes a blank
        factors = 1.0 - states[1:] * states[1:]
        if blank is not None:
            factors[blank] = 0.0
        by_drive, carried, unwind = np.empty_like(drive), np.zeros_like(start), product(weight.T, len(start))
        for g, f, by in zip(grad[::-1], factors[::-1], by_drive[::-1], strict=True):
            np.add(g, carried, by)
            np.multiply(by, f, by)
            carried = unwind(by)
        return by_drive, (flat(by_drive).t() @ flat(states[:-1])).numpy(), carried.copy()

    return states[1:], back


class ElmanUnits(Units[Elman]):
    """h' = tanh(W x + U h + b)."""

    n_parts = 1
    joined = True

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        (hidden,) = state
        after = torch.tanh(linear(x, self.cell.input_weight, self.cell.bias) + linear(hidden, self.cell.hidden_weight))
        slope = torch.addcmul(torch.ones_like(after), after, after, value=-1.0).unsqueeze(-1)
        immediate = slope * with_one(x, hidden).unsqueeze(1)
        return UnitStep(after, (after,), ((None,),), (slope,), (slope,), (immediate,), ())

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, K] back: the output is the state."""
        return Read((by_output,), ())

    def _columns(self) -> Tensor:
        index = self.index
        return gate_columns(self.cell.hidden_size, index["input_weight"], index["hidden_weight"], index["bias"])
