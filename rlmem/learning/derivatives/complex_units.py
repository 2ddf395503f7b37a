"""RTU and LRU as units: c' = lambda c + gain W x, with lambda = exp(-m + i angle), m = exp(log_decay).

Part 0 of the state is the real, part 1 the imaginary part of c.

Axes: N streams, D input, H hidden, K complex units, V vectors.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from rlmem.learning.derivatives.units import Direct, Keep, Read, Units, UnitStep, by_unit
from rlmem.networks.cells import LRU, RTU

Complex = TypeVar("Complex", RTU, LRU)


class _Turn(NamedTuple):
    """The state turned and shortened, lambda c, and how it depends on lambda."""

    real: Tensor
    imaginary: Tensor
    by_decay: tuple[Tensor, Tensor]
    """By log_decay: -m lambda c."""
    by_angle: tuple[Tensor, Tensor]
    """By log_angle: i angle lambda c."""
    modulus: Tensor
    """m."""
    keep: Keep


class _ComplexUnits(Units[Complex]):
    n_parts = 2

    def _turn(self, state: tuple[Tensor, ...]) -> _Turn:
        real, imaginary = state
        modulus, angle = torch.exp(self.cell.log_decay), torch.exp(self.cell.log_angle)
        decay = torch.exp(-modulus)
        cosine, sine = decay * torch.cos(angle), decay * torch.sin(angle)
        minus = -sine
        real, imaginary = (
            torch.addcmul(cosine * real, minus, imaginary),
            torch.addcmul(cosine * imaginary, sine, real),
        )
        down = -modulus
        return _Turn(
            real,
            imaginary,
            (down * real, down * imaginary),
            (-angle * imaginary, angle * real),
            modulus,
            ((cosine, minus), (sine, cosine)),
        )

    def _weights(self, x: Tensor, gain: Tensor, *others: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the immediate derivatives [N, K, C]: real weights, imaginary weights, others (of both parts)."""
        driven = gain.unsqueeze(-1) * x.unsqueeze(1)
        zero = torch.zeros_like(driven)
        real, imaginary = (torch.stack(columns, -1) for columns in zip(*others, strict=True))
        return torch.cat((driven, zero, real), -1), torch.cat((zero, driven, imaginary), -1)

    def _drive(self, gain: Tensor, n_streams: int) -> tuple[Tensor, Tensor]:
        zero = torch.zeros_like(gain)
        pair = torch.stack((gain, zero), -1), torch.stack((zero, gain), -1)
        return pair[0].expand(n_streams, -1, -1), pair[1].expand(n_streams, -1, -1)

    def input_weight(self) -> Tensor:
        """Return the weights of the input [K, 2, D] into real and imaginary part."""
        return by_unit(self.cell.input_weight, len(self.cell.log_decay))

    def _columns(self) -> Tensor:
        real, imaginary = self.index["input_weight"].chunk(2)
        own: list[Tensor] = [
            self.index[name][:, None] for name in ("log_decay", "log_angle", "log_gain") if name in self.index
        ]
        return torch.cat((real, imaginary, *own), -1)


class RTUUnits(_ComplexUnits[RTU]):
    """Gain sqrt(1 - |lambda|^2), output tanh of real and imaginary parts."""

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        turn = self._turn(state)
        square = torch.exp(-2.0 * turn.modulus)
        gain = torch.sqrt(-torch.expm1(-2.0 * turn.modulus))
        slope = turn.modulus * square / gain  # of the gain, by log_decay
        real_drive, imaginary_drive = linear(x, self.cell.input_weight).chunk(2, -1)
        by_decay = (
            torch.addcmul(turn.by_decay[0], slope, real_drive),
            torch.addcmul(turn.by_decay[1], slope, imaginary_drive),
        )
        after = torch.addcmul(turn.real, gain, real_drive), torch.addcmul(turn.imaginary, gain, imaginary_drive)
        output = torch.tanh(torch.cat(after, -1))
        immediate = self._weights(x, gain, by_decay, turn.by_angle)
        tape = (1.0 - output * output,)
        return UnitStep(output, after, turn.keep, (), self._drive(gain, len(x)), immediate, tape)

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through tanh."""
        return Read((by_output * tape[0].unsqueeze(1)).chunk(2, -1), ())


class LRUUnits(_ComplexUnits[LRU]):
    """Gain a parameter of its own, output Re(C c') + D x."""

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take one input [N, D]."""
        turn = self._turn(state)
        gain = torch.exp(self.cell.log_gain)
        real_drive, imaginary_drive = linear(x, self.cell.input_weight).chunk(2, -1)
        by_gain = gain * real_drive, gain * imaginary_drive
        after = turn.real + by_gain[0], turn.imaginary + by_gain[1]
        joined = torch.cat(after, -1)
        output = linear(joined, self.cell.output_weight) + linear(x, self.cell.skip_weight)
        immediate = self._weights(x, gain, turn.by_decay, turn.by_angle, by_gain)
        return UnitStep(output, after, turn.keep, (), self._drive(gain, len(x)), immediate, (x, joined))

    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through the linear output."""
        x, joined = tape
        by_state = torch.matmul(by_output, self.cell.output_weight.detach()).chunk(2, -1)
        into_input = self.cell.skip_weight.detach()
        return Read(by_state, (Direct(by_output, joined, None), Direct(by_output, x, into_input)))

    def _direct(self) -> tuple[Tensor, ...]:
        return self.index["output_weight"], self.index["skip_weight"]
