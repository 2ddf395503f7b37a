"""The element-wise LSTM: each unit's gates see only that unit's own past, so exact RTRL costs O(p).

Source: Irie, Gopalakrishnan and Schmidhuber, "Exploring the Promise and Limits of Real-Time Recurrent Learning",
ICLR 2024, equations 9 to 12 (arXiv 2305.19044, 2023).

Axes: T time, N environments, D input, H hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.array_steps import NumpyStep, elstm_step
from rlmem.cell import Cell, Unfolded
from rlmem.cells.initialisation import Init, check_init, forget_bias, uniform


class ELSTMState(NamedTuple):
    """The state of an element-wise LSTM."""

    cell: Tensor
    """[N, H] the cell state, in (-1, 1)."""


class ELSTM(Cell[ELSTMState]):
    """f = sigmoid(F x + w_f c), z = tanh(Z x + w_z c), c' = f c + (1 - f) z, output sigmoid(O x + W c') c'.

    The input gate is 1 - f, so "forget" and "chrono" are the same here.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1.
        memory_length: Steps over which the untrained cell should remember, at least 2.
        init: How the gates start, see :data:`rlmem.cells.initialisation.Init`.

    Raises:
        ValueError: If a size, ``memory_length`` or ``init`` is out of range.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, memory_length: float = 100.0, init: Init = "forget"
    ) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        check_init(init)
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.forget_weight = nn.Parameter(torch.empty(hidden_size))
        self.candidate_weight = nn.Parameter(torch.empty(hidden_size))
        self.output_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        for parameter in self.parameters():
            uniform(parameter, hidden_size)
        if init != "torch":
            with torch.no_grad():
                self.bias.zero_()
                self.bias[:hidden_size] = forget_bias(hidden_size, memory_length)

    def initial_state(self, num_envs: int) -> ELSTMState:
        """Return zeros [N, H]."""
        return ELSTMState(self.bias.new_zeros(num_envs, self.hidden_size))

    def forward(self, x: Tensor, state: ELSTMState) -> tuple[Tensor, ELSTMState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        forget, candidate, output = nn.functional.linear(x, self.input_weight, self.bias).chunk(3, -1)
        cell = self._keep(forget, candidate, state.cell)
        return self._read(output, cell), ELSTMState(cell)

    def scan(self, xs: Tensor, blank: Tensor | None, state: ELSTMState) -> Unfolded[ELSTMState]:
        """Run over a sequence; all matrix products are outside the loop."""
        forgets, candidates, output = nn.functional.linear(xs, self.input_weight, self.bias).chunk(3, -1)
        keeps = None if blank is None else (~blank).unsqueeze(-1).to(xs.dtype).unbind()
        cell, cells = state.cell, []
        for t, (forget, candidate) in enumerate(zip(forgets.unbind(), candidates.unbind(), strict=True)):
            cell = self._keep(forget, candidate, cell)
            if keeps is not None:
                cell = cell * keeps[t]
            cells.append(cell)
        return Unfolded(self._read(output, torch.stack(cells)), ELSTMState(cell))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self._array_step(elstm_step)

    def _keep(self, forget: Tensor, candidate: Tensor, cell: Tensor) -> Tensor:
        gate = torch.sigmoid(torch.addcmul(forget, self.forget_weight, cell))
        return torch.lerp(torch.tanh(torch.addcmul(candidate, self.candidate_weight, cell)), cell, gate)

    def _read(self, output: Tensor, cell: Tensor) -> Tensor:
        return torch.sigmoid(output + nn.functional.linear(cell, self.output_weight)) * cell
