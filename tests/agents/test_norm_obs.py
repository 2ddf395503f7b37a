"""Observations scaled by running statistics: as they were seen, frozen in evaluation, saved, resumed and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from memory_bandit import MemoryBandit
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.export import export_numpy, export_onnx
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.recurrent.reward_scale import RewardScale
from rlmem.errors import UserError
from rlmem.networks.feature_scale import FeatureScale
from rlmem.registry import agent_class

SMALL: dict[str, Any] = {"n_steps": 32, "seed": 0, "policy_kwargs": {"hidden_size": 8, "net_arch": [8]}}


def scale_of(agent: Any) -> FeatureScale:
    scale = agent.policy.scale
    assert isinstance(scale, FeatureScale)
    return scale


def test_running_statistics_are_those_of_all_that_was_seen() -> None:
    rng, scale = np.random.default_rng(0), FeatureScale(3)
    parts = [rng.normal(5.0, 3.0, (size, 3)).astype(np.float32) for size in (1, 40, 7)]
    for part in parts:
        scale.update(part)
    seen = np.concatenate(parts).astype(np.float64)
    np.testing.assert_allclose(scale.mean.numpy(), seen.mean(0), rtol=1e-9)
    np.testing.assert_allclose(scale.variance.numpy(), seen.var(0), rtol=1e-9)
    np.testing.assert_allclose(scale.on_arrays(seen.astype(np.float32)).std(0), 1.0, rtol=1e-4)
    assert np.abs(scale.on_arrays(np.full((1, 3), 1e6, np.float32))).max() == 10.0


@pytest.mark.parametrize("make", [RecurrentPPO, RecurrentA2C])
@pytest.mark.parametrize("observation", ["vector", "dict"])
def test_it_learns_with_rollouts_that_count_and_acts_with_statistics_that_stay(make: Any, observation: str) -> None:
    agent = make("MultiInputPolicy" if observation == "dict" else "MlpPolicy",
                 MemoryBandit(4, 5, observation=observation), norm_obs=True, **SMALL)  # fmt: skip
    agent.learn(3 * 4 * 32)
    before = [buffer.clone() for buffer in scale_of(agent).buffers()]
    assert float(scale_of(agent).count) == 3 * 4 * 32
    agent.predict(MemoryBandit(4, 5, observation=observation).reset())
    assert all(map(lambda a, b: bool((a == b).all()), before, scale_of(agent).buffers()))


def test_a_resumed_run_is_the_run_and_others_act_as_the_agent_does(tmp_path: Path) -> None:
    def fresh() -> RecurrentPPO:
        return RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), norm_obs=True, **SMALL)

    whole = fresh().learn(4 * 4 * 32)
    fresh().learn(2 * 4 * 32).save(tmp_path / "half")
    half = RecurrentPPO.load(tmp_path / "half", env=MemoryBandit(4, 5))
    half.learn(2 * 4 * 32, reset_num_timesteps=False)
    for name, value in whole.policy.state_dict().items():
        assert bool((value == half.policy.state_dict()[name]).all()), name
    whole.save(tmp_path / "whole")
    seen = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], np.float32)
    ours, _ = whole.predict(seen, deterministic=True)
    theirs, _ = NumpyActor.load(tmp_path / "whole.zip").predict(seen, deterministic=True)
    np.testing.assert_array_equal(ours, theirs)
    export_onnx(whole, tmp_path / "whole.onnx")  # both compare themselves with the policy
    export_numpy(whole, tmp_path / "whole.npz")
    whole.policy.save(tmp_path / "policy")
    again = type(whole.policy).load(tmp_path / "policy")
    np.testing.assert_array_equal(again.encode(seen), whole.policy.encode(seen))


@pytest.mark.parametrize("name", ["ppo", "frame_stack_ppo", "sb3_recurrent_ppo"])
def test_agents_of_stable_baselines3_keep_the_statistics_in_their_checkpoints(name: str, tmp_path: Path) -> None:
    env = gymnasium.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    cls = agent_class(name)
    settings = cls.Settings(norm_obs=True, n_steps=16, batch_size=32)
    spaces = env.single_observation_space, env.single_action_space
    agents = [cls(settings, *spaces, None, seed) for seed in (0, 1)]
    agents[0].learn(env, 64, lambda *_: True)
    agents[0].save(tmp_path / "agent")
    agents[1].load(tmp_path / "agent")
    seen = np.array([[0.5, -3.0, 0.1, 2.0]], np.float32)
    np.testing.assert_array_equal(agents[0].scaled(seen), agents[1].scaled(seen))
    assert not np.array_equal(agents[1].scaled(seen), seen)
    np.testing.assert_array_equal(agents[0].predict(seen)[0], agents[1].predict(seen)[0])


def test_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="norm_obs is for observations of numbers"):
        RecurrentPPO("CnnPolicy", MemoryBandit(2, 5, observation="image"), norm_obs=True, **SMALL)


def test_numbers_are_scaled_by_default_where_the_memory_length_is_unknown() -> None:
    agent = RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), n_steps=16)
    assert agent.norm_obs
    assert agent.norm_reward
    agent.learn(64)
    assert agent.reward_scale.returns.count.item() == 64
    assert agent.get_vec_normalize_env() is None, "the environment keeps its rewards"
    known = RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), n_steps=16, memory_length=5)
    assert not known.norm_obs
    assert not known.norm_reward
    assert not RecurrentPPO("CnnPolicy", MemoryBandit(2, 5, observation="image"), n_steps=16).norm_obs
    assert not RecurrentPPO("MlpPolicy", VecNormalize(MemoryBandit(4, 5)), n_steps=16).norm_obs


def test_scaled_rewards_are_those_of_stable_baselines3_after_a_rollout() -> None:
    rng = np.random.default_rng(0)
    rewards, ends = rng.normal(3.0, 20.0, (200, 3)).astype(np.float32), rng.random((200, 3)) < 0.1
    scale, expected = RewardScale(), RunningMeanStd()
    total = np.zeros(3)
    for t in range(200):
        total = 0.9 * total + rewards[t]
        expected.update(total)
        total[ends[t]] = 0.0
    scaled = scale(rewards, ends, 0.9)
    assert np.allclose(scaled, np.clip(rewards / np.sqrt(expected.var), -10, 10), rtol=1e-4)
