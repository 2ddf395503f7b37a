"""Rows of a rollout as one call of the network: the grid, the states it starts from, and what the losses need.

Axes: R rows, M steps, S slots and B columns of their grid, F features, A action components.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.agents.recurrent.rollout import IntArray, Rollout, joined_steps, map_observations
from rlmem.networks.actor_critic import Trunks
from rlmem.networks.cells import Stack


class Minibatch(NamedTuple):
    """Some rows as a grid, and what the losses need of each of their M steps."""

    features: Tensor
    """[S, B, F] features of the observations, anything in slots without a step"""
    blank: Tensor | None
    """[S, B] bool"""
    states: Trunks
    """The states before the first slots, each part [B, ...]."""
    slots: Tensor | None
    """[M] the slot (s B + b) of each step, or None where every slot holds one."""
    actions: Tensor
    """[M, A]"""
    log_probs: Tensor
    """[M] of the actions when they were taken."""
    values: Tensor
    """[M] when the actions were taken."""
    advantages: Tensor
    """[M]"""
    returns: Tensor
    """[M]"""


def lay_out_minibatch(
    policy: RecurrentPolicy, rollout: Rollout, rows: IntArray, *, normalize_advantage: bool
) -> Minibatch:
    """Lay out some rows [R] of the last rollout for one call of the network."""
    device = policy.device
    grid = rollout.grid(rows)
    every = grid.step.ravel()
    slots = np.flatnonzero(every >= 0)
    steps = every[slots]

    def of_steps(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.reshape(-1, *array.shape[2:])[steps]).to(device)

    advantages = of_steps(rollout.advantages)
    if normalize_advantage and len(steps) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    in_slots = np.maximum(every, 0)
    features = policy.features(map_observations(itemgetter(in_slots), joined_steps(rollout.observations)))
    return Minibatch(
        features=features.view(*grid.step.shape, -1),
        blank=None if grid.blank is None else torch.from_numpy(grid.blank).to(device),
        states=_column_states(policy, rollout, rows, grid.source),
        slots=None if len(slots) == len(every) else torch.from_numpy(slots).to(device),
        actions=of_steps(rollout.actions),
        log_probs=of_steps(rollout.log_probs),
        values=of_steps(rollout.values),
        advantages=advantages,
        returns=of_steps(rollout.returns),
    )


def _column_states(policy: RecurrentPolicy, rollout: Rollout, rows: IntArray, source: IntArray) -> Trunks:
    """Return the states that the columns of a grid start from, each part [B, ...]."""
    network = policy.network
    kept = [(network.actor, rollout.actor_states)]
    if not network.settings.shared:
        kept.append((network.critic, rollout.critic_states))
    continues = source >= 0
    trunks = []
    for trunk, states in kept:
        columns = trunk.initial_state(len(source))
        if continues.any():
            row_states = tuple(
                torch.from_numpy(part).to(policy.device) for part in rollout.row_states(states, rows[source[continues]])
            )
            if rollout.burn_in:
                row_states = _warm_up(policy, rollout, trunk, row_states, rows[source[continues]])
            index = torch.from_numpy(np.flatnonzero(continues)).to(policy.device)
            columns = tuple(part.index_copy(0, index, new) for part, new in zip(columns, row_states, strict=True))
        trunks.append(columns)
    return Trunks(trunks[0], trunks[-1])


def _warm_up(
    policy: RecurrentPolicy, rollout: Rollout, trunk: Stack, states: tuple[Tensor, ...], rows: IntArray
) -> tuple[Tensor, ...]:
    """Run the steps before some rows with the current weights, without gradient."""
    late = rows >= rollout.n_envs
    if not late.any():
        return states
    steps = rollout.burn_in_steps(rows[late])
    with torch.no_grad():
        before = map_observations(lambda array: array[steps.ravel()], joined_steps(rollout.observations))
        features = policy.features(before).view(*steps.shape, -1)
        starts = torch.from_numpy(rollout.episode_start.ravel()[steps]).to(policy.device)
        index = torch.from_numpy(np.flatnonzero(late)).to(policy.device)
        warm = trunk.unfold(features, starts, tuple(part[index] for part in states)).state
        return tuple(part.index_copy(0, index, new) for part, new in zip(states, warm, strict=True))
