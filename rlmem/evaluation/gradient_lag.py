"""How far back does the gradient reach: |dL_T / dh_t| against the lag T - t, for a cell as it is, trained or not.

Axes: T time, N sequences, D input, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.networks.cell import AnyCell, rebuild


def gradient_vs_lag(
    cell: AnyCell,
    lags: Sequence[int],
    *,
    n_sequences: int = 8,
    input_scale: float = 1.0,
    seed: int = 0,
    inputs: torch.Tensor | None = None,
) -> NDArray[np.float64]:
    """Measure how the gradient of a last output decays on its way back, in float64.

    The loss L_T is a random projection of the last output; the inputs are normal noise, or those given.

    Args:
        cell: Any cell with a state; it is copied, not changed.
        lags: Steps between the state h_t and the last output, each at least 0. Lag 0 is the state that the last step
            leaves, which not every output depends on, so the gradient is taken before that step: lag l passes l + 1
            steps.
        n_sequences: Sequences over which the root mean square is taken.
        input_scale: Standard deviation of the inputs.
        seed: Seed of inputs and projection.
        inputs: [T, N, D] of N sequences, at least as long as the longest lag asks, instead of noise.

    Returns:
        [len(lags)] root mean square over sequences of the Euclidean norm of dL_T / dh_t, all parts of the state.

    Raises:
        ValueError: If there is no lag, one is negative, the inputs do not fit, or the cell has no state.
    """
    if not lags or min(lags) < 0:
        raise UserError(f"lags must be at least one number of steps, each at least 0, got {list(lags)}")
    cell = copy.deepcopy(cell).double()
    generator = torch.Generator().manual_seed(seed)
    if inputs is None:
        shape = max(lags) + 1, n_sequences, cell.input_size
        xs = input_scale * torch.randn(*shape, dtype=torch.float64, generator=generator)
    else:
        xs = inputs.double()
        if xs.ndim != 3 or len(xs) <= max(lags) or xs.shape[2] != cell.input_size:
            raise ValueError(f"inputs must be [more than {max(lags)}, N, {cell.input_size}], got {list(inputs.shape)}")
    length, n_sequences = xs.shape[:2]
    projection = torch.randn(n_sequences, cell.hidden_size, dtype=torch.float64, generator=generator)
    state = rebuild(cell.initial_state(0), (part.clone().requires_grad_() for part in cell.initial_state(n_sequences)))
    if not state:
        raise UserError(f"{type(cell).__name__} has no state, so no gradient reaches back at all")
    states = []
    for x in xs:
        states.append(state)
        output, state = cell(x, state)
        # a copy, since the hidden state of a lower layer is what the layer above sees in the same step as well
        state = rebuild(state, (part.clone() for part in state))
    wanted = [states[length - 1 - lag] for lag in lags]
    loss = (output * projection).sum()
    flat = [part for parts in wanted for part in parts]
    gradients = torch.autograd.grad(loss, flat, allow_unused=True)
    squares = [0.0 if gradient is None else gradient.square().sum().item() for gradient in gradients]
    width = len(states[0])
    sums = np.array(squares).reshape(len(wanted), width).sum(1)
    norms: NDArray[np.float64] = np.sqrt(sums / n_sequences)
    return norms
