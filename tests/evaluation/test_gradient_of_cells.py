"""How far the gradient reaches, against what is known of the cells."""

import numpy as np
import pytest
import torch

from rlmem.evaluation.gradient import gradient_vs_lag
from rlmem.networks.cell import Cell
from rlmem.networks.cells import LSTM, Elman, Memoryless

LAGS = (1, 10, 50, 200)


class Decay(Cell[tuple[torch.Tensor]]):
    """h' = lambda h + x, the plainest diagonal cell."""

    def __init__(self, decay: float) -> None:
        super().__init__(2, 2)
        self.decay = torch.nn.Parameter(torch.full((2,), decay, dtype=torch.float64))

    def initial_state(self, num_envs: int) -> tuple[torch.Tensor]:
        return (self.decay.new_zeros(num_envs, 2),)

    def forward(self, x: torch.Tensor, state: tuple[torch.Tensor]) -> tuple[torch.Tensor, tuple[torch.Tensor]]:
        hidden = self.decay * state[0] + x
        return hidden, (hidden,)


@pytest.mark.parametrize("decay", [0.5, 0.99, 1.0])
def test_the_gradient_of_a_diagonal_cell_falls_as_its_eigenvalue_to_the_power_of_the_lag(decay: float) -> None:
    norms = gradient_vs_lag(Decay(decay), LAGS)
    np.testing.assert_allclose(norms / norms[0], decay ** (np.array(LAGS) - 1.0), rtol=1e-10)


def relative_at_200(cells: list[Cell[tuple[torch.Tensor, ...]]]) -> float:
    norms = [gradient_vs_lag(cell, (1, 200)) for cell in cells]
    return float(np.median([last / first for first, last in norms]))


def test_the_lstm_of_torch_forgets_and_ours_does_not() -> None:
    torch.manual_seed(0)
    ours = relative_at_200([LSTM(4, 32, memory_length=400.0) for _ in range(5)])
    theirs = relative_at_200([LSTM(4, 32, memory_length=400.0, init="torch") for _ in range(5)])
    assert theirs < 1e-20
    assert ours > 1e-3


def test_measuring_changes_neither_the_cell_nor_the_random_numbers_of_torch() -> None:
    cell = Elman(3, 4)
    before, random = cell.bias.clone(), torch.get_rng_state()
    first, second = gradient_vs_lag(cell, (0, 3)), gradient_vs_lag(cell, (0, 3))
    assert np.array_equal(first, second)
    assert torch.equal(cell.bias, before)
    assert cell.bias.dtype == torch.float32
    assert cell.bias.grad is None
    assert torch.equal(torch.get_rng_state(), random)


def test_lags_that_cannot_be_measured_are_refused() -> None:
    with pytest.raises(ValueError, match=r"each at least 0, got \[-1\]"):
        gradient_vs_lag(Elman(2, 2), [-1])
    with pytest.raises(ValueError, match="Memoryless has no state"):
        gradient_vs_lag(Memoryless(2, 2), [1])
