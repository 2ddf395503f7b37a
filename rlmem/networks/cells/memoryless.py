"""The cell without memory, the baseline every memory is measured against.

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rlmem.networks.cell import Cell, Unfolded
from rlmem.networks.numpy_steps import NumpyStep, memoryless_step


class Memoryless(Cell[tuple[Tensor, ...]]):
    """A linear layer and tanh; its state is empty.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Checked, and without effect.

    Raises:
        ValueError: If a size is less than 1 or ``memory_length`` less than 2.
    """

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.linear = nn.Linear(input_size, hidden_size)

    def initial_state(self, num_envs: int) -> tuple[Tensor, ...]:
        """Return the empty tuple."""
        return ()

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map one input [N, D] to one output [N, H]."""
        return torch.tanh(self.linear(x)), state

    def scan(self, xs: Tensor, blank: Tensor | None, state: tuple[Tensor, ...]) -> Unfolded[tuple[Tensor, ...]]:
        """Map all inputs [T, N, D] at once."""
        return Unfolded(torch.tanh(self.linear(xs)), state)

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(memoryless_step)
