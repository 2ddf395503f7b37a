"""Complex diagonal linear recurrences, written in real numbers: what RTU and LRU have in common.

c' = lambda c + gain W x, with lambda = exp(-exp(log_decay) + i exp(log_angle)) within the unit circle.

Axes: T time, N environments, D input, H hidden, K complex units.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import slow_phases, time_constants
from rlmem.networks.cells.linear_scan import blanked, linear_scan
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.units import Keep, Units, by_unit


class ComplexState(NamedTuple):
    """The state of a complex diagonal recurrence."""

    real: Tensor
    """[N, K] the real parts."""
    imaginary: Tensor
    """[N, K] the imaginary parts."""


class ComplexCell(Cell[ComplexState]):
    """A complex diagonal recurrence; a subclass makes its parameters and adds :meth:`gain` and :meth:`read`."""

    input_weight: Tensor
    """[2 K, D] into the real, then the imaginary parts."""
    gates: ClassVar[Gates] = {
        "log_decay": ("decay",),
        "log_angle": ("angle",),
        "input_weight": ("real input", "imaginary input"),
    }

    def make_eigenvalues(self, n_units: int) -> Tensor:
        """Make the parameters of lambda for the memory length, and return the time constants [K] in steps."""
        scales = time_constants(n_units, self.memory_length)
        self.log_decay = nn.Parameter(-scales.log())
        self.log_angle = nn.Parameter(slow_phases(scales).log())
        return scales

    def gain(self) -> Tensor:
        """Return what the input of each unit is multiplied by, [K]."""
        raise NotImplementedError

    def read(self, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        """Return the output [..., H] from the input [..., D] and the parts [..., K] of the state."""
        raise NotImplementedError

    def initial_state(self, num_envs: int) -> ComplexState:
        """Return zeros [N, K]."""
        zeros = self.log_decay.new_zeros(num_envs, len(self.log_decay))
        return ComplexState(zeros, zeros)

    def eigenvalues(self) -> Tensor:
        """Return lambda, complex [K], within the unit circle."""
        return torch.polar(torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle))

    def forward(self, x: Tensor, state: ComplexState) -> tuple[Tensor, ComplexState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        decay, angle = torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle)
        cosine, sine = decay * torch.cos(angle), decay * torch.sin(angle)
        drive_real, drive_imaginary = self.drive(x).chunk(2, -1)
        real = cosine * state.real - sine * state.imaginary + drive_real
        imaginary = cosine * state.imaginary + sine * state.real + drive_imaginary
        return self.read(x, real, imaginary), ComplexState(real, imaginary)

    def scan(self, xs: Tensor, blank: Tensor | None, state: ComplexState) -> Unfolded[ComplexState]:
        """Run over a sequence as one linear scan."""
        drive = torch.complex(*blanked(self.drive(xs), blank).chunk(2, -1))
        decay = blanked(self.eigenvalues().expand_as(drive), blank)
        states = linear_scan(decay, drive, torch.complex(state.real, state.imaginary))
        return Unfolded(self.read(xs, states.real, states.imag), ComplexState(states[-1].real, states[-1].imag))

    def drive(self, x: Tensor) -> Tensor:
        """Return gain W x, [..., 2 K]: real parts, then imaginary parts."""
        gain = self.gain()
        return nn.functional.linear(x, self.input_weight * torch.cat((gain, gain)).unsqueeze(-1))

    def onnx_state(self, graph: OnnxGraph, x: str, state: list[str]) -> list[str]:
        """Add the nodes of lambda c + gain W x, and return the names of its real and imaginary parts."""
        with torch.no_grad():
            eigenvalues, gain = self.eigenvalues().cpu().numpy(), self.gain().cpu().numpy()
        weight = self.input_weight.detach().cpu().numpy() * np.tile(gain, 2)[:, None]
        cosine, sine = graph.constant(eigenvalues.real), graph.constant(eigenvalues.imag)
        drive = graph.split(graph.linear(x, weight), [len(gain)] * 2)
        real = graph.add("Sub", graph.add("Mul", state[0], cosine), graph.add("Mul", state[1], sine))
        imaginary = graph.add("Add", graph.add("Mul", state[1], cosine), graph.add("Mul", state[0], sine))
        return [graph.add("Add", part, new) for part, new in zip((real, imaginary), drive, strict=True)]


class Rotation(NamedTuple):
    """lambda c, and how it depends on lambda."""

    real: Tensor
    imaginary: Tensor
    by_decay: tuple[Tensor, Tensor]
    """By log_decay: -m lambda c."""
    by_angle: tuple[Tensor, Tensor]
    """By log_angle: i angle lambda c."""
    modulus: Tensor
    """m = exp(log_decay)."""
    keep: Keep


ComplexCellT = TypeVar("ComplexCellT", bound=ComplexCell)


class ComplexUnits(Units[ComplexCellT]):
    """Local derivatives of a complex cell; part 0 of the state is the real, part 1 the imaginary part of c."""

    n_parts = 2

    def turn(self, state: tuple[Tensor, ...]) -> Rotation:
        """Return lambda c and its derivatives."""
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
        return Rotation(
            real,
            imaginary,
            (down * real, down * imaginary),
            (-angle * imaginary, angle * real),
            modulus,
            ((cosine, minus), (sine, cosine)),
        )

    def immediate(self, x: Tensor, gain: Tensor, *others: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the immediate derivatives [N, K, C]: real weights, imaginary weights, others (of both parts)."""
        driven = gain.unsqueeze(-1) * x.unsqueeze(1)
        zero = torch.zeros_like(driven)
        real, imaginary = (torch.stack(columns, -1) for columns in zip(*others, strict=True))
        return torch.cat((driven, zero, real), -1), torch.cat((zero, driven, imaginary), -1)

    def by_drive(self, gain: Tensor, n_streams: int) -> tuple[Tensor, Tensor]:
        """Return ``UnitStep.drive`` [N, K, 2] of both parts."""
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
