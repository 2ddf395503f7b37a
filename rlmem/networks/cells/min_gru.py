"""The minimal gated recurrent unit: gates that see only the input, so that the recurrence is a linear scan.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs All We Needed?", arXiv 2410.01201, 2024, section 3.1.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import (
    init_unit_variance,
    long_forget_bias,
    open_gates_by_inputs,
)
from rlmem.networks.cells.linear_scan import blanked, linear_scan, scan, scan_back
from rlmem.networks.numpy_cells import min_gru_step, sigmoid
from rlmem.networks.numpy_function import Array, Back, fits_arrays, on_arrays
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import Init, check_init
from rlmem.networks.units import Read, Units, UnitStep, by_unit, gate_columns, outer, with_one


class MinGRUState(NamedTuple):
    """The state of a minimal GRU."""

    hidden: Tensor
    """[N, H] the last output."""


class MinGRU(Cell[MinGRUState]):
    """z = sigmoid(W_z x + b_z), h' = (1 - z) h + z (W_h x + b_h).

    The write gate is one minus the keep gate, so "forget" and "chrono" are the same here, and every other gate starts
    such that inputs can open it.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gate starts, see :data:`rlmem.networks.cells.initialization.Init`.

    Raises:
        UserError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    gates: ClassVar[Gates] = dict.fromkeys(("linear.weight", "linear.bias"), ("update", "candidate"))

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.linear = nn.Linear(input_size, 2 * hidden_size)
        if init != "torch":
            with torch.no_grad():
                self.linear.bias.zero_()
                gate, candidate = self.linear.weight.chunk(2)
                keep = long_forget_bias(hidden_size, memory_length)
                self.linear.bias[:hidden_size] = -keep
                open_gates_by_inputs(gate, keep)
                init_unit_variance(candidate)
                # states of variance 1 for noise of variance 1, as in the LRU: (1 + decay) / (1 - decay) = 1 + 2 exp(b)
                candidate[::2] *= torch.sqrt(1.0 + 2.0 * keep.exp())[::2, None]

    def initial_state(self, num_envs: int) -> MinGRUState:
        """Return zeros [N, H]."""
        return MinGRUState(self.linear.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: MinGRUState) -> tuple[Tensor, MinGRUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        gate, candidate = self.linear(x).chunk(2, -1)
        hidden = torch.lerp(state.hidden, candidate, torch.sigmoid(gate))
        return hidden, MinGRUState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: MinGRUState) -> Unfolded[MinGRUState]:
        """Run over a sequence as one linear scan, with a backward pass written by hand."""
        drive = self.linear(xs)
        if fits_arrays(xs):
            states = on_arrays(partial(_scan, None if blank is None else blank.numpy()), drive, state.hidden)
        else:
            gate, candidate = drive.chunk(2, -1)
            keep = blanked(torch.sigmoid(-gate), blank)
            states = linear_scan(keep, blanked(torch.sigmoid(gate) * candidate, blank), state.hidden)
        return Unfolded(states, MinGRUState(states[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(min_gru_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        drive = graph.linear(x, w["linear.weight"], w["linear.bias"])
        gate, candidate = graph.split(drive, [self.hidden_size] * 2)
        hidden = graph.mix(graph.add("Sigmoid", gate), candidate, state[0])
        return hidden, [hidden]

    def units(self) -> MinGRUUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return MinGRUUnits(self)


def _scan(blank: NDArray[np.bool_] | None, drive: Array, start: Array) -> tuple[Array, Back]:
    """Return all states [T, N, H] from the products with all inputs [T, N, 2 H]."""
    gate, candidate = np.split(drive, 2, -1)
    write = sigmoid(gate)
    keep, fresh = 1.0 - write, write * candidate
    if blank is not None:
        keep[blank] = write[blank] = fresh[blank] = 0.0
    states = scan(keep, fresh, start)

    def back(grad: Array) -> tuple[Array, ...]:
        arriving = scan_back(keep, grad)
        before = np.concatenate((start[None], states[:-1]))
        by_drive = np.empty_like(drive)
        by_gate, by_candidate = np.split(by_drive, 2, -1)
        np.multiply(arriving, write, by_candidate)
        # (candidate - before) write (1 - write)
        np.subtract(candidate, before, by_gate)
        by_gate *= by_candidate
        by_gate *= keep
        return by_drive, keep[0] * arriving[0]

    return states, back


class MinGRUUnits(Units[MinGRU]):
    """h' = h + z (c - h), z = sigmoid(W_z x + b_z), c = W_h x + b_h."""

    n_parts = 1

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        (hidden,) = state
        gate, candidate = self.cell.linear(x).chunk(2, -1)
        gate, away = torch.sigmoid(gate), candidate - hidden
        keep = 1.0 - gate
        drive = torch.stack((away * gate * keep, gate), -1)
        after = torch.addcmul(hidden, gate, away)
        return UnitStep(after, (after,), ((keep,),), (), (drive,), (outer(drive, with_one(x)),), ())

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, K] back: the output is the state."""
        return Read((by_output,), ())

    def input_weight(self) -> Tensor:
        """Return the weights of the input [K, 2, D]."""
        return by_unit(self.cell.linear.weight, self.cell.hidden_size)

    def _columns(self) -> Tensor:
        return gate_columns(self.cell.hidden_size, self.index["linear.weight"], self.index["linear.bias"])
