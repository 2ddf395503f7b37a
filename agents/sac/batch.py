"""Minibatches of recurrent SAC: windows of the replay buffer as one grid for each memory to run over.

Sequences are cut where episodes end. Each piece is followed by the observation after it (of a truncated episode its
last one), which the targets need; pieces are packed into columns with blanks between them.

Axes: R windows, L steps of a sequence, K steps of burn-in, P pieces, Q columns that continue an episode, S slots of a
column, B columns, M steps, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.recurrent.packing import IntArray, cut_rows, fill_columns, make_grid
from rlmem.agents.sac.policy import SACPolicy
from rlmem.agents.sac.replay import BROKEN_OFF, TERMINATED, SequenceReplay, Windows
from rlmem.networks.actor_critic import Trunk
from rlmem.networks.numpy_steps import ArrayState


class WarmUp(NamedTuple):
    """What comes before the columns that continue an episode from before their sequence."""

    column: Tensor
    """[Q] which columns these are."""
    features: Tensor
    """[K, Q, F] the steps before."""
    episode_start: Tensor
    """[K, Q] bool"""
    states: ArrayState
    """The stored states before these steps, each part [Q, ...]: of the actor, then of the critic."""


class Batch(NamedTuple):
    """Some sequences."""

    features: Tensor
    """[S, B, F]"""
    blank: Tensor | None
    """[S, B] bool, or None where none is."""
    burn_in: WarmUp
    slot: Tensor
    """[M] the slot (s B + b) of each step."""
    next_slot: Tensor
    """[M] that of the observation after it."""
    actions: Tensor
    """[M, A] from -1 to 1."""
    rewards: Tensor
    """[M]"""
    terminated: Tensor
    """[M] bool"""


def make_batch(policy: SACPolicy, replay: SequenceReplay, windows: Windows) -> Batch:
    """Lay out windows as a minibatch."""
    rows, steps, env = len(windows.env), windows.step[replay.burn_in :], windows.env
    pieces = cut_rows(replay.episode_start[steps, env].T)
    last = pieces.begin + pieces.size - 1
    after = [replay.next_features(int(steps[i, r]), int(env[r])) for i, r in zip(last, pieces.row, strict=True)]
    features = np.concatenate((replay.features[steps, env].reshape(steps.size, -1), np.stack(after)))
    # step (i, r) has number i R + r, the observation after piece p number L R + p
    numbers = np.insert(
        pieces.steps(np.arange(rows), rows), np.cumsum(pieces.size), steps.size + np.arange(len(pieces.size))
    )
    column, top = fill_columns(pieces.size + 1, pieces.continues)
    grid, blank = make_grid(pieces.size + 1, column, top, numbers)
    every, device = grid.ravel(), policy.device
    ends = replay.ends[steps, env].ravel()
    slots = np.flatnonzero((every >= 0) & (every < steps.size))
    slots = slots[ends[every[slots]] != BROKEN_OFF]
    chosen = every[slots]
    place, of = steps.ravel()[chosen], np.tile(env, len(steps))[chosen]
    continuing = pieces.continues.nonzero()[0]
    return Batch(
        features=torch.from_numpy(policy.scaled(features)[np.maximum(grid, 0)]).to(device),
        blank=None if blank is None else torch.from_numpy(blank).to(device),
        burn_in=_burn_in(policy, replay, windows, pieces.row[continuing], column[continuing]),
        slot=torch.from_numpy(slots).to(device),
        next_slot=torch.from_numpy(slots + grid.shape[1]).to(device),
        actions=torch.from_numpy(replay.actions[place, of]).to(device),
        rewards=torch.from_numpy(replay.rewards[place, of]).to(device),
        terminated=torch.from_numpy(ends[chosen] == TERMINATED).to(device),
    )


def _burn_in(policy: SACPolicy, replay: SequenceReplay, windows: Windows, rows: IntArray, columns: IntArray) -> WarmUp:
    steps, env = windows.step[: replay.burn_in, rows], windows.env[rows]
    size = replay.features.shape[-1]
    features = policy.scaled(replay.features[steps, env].reshape(steps.size, size))
    place = windows.step[0, rows] // replay.stride
    return WarmUp(
        torch.from_numpy(columns).to(policy.device),
        torch.from_numpy(features.reshape(*steps.shape, size)).to(policy.device),
        torch.from_numpy(replay.episode_start[steps, env]).to(policy.device),
        tuple(part[place, env] for part in replay.states),
    )


def remembered(trunk: Trunk, batch: Batch, states: ArrayState) -> Tensor:
    """Run a memory over a minibatch and return its outputs [S B, H]; no gradient passes the start of a sequence.

    Args:
        trunk: The memory.
        batch: The minibatch.
        states: What was stored of this memory in ``batch.burn_in.states``.
    """
    burn_in = batch.burn_in
    columns = trunk.initial_state(batch.features.shape[1])
    if len(burn_in.column) and states:
        with torch.no_grad():
            before = tuple(torch.from_numpy(part).to(batch.features.device) for part in states)
            if len(burn_in.features):
                before = trunk.unfold(burn_in.features, burn_in.episode_start, before).state
            columns = tuple(part.index_copy(0, burn_in.column, new) for part, new in zip(columns, before, strict=True))
    return trunk.scan(batch.features, batch.blank, columns).output.flatten(0, 1)
