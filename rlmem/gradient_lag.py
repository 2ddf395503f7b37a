"""How far back does the gradient reach: |dL_T / dh_t| against the lag T - t, for a cell as it is initialised.

Axes: T time, N sequences, D input, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rlmem.cell import AnyCell, rebuild


def gradient_vs_lag(
    cell: AnyCell, lags: Sequence[int], *, n_sequences: int = 8, input_scale: float = 1.0, seed: int = 0
) -> NDArray[np.float64]:
    """Measure how the gradient of a last output decays on its way back, in float64.

    The loss L_T is a random projection of the last output; the inputs are normal noise.

    Args:
        cell: Any cell with a state; it is copied, not changed.
        lags: Steps between the state h_t and the last output, each at least 0. Lag 0 is the state that the last step
            leaves, which not every output depends on, so the gradient is taken before that step: lag l passes l + 1
            steps.
        n_sequences: Sequences over which the root mean square is taken.
        input_scale: Standard deviation of the inputs.
        seed: Seed of inputs and projection.

    Returns:
        [len(lags)] root mean square over sequences of the Euclidean norm of dL_T / dh_t, all parts of the state.

    Raises:
        ValueError: If there is no lag, one is negative, or the cell has no state.
    """
    if not lags or min(lags) < 0:
        raise ValueError(f"lags must be at least one number of steps, each at least 0, got {list(lags)}")
    cell = copy.deepcopy(cell).double()
    generator = torch.Generator().manual_seed(seed)
    length = max(lags) + 1
    xs = input_scale * torch.randn(length, n_sequences, cell.input_size, dtype=torch.float64, generator=generator)
    projection = torch.randn(n_sequences, cell.hidden_size, dtype=torch.float64, generator=generator)
    state = rebuild(cell.initial_state(0), (part.requires_grad_() for part in cell.initial_state(n_sequences)))
    if not state:
        raise ValueError(f"{type(cell).__name__} has no state, so no gradient reaches back at all")
    states = []
    for x in xs:
        states.append(state)
        output, state = cell(x, state)
    wanted = [states[length - 1 - lag] for lag in lags]
    loss = (output * projection).sum()
    flat = [part for parts in wanted for part in parts]
    gradients = torch.autograd.grad(loss, flat, allow_unused=True)
    squares = [0.0 if gradient is None else gradient.square().sum().item() for gradient in gradients]
    width = len(states[0])
    sums = np.array(squares).reshape(len(wanted), width).sum(1)
    norms: NDArray[np.float64] = np.sqrt(sums / n_sequences)
    return norms
