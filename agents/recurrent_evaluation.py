"""One pass over a rollout after it: values of all steps, of the last observations and of those at truncations.

Axes: T time, N environments.
"""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch

from rlmem.agents.recurrent_policy import RecurrentPolicy
from rlmem.cell import ArrayState
from rlmem.policy import array_state, restart
from rlmem.returns import BoolArray, generalised_advantages
from rlmem.rollout import Observations, Rollout, joined_steps, map_observations


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
    *,
    gamma: float,
    gae_lambda: float,
) -> ArrayState:
    """Fill in log-probabilities, values, advantages, returns and the critic's states at row starts.

    Args:
        policy: The policy that acted, with the weights it acted with.
        rollout: A complete rollout.
        critic_state: The critic's state before it, each part [N, ...].
        last: What followed it.
        gamma: Discount factor.
        gae_lambda: Trade-off between bias (0) and variance (1).

    Returns:
        The critic's state after the rollout.
    """
    critic = policy.network.critic
    step, fresh = critic.numpy_step(), array_state(critic.initial_state(1))
    features = policy.encode(joined_steps(rollout.observations)).reshape(rollout.n_steps, rollout.n_envs, -1)
    ends: dict[int, list[int]] = {}
    for terminal in rollout.terminal:
        ends.setdefault(terminal.t, []).append(terminal.n)
    latent = np.empty((*features.shape[:2], critic.hidden_size), np.float32)
    kept: list[ArrayState] = []
    at_ends: list[ArrayState] = []
    state = critic_state
    for t in range(rollout.n_steps):
        kept += [state] * rollout.state_times.count(t)
        latent[t], state = step(features[t], restart(state, fresh, rollout.episode_start[t]))
        if t in ends:
            at_ends.append(tuple(part[ends[t]] for part in state))
    rollout.critic_states = tuple(np.stack(parts) for parts in zip(*kept, strict=True))
    last_latent, _ = step(policy.encode(last.observations), restart(state, fresh, last.episode_start))
    latents = [latent.reshape(-1, critic.hidden_size), last_latent]
    if rollout.terminal:
        cut = policy.encode(_stack([terminal.observation for terminal in rollout.terminal]))
        latents.append(step(cut, tuple(np.concatenate(parts) for parts in zip(*at_ends, strict=True)))[0])
    with torch.no_grad():
        latents_tensor = torch.from_numpy(np.concatenate(latents)).to(policy.device)
        values = policy.network.critic_net(latents_tensor).squeeze(-1).cpu().numpy()
        outputs, actions = (torch.from_numpy(array).to(policy.device) for array in (rollout.outputs, rollout.actions))
        rollout.log_probs[:] = policy.head.log_prob_and_entropy(outputs, actions)[0].cpu().numpy()
    count = rollout.n_steps * rollout.n_envs
    rollout.values[:] = values[:count].reshape(rollout.values.shape)
    next_values = np.concatenate((rollout.values[1:], values[None, count : count + rollout.n_envs]))
    for terminal, value in zip(rollout.terminal, values[count + rollout.n_envs :], strict=True):
        next_values[terminal.t, terminal.n] = value
    rollout.advantages, rollout.returns = generalised_advantages(
        rollout.rewards,
        rollout.values,
        next_values,
        rollout.terminated,
        rollout.truncated,
        gamma=gamma,
        gae_lambda=gae_lambda,
    )
    return state


def follow(policy: RecurrentPolicy, rollout: Rollout, critic_state: ArrayState, steps: int) -> ArrayState:
    """Return the critic's state after the first ``steps`` of a rollout, from that before it."""
    critic = policy.network.critic
    step, fresh = critic.numpy_step(), array_state(critic.initial_state(1))
    for t in range(steps):
        features = policy.encode(map_observations(itemgetter(t), rollout.observations))
        _, critic_state = step(features, restart(critic_state, fresh, rollout.episode_start[t]))
    return critic_state


def _stack(observations: list[Observations]) -> Observations:
    first = observations[0]
    if isinstance(first, dict):
        return {key: np.stack([entry[key] for entry in observations]) for key in first}
    return np.stack(observations)  # type: ignore[arg-type]
