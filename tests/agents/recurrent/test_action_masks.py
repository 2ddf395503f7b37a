"""Recurrent agents never choose what an environment forbids, and learn with its action masks as without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, small_ppo
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.export import export_onnx
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.networks.actor_critic import Trunks

ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4, start=1),
    "multi": spaces.MultiDiscrete([3, 2]),
    "binary": spaces.MultiBinary(2),
}
CHOICES = {"discrete": [4], "multi": [3, 2], "binary": [2, 2]}


class Masked(MemoryBandit):
    """A bandit in which every step forbids some choices; to make one of them is an error."""

    def __init__(self, n_envs: int = 2, gap: int = 3, *, kind: str = "discrete", seed: int = 0) -> None:
        super().__init__(n_envs, gap, seed=seed, truncate_every=0)
        self.action_space, self.choices = ACTIONS[kind], CHOICES[kind]

    def action_masks(self) -> list[np.ndarray]:
        """Return which choices are allowed: at the question the first two of the first component."""
        masks = []
        for t in self.t:
            parts = [(np.arange(size) + t) % 2 == 0 for size in self.choices]
            if t == self.gap:
                parts[0] = np.arange(self.choices[0]) < 2
            masks.append(np.concatenate(parts))
        return masks

    def step_async(self, actions: np.ndarray) -> None:
        taken = np.asarray(actions).reshape(self.num_envs, -1) - getattr(self.action_space, "start", 0)
        columns = taken + np.cumsum([0, *self.choices[:-1]])
        assert np.take_along_axis(np.stack(self.action_masks()), columns, 1).all()
        super().step_async(taken)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [self.action_masks] if attr_name == "action_masks" else super().get_attr(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return list(getattr(self, method_name)())


@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("algorithm", [RecurrentPPO, RecurrentA2C])
def test_a_forbidden_action_is_never_taken_nor_likely(kind: str, algorithm: type[RecurrentOnPolicy]) -> None:
    env = Masked(kind=kind)
    agent = algorithm("MlpPolicy", VecNormalize(VecMonitor(env)), n_steps=16, policy_kwargs=SMALL, seed=0)
    agent.learn(64)
    rollout, policy = agent.rollout_buffer, agent.policy
    assert rollout.masks is not None
    assert not rollout.masks.all()
    batch = agent.minibatch(np.arange(rollout.n_rows))
    log_probs, entropy, *_ = agent.evaluate(batch)
    assert torch.isfinite(log_probs).all()
    assert (entropy >= -1e-5).all()
    unmasked = agent.evaluate(batch._replace(masks=None))
    assert (log_probs >= unmasked[0] - 1e-5).all()
    steps = torch.from_numpy(np.concatenate([rollout.observations.reshape(-1, 3)]))
    states = Trunks(policy.network.actor.initial_state(len(steps)), policy.network.critic.initial_state(len(steps)))
    masks, starts = rollout.masks.reshape(len(steps), -1), torch.ones(len(steps))
    distribution, _ = policy.get_distribution(steps, states.actor, starts, masks)
    actions = distribution.mode()
    _, found, _ = policy.evaluate_actions(
        steps, actions + getattr(env.action_space, "start", 0), states, starts, torch.from_numpy(masks)
    )
    torch.testing.assert_close(found, distribution.log_prob(actions))


def test_log_probabilities_of_the_rollout_are_those_of_the_update() -> None:
    agent = small_ppo(Masked(), n_epochs=1, learning_rate=1e-12)
    agent.learn(32)
    batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
    torch.testing.assert_close(agent.evaluate(batch)[0], batch.log_probs, atol=1e-5, rtol=1e-4)


def test_a_resumed_run_with_masks_equals_the_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    whole = small_ppo(Masked(seed=1)).learn(32)
    whole.save(tmp_path / "half")
    whole.learn(64, reset_num_timesteps=False)
    resumed = RecurrentPPO.load(tmp_path / "half", Masked(seed=2)).learn(64, reset_num_timesteps=False)
    np.testing.assert_array_equal(resumed.policy.parameters_to_vector(), whole.policy.parameters_to_vector())


def test_it_learns_to_remember_with_masks() -> None:
    agent = RecurrentPPO("MlpPolicy", Masked(8, 2), n_steps=32, rows=8, n_epochs=4, learning_rate=1e-2, seed=0)
    agent.learn(4000)
    assert agent.ep_info_buffer is not None
    assert np.mean([episode["r"] for episode in agent.ep_info_buffer]) > 0.9


class Single(gymnasium.Env[Any, Any]):
    """Only one action is allowed, which changes; taking it pays."""

    observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(5)
    t = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        reward = float(action == self.t % 5)
        self.t += 1
        return np.zeros(1, np.float32), reward, self.t == 7, False, {}

    def masks(self) -> np.ndarray:
        return np.arange(5) == self.t % 5


def test_masks_are_found_through_wrappers_and_vector_environments() -> None:
    def make() -> gymnasium.Env[Any, Any]:
        return ActionMasker(Single(), lambda env: env.unwrapped.masks())

    for env in (
        DummyVecEnv([make, make]),
        GymnasiumVecEnv(SyncVectorEnv([make, make], autoreset_mode=AutoresetMode.SAME_STEP)),
    ):
        agent = small_ppo(VecMonitor(env)).learn(32)
        assert agent.rollout_buffer.rewards.all()
        assert evaluate_policy(agent, VecMonitor(env), n_eval_episodes=4)[0] == 7.0
        agent.learn(32, use_masking=False)
        assert not agent.rollout_buffer.rewards.all()


def test_a_vector_environment_that_answers_none_to_everything_has_no_masks() -> None:
    class Mute(MemoryBandit):
        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * self.num_envs

    assert small_ppo(Mute(2, 5)).learn(32).rollout_buffer.masks is None


def test_masks_that_do_not_fit_are_refused() -> None:
    agent = small_ppo(Masked())
    seen = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"action_masks must be bools of shape \(2, 4\), got bool of shape \(2, 3\)"):
        agent.predict(seen, action_masks=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="environment 1 allow no choice of component 0"):
        agent.predict(seen, action_masks=np.array([[True] * 4, [False] * 4]))
    continuous = Masked()
    continuous.action_space = spaces.Box(-1, 1, (1,))
    agent = small_ppo(continuous)
    with pytest.raises(ValueError, match=r"offers action_masks, but its actions are continuous, Box"):
        agent.learn(32)
    with pytest.raises(ValueError, match="these are continuous"):
        agent.predict(seen, action_masks=np.ones((2, 1)))


@pytest.mark.parametrize("kind", ACTIONS)
def test_the_actor_in_numpy_and_the_onnx_file_take_masks(kind: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    env = Masked(kind=kind)
    agent = small_ppo(env).learn(32)
    agent.save(tmp_path / "agent.safetensors")
    export_onnx(agent, tmp_path / "agent.onnx", masks=True)
    actor, session = (
        NumpyActor.load(tmp_path / "agent.safetensors"),
        onnxruntime.InferenceSession(tmp_path / "agent.onnx"),
    )
    seen, masks = env.reset(), np.stack(env.action_masks())
    expected, state = agent.predict(seen, deterministic=True, action_masks=masks)
    np.testing.assert_array_equal(actor.predict(seen, deterministic=True, action_masks=masks)[0], expected)
    feed = {f"state_{i}": np.zeros_like(part) for i, part in enumerate(state)}
    given = {"observation": seen, "episode_start": np.ones(2, bool), "action_masks": masks}
    np.testing.assert_array_equal(session.run(["action"], feed | given)[0], expected)
