"""Recurrent trace units: a complex diagonal linear recurrence, written in real numbers, with a nonlinear output.

Source: Elelimy, White, Bowling and White, "Real-Time Recurrent Learning using Trace Units in Reinforcement Learning",
NeurIPS 2024 (arXiv 2409.01449), linear recurrence with f = tanh. Deviation: decays and angles start from the memory
length of the task, not on a fixed ring.

Axes: T time, N environments, D input, H hidden, K = H / 2 complex units.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Unfolded
from rlmem.networks.cells.initialization import slow_phases, time_constants
from rlmem.networks.cells.linear_scan import blanked, linear_scan
from rlmem.networks.numpy_steps import NumpyStep, rtu_step


class RTUState(NamedTuple):
    """The state of recurrent trace units."""

    real: Tensor
    """[N, K] the real parts."""
    imaginary: Tensor
    """[N, K] the imaginary parts."""


class RTU(Cell[RTUState]):
    """lambda = r exp(i angle), c' = lambda c + sqrt(1 - r^2) W x, output tanh of real and imaginary parts.

    With r = exp(-exp(log_decay)) in (0, 1) and angle = exp(log_angle).

    Args:
        input_size: D, at least 1.
        hidden_size: H, even, at least 2.
        memory_length: The time constants start uniform from 1 to twice as many steps.

    Raises:
        ValueError: If a size or ``memory_length`` is out of range, or ``hidden_size`` odd.
    """

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        if hidden_size % 2:
            raise ValueError(f"hidden_size must be even (real and imaginary parts), got {hidden_size}")
        scales = time_constants(hidden_size // 2, memory_length)
        self.log_decay = nn.Parameter(-scales.log())
        self.log_angle = nn.Parameter(slow_phases(scales).log())
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        nn.init.normal_(self.input_weight, std=input_size**-0.5)

    def initial_state(self, num_envs: int) -> RTUState:
        """Return zeros [N, K]."""
        zeros = self.log_decay.new_zeros(num_envs, self.hidden_size // 2)
        return RTUState(zeros, zeros)

    def eigenvalues(self) -> Tensor:
        """Return lambda, complex [K], within the unit circle."""
        return torch.polar(torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle))

    def forward(self, x: Tensor, state: RTUState) -> tuple[Tensor, RTUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        decay = torch.exp(-torch.exp(self.log_decay))
        angle = torch.exp(self.log_angle)
        cosine, sine = decay * torch.cos(angle), decay * torch.sin(angle)
        drive_real, drive_imaginary = self._drive(x).chunk(2, -1)
        real = cosine * state.real - sine * state.imaginary + drive_real
        imaginary = cosine * state.imaginary + sine * state.real + drive_imaginary
        return torch.tanh(torch.cat((real, imaginary), -1)), RTUState(real, imaginary)

    def scan(self, xs: Tensor, blank: Tensor | None, state: RTUState) -> Unfolded[RTUState]:
        """Run over a sequence as one linear scan."""
        drive = torch.complex(*blanked(self._drive(xs), blank).chunk(2, -1))
        decay = blanked(self.eigenvalues().expand_as(drive), blank)
        states = linear_scan(decay, drive, torch.complex(state.real, state.imaginary))
        output = torch.tanh(torch.cat((states.real, states.imag), -1))
        return Unfolded(output, RTUState(states[-1].real, states[-1].imag))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(rtu_step)

    def _drive(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self._scaled_weight())

    def _scaled_weight(self) -> Tensor:
        # sqrt(1 - r^2), exact also for r near 1
        gain = torch.sqrt(-torch.expm1(-2.0 * torch.exp(self.log_decay)))
        return self.input_weight * torch.cat((gain, gain)).unsqueeze(-1)
