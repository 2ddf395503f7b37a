"""The minimal gated recurrent unit: gates that see only the input, so that the recurrence is a linear scan.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs All We Needed?", arXiv 2410.01201, 2024, section 3.1.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.array_steps import NumpyStep, min_gru_step
from rlmem.cell import Cell, Unfolded
from rlmem.cells.initialisation import Init, check_init, forget_bias
from rlmem.cells.linear_scan import blanked, linear_scan


class MinGRUState(NamedTuple):
    """The state of a minimal GRU."""

    hidden: Tensor
    """[N, H] the last output."""


class MinGRU(Cell[MinGRUState]):
    """z = sigmoid(W_z x + b_z), h' = (1 - z) h + z (W_h x + b_h).

    The write gate is one minus the keep gate, so "forget" and "chrono" are the same here.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gate starts, see :data:`rlmem.cells.initialisation.Init`.

    Raises:
        ValueError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.linear = nn.Linear(input_size, 2 * hidden_size)
        if init != "torch":
            with torch.no_grad():
                self.linear.bias.zero_()
                self.linear.bias[:hidden_size] = -forget_bias(hidden_size, memory_length)

    def initial_state(self, num_envs: int) -> MinGRUState:
        """Return zeros [N, H]."""
        return MinGRUState(self.linear.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: MinGRUState) -> tuple[Tensor, MinGRUState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        gate, candidate = self.linear(x).chunk(2, -1)
        hidden = torch.lerp(state.hidden, candidate, torch.sigmoid(gate))
        return hidden, MinGRUState(hidden)

    def scan(self, xs: Tensor, blank: Tensor | None, state: MinGRUState) -> Unfolded[MinGRUState]:
        """Run over a sequence as one linear scan."""
        gate, candidate = self.linear(xs).chunk(2, -1)
        keep = blanked(torch.sigmoid(-gate), blank)
        states = linear_scan(keep, blanked(torch.sigmoid(gate) * candidate, blank), state.hidden)
        return Unfolded(states, MinGRUState(states[-1]))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(min_gru_step)
