"""How far back the gradient of a trained agent reaches, on what it sees itself.

Axes: T time, N episodes, D input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rlmem.errors import UserError
from rlmem.evaluation.gradient_lag import gradient_vs_lag
from rlmem.evaluation.intervention import Moment
from rlmem.networks.cell import AnyCell
from rlmem.networks.cells import LSTM, Stack

_EPISODES = 8


class GradientLag(NamedTuple):
    """The gradient of what the cell says at the query, with respect to its states before."""

    lags: list[int]
    """Control steps before the query."""
    norms: NDArray[np.float64]
    """Root mean square over episodes of |dL_T / dh_t|, as parts of that at lag 0."""


class ObservationRecorder:
    """Notes what is seen until the query begins, in the first few episodes. Changes nothing."""

    def __init__(self, episodes: int = _EPISODES, until: str = "query") -> None:
        self._episodes, self._until = episodes, until
        self._seen: dict[int, list[NDArray[Any]]] = {}
        self._done: set[int] = set()

    def __call__(self, moment: Moment) -> Moment:
        """Note."""
        if isinstance(moment.observation, dict):
            return moment
        for row in np.flatnonzero((moment.episode >= 0) & (moment.episode < self._episodes)).tolist():
            episode = int(moment.episode[row])
            if episode in self._done:
                continue
            self._seen.setdefault(episode, []).append(np.array(moment.observation[row]))
            if moment.phase[row] == self._until:
                self._done.add(episode)
        return moment

    def sequences(self) -> NDArray[Any]:
        """Return observations [T, N, D], those before the query and its first, of the episodes of the commonest length.

        Raises:
            UserError: If no episode came to the query.
        """
        seen = [np.stack(self._seen[episode]) for episode in sorted(self._done)]
        if not seen:
            raise UserError(f"no episode came to a phase {self._until!r}")
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
