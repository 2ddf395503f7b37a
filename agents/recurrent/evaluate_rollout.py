"""Values and generalized advantages of a complete rollout, in one pass of the critic.

Episodes stand side by side in one call of the critic, and the observation an episode was truncated at is its last step.
The sum over future errors stops at each episode's end; at a truncation the value of the last observation stands for the
rest.

Sources: Schulman, Moritz, Levine, Jordan and Abbeel, "High-Dimensional Continuous Control Using Generalized Advantage
Estimation", ICLR 2016, equation 16; truncation after Pardo, Tavakoli, Levdik and Kormushev, "Time Limits in
Reinforcement Learning", ICML 2018.

Axes: T time, N environments, K truncated episodes, F features.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.recurrent.packing import BoolArray, IntArray, cut_rows, fill_columns, make_grid
from rlmem.agents.recurrent.policy import Observations, RecurrentPolicy, joined_steps
from rlmem.agents.recurrent.rollout import Rollout
from rlmem.agents.recurrent.settings import RecurrentSettings
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.numpy_steps import ArrayState, FloatArray, reset_where


class LastObservations(NamedTuple):
    """What a rollout led to."""

    observations: Observations
    """[N, ...]"""
    episode_start: BoolArray
    """[N] where they are the first of an episode."""


def evaluate_rollout(
    policy: RecurrentPolicy,
    rollout: Rollout,
    critic_state: ArrayState,
    last: LastObservations,
    settings: RecurrentSettings,
) -> ArrayState:
    """Fill in log-probabilities, values, advantages, returns and the critic's states at row starts.

    Args:
        policy: The policy that acted, with the weights it acted with.
        rollout: A complete rollout.
        critic_state: The critic's state before it, each part [N, ...].
        last: What followed it.
        settings: With the discount factor and the trade-off of advantages.

    Returns:
        The critic's state after the rollout.
    """
    with torch.no_grad():
        pass_over = _Pass(policy, rollout)
        state, kept = critic_state, []
        for first, end in pairwise([*rollout.state_times, rollout.n_steps]):
            kept.append(state)
            state = pass_over.run(state, first, end)
        last_values = pass_over.step(policy.critic_encode(last.observations), state, last.episode_start)
        outputs, actions = (torch.from_numpy(array).to(policy.device) for array in (rollout.outputs, rollout.actions))
        rollout.log_probs[:] = policy.head.log_prob_and_entropy(outputs, actions)[0].cpu().numpy()
    rollout.critic_states = tuple(np.stack(parts) for parts in zip(*kept, strict=True))
    rollout.values[:] = pass_over.values[: rollout.values.size].reshape(rollout.values.shape)
    next_values = np.concatenate((rollout.values[1:], last_values[None]))
    for terminal, value in zip(rollout.terminal, pass_over.values[rollout.values.size :], strict=True):
        next_values[terminal.t, terminal.n] = value
    rollout.advantages, rollout.returns = generalized_advantages(
        rollout.rewards,
        rollout.values,
        next_values,
        rollout.terminated,
        rollout.truncated,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
    )
    return state


class Returns(NamedTuple):
    """What :func:`generalized_advantages` returns."""

    advantages: FloatArray
    """[T, N] how much better than expected each action turned out."""
    returns: FloatArray
    """[T, N] the targets of the value function, advantages + values."""


def generalized_advantages(
    rewards: FloatArray,
    values: FloatArray,
    next_values: FloatArray,
    terminated: BoolArray,
    truncated: BoolArray,
    *,
    gamma: float,
    gae_lambda: float,
) -> Returns:
    """Estimate advantages: discounted sums of future errors of the value, each up to the end of its episode.

    Args:
        rewards: [T, N] the reward of each step.
        values: [T, N] the value of the observation each step started from.
        next_values: [T, N] the value of the observation each step led to: at a truncation that of the terminal
            observation, not that of the next episode's first one. Ignored at terminations.
        terminated: [T, N] true where the episode ended for good: the future is worth 0.
        truncated: [T, N] true where the episode was cut off: the future is worth ``next_values``.
        gamma: Discount factor, 0 to 1.
        gae_lambda: Trade-off between bias (0) and variance (1).

    Raises:
        ValueError: If shapes differ, or ``gamma`` or ``gae_lambda`` is not in [0, 1].
    """
    for name, number in (("gamma", gamma), ("gae_lambda", gae_lambda)):
        if not 0.0 <= number <= 1.0:
            raise UserError(f"{name} must be in [0, 1], got {number}")
    shapes = {array.shape for array in (rewards, values, next_values, terminated, truncated)}
    if len(shapes) != 1:
        raise ValueError(f"all arrays must have one shape [T, N], got {sorted(shapes)}")
    errors = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    carry = gamma * gae_lambda * ~(terminated | truncated)
    advantages = np.empty(rewards.shape, np.float32)
    following = np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        following = errors[t] + carry[t] * following
        advantages[t] = following
    return Returns(advantages, (advantages + values).astype(np.float32))


class _Pass:
    """The critic over a rollout; steps are numbered t*N + n, the observations at truncations from T*N on."""

    def __init__(self, policy: RecurrentPolicy, rollout: Rollout) -> None:
        self.critic, self.net, self.device = policy.network.critic, policy.network.critic_net, policy.device
        self.starts, self.n_envs = rollout.episode_start, rollout.n_envs
        self.one_step, self.fresh = self.critic.numpy_step(), array_state(self.critic.initial_state(1))
        features = [policy.critic_encode(joined_steps(rollout.observations))]
        self.terminal = np.full(rollout.rewards.shape, -1)
        """[T, N] the number of the observation at which an episode was cut off, -1 elsewhere."""
        for k, terminal in enumerate(rollout.terminal):
            self.terminal[terminal.t, terminal.n] = rollout.rewards.size + k
        if rollout.terminal:
            features.append(policy.critic_encode(_stack([terminal.observation for terminal in rollout.terminal])))
        self.features = np.concatenate(features)
        self.values = np.empty(len(self.features), np.float32)

    def run(self, state: ArrayState, first: int, end: int) -> ArrayState:
        """Fill in the values of steps ``first`` to ``end`` and return the state after them."""
        if first == end:
            return state
        env, begin, size, continues = pieces = cut_rows(self.starts[first:end].T)
        numbers = np.split(
            pieces.steps(first * self.n_envs + np.arange(self.n_envs), self.n_envs), np.cumsum(size)[:-1]
        )
        cut_off = self.terminal[first + begin + size - 1, env]
        final = np.append(env[1:] != env[:-1], True)
        # episodes that end before the last step, each with the observation it was cut off at
        inner = np.flatnonzero(~final)
        if len(inner):
            parts = [np.append(numbers[i], cut_off[i]) if cut_off[i] >= 0 else numbers[i] for i in inner]
            sizes = np.array([len(part) for part in parts])
            column, top = fill_columns(sizes, continues[inner])
            entering = continues[inner]
            source = np.full(int(column.max()) + 1, -1)
            source[column[entering]] = env[inner][entering]
            start = reset_where(tuple(part[source] for part in state), self.fresh, source < 0)
            self._scan(sizes, column, top, np.concatenate(parts), start)
        # the others, one for each environment, bottom-aligned: the last slot holds every environment's final state
        sizes = size[final]
        start = reset_where(state, self.fresh, ~continues[final])
        parts = [numbers[i] for i in np.flatnonzero(final)]
        state = self._scan(sizes, np.arange(self.n_envs), sizes.max() - sizes, np.concatenate(parts), start)
        cut_off = cut_off[final]
        if (cut_off >= 0).any():
            at = cut_off[cut_off >= 0]
            self.values[at] = self.step(self.features[at], tuple(part[cut_off >= 0] for part in state))
        return state

    def _scan(
        self, size: IntArray, column: IntArray, top: IntArray, numbers: IntArray, start: ArrayState
    ) -> ArrayState:
        """Fill in the values of some pieces laid out as a grid and return the state after its last slots."""
        grid, blank = make_grid(size, column, top, numbers)
        xs = self._tensor(self.features[np.maximum(grid, 0)])
        empty = None if blank is None else self._tensor(blank)
        latent, state = self.critic.scan(xs, empty, tuple(self._tensor(part) for part in start))
        real = grid >= 0
        self.values[grid[real]] = self.net(latent).squeeze(-1).cpu().numpy()[real]
        return tuple(part.cpu().numpy() for part in state)

    def step(self, features: FloatArray, state: ArrayState, episode_start: BoolArray | None = None) -> FloatArray:
        """Return the values of one more observation of some environments, from features [N, F] and their states."""
        if episode_start is not None:
            state = reset_where(state, self.fresh, episode_start)
        values: FloatArray = self.net(self._tensor(self.one_step(features, state)[0])).squeeze(-1).cpu().numpy()
        return values

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def _stack(observations: list[Observations]) -> Observations:
    first = observations[0]
    if isinstance(first, dict):
        return {key: np.stack([entry[key] for entry in observations]) for key in first}
    return np.stack(observations)  # type: ignore[arg-type]
