"""Long short-term memory: a linear cell state that gates write, keep and read.

Sources: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; forget gate from Gers,
Schmidhuber and Cummins, "Learning to Forget", Neural Computation 12(10), 2000; forget biases from Tallec and Ollivier,
"Can recurrent neural networks warp time?", ICLR 2018. Deviation: the input biases start at 0, not at the negative of
the forget biases, so that a short cue is written at full strength.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import forget_bias, uniform
from rlmem.networks.fused_lstm import fused_lstm, has_fused_lstm, with_blank
from rlmem.networks.numpy_cells import lstm_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import Init, check_init
from rlmem.networks.units import Read, Units, UnitStep, gate_columns, outer, with_one


class LSTMState(NamedTuple):
    """The state of an LSTM."""

    hidden: Tensor
    """[N, H] the last output, in (-1, 1)."""
    cell: Tensor
    """[N, H] the cell state, without bound."""


class LSTM(Cell[LSTMState]):
    """One LSTM layer; gates in PyTorch's order: input, forget, candidate, output.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gates start, see :data:`rlmem.networks.cells.initialization.Init`.

    Raises:
        UserError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    gates: ClassVar[Gates] = dict.fromkeys(
        ("input_weight", "hidden_weight", "bias"), ("input", "forget", "candidate", "output")
    )

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.hidden_weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        for parameter in (self.input_weight, self.hidden_weight, self.bias):
            uniform(parameter, hidden_size)
        if init == "torch":
            return
        with torch.no_grad():
            self.bias.zero_()
            gates = self.bias.chunk(4)
            gates[1].copy_(forget_bias(hidden_size, memory_length))
            if init == "chrono":
                gates[0].copy_(-gates[1])

    def initial_state(self, num_envs: int) -> LSTMState:
        """Return an empty state, zeros [N, H]."""
        zeros = self.bias.new_zeros(num_envs, self.hidden_size)
        return LSTMState(zeros, zeros)

    def forward(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        gates = linear(x, self.input_weight, self.bias)
        gates = gates + linear(state.hidden, self.hidden_weight)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, -1)
        cell = forget_gate.sigmoid() * state.cell + input_gate.sigmoid() * candidate.tanh()
        hidden = output_gate.sigmoid() * cell.tanh()
        return hidden, LSTMState(hidden, cell)

    def scan(self, xs: Tensor, blank: Tensor | None, state: LSTMState) -> Unfolded[LSTMState]:
        """Run over the whole sequence in one fused call; a blank is one more input, which shuts the gates."""
        if torch.is_grad_enabled() and has_fused_lstm(xs):
            output, hidden, cell = fused_lstm(xs, blank, state, (self.input_weight, self.hidden_weight, self.bias))
            return Unfolded(output, LSTMState(hidden, cell))
        xs, input_weight = with_blank(xs, blank, self.input_weight)
        weights = [input_weight, self.hidden_weight, self.bias, torch.zeros_like(self.bias)]
        start = (state.hidden.unsqueeze(0).contiguous(), state.cell.unsqueeze(0).contiguous())
        train = torch.is_grad_enabled()
        output, hidden, cell = torch._VF.lstm(xs, start, weights, True, 1, 0.0, train, False, False)
        return Unfolded(output, LSTMState(hidden[0], cell[0]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(lstm_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        product = graph.linear(graph.join(x, state[0]), np.hstack((w["input_weight"], w["hidden_weight"])), w["bias"])
        gates = graph.split(product, [self.hidden_size] * 4)
        write, keep, read = (graph.add("Sigmoid", gates[i]) for i in (0, 1, 3))
        written = graph.add("Mul", write, graph.add("Tanh", gates[2]))
        cell = graph.add("Add", graph.add("Mul", keep, state[1]), written)
        hidden = graph.add("Mul", read, graph.add("Tanh", cell))
        return hidden, [hidden, cell]

    def units(self) -> LSTMUnits:
        """Return the local derivatives of its units. See :meth:`Cell.units`."""
        return LSTMUnits(self)


class LSTMUnits(Units[LSTM]):
    """c' = f c + i g, h' = o tanh(c'); part 0 is h, part 1 is c."""

    n_parts = 2
    joined = True

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        hidden, cell = state
        weights = self.cell
        gates = linear(x, weights.input_weight, weights.bias) + linear(hidden, weights.hidden_weight)
        write, forget, candidate, output = gates.chunk(4, -1)
        write, forget, output = torch.sigmoid(write), torch.sigmoid(forget), torch.sigmoid(output)
        candidate = torch.tanh(candidate)
        after = forget * cell + write * candidate
        squashed = torch.tanh(after)
        to_hidden = output * (1.0 - squashed * squashed)
        by_write = candidate * write * (1.0 - write)
        by_forget = cell * forget * (1.0 - forget)
        by_candidate = write * (1.0 - candidate * candidate)
        by_output = squashed * output * (1.0 - output)
        cell_drive = torch.stack((by_write, by_forget, by_candidate, torch.zeros_like(write)), -1)
        hidden_drive = to_hidden.unsqueeze(-1) * cell_drive
        hidden_drive[..., 3] = by_output
        inputs = with_one(x, hidden)
        drive = (hidden_drive, cell_drive)
        hidden = output * squashed
        return UnitStep(
            hidden,
            (hidden, after),
            ((None, to_hidden * forget), (None, forget)),
            drive,
            drive,
            (outer(hidden_drive, inputs), outer(cell_drive, inputs)),
            (),
        )

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, K] back: the output is part 0 of the state."""
        return Read((by_output, None), ())

    def _columns(self) -> Tensor:
        index = self.index
        return gate_columns(self.cell.hidden_size, index["input_weight"], index["hidden_weight"], index["bias"])
