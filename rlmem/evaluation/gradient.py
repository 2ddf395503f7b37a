"""How far back the gradient of a recurrent cell reaches: |dL_T / dh_t| against the lag T - t.

For a cell as it is, on noise, and for the cell of a trained agent, on the observations of its own episodes.

Axes: T time, N sequences or episodes, D input, H hidden.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rlmem.errors import UserError
from rlmem.evaluation.intervention import Moment
from rlmem.networks.cell import AnyCell, rebuild
from rlmem.networks.cells import LSTM, Stack

_EPISODES = 8
_MOST_STEPS = 20_000
"""Observations of an episode that are recorded at most."""


class GradientLag(NamedTuple):
    """Gradient of the cell's output in the last step, at the query, with respect to its states before."""

    lags: list[int]
    """Control steps before the last."""
    norms: NDArray[np.float64]
    """Root mean square over episodes of |dL_T / dh_t|, as parts of that at lag 0."""


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
        UserError: If there is no lag, one is negative, the inputs do not fit, or the cell has no state.
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
            raise UserError(f"inputs must be [more than {max(lags)}, N, {cell.input_size}], got {list(inputs.shape)}")
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


class ObservationRecorder:
    """Intervention that records the observations of the first few episodes until the query begins."""

    def __init__(self, episodes: int = _EPISODES, until: str = "query") -> None:
        self._episodes, self._until = episodes, until
        self._seen: dict[int, list[NDArray[Any]]] = {}
        self._done: set[int] = set()

    def __call__(self, moment: Moment) -> Moment:
        """Record."""
        if isinstance(moment.observation, dict):
            return moment
        for row in np.flatnonzero((moment.episode >= 0) & (moment.episode < self._episodes)).tolist():
            episode = int(moment.episode[row])
            if episode in self._done:
                continue
            observations = self._seen.setdefault(episode, [])
            if len(observations) < _MOST_STEPS:
                observations.append(np.array(moment.observation[row]))
            if moment.phase[row] == self._until:
                self._done.add(episode)
        return moment

    def sequences(self) -> NDArray[Any]:
        """Return observations [T, N, D] up to the first of the query, of the episodes of the commonest length.

        Where no episode comes to the query, as in environments that name no phases: the first T of all episodes.

        Raises:
            UserError: If there are none that are plain arrays.
        """
        if self._seen and not self._done:
            length = min(map(len, self._seen.values()))
            return np.stack([np.stack(seen[:length]) for seen in self._seen.values()], axis=1)
        seen = [np.stack(self._seen[episode]) for episode in sorted(self._done)]
        if not seen:
            raise UserError("gradients are measured on observations that are plain arrays")
        lengths, counts = np.unique([len(one) for one in seen], return_counts=True)
        length = int(lengths[counts == counts.max()].max())
        return np.stack([one for one in seen if len(one) == length], axis=1)


def lags_up_to(most: int) -> list[int]:
    """Return lags 0, 1, 2, 5, 10, 20, ... up to and with ``most``."""
    steps = {0, most} | {factor * 10**power for power in range(5) for factor in (1, 2, 5)}
    return sorted(lag for lag in steps if lag <= most)


def trained_gradient(policy: Any, observations: NDArray[Any], lags: Sequence[int] | None = None) -> GradientLag:
    """Measure how the gradient of a trained agent's cell decays on its way back from the query.

    Args:
        policy: A recurrent agent or model of this package, or sb3-contrib's RecurrentPPO.
        observations: [T, N, ...] of :meth:`ObservationRecorder.sequences`.
        lags: Control steps; None: 0, 1, 2, 5, 10, ... as far as the episodes go.

    Raises:
        UserError: If the agent is none of these, or does not see plain vectors.
    """
    cell, inputs = trained_cell(policy), np.asarray(observations, dtype=np.float64)
    if inputs.ndim != 3 or inputs.shape[2] != cell.input_size:
        raise UserError(
            f"gradients are measured where the cell sees the observation as it is: {cell.input_size} numbers, got "
            f"observations of shape {inputs.shape[2:]}"
        )
    wanted = list(lags) if lags is not None else lags_up_to(len(inputs) - 1)
    norms = gradient_vs_lag(cell, wanted, inputs=torch.from_numpy(inputs))
    first = norms[wanted.index(0)] if 0 in wanted else 1.0
    return GradientLag(wanted, norms / (first or 1.0))


def trained_cell(policy: Any) -> AnyCell:
    """Return the actor's memory cells of an agent, as one cell.

    Raises:
        UserError: If it has none that are known.
    """
    model = getattr(policy, "model", policy)
    actor_critic = getattr(model, "policy", model)
    network = getattr(actor_critic, "network", None)
    for name in ("actor", "cell"):
        found: Any = getattr(network, name, None)
        if hasattr(found, "initial_state"):
            return found  # type: ignore[no-any-return]
    lstm = getattr(actor_critic, "lstm_actor", None)
    if isinstance(lstm, nn.LSTM):
        return _from_torch(lstm)
    raise UserError(f"{type(policy).__name__} has no memory cells that are known here: no gradient is measured")


@torch.no_grad()
def _from_torch(lstm: nn.LSTM) -> AnyCell:
    """Return torch's LSTM as a stack of this package's cells."""
    layers = []
    for number in range(lstm.num_layers):
        layer = LSTM(lstm.input_size if number == 0 else lstm.hidden_size, lstm.hidden_size)
        layer.input_weight.copy_(getattr(lstm, f"weight_ih_l{number}"))
        layer.hidden_weight.copy_(getattr(lstm, f"weight_hh_l{number}"))
        layer.bias.copy_(getattr(lstm, f"bias_ih_l{number}") + getattr(lstm, f"bias_hh_l{number}"))
        layers.append(layer)
    return Stack(layers)
