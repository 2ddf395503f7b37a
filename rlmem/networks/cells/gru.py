"""The gated recurrent unit, with a whole-sequence path of its own: PyTorch has no fused one on the CPU.

Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, in PyTorch's form, where
the reset gate multiplies the recurrent product of the candidate.

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
from rlmem.networks.numpy_cells import gru_step
from rlmem.networks.numpy_function import Array, Back, by_block, fits_arrays, flat, on_arrays, product
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import Init, check_init
from rlmem.networks.units import Read, Units, UnitStep, gate_columns, outer, with_one


class GRUState(NamedTuple):
    """The state of a GRU."""

    hidden: Tensor
    """[N, H] the last output, in (-1, 1)."""


class GRU(Cell[GRUState]):
    """One GRU layer; gates in PyTorch's order: reset, update (keep), candidate.

    The write gate is one minus the keep gate, so "forget" and "chrono" are the same here, and every other gate starts
    such that inputs can open it.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gates start, see :data:`rlmem.networks.cells.initialization.Init`.

    Raises:
        UserError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    gates: ClassVar[Gates] = {
        **dict.fromkeys(("input_weight", "hidden_weight", "bias"), ("reset", "update", "candidate")),
        "candidate_bias": ("candidate",),
    }

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
                keep = self.bias.chunk(3)[1].copy_(long_forget_bias(hidden_size, memory_length))
                open_gates_by_inputs(self.input_weight.chunk(3)[1], keep)
                init_unit_variance(self.input_weight.chunk(3)[2])

    def initial_state(self, num_envs: int) -> GRUState:
        """Return zeros [N, H]."""
        return GRUState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        drive = linear(x, self.input_weight, self.bias)
        reset, keep, candidate = drive.chunk(3, -1)
        past_reset, past_keep, past = linear(state.hidden, self.hidden_weight).chunk(3, -1)
        fresh = torch.tanh(candidate + torch.sigmoid(reset + past_reset) * (past + self.candidate_bias))
        hidden = torch.lerp(fresh, state.hidden, torch.sigmoid(keep + past_keep))
        return hidden, GRUState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: GRUState) -> Unfolded[GRUState]:
        """Run over a sequence with a backward pass written by hand."""
        if not fits_arrays(xs):
            return super().scan(xs, blank, state)
        drive = linear(xs, self.input_weight, self.bias)
        run = partial(_scan, None if blank is None else blank.numpy())
        hidden = on_arrays(run, drive, self.hidden_weight, self.candidate_bias, state.hidden)
        return Unfolded(hidden, GRUState(hidden[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(gru_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        sizes = [self.hidden_size] * 3
        now = graph.split(graph.linear(x, w["input_weight"], w["bias"]), sizes)
        bias = np.concatenate((np.zeros(2 * self.hidden_size), w["candidate_bias"]))
        past = graph.split(graph.linear(state[0], w["hidden_weight"], bias), sizes)
        reset, keep = (graph.add("Sigmoid", graph.add("Add", now[i], past[i])) for i in range(2))
        fresh = graph.add("Tanh", graph.add("Add", now[2], graph.add("Mul", reset, past[2])))
        hidden = graph.mix(keep, state[0], fresh)
        return hidden, [hidden]

    def units(self) -> GRUUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return GRUUnits(self)


def _scan(
    blank: NDArray[np.bool_] | None, drive: Array, weight: Array, bias: Array, start: Array
) -> tuple[Array, Back]:
    """Return all states [T, N, H] from the products with all inputs [T, N, 3 H]."""
    (steps, rows, _), size = drive.shape, start.shape[1]
    # 1 / sigmoid(x) = 1 + exp(-x): signs are turned ahead, and a step divides by what it has
    inverse, fresh = by_block(drive[..., : 2 * size], 2), drive[..., 2 * size :].copy()
    np.negative(inverse, out=inverse)
    if blank is not None:
        # neither the past nor the input passes: the state after a blank is exactly 0
        inverse.transpose(0, 2, 1, 3)[blank] = np.inf
        fresh[blank] = 0.0
    signs = np.repeat([-1.0, -1.0, 1.0], size).astype(weight.dtype)
    recur = product(weight * signs[:, None], rows, 3)
    past, change = np.empty_like(fresh), np.empty_like(fresh)
    states = np.concatenate((start[None], np.empty_like(fresh)))
    one, offset, gated = np.ones((), drive.dtype), np.tile(bias, (rows, 1)), np.empty_like(start)
    hidden = states[0]
    with np.errstate(over="ignore"):
        for both, reset, keep, p, f, c, after in zip(
            inverse, inverse[:, 0], inverse[:, 1], past, fresh, change, states[1:], strict=True
        ):
            products = recur(hidden)
            np.add(both, products[:2], both)
            np.exp(both, both)
            np.add(both, one, both)
            np.add(products[2], offset, p)
            np.divide(p, reset, gated)
            np.add(f, gated, f)
            np.tanh(f, f)
            np.subtract(hidden, f, c)
            np.divide(c, keep, after)
            hidden = np.add(after, f, after)

    def back(grad: Array) -> tuple[Array, ...]:
        reset, keep = np.reciprocal(inverse[:, 0]), np.reciprocal(inverse[:, 1])
        # d state / d (reset, keep, past product) before their squashing, and d state / d drive of the candidate
        factors = np.empty((steps, rows, 3, size), drive.dtype)
        lost = one - keep
        by_candidate = (one - fresh * fresh) * lost
        if blank is not None:
            by_candidate[blank] = 0.0
        np.multiply(by_candidate, reset, factors[:, :, 2])
        np.multiply(factors[:, :, 2] * past, one - reset, factors[:, :, 0])
        np.multiply(change * keep, lost, factors[:, :, 1])
        by_product = np.empty((steps, rows, 3 * size), drive.dtype)
        arriving, carried, kept = np.empty_like(grad), np.zeros_like(start), np.empty_like(start)
        unwind = product(weight.T, rows)
        for g, a, wide, k, f, p, cut in zip(
            *(array[::-1] for array in (grad, arriving, arriving[:, :, None], keep, factors)),
            *(array[::-1] for array in (by_product, by_product.reshape(factors.shape))),
            strict=True,
        ):
            np.add(g, carried, a)
            np.multiply(f, wide, cut)
            np.multiply(k, a, kept)
            np.add(unwind(p), kept, carried)
        by_drive = by_product.copy()
        np.multiply(arriving, by_candidate, by_drive[..., 2 * size :])
        by_weight = (flat(by_product).t() @ flat(states[:-1])).numpy()
        return by_drive, by_weight, by_product[..., 2 * size :].sum((0, 1)), carried

    return states[1:], back


class GRUUnits(Units[GRU]):
    """h' = n + k (h - n), n = tanh(W x + b + r (U h + b'))."""

    n_parts = 1
    joined = True

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        (hidden,) = state
        weights = self.cell
        reset, keep, candidate = linear(x, weights.input_weight, weights.bias).chunk(3, -1)
        past_reset, past_keep, past = linear(hidden, weights.hidden_weight).chunk(3, -1)
        past = past + weights.candidate_bias
        reset, keep = torch.sigmoid(reset + past_reset), torch.sigmoid(keep + past_keep)
        fresh = torch.tanh(candidate + reset * past)
        away = hidden - fresh
        by_candidate = (1.0 - keep) * (1.0 - fresh * fresh)
        by_keep = away * keep * (1.0 - keep)
        by_past = by_candidate * reset
        by_reset = by_past * past * (1.0 - reset)
        drive = torch.stack((by_reset, by_keep, by_candidate), -1)
        through = torch.stack((by_reset, by_keep, by_past), -1)
        after = torch.addcmul(fresh, keep, away)
        immediate = torch.cat((outer(drive, with_one(x)), outer(through, hidden), by_past.unsqueeze(-1)), -1)
        return UnitStep(after, (after,), ((keep,),), (through,), (drive,), (immediate,), ())

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, K] back: the output is the state."""
        return Read((by_output,), ())

    def _columns(self) -> Tensor:
        index, units = self.index, self.cell.hidden_size
        driven = gate_columns(units, index["input_weight"], index["bias"])
        return torch.cat(
            (driven, gate_columns(units, index["hidden_weight"]), index["candidate_bias"].unsqueeze(-1)), -1
        )
