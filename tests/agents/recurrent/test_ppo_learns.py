"""RecurrentPPO and RecurrentA2C learn to remember, and without memory they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from memory_bandit import MemoryBandit
from ppo_cases import small_ppo
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.envs import IdentityEnv, IdentityEnvBox
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO


def success(agent: RecurrentOnPolicy) -> float:
    assert agent.ep_success_buffer is not None
    return float(np.mean(agent.ep_success_buffer))


class StopWhenSolved(BaseCallback):
    def _on_step(self) -> bool:
        buffer = self.model.ep_success_buffer
        assert buffer is not None
        return len(buffer) < 100 or float(np.mean(buffer)) < 0.97


def learn_bandit(
    agent: type[RecurrentOnPolicy], gap: int, action: str, cell: str, steps: int, **arguments: Any
) -> float:
    env = MemoryBandit(16, gap, action=action)
    made = agent(
        "MlpPolicy",
        env,
        n_steps=128,
        ent_coef=0.01,
        cell=cell,
        memory_length=gap,
        policy_kwargs={"hidden_size": 32, "net_arch": [32]},
        seed=0,
        **arguments,
    )
    made.learn(steps, StopWhenSolved())
    return success(made)


PPO_FAST: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 512, "n_epochs": 6}


@pytest.mark.parametrize(("gap", "action"), [(20, "discrete"), (20, "continuous"), (50, "discrete")])
def test_ppo_with_an_lstm_learns_to_remember(gap: int, action: str) -> None:
    assert learn_bandit(RecurrentPPO, gap, action, "lstm", 80_000, **PPO_FAST) >= 0.95


def test_ppo_with_state_dependent_noise_learns_to_remember() -> None:
    noise = {"use_sde": True, "sde_sample_freq": 4}
    assert learn_bandit(RecurrentPPO, 20, "continuous", "lstm", 80_000, **PPO_FAST, **noise) >= 0.95


def test_ppo_without_memory_stays_at_chance() -> None:
    assert 0.3 < learn_bandit(RecurrentPPO, 20, "discrete", "memoryless", 40_000, **PPO_FAST) < 0.7


def test_ppo_with_a_diagonal_cell_learns_to_remember() -> None:
    assert learn_bandit(RecurrentPPO, 20, "discrete", "lru", 80_000, **PPO_FAST) >= 0.95


def test_a2c_with_an_lstm_learns_to_remember() -> None:
    assert learn_bandit(RecurrentA2C, 10, "discrete", "lstm", 250_000, learning_rate=3e-3) >= 0.95


@pytest.mark.parametrize("agent", [RecurrentPPO, RecurrentA2C])
@pytest.mark.parametrize("continuous", [False, True])
def test_the_defaults_pass_the_identity_tests_of_stable_baselines3(
    agent: type[RecurrentOnPolicy], continuous: bool
) -> None:
    env = DummyVecEnv([lambda: IdentityEnvBox(eps=0.5) if continuous else IdentityEnv(4)])
    arguments = {"gamma": 0.95, "seed": 0} if continuous else {"gamma": 0.4, "seed": 3}
    made = agent("MlpLstmPolicy", env, **arguments).learn(2_500)
    evaluate_policy(made, env, 10, reward_threshold=90, warn=False)


def test_target_kl_stops_a_rollouts_updates() -> None:
    far, near = (
        small_ppo(MemoryBandit(2, 5), learning_rate=0.05, n_epochs=20, target_kl=kl).learn(32) for kl in (None, 0.001)
    )
    assert near._n_updates < far._n_updates == 20


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    weights = [small_ppo(MemoryBandit(2, 5), seed=seed).learn(64).policy.parameters_to_vector() for seed in (1, 1, 2)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
