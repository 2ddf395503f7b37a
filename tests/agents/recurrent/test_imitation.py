"""An agent that is drawn to the actions of an expert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from stable_baselines3.common.vec_env import DummyVecEnv

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.imitation import METHOD, ask_expert
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.errors import UserError
from rlmem.runs.loading import load_run
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

SMALL: dict[str, Any] = {"hidden_size": 8, "n_steps": 32, "seq_len": 16, "seed": 0, "learning_rate": 0.01}
PLAIN = {"norm_obs": False, "norm_reward": False, "normalize_advantage": False, "ent_coef": 0.0}
"""Where nothing is paid, advantages are noise, which must not be scaled up."""
SPACES = [
    spaces.Box(-2.0, 2.0, (2,), np.float32),
    spaces.Discrete(3, start=5),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiBinary(2),
]


class Taught(gymnasium.Env[Any, Any]):
    """Pays nothing; its expert repeats what was seen in the step before."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.action_space, self.observation_space = space, spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.age, self.seen = 0, [self._draw()]
        return self.seen[-1], {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self.age += 1
        self.seen.append(self._draw())
        return self.seen[-1], 0.0, self.age == 6, False, {}

    def expert_action(self) -> Any:
        first = self.seen[max(self.age - 1, 0)]
        if isinstance(self.action_space, spaces.Box):
            return 1.5 * first
        signs = (first > 0.0).astype(np.int64)
        return 5 + signs[0] if isinstance(self.action_space, spaces.Discrete) else signs

    def _draw(self) -> Any:
        return np.sign(self.np_random.standard_normal(2)).astype(np.float32)


def made(space: spaces.Space[Any], kind: type[RecurrentOnPolicy] = RecurrentPPO, **settings: Any) -> RecurrentOnPolicy:
    env = DummyVecEnv([lambda: Taught(space)] * 4)
    env.seed(0)
    return kind("MlpPolicy", env, **{**SMALL, **PLAIN, **settings})


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_it_learns_what_the_expert_does_where_rewards_say_nothing(space: spaces.Space[Any]) -> None:
    agent = made(space, imitation_coef=1.0).learn(6_000)
    env, state, right = agent.env, None, []
    observations, starts = env.reset(), np.ones(4, bool)
    for _ in range(60):
        wanted = ask_expert(env, agent.policy)
        actions, state = agent.predict(observations, state, starts, deterministic=True)
        close = np.abs(actions - np.array(env.env_method("expert_action"))) < 0.5
        right.append(close.reshape(4, -1).all(1).mean())
        assert wanted.shape == (4, *agent.policy.head.action_shape)
        observations, _, starts, _ = env.step(actions)
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
def test_its_weight_falls_to_nothing_over_the_run(kind: type[RecurrentOnPolicy]) -> None:
    agent = made(SPACES[0], kind, imitation_coef=2.0)
    agent.learn(256)
    batch = agent.minibatch(np.arange(2))
    found = agent.evaluate(batch)
    agent._current_progress_remaining = 1.0
    whole = sum(loss.item() for loss in agent.extra_losses(batch, found))
    agent._current_progress_remaining = 0.25
    assert sum(loss.item() for loss in agent.extra_losses(batch, found)) == pytest.approx(0.25 * whole)
    assert whole > 0.0


def test_without_it_training_is_as_it_was_and_no_expert_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Taught, "expert_action", None)
    agent = made(SPACES[0]).learn(128)
    assert agent.minibatch(np.arange(2)).wanted is None


class TaughtBandit(MemoryBandit):
    """Its expert answers with the cue."""

    def has_attr(self, attr_name: str) -> bool:
        return attr_name == METHOD or super().has_attr(attr_name)

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        return list((self.cue > 0).astype(int)) if method_name == METHOD else super().env_method(method_name)


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = RecurrentPPO("MlpPolicy", TaughtBandit(4, 5), **SMALL, imitation_coef=1.0).learn(128)
    whole.save(tmp_path / "half")
    resumed = RecurrentPPO.load(tmp_path / "half", TaughtBandit(4, 5, seed=3))
    for agent in (whole, resumed):
        agent.learn(128, reset_num_timesteps=False)
    ours, theirs = resumed.policy.state_dict(), whole.policy.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_of_a_task_is_taught_by_its_expert_and_says_so(tmp_path: Path) -> None:
    knobs = {"memory_length": 3, "robot": "planar", "query_steps": 10}
    settings = {"n_steps": 16, "seq_len": 16, "hidden_size": 8, "imitation_coef": 1.0}
    run = RunSettings(env="TMaze-v0", agent="recurrent_ppo", knobs=knobs, agent_settings=settings)
    small = {"steps": 64, "envs": 2, "eval_every": 64, "eval_episodes": 1}
    assert load_run(train(replace(run, **small), tmp_path)).agent.information == "reward, expert"  # type: ignore[arg-type]


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="imitation_coef must be at least 0, got -1"):
        made(SPACES[0], imitation_coef=-1.0)
    monkeypatch.setattr(Taught, "expert_action", lambda self: np.zeros(3))
    with pytest.raises(UserError, match=r"must return an action of shape \(2,\), got \(3,\)"):
        made(SPACES[0], imitation_coef=1.0).learn(64)
    monkeypatch.delattr(Taught, "expert_action")
    with pytest.raises(UserError, match="needs an environment with a method expert_action"):
        made(SPACES[0], imitation_coef=1.0).learn(64)
