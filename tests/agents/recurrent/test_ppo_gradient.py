"""What RecurrentPPO trains on, and the gradient it takes, are those of the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, collect, small_ppo

from rlmem.agents.recurrent.packing import lay_out
from rlmem.networks.cells import CELLS


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("shared", [False, True])
def test_the_first_ratio_is_1_so_acting_and_training_are_the_same_network(cell: str, shared: bool) -> None:
    agent = small_ppo(
        MemoryBandit(3, 4, truncate_every=3), n_steps=12, batch_size=12, seq_len=6, cell=cell,
        policy_kwargs=SMALL | {"shared": shared, "n_layers": 2},
    )  # fmt: skip
    agent.learn(36)
    collect(agent)
    for rows in agent.minibatches(2):
        batch = agent.minibatch(rows)
        log_probs, _, values, *_ = agent.evaluate(batch)
        for now, then in ((log_probs, batch.log_probs), (values, batch.values)):
            torch.testing.assert_close(now, then, rtol=1e-4, atol=1e-5)


def test_advantages_bootstrap_from_the_terminal_observation_under_its_own_hidden_state() -> None:
    # gap 4 in 5 steps ends for good; every other environment's episodes are cut off after 3 steps
    class Mixed(MemoryBandit):
        def step_wait(self) -> Any:
            self.truncate_every = np.array([0, 3])
            return super().step_wait()

    agent = small_ppo(Mixed(2, 4), n_steps=7, batch_size=7, gamma=0.9, gae_lambda=0.8)
    collect(agent)
    rollout, critic, net = agent.rollout_buffer, agent.policy.network.critic, agent.policy.network.critic_net
    assert rollout.terminated[:, 0].tolist() == [False] * 4 + [True] + [False] * 2
    assert rollout.truncated[:, 1].tolist() == [False, False, True, False, False, True, False]
    observations = torch.from_numpy(np.asarray(rollout.observations))
    last = torch.from_numpy(np.asarray(agent._last_obs))
    for n, ends in ((0, [4]), (1, [2, 5])):
        state, values, after = critic.initial_state(1), [], {}
        for t in range(7):
            hidden, state = critic(observations[t, n : n + 1], state)
            values.append(net(hidden).item())
            if t in ends:
                terminal = torch.tensor([[0.0, 0.0, 1.0]])  # neither cue nor question, as after 3 steps
                after[t] = 0.0 if n == 0 else net(critic(terminal, state)[0]).item()
                state = critic.initial_state(1)
        after[6] = net(critic(last[n : n + 1], state)[0]).item()
        advantage = 0.0
        for t in reversed(range(7)):
            follows = after[t] if t in after else values[t + 1]
            delta = rollout.rewards[t, n] + 0.9 * follows - values[t]
            advantage = delta + (0.0 if t in ends else 0.72 * advantage)
            assert rollout.advantages[t, n] == pytest.approx(advantage, abs=1e-5)
            assert rollout.values[t, n] == pytest.approx(values[t], abs=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "rtu"])
def test_the_gradient_of_a_minibatch_is_that_of_its_rows_one_by_one(name: str) -> None:
    agent = small_ppo(
        MemoryBandit(4, 4, truncate_every=3), n_steps=24, batch_size=96, seq_len=24, cell=name,
        normalize_advantage=False,
    )  # fmt: skip
    agent.learn(96)
    collect(agent)
    rows = np.arange(4)

    def gradient(which: np.ndarray) -> torch.Tensor:
        agent.policy.zero_grad()
        agent.loss(agent.minibatch(which), 0.2, None)[0].backward()
        return torch.cat([parameter.grad.flatten() for parameter in agent.policy.parameters()])

    together = gradient(rows)
    apart = sum(gradient(rows[i : i + 1]) for i in range(4)) / 4
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)


def test_a_row_whose_state_was_warmed_up_starts_from_the_state_of_the_current_weights() -> None:
    agent = small_ppo(MemoryBandit(2, 30), n_steps=16, batch_size=16, seq_len=8, burn_in=8)
    collect(agent)
    with torch.no_grad():
        agent.policy.network.actor.layers[0].bias.add_(0.5)
    warm = agent.minibatch(np.array([2, 3])).states.actor
    observations = torch.from_numpy(np.asarray(agent.rollout_buffer.observations))
    state = agent.policy.network.actor.initial_state(2)
    for t in range(8):
        _, state = agent.policy.network.actor(observations[t], state)
    for ours, expected in zip(warm, state, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        assert not ours.requires_grad


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_holds_every_step_once_and_in_order_with_a_blank_before_every_inner_episode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.random((6, 20)) < (0.0, 0.05, 0.2, 0.5, 1.0)[seed]
    grid = lay_out(starts, np.arange(6) * 20, 1)
    assert sorted(grid.step[grid.step >= 0]) == list(range(120))
    for column, source in zip(range(grid.step.shape[1]), grid.source, strict=True):
        for slot, step in enumerate(grid.step[:, column]):
            if step < 0:
                continue
            if slot == 0:
                assert (source == step // 20 and step % 20 == 0) if not starts.flat[step] else source == -1
            elif starts.flat[step]:
                assert grid.blank is not None
                assert grid.blank[slot - 1, column]
                assert grid.step[slot - 1, column] == -1
            else:
                assert grid.step[slot - 1, column] == step - 1


def test_a_shared_trunk_is_trained_by_both_losses() -> None:
    agent = small_ppo(MemoryBandit(2, 5), policy_kwargs=SMALL | {"shared": True})
    collect(agent)
    batch = agent.minibatch(np.arange(2))
    log_probs, _, values, *_ = agent.evaluate(batch)
    weight = agent.policy.network.actor.layers[0].hidden_weight
    for part in (values, log_probs):
        agent.policy.zero_grad()
        part.sum().backward(retain_graph=True)
        assert weight.grad.abs().sum() > 0
