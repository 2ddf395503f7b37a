"""Cells without weights between units: memoryless, minGRU and eLSTM.

Axes: N streams, D input, H hidden, K units, V vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from rlmem.learning.derivatives.units import Direct, Read, Units, UnitStep, by_unit, gate_columns, outer, with_one
from rlmem.networks.cells import ELSTM, Memoryless, MinGRU


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
