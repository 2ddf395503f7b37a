"""The simple recurrent network: h' = tanh(W x + U h + b).

Source: Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.array_steps import NumpyStep, elman_step
from rlmem.cell import Cell, Unfolded
from rlmem.cells.initialisation import uniform


class ElmanState(NamedTuple):
    """The state of an Elman network."""

    hidden: Tensor
    """[N, H] the last output, in (-1, 1)."""


class Elman(Cell[ElmanState]):
    """One Elman layer; the recurrent weights start orthogonal, so that activity neither dies nor explodes at once.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Checked, and without effect: there is no gate to set.

    Raises:
        ValueError: If a size is less than 1 or ``memory_length`` less than 2.
    """

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.hidden_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        uniform(self.input_weight, hidden_size)
        nn.init.orthogonal_(self.hidden_weight)

    def initial_state(self, num_envs: int) -> ElmanState:
        """Return zeros [N, H]."""
        return ElmanState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: ElmanState) -> tuple[Tensor, ElmanState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        drive = nn.functional.linear(x, self.input_weight, self.bias)
        hidden = torch.tanh(drive + nn.functional.linear(state.hidden, self.hidden_weight))
        return hidden, ElmanState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: ElmanState) -> Unfolded[ElmanState]:
        """Run over a sequence; the input products of all steps are one."""
        drives = nn.functional.linear(xs, self.input_weight, self.bias).unbind()
        keeps = None if blank is None else (~blank).unsqueeze(-1).to(xs.dtype).unbind()
        weight, hidden, outputs = self.hidden_weight.t(), state.hidden, []
        for t, drive in enumerate(drives):
            hidden = torch.tanh(torch.addmm(drive, hidden, weight))
            if keeps is not None:
                hidden = hidden * keeps[t]
            outputs.append(hidden)
        return Unfolded(torch.stack(outputs), ElmanState(hidden))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(elman_step)
