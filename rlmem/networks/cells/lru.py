"""The linear recurrent unit: a complex diagonal linear recurrence between dense linear maps.

Source: Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023 (arXiv 2303.06349),
sections 3.3 and 3.4. Deviation: decays and angles start from the memory length of the task, not on a fixed ring.

Axes: T time, N environments, D input, H hidden (complex units and outputs).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Unfolded
from rlmem.networks.cells.initialization import slow_phases, time_constants
from rlmem.networks.cells.linear_scan import blanked, linear_scan
from rlmem.networks.numpy_steps import NumpyStep, lru_step


class LRUState(NamedTuple):
    """The state of a linear recurrent unit."""

    real: Tensor
    """[N, H] the real parts."""
    imaginary: Tensor
    """[N, H] the imaginary parts."""


class LRU(Cell[LRUState]):
    """c' = lambda c + gamma B x, output Re(C c') + D x, with lambda = exp(-exp(log_decay) + i exp(log_angle)).

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: The time constants start uniform from 1 to twice as many steps.

    Raises:
        ValueError: If a size or ``memory_length`` is out of range.
    """

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        scales = time_constants(hidden_size, memory_length)
        self.log_decay = nn.Parameter(-scales.log())
        self.log_angle = nn.Parameter(slow_phases(scales).log())
        # gamma = sqrt(1 - |lambda|^2) at the start, free afterwards
        self.log_gain = nn.Parameter(0.5 * torch.log(-torch.expm1(-2.0 / scales)))
        self.input_weight = nn.Parameter(torch.randn(2 * hidden_size, input_size) * (2 * input_size) ** -0.5)
        self.output_weight = nn.Parameter(torch.randn(hidden_size, 2 * hidden_size) * hidden_size**-0.5)
        self.skip_weight = nn.Parameter(torch.randn(hidden_size, input_size) * input_size**-0.5)

    def initial_state(self, num_envs: int) -> LRUState:
        """Return zeros [N, H]."""
        zeros = self.log_decay.new_zeros(num_envs, self.hidden_size)
        return LRUState(zeros, zeros)

    def eigenvalues(self) -> Tensor:
        """Return lambda, complex [H], within the unit circle."""
        return torch.polar(torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle))

    def forward(self, x: Tensor, state: LRUState) -> tuple[Tensor, LRUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        decay, angle = torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle)
        cosine, sine = decay * torch.cos(angle), decay * torch.sin(angle)
        drive_real, drive_imaginary = self._drive(x).chunk(2, -1)
        real = cosine * state.real - sine * state.imaginary + drive_real
        imaginary = cosine * state.imaginary + sine * state.real + drive_imaginary
        return self._read(x, real, imaginary), LRUState(real, imaginary)

    def scan(self, xs: Tensor, blank: Tensor | None, state: LRUState) -> Unfolded[LRUState]:
        """Run over a sequence as one linear scan."""
        drive = torch.complex(*blanked(self._drive(xs), blank).chunk(2, -1))
        decay = blanked(self.eigenvalues().expand_as(drive), blank)
        states = linear_scan(decay, drive, torch.complex(state.real, state.imaginary))
        return Unfolded(self._read(xs, states.real, states.imag), LRUState(states[-1].real, states[-1].imag))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(lru_step)

    def _drive(self, x: Tensor) -> Tensor:
        gain = torch.exp(self.log_gain)
        return nn.functional.linear(x, self.input_weight * torch.cat((gain, gain)).unsqueeze(-1))

    def _read(self, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        # Re(C c) = C_re c_re - C_im c_im, with the sign kept in the second half of the weights
        states = torch.cat((real, imaginary), -1)
        return nn.functional.linear(states, self.output_weight) + nn.functional.linear(x, self.skip_weight)
