"""How far a gradient reaches, for a diagonal cell of the package: exactly as its eigenvalues say."""

import numpy as np
import pytest
import torch

from rlmem.evaluation.gradient import gradient_vs_lag
from rlmem.learning.derivatives import make_derivative
from rlmem.networks.cells import LRU

LAGS = (0, 1, 10, 50, 200)


@pytest.mark.parametrize("radius", [0.5, 0.9, 0.999])
def test_the_gradient_of_a_diagonal_cell_falls_as_its_eigenvalue_to_the_power_of_the_lag(radius: float) -> None:
    torch.manual_seed(0)
    cell = LRU(2, 4).double()
    torch.nn.init.constant_(cell.log_decay, np.log(-np.log(radius)))
    norms = gradient_vs_lag(cell, LAGS)
    np.testing.assert_allclose(norms / norms[0], radius ** np.array(LAGS, dtype=float), rtol=1e-10)


@pytest.mark.parametrize("radius", [0.5, 0.9, 0.999])
def test_a_trace_forgets_a_single_input_at_the_same_rate(radius: float) -> None:
    torch.manual_seed(0)
    cell = LRU(2, 4).double()
    torch.nn.init.constant_(cell.log_decay, np.log(-np.log(radius)))
    derivative = make_derivative("rtrl", cell)
    carry, sizes = derivative.start(1), []
    for t in range(51):
        x = torch.full((1, 2), float(t == 0), dtype=torch.float64)
        carry = derivative.step(x, torch.tensor([t == 0]), carry).carry
        real, imaginary = (trace[..., :4] for trace in carry.traces)  # by the weights of the input
        sizes.append((real.square() + imaginary.square()).sum().sqrt().item())
    np.testing.assert_allclose(np.array(sizes) / sizes[0], radius ** np.arange(51.0), rtol=1e-10)
