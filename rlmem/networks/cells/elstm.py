"""The element-wise LSTM: each unit's gates see only that unit's own past, so exact RTRL costs O(p).

Source: Irie, Gopalakrishnan and Schmidhuber, "Exploring the Promise and Limits of Real-Time Recurrent Learning",
ICLR 2024, equations 9 to 12 (arXiv 2305.19044, 2023).

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
from rlmem.networks.cells.initialization import (
    init_unit_variance,
    long_forget_bias,
    open_gates_by_inputs,
    uniform,
)
from rlmem.networks.cells.linear_scan import scan_back
from rlmem.networks.numpy_cells import elstm_step
from rlmem.networks.numpy_function import Array, Back, by_block, emptied, fits_arrays, on_arrays
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import Init, check_init
from rlmem.networks.units import Direct, Read, Units, UnitStep, by_unit, gate_columns, outer, with_one


class ELSTMState(NamedTuple):
    """The state of an element-wise LSTM."""

    cell: Tensor
    """[N, H] the cell state, in (-1, 1)."""


class ELSTM(Cell[ELSTMState]):
    """f = sigmoid(F x + w_f c), z = tanh(Z x + w_z c), c' = f c + (1 - f) z, output sigmoid(O x + W c') c'.

    The input gate is 1 - f, so "forget" and "chrono" are the same here, and every other gate starts such that inputs
    can open it.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gates start, see :data:`rlmem.networks.cells.initialization.Init`.

    Raises:
        UserError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    gates: ClassVar[Gates] = {
        **dict.fromkeys(("input_weight", "bias"), ("forget", "candidate", "output")),
        "forget_weight": ("forget",),
        "candidate_weight": ("candidate",),
        "output_weight": ("output",),
    }

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.forget_weight = nn.Parameter(torch.empty(hidden_size))
        self.candidate_weight = nn.Parameter(torch.empty(hidden_size))
        self.output_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        for parameter in self.parameters():
            uniform(parameter, hidden_size)
        if init != "torch":
            with torch.no_grad():
                self.bias.zero_()
                self.bias[:hidden_size] = long_forget_bias(hidden_size, memory_length)
                open_gates_by_inputs(self.input_weight[:hidden_size], self.bias[:hidden_size])
                init_unit_variance(self.input_weight[hidden_size : 2 * hidden_size])

    def initial_state(self, num_envs: int) -> ELSTMState:
        """Return zeros [N, H]."""
        return ELSTMState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: ELSTMState) -> tuple[Tensor, ELSTMState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        forget, candidate, output = linear(x, self.input_weight, self.bias).chunk(3, -1)
        cell = self._keep(forget, candidate, state.cell)
        return self._read(output, cell), ELSTMState(cell)

    def scan(self, xs: Tensor, blank: Tensor | None, state: ELSTMState) -> Unfolded[ELSTMState]:
        """Run over a sequence; all matrix products are outside the loop, and its backward pass is written by hand."""
        if not fits_arrays(xs):
            return super().scan(xs, blank, state)
        products = linear(xs, self.input_weight, self.bias)
        drive, output = products[..., : 2 * self.hidden_size], products[..., 2 * self.hidden_size :]
        run = partial(_scan, None if blank is None else blank.numpy())
        cells = on_arrays(run, drive, self.forget_weight, self.candidate_weight, state.cell)
        return Unfolded(self._read(output, cells), ELSTMState(cells[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(elstm_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        drives = graph.split(graph.linear(x, w["input_weight"], w["bias"]), [self.hidden_size] * 3)
        past = [graph.add("Mul", state[0], graph.constant(w[name])) for name in ("forget_weight", "candidate_weight")]
        gate = graph.add("Sigmoid", graph.add("Add", drives[0], past[0]))
        after = graph.mix(gate, state[0], graph.add("Tanh", graph.add("Add", drives[1], past[1])))
        read = graph.add("Sigmoid", graph.add("Add", drives[2], graph.linear(after, w["output_weight"])))
        return graph.add("Mul", read, after), [after]

    def units(self) -> ELSTMUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return ELSTMUnits(self)

    def _keep(self, forget: Tensor, candidate: Tensor, cell: Tensor) -> Tensor:
        gate = torch.sigmoid(torch.addcmul(forget, self.forget_weight, cell))
        return torch.lerp(torch.tanh(torch.addcmul(candidate, self.candidate_weight, cell)), cell, gate)

    def _read(self, output: Tensor, cell: Tensor) -> Tensor:
        return torch.sigmoid(output + linear(cell, self.output_weight)) * cell


def _scan(
    blank: NDArray[np.bool_] | None, drive: Array, forget_weight: Array, candidate_weight: Array, start: Array
) -> tuple[Array, Back]:
    """Return all cell states [T, N, H] from the products of forget gate and candidate with all inputs [T, N, 2 H]."""
    drives = by_block(drive, 2)
    # 1 / sigmoid(x) = 1 + exp(-x): signs are turned ahead, and a step divides by what it has
    np.negative(drives[:, 0], drives[:, 0])
    weights = np.repeat(np.stack((-forget_weight, candidate_weight))[:, None], len(start), 1)
    states, change = np.concatenate((start[None], np.empty_like(drives[:, 0]))), np.empty_like(drives[:, 0])
    one, past, cell = np.ones((), drive.dtype), np.empty_like(weights), states[0]
    with np.errstate(over="ignore"):
        for both, inverse, fresh, c, after, empty in zip(
            drives, drives[:, 0], drives[:, 1], change, states[1:], emptied(blank, len(drive)), strict=True
        ):
            np.multiply(weights, cell, past)
            np.add(both, past, both)
            np.exp(inverse, inverse)
            np.add(inverse, one, inverse)
            np.tanh(fresh, fresh)
            np.subtract(cell, fresh, c)
            np.divide(c, inverse, after)
            cell = np.add(after, fresh, after)
            if empty is not None:
                cell[empty] = 0.0

    def back(grad: Array) -> tuple[Array, ...]:
        keep, fresh = np.reciprocal(drives[:, 0]), drives[:, 1]
        lost = one - keep
        # d cell' / d (forget gate, candidate) before their squashing, and in all d cell; nothing passes a blank
        by_forget, by_candidate = change * keep * lost, lost * (one - fresh * fresh)
        by_cell = keep + by_forget * forget_weight + by_candidate * candidate_weight
        if blank is not None:
            by_forget[blank] = by_candidate[blank] = by_cell[blank] = 0.0
        arriving = scan_back(by_cell, grad)
        by_forget *= arriving
        by_candidate *= arriving
        by_weights = [(part * states[:-1]).sum((0, 1)) for part in (by_forget, by_candidate)]
        return np.concatenate((by_forget, by_candidate), -1), *by_weights, by_cell[0] * arriving[0]

    return states[1:], back


class ELSTMUnits(Units[ELSTM]):
    """c' = z + f (c - z) with gates of the unit's own past; output sigmoid(O x + b + W c') c'."""

    n_parts = 1

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        (cell,) = state
        weights = self.cell
        forget_weight, candidate_weight = weights.forget_weight, weights.candidate_weight
        forget, fresh, output = linear(x, weights.input_weight, weights.bias).chunk(3, -1)
        forget = torch.sigmoid(torch.addcmul(forget, forget_weight, cell))
        fresh = torch.tanh(torch.addcmul(fresh, candidate_weight, cell))
        away, write = cell - fresh, 1.0 - forget
        by_forget = away * forget * write
        by_fresh = write * (1.0 - fresh * fresh)
        drive = torch.stack((by_forget, by_fresh), -1)
        immediate = torch.cat((outer(drive, with_one(x)), drive * cell.unsqueeze(-1)), -1)
        keep = torch.addcmul(torch.addcmul(forget, by_forget, forget_weight), by_fresh, candidate_weight)
        after = torch.addcmul(fresh, forget, away)
        gate = torch.sigmoid(output + linear(after, weights.output_weight))
        return UnitStep(gate * after, (after,), ((keep,),), (), (drive,), (immediate,), (x, after, gate))

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through the output gate, which sees all units."""
        x, cell, gate = tape
        units, weight = self.cell.hidden_size, self.cell.output_weight.detach()
        left = by_output * (cell * gate * (1.0 - gate)).unsqueeze(1)
        into_input = self.cell.input_weight.detach()[2 * units :]
        direct = (Direct(left, x, into_input), Direct(left, None, None), Direct(left, cell, None))
        return Read((torch.matmul(left, weight) + by_output * gate.unsqueeze(1),), direct)

    def input_weight(self) -> Tensor:
        """Return the weights of the input [K, 2, D] of forget gate and candidate."""
        units = self.cell.hidden_size
        return by_unit(self.cell.input_weight[: 2 * units], units)

    def _columns(self) -> Tensor:
        units, index = self.cell.hidden_size, self.index
        driven = gate_columns(units, index["input_weight"][: 2 * units], index["bias"][: 2 * units])
        return torch.cat((driven, index["forget_weight"][:, None], index["candidate_weight"][:, None]), -1)

    def _direct(self) -> tuple[Tensor, ...]:
        gate = 2 * self.cell.hidden_size
        return self.index["input_weight"][gate:], self.index["bias"][gate:], self.index["output_weight"]
