"""What a rollout holds, and minibatches of its rows for one call of the network.

A *row* is ``seq_len`` steps of one environment; a minibatch is some rows. Only the state at the start of each row is
kept.

Axes: T time, N environments, R rows, M steps of a minibatch, S slots and B columns of their grid, F features, A action
components.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlmem.agents.recurrent.packing import BoolArray, Grid, IntArray, lay_out
from rlmem.agents.recurrent.policy import Observations, RecurrentPolicy, joined_steps, map_observations
from rlmem.errors import UserError
from rlmem.networks.actor_critic import Trunks
from rlmem.networks.cells import Stack
from rlmem.networks.numpy_steps import ArrayState, FloatArray
from rlmem.privileged import PRIVILEGED


class TerminalObservation(NamedTuple):
    """The last observation of an episode that was cut off."""

    t: int
    n: int
    observation: Observations


class Rollout:
    """Preallocated arrays [T, N] of a rollout; terminations and truncations apart.

    Args:
        n_steps: T.
        n_envs: N.
        seq_len: Steps of a row, a divisor of T.
        burn_in: Steps before a row over which its state is warmed up with the current weights.
        observations: An example of the observations of all environments, [N, ...].
        action_shape: Shape of one action.
        action_dtype: Type of the actions.
        output_size: P, the number of parameters of one action distribution.
    """

    def __init__(
        self,
        n_steps: int,
        n_envs: int,
        *,
        seq_len: int,
        burn_in: int,
        observations: Observations,
        action_shape: tuple[int, ...],
        action_dtype: type[np.generic],
        output_size: int,
    ) -> None:
        shape = (n_steps, n_envs)
        self.n_steps, self.n_envs, self.seq_len, self.burn_in = n_steps, n_envs, seq_len, burn_in
        self.observations: Observations = map_observations(
            lambda example: np.zeros((n_steps, *example.shape), example.dtype), observations
        )
        self.actions = np.zeros((*shape, *action_shape), action_dtype)
        self.outputs = np.zeros((*shape, output_size), np.float32)
        self.rewards, self.values, self.log_probs = (np.zeros(shape, np.float32) for _ in range(3))
        self.advantages, self.returns = (np.zeros(shape, np.float32) for _ in range(2))
        self.episode_start, self.terminated, self.truncated = (np.zeros(shape, bool) for _ in range(3))
        self.masks: BoolArray | None = None
        """[T, N, P] which choices the environments allowed, where they say."""
        self.wanted: NDArray[Any] | None = None
        """[T, N, A] what an expert would have done, where one is imitated."""
        self.terminal: list[TerminalObservation] = []
        self.actor_states: ArrayState = ()
        self.critic_states: ArrayState = ()
        """Each part [K, N, ...]: the states before the steps ``state_times``."""
        self.state_times = [0, *range(seq_len - burn_in, n_steps - burn_in, seq_len)]

    def add(
        self,
        t: int,
        observations: Observations,
        episode_start: BoolArray,
        actions: NDArray[Any],
        outputs: FloatArray,
    ) -> None:
        """Write what is known of one step before the environments take it."""
        if t == 0:
            self.terminal = []
        if isinstance(self.observations, dict):
            for key, array in self.observations.items():
                array[t] = observations[key]
        else:
            self.observations[t] = observations
        self.episode_start[t], self.actions[t], self.outputs[t] = episode_start, actions, outputs
        self.terminated[t] = self.truncated[t] = False

    def end(self, t: int, n: int, terminal_observation: Observations | None) -> None:
        """Note that an episode ended with step ``t``: cut off if there is a terminal observation, else for good."""
        if terminal_observation is None:
            self.terminated[t, n] = True
        else:
            self.truncated[t, n] = True
            self.terminal.append(TerminalObservation(t, n, map_observations(np.array, terminal_observation)))

    def check_finite(self, first_step: int, steps: int | None = None) -> None:
        """Raise a UserError if a reward or an observation is not finite.

        Args:
            first_step: Control steps that each environment had taken before the rollout.
            steps: How many steps of the rollout have an observation. None: all, and rewards too.
        """
        observations = self.observations if isinstance(self.observations, dict) else {"": self.observations}
        rewards = {"reward": self.rewards} if steps is None else {}
        for name, whole in {**rewards, **observations}.items():
            array = whole[:steps]
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                t, n, *_ = np.argwhere(~np.isfinite(array))[0].tolist()
                what = name if name == "reward" else f"observation {name!r}" if name else "observation"
                # a reward comes with the step after the observation of the same t
                step = first_step + t + (name == "reward")
                raise UserError(
                    f"the {what} of environment {n} at its control step {step} holds NaN or infinity: "
                    "nothing was learned from it; check the environment"
                )
        for terminal in self.terminal:
            parts = terminal.observation.values() if isinstance(terminal.observation, dict) else [terminal.observation]
            if not all(np.isfinite(part).all() for part in parts):
                raise UserError(
                    f"the last observation of an episode of environment {terminal.n}, after its control step "
                    f"{first_step + terminal.t + 1}, holds NaN or infinity: check the environment"
                )

    @property
    def n_rows(self) -> int:
        """Rows in the whole rollout; row r is steps (r // N) seq_len onwards of environment r % N."""
        return self.n_steps // self.seq_len * self.n_envs

    def row_states(self, states: ArrayState, rows: IntArray) -> ArrayState:
        """Return the states kept for some rows [R], each part [R, ...]: at their start, or ``burn_in`` before it."""
        return tuple(part[rows // self.n_envs, rows % self.n_envs] for part in states)

    def burn_in_steps(self, rows: IntArray) -> IntArray:
        """Return the steps (t N + n) before some rows, [burn_in, R]; rows at t = 0 have none and may not be asked."""
        start = rows // self.n_envs * self.seq_len - self.burn_in
        return (start + np.arange(self.burn_in)[:, None]) * self.n_envs + rows % self.n_envs

    def grid(self, rows: IntArray) -> Grid:
        """Lay out some rows [R]."""
        first, env = rows // self.n_envs * self.seq_len, rows % self.n_envs
        starts = self.episode_start[first[:, None] + np.arange(self.seq_len), env[:, None]]
        return lay_out(starts, first * self.n_envs + env, self.n_envs)


class Minibatch(NamedTuple):
    """Some rows as a grid, and what the losses need of each of their M steps."""

    features: Tensor
    """[S, B, F] features of the observations, anything in slots without a step"""
    critic_features: Tensor
    """[S, B, C] the same of what the critic sees."""
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
    masks: Tensor | None
    """[M, P] bool, which choices were allowed, or None where all were."""
    labels: Tensor | None
    """[M, K] what the auxiliary loss predicts, or None where there is none."""
    wanted: Tensor | None
    """[M, A] what an expert would have done, or None where none is imitated."""


def lay_out_minibatch(
    policy: RecurrentPolicy, rollout: Rollout, rows: IntArray, *, normalize_advantage: bool
) -> Minibatch:
    """Lay out some rows [R] of the last rollout for one call of the network."""
    device, auxiliary = policy.device, policy.auxiliary
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
    seen = map_observations(itemgetter(in_slots), joined_steps(rollout.observations))
    features = policy.features(seen)
    critic_features = policy.critic_features(seen) if policy.sees_apart else features
    return Minibatch(
        features=features.view(*grid.step.shape, -1),
        critic_features=critic_features.view(*grid.step.shape, -1),
        blank=None if grid.blank is None else torch.from_numpy(grid.blank).to(device),
        states=_column_states(policy, rollout, rows, grid.source),
        slots=None if len(slots) == len(every) else torch.from_numpy(slots).to(device),
        actions=of_steps(rollout.actions),
        log_probs=of_steps(rollout.log_probs),
        values=of_steps(rollout.values),
        advantages=advantages,
        returns=of_steps(rollout.returns),
        masks=None if rollout.masks is None else of_steps(rollout.masks),
        labels=None if auxiliary is None else auxiliary.labels(of_steps(rollout.observations[PRIVILEGED])),
        wanted=None if rollout.wanted is None else of_steps(rollout.wanted),
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
        see = policy.features if trunk is policy.network.actor else policy.critic_features
        features = see(before).view(*steps.shape, -1)
        starts = torch.from_numpy(rollout.episode_start.ravel()[steps]).to(policy.device)
        index = torch.from_numpy(np.flatnonzero(late)).to(policy.device)
        warm = trunk.unfold(features, starts, tuple(part[index] for part in states)).state
        return tuple(part.index_copy(0, index, new) for part, new in zip(states, warm, strict=True))
