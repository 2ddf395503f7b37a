"""Elman, GRU and LSTM as units: each unit's gates see the hidden states of all.

Axes: N streams, D input, K units, G gates, V vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from rlmem.learning.derivatives.units import Read, Units, UnitStep, gate_columns, outer, with_one
from rlmem.networks.cells import GRU, LSTM, Elman


class ElmanUnits(Units[Elman]):
    """h' = tanh(W x + U h + b)."""

    n_parts = 1

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


class LSTMUnits(Units[LSTM]):
    """c' = f c + i g, h' = o tanh(c'); part 0 is h, part 1 is c."""

    n_parts = 2

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


class GRUUnits(Units[GRU]):
    """h' = n + k (h - n), n = tanh(W x + b + r (U h + b'))."""

    n_parts = 1

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
