"""A critic that sees more than the actor: who sees what, and that saving, resuming and refusing hold for it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.export import export_onnx
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.environments import make_single, make_vector
from rlmem.errors import UserError
from rlmem.networks.actor_critic import Trunks
from rlmem.runs.loading import load_run
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": (8,), "n_steps": 16, "rows": 2, "seed": 0}


def bandit(**arguments: Any) -> MemoryBandit:
    return MemoryBandit(4, 5, observation="privileged", **arguments)


def seeing_critic(cls: Any = RecurrentPPO, env: Any = None, **arguments: Any) -> Any:
    settings = SMALL | {"critic_observation": "privileged"} | arguments
    if cls is RecurrentA2C:
        del settings["rows"]
    return cls("MultiInputPolicy", env or bandit(), **settings)


def test_the_actor_never_sees_the_privileged_part_and_predicts_without_it() -> None:
    for agent in (seeing_critic(), seeing_critic(critic_observation="actor")):
        agent.learn(64)
        seen = agent.env.reset()
        other = seen | {"privileged": seen["privileged"] + 1.0}
        actions = [agent.predict(given, deterministic=True)[0] for given in (seen, other, seen["observation"])]
        np.testing.assert_array_equal(actions[0], actions[1])
        np.testing.assert_array_equal(actions[0], actions[2])
        assert agent.policy.observation_space == agent.observation_space["observation"]


@pytest.mark.parametrize("critic_memory", [True, False])
@pytest.mark.parametrize("norm_obs", [True, False])
def test_the_critic_values_what_it_sees_alone(critic_memory: bool, norm_obs: bool) -> None:
    agent = seeing_critic(critic_memory=critic_memory, norm_obs=norm_obs)
    agent.learn(128)
    policy = agent.policy
    fresh = policy.network.critic.initial_state(1)

    def value(cue: float, seen: float) -> float:
        given = {"observation": torch.full((1, 3), seen), "privileged": torch.tensor([[cue, 2.0]])}
        return float(policy.predict_values(given, fresh, torch.ones(1)).detach())

    assert value(1.0, 0.0) == value(1.0, 1.0)
    assert value(1.0, 0.0) != value(-1.0, 0.0)


@pytest.mark.parametrize("burn_in", [0, 4])
def test_training_sees_the_values_that_the_rollout_had(burn_in: int) -> None:
    agent = seeing_critic(burn_in=burn_in, seq_len=8, norm_obs=True, env=bandit(truncate_every=3))
    agent.learn(64)
    _, callback = agent._setup_learn(64, None, False)
    agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
    batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
    with torch.no_grad():
        log_probs, _, values, *_ = agent.evaluate(batch)
    torch.testing.assert_close(values, batch.values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(log_probs, batch.log_probs, atol=1e-5, rtol=1e-4)


def test_evaluate_actions_takes_both_parts() -> None:
    agent = seeing_critic()
    agent.learn(64)
    rollout, network = agent.rollout_buffer, agent.policy.network
    seen = {name: torch.from_numpy(part[:, 0]) for name, part in rollout.observations.items()}
    states = Trunks(network.actor.initial_state(1), network.critic.initial_state(1))
    starts = torch.from_numpy(rollout.episode_start[:, 0])
    values, *_ = agent.policy.evaluate_actions(seen, torch.from_numpy(rollout.actions[:, 0]), states, starts)
    one_by_one = agent.policy.predict_values(seen, states.critic, starts)
    torch.testing.assert_close(values, one_by_one[:, 0])


@pytest.mark.parametrize("cls", [RecurrentPPO, RecurrentA2C])
@pytest.mark.parametrize("norm_obs", [True, False])
def test_a_resumed_agent_ends_as_one_that_was_never_stopped(cls: Any, norm_obs: bool, tmp_path: Path) -> None:
    through = seeing_critic(cls, norm_obs=norm_obs)
    through.learn(64)
    through.save(tmp_path / "agent")
    stopped = cls.load(tmp_path / "agent", env=bandit())
    for agent in (through, stopped):
        agent.learn(128, reset_num_timesteps=False)
    one, other = through.policy.state_dict(), stopped.policy.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_policy_is_saved_and_loaded_by_itself(tmp_path: Path) -> None:
    policy = seeing_critic(norm_obs=True).policy
    policy.save(tmp_path / "policy")
    again = type(policy).load(tmp_path / "policy")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in policy.state_dict().items())


def test_the_actor_can_be_exported_and_the_value_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    agent = seeing_critic(norm_obs=True)
    agent.learn(64)
    export_onnx(agent, tmp_path / "policy.onnx")
    with pytest.raises(UserError, match="export without the value"):
        export_onnx(agent, tmp_path / "value.onnx", value=True)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="needs a Dict observation with a part 'privileged'"):
        RecurrentPPO("MlpPolicy", MemoryBandit(2, 5), **SMALL, critic_observation="privileged")
    with pytest.raises(UserError, match="set shared=False"):
        seeing_critic(shared=True)
    with pytest.raises(UserError, match="must be 'actor' or 'privileged'"):
        seeing_critic(critic_observation="all")


class Told(gymnasium.Env[Any, Any]):
    """An environment of someone else that offers a privileged part."""

    observation_space = spaces.Dict({"seen": spaces.Box(-1, 1, (2,)), "privileged": spaces.Box(-1, 1, (3,))})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return {"seen": np.zeros(2, np.float32), "privileged": np.zeros(3, np.float32)}, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.reset()[0], float(action), bool(self.np_random.random() < 0.2), False, {}


def test_only_critics_are_given_the_privileged_part_of_other_environments() -> None:
    gymnasium.register("Told-v0", Told)
    try:
        for env in (make_vector("Told-v0", 2, {}, autoreset_mode="same_step"), make_single("Told-v0", {})):
            assert set(env.reset()[0]) == {"seen"}
        env = make_vector("Told-v0", 2, {}, autoreset_mode="same_step", privileged=True)
        agent = RecurrentPPO("MultiInputPolicy", env, **SMALL, critic_observation="privileged").learn(64)
        assert set(agent.policy.observation_space) == {"seen"}
        with pytest.raises(UserError, match="needs a Dict observation"):
            make_vector("CartPole-v1", 2, {}, autoreset_mode="same_step", privileged=True)
    finally:
        del gymnasium.registry["Told-v0"]


def test_a_run_trains_with_it_and_acts_without(tmp_path: Path) -> None:
    settings = RunSettings(
        env="TMaze-v0",
        agent="recurrent_ppo",
        steps=64,
        envs=2,
        eval_every=32,
        eval_episodes=1,
        knobs={"memory_length": 3, "robot": "planar", "query_steps": 10},
        agent_settings={"n_steps": 16, "hidden_size": 8, "critic_observation": "privileged"},
    )
    folder = train(settings, tmp_path)
    agent = load_run(folder).agent
    assert agent.information == "reward, critic: full state"
    env = make_vector("TMaze-v0", 1, settings.knobs, autoreset_mode="disabled")
    assert agent.predict(env.reset()[0])[0].shape == (1, 2)
    env.close()
    train(RunSettings(**{**settings.__dict__, "steps": 96}), folder=folder, resume=True)
