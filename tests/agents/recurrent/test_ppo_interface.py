"""RecurrentPPO takes and gives what Stable-Baselines3 does, and refuses bad hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, small_ppo
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecMonitor
from torch import nn

from rlmem.agents.recurrent.ppo import RecurrentPPO


@pytest.mark.parametrize("action", ["discrete", "continuous", "multi", "binary"])
@pytest.mark.parametrize("observation", ["vector", "dict", "image"])
def test_every_kind_of_observation_and_action_trains_saves_and_predicts(
    action: str, observation: str, tmp_path: Path
) -> None:
    env = MemoryBandit(2, 3, action=action, observation=observation, truncate_every=2)
    policy = {"vector": "MlpPolicy", "dict": "MultiInputPolicy", "image": "CnnPolicy"}[observation]
    extractor = {"features_extractor_kwargs": {"features_dim": 8}} if observation == "image" else {}
    agent = RecurrentPPO(policy, env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=SMALL | extractor, seed=0)
    before = agent.policy.parameters_to_vector()
    agent.learn(16)
    changed = (agent.policy.parameters_to_vector() != before).mean()
    assert changed > 0.25  # rectifiers of an untrained image network are silent for many inputs
    agent.save(tmp_path / "agent")
    loaded = RecurrentPPO.load(tmp_path / "agent")
    observations = env.reset()
    for tested in (agent, loaded):
        actions, state = tested.predict(observations, deterministic=True)
        assert all(env.action_space.contains(one) for one in actions)
        assert state is not None
        assert {len(part) for part in state} == {2}
    np.testing.assert_array_equal(
        agent.predict(observations, deterministic=True)[0], loaded.predict(observations, deterministic=True)[0]
    )


def test_the_network_for_images_starts_orthogonal_as_that_of_stable_baselines3() -> None:
    env = MemoryBandit(1, 2, observation="image")
    agent = RecurrentPPO("CnnPolicy", env, n_steps=8, batch_size=8, policy_kwargs=SMALL, seed=0)
    layers = [m for m in agent.policy.features_extractor.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 4
    for layer in layers:
        weight = layer.weight.flatten(1)
        gram = weight @ weight.t() if weight.shape[0] <= weight.shape[1] else weight.t() @ weight
        torch.testing.assert_close(gram, 2 * torch.eye(len(gram)), rtol=0, atol=1e-4)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_predict_keeps_the_state_apart_and_empties_it_where_an_episode_starts() -> None:
    agent = small_ppo(MemoryBandit(3, 4))
    observations = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    _, first = agent.predict(observations)
    _, second = agent.predict(observations, first)
    _, restarted = agent.predict(observations, second, episode_start=np.array([True, False, False]))
    _, third = agent.predict(observations, second)
    assert first is not None
    assert restarted is not None
    assert third is not None
    for a, b, c in zip(restarted, first, third, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1:], c[1:])
    action, _ = agent.predict(observations[0])
    assert np.shape(action) == ()


def test_weights_written_by_hand_are_used_at_the_next_prediction() -> None:
    agent = small_ppo(MemoryBandit(2, 4, action="continuous"))
    observation = np.ones((2, 3), np.float32)
    before, _ = agent.predict(observation, deterministic=True)
    weights = {name: value + 0.1 for name, value in agent.policy.state_dict().items()}
    agent.policy.load_state_dict(weights)
    after, _ = agent.predict(observation, deterministic=True)
    assert not np.array_equal(before, after)


def test_callbacks_logger_and_evaluation_of_stable_baselines3_work(tmp_path: Path) -> None:
    env = VecMonitor(MemoryBandit(2, 5))
    agent = small_ppo(env, tensorboard_log=None)
    evaluation = EvalCallback(VecMonitor(MemoryBandit(2, 5, seed=3)), eval_freq=16, n_eval_episodes=4,
                              best_model_save_path=str(tmp_path), verbose=0)  # fmt: skip
    agent.learn(64, [evaluation, CheckpointCallback(16, str(tmp_path), "step")], log_interval=1)
    assert evaluation.last_mean_reward >= -1.0
    assert {"train/approx_kl", "train/value_loss", "train/explained_variance"} <= set(agent.logger.name_to_value)
    assert RecurrentPPO.load(tmp_path / "best_model").num_timesteps > 0
    assert RecurrentPPO.load(tmp_path / "step_32_steps.zip").num_timesteps == 32
    mean, _ = evaluate_policy(agent, VecMonitor(MemoryBandit(2, 5)), n_eval_episodes=4)
    assert -1.0 <= mean <= 1.0


def test_an_environment_can_be_named_by_its_gymnasium_id_and_another_be_set() -> None:
    agent = RecurrentPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, n_epochs=1, policy_kwargs=SMALL)
    agent.learn(64)
    agent.set_env(gymnasium.make("CartPole-v1"))
    assert agent.learn(32, reset_num_timesteps=False).num_timesteps == 96


def test_a_callback_that_stops_leaves_the_weights_of_the_last_complete_rollout() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    before = agent.policy.parameters_to_vector()
    agent.learn(64, lambda _locals, _globals: agent.num_timesteps < 10)
    assert agent.num_timesteps == 10
    assert np.array_equal(before, agent.policy.parameters_to_vector())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 24}, r"batch_size must be a multiple of .* n_steps=16, got 24; nearest: 16 or 32"),
        ({"batch_size": 63, "n_steps": 64}, r"batch_size must be a multiple of .*, got 63; nearest: 48 or 64"),
        ({"batch_size": 24, "seq_len": 16}, r"batch_size must be a multiple of .* 16, got 24; nearest: 16 or 32"),
        ({"batch_size": 32.0}, r"batch_size must be a whole number of at least 1, got 32\.0"),
        ({"batch_size": 1}, r"a minibatch of one step has no spread to normalize advantages by"),
        ({"learning_rate": "1e-3"}, r"learning_rate must be a number, got '1e-3'"),
        ({"gamma": "0.9"}, r"gamma must be a number, got '0\.9'"),
        ({"n_steps": 16.0}, r"n_steps must be a whole number, got 16\.0"),
        ({"target_kl": [0.1]}, r"target_kl must be a number, got \[0\.1\]"),
        ({"cell": 3}, r"cell must be a text, got 3"),
        ({"policy_kwargs": {"net_arch": 64}}, r"net_arch must be a list, each a whole number, got 64"),
        ({"policy_kwargs": {"net_arch": [64.5]}}, r"net_arch must be a list, each a whole number, got \[64\.5\]"),
        ({"policy_kwargs": {"net_arch": {"pi": 8, "vf": [8]}}}, r"net_arch must be a list, each a whole number, got 8"),
        ({"seq_len": 7}, r"seq_len must divide n_steps=16, got 7; nearest that do: 4 or 8"),
        ({"burn_in": 17}, r"burn_in must be 0 to the length of a sequence, 16, got 17"),
        ({"gamma": 1.5}, r"gamma must be from 0 to 1, got 1\.5"),
        ({"learning_rate": float("inf")}, r"learning_rate must be finite, got inf"),
        ({"policy_kwargs": {"log_std_init": float("nan")}}, r"log_std_init must be from -20 to 10, got nan"),
        ({"policy_kwargs": {"log_std_init": 1000}}, r"log_std_init must be from -20 to 10, got 1000"),
        ({"n_epochs": 0}, r"n_epochs must be a whole number of at least 1, got 0"),
        ({"clip_range": -0.2}, r"clip_range must be above 0, got -0\.2"),
        ({"cell": "lstn"}, r"'lstn'.*Did you mean 'lstm'"),
        ({"memory_length": 1}, r"at least 3 control steps, got 1"),
        ({"policy_kwargs": {"hiden_size": 8}}, r"Did you mean 'hidden_size'"),
        ({"policy_kwargs": {"enable_critic_lstm": True, "shared_lstm": True}}, r"leave out enable_critic_lstm or"),
        ({"policy_kwargs": {"lstm_kwargs": {"dropout": 0.1}}}, r"dropout must be 0\.0, got 0\.1: an agent must act as"),
        ({"policy_kwargs": {"share_features_extractor": False, "shared_lstm": True}}, r"leave out one of the two"),
        ({"use_sde": True}, r"use_sde is for continuous actions, got Discrete\(2\): leave it off"),
    ],
)
def test_bad_hyperparameters_are_refused_with_their_value_and_what_would_be_right(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        small_ppo(MemoryBandit(2, 5), **arguments)


def test_a_policy_class_without_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"policy must be one of MlpPolicy.*RecurrentPolicy, got ActorCriticPolicy"):
        RecurrentPPO(ActorCriticPolicy, MemoryBandit(2, 5))


def test_numbers_of_numpy_are_numbers() -> None:
    agent = small_ppo(MemoryBandit(2, 5), n_steps=np.int64(16), batch_size=np.int32(16), gamma=np.float32(0.5))
    assert agent.settings == small_ppo(MemoryBandit(2, 5), batch_size=16, gamma=0.5).settings


@pytest.mark.parametrize(("n_steps", "length"), [(5, 5), (100, 50), (127, 127), (128, 64), (1000, 50), (2048, 64)])
def test_gradients_flow_over_about_64_steps_whatever_the_rollout_divides_into(n_steps: int, length: int) -> None:
    assert RecurrentPPO("MlpPolicy", MemoryBandit(2, 5), n_steps=n_steps).settings.seq_len == length


def test_the_clip_range_is_a_function_of_the_progress_as_stable_baselines3_has_it() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    assert (agent.clip_range(0.5), agent.clip_range_vf) == (0.2, None)
    agent.clip_range = lambda left: 0.3 * left
    assert agent.clip_range(0.5) == 0.15


def sees_apart(**arguments: Any) -> RecurrentPPO:
    """An agent whose critic has a network for images of its own."""
    own = {"share_features_extractor": False, "features_extractor_kwargs": {"features_dim": 8}}
    env = MemoryBandit(2, 3, observation="image")
    sizes: dict[str, Any] = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "ent_coef": 0.0}
    return RecurrentPPO("CnnPolicy", env, policy_kwargs=SMALL | own, seed=0, **sizes | arguments)


def test_a_critic_with_a_features_extractor_of_its_own_trains_that_and_the_actor_the_other() -> None:
    agent = sees_apart(vf_coef=0.0)
    parts = (agent.policy.pi_features_extractor, agent.policy.vf_features_extractor)
    before = [nn.utils.parameters_to_vector(part.parameters()).detach().clone() for part in parts]
    agent.learn(16)
    after = [nn.utils.parameters_to_vector(part.parameters()) for part in parts]
    assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [False, True]
    observations = torch.from_numpy(agent.env.reset())  # type: ignore[union-attr]
    acted, value = agent.predict(observations.numpy(), deterministic=True)[0], agent.policy.predict_values(observations)
    with torch.no_grad():
        for parameter in agent.policy.critic_extractor.parameters():  # type: ignore[union-attr]
            parameter.zero_()
    np.testing.assert_array_equal(acted, agent.predict(observations.numpy(), deterministic=True)[0])
    assert not torch.allclose(value, agent.policy.predict_values(observations))


def test_an_agent_whose_critic_sees_apart_resumes_from_a_file_as_if_it_had_gone_on(tmp_path: Path) -> None:
    agent = sees_apart()
    agent.learn(16).save(tmp_path / "half")
    resumed = RecurrentPPO.load(tmp_path / "half", MemoryBandit(2, 3, observation="image"))
    for model in (agent, resumed):
        model.learn(16, reset_num_timesteps=False)
    np.testing.assert_array_equal(agent.policy.parameters_to_vector(), resumed.policy.parameters_to_vector())
    agent.policy.save(tmp_path / "policy")
    policy = type(agent.policy).load(tmp_path / "policy")
    np.testing.assert_array_equal(agent.policy.parameters_to_vector(), policy.parameters_to_vector())


def test_a_critic_sees_as_the_actor_does_where_features_are_not_learned() -> None:
    assert not small_ppo(
        MemoryBandit(2, 3), policy_kwargs=SMALL | {"share_features_extractor": False}
    ).policy.sees_apart


def test_sb3_contribs_names_mean_the_same() -> None:
    kwargs = {"lstm_hidden_size": 16, "n_lstm_layers": 2, "shared_lstm": True, "enable_critic_lstm": False}
    agent = RecurrentPPO("MlpLstmPolicy", MemoryBandit(2, 5), policy_kwargs=kwargs)
    settings = agent.settings
    assert (settings.hidden_size, settings.n_layers, settings.shared, settings.cell) == (16, 2, True, "lstm")
    assert isinstance(agent.action_space, spaces.Discrete)
