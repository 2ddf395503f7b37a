"""The online actor-critic: what moves it at a control step, what it costs, and how a run goes on."""

from dataclasses import replace
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from test_agents import make, small

from rlmem.agents.online.rtrl_actor_critic import RTRLActorCritic, RTRLActorCriticSettings
from rlmem.learning.derivatives import stale_trace_error
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import LAST
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import agent_for, train

RUN = RunSettings(
    env="TMaze-v0",
    agent="rtrl_actor_critic",
    steps=192,
    envs=2,
    eval_every=96,
    eval_episodes=2,
    knobs={"robot": "planar", "memory_length": (2, 5)},
    agent_settings={"hidden_size": 8},
)


class Recall(gymnasium.Env):
    """A cue, some blank steps, a question; 1 for the answer that the cue asked for, -1 for the other."""

    def __init__(self, discrete, gap=4):
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.action_space = spaces.Discrete(2) if discrete else spaces.Box(-2.0, 2.0, (1,), np.float32)
        self.gap, self.discrete = gap, discrete

    def _seen(self):
        return np.array([self.cue * (self.t == 0), float(self.t == self.gap)])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.cue = 0, self.np_random.choice([-1.0, 1.0])
        return self._seen(), {}

    def step(self, action):
        answer = 2.0 * action - 1.0 if self.discrete else float(np.sign(action[0]))
        asked = self.t == self.gap
        self.t += 1
        info = {"is_success": answer == self.cue} if asked else {}
        return self._seen(), answer * self.cue if asked else 0.0, asked, False, info


def recall(discrete, num_envs=1):
    return SyncVectorEnv([lambda: Recall(discrete)] * num_envs, autoreset_mode="SameStep")


def agent_on(env, **settings):
    cls = agent_class("rtrl_actor_critic")
    return agent_for(cls, cls.Settings(**{"hidden_size": 8, "memory_length": 6} | settings), env)


def watch(agent, env, steps):
    """Learn for some steps; return the parameters after each call of advance, and the metrics."""
    seen = []
    agent.learn(
        env,
        steps,
        lambda _, m: bool(seen.append((agent.network.theta.clone(), agent.critic_network.theta.clone(), m))) or True,
    )
    env.close()
    return seen


@pytest.mark.parametrize("discrete", [True, False])
def test_one_environment_is_enough_to_learn_recall(discrete):
    env = recall(discrete)
    env.reset(seed=0)
    agent = agent_on(env, learning_rate=5e-3, critic_rate=0.1, gamma=0.9)
    seen = watch(agent, env, 2_000)
    assert seen[20][2]["rollout/success_rate"] < 0.8
    assert seen[-1][2]["rollout/success_rate"] > 0.9


@pytest.fixture
def looked_at_each_step(monkeypatch):
    monkeypatch.setattr(RTRLActorCritic, "steps_per_advance", 1)


@pytest.mark.usefixtures("looked_at_each_step")
def test_every_control_step_moves_both_networks():
    env = make(num_envs=1)
    env.reset(seed=0)
    seen = watch(small("rtrl_actor_critic", env), env, 60)
    for (actor, critic, _), (next_actor, next_critic, _) in pairwise(seen[40:]):  # where something has been seen
        moved = not torch.equal(actor, next_actor), not torch.equal(critic, next_critic)
        assert moved == (True, True)


@pytest.mark.usefixtures("looked_at_each_step")
def test_no_step_moves_the_policy_further_than_the_bound():
    env = make(num_envs=2)
    env.reset(seed=0)
    agent = small("rtrl_actor_critic", env)
    agent.settings = replace(agent.settings, max_kl=1e-6, learning_rate=10.0)
    seen = watch(agent, env, 100)
    fisher = agent._actor_fisher
    damped = fisher.settings.damping * torch.eye(agent.network.num_parameters, dtype=torch.float64)
    change = seen[-1][0] - seen[-2][0]
    assert 0 < 0.5 * change @ ((agent._actor.fisher.means[0][0] + damped) @ change) <= 1e-6 * (1 + 1e-9)


def test_an_episode_that_was_cut_off_is_followed_by_the_value_of_its_last_observation():
    env = recall(discrete=True, num_envs=3)
    env.reset(seed=0)
    agent = agent_on(env)
    agent.begin(3)
    x = torch.zeros(3, 2, dtype=torch.float64)
    agent._forward(x, torch.ones(3, dtype=torch.bool))
    last = np.array([0.0, 1.0])
    infos = {"final_obs": np.array([None, last, last], dtype=object)}
    ended, cut = np.array([False, True, True]), np.array([False, True, False])
    following = agent._next_values(np.zeros((3, 2)), ended, cut, infos)
    scaled = agent._moments.scaled(np.stack((np.zeros(2), last, last)))
    going_on = torch.zeros(3, dtype=torch.bool)
    expected = agent.critic_derivative.step(torch.as_tensor(scaled), going_on, agent._critic.carry).output[:, 0]
    assert following.tolist() == [*expected[:2].tolist(), 0.0]
    env.close()


@pytest.mark.usefixtures("looked_at_each_step")
def test_traces_are_those_of_one_episode():
    env = recall(discrete=True)
    env.reset(seed=0)
    agent = agent_on(env)
    watch(agent, env, 5)
    finished = agent._actor.eligibility.clone()
    output, _ = agent._forward(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.bool))
    agent._extend_traces(output, torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool))
    fresh = agent._actor.eligibility
    probability = torch.softmax(output, -1)[0]
    rows = agent.derivative.rows(agent._actor.carry)[0]
    torch.testing.assert_close(fresh[0], rows[0] - probability @ rows, rtol=1e-9, atol=1e-12)
    assert finished.norm() > 0


def test_what_it_carries_does_not_grow_with_the_corridor():
    sizes = []
    for length in (5, 60):
        env = make(num_envs=1, memory_length=length)
        env.reset(seed=0)
        agent = small("rtrl_actor_critic", env)
        watch(agent, env, 48)
        actor = agent._actor
        carried = (*actor.carry.state, *actor.carry.traces, *actor.carry.tape, actor.eligibility)
        sizes.append([tuple(part.shape) for part in carried])
    assert sizes[0] == sizes[1]


def test_its_steps_are_small_enough_for_traces_to_stay_nearly_exact():
    env = make(num_envs=1, memory_length=20)
    env.reset(seed=0)
    agent = small("rtrl_actor_critic", env)
    inner, seen = agent.derivative, []

    class Recorder:
        def __getattr__(self, name):
            return getattr(inner, name)

        def step(self, x, start, carry):
            seen.append((x, start))
            return inner.step(x, start, carry)

    agent.derivative = Recorder()
    watch(agent, env, 240)
    since = max(i for i, (_, start) in enumerate(seen) if start[0])
    xs, starts = (torch.stack(part) for part in zip(*seen[since:], strict=True))
    error = stale_trace_error(inner, agent._actor.carry, xs, starts)
    assert 0 < error[0] < 0.05


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path):
    whole = train(RUN, tmp_path / "whole")
    train(replace(RUN, steps=96), tmp_path / "parts")
    first, second = (load_checkpoint(folder / LAST) for folder in (whole, train(RUN, tmp_path / "parts", resume=True)))
    assert first.tensors.keys() == second.tensors.keys()
    for tensor, value in first.tensors.items():
        np.testing.assert_array_equal(value, second.tensors[tensor], err_msg=tensor)
    assert str(first.meta["state"]) == str(second.meta["state"])


@pytest.mark.parametrize("groups", ["node", "gate", "layer"])
def test_every_grouping_and_cell_learns(groups):
    env = recall(discrete=True)
    env.reset(seed=0)
    seen = watch(agent_on(env, groups=groups, cell="lstm", derivative="snap1"), env, 64)
    assert torch.isfinite(seen[-1][0]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"derivative": "bptt"}, "derivative"),
        ({"groups": "none"}, "groups"),
        ({"trace_decay": 1.1}, "trace_decay must be from 0 to 1, got 1.1"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0"),
        ({"damping": -1.0}, "damping must be a finite number above 0, got -1"),
        ({"horizon": 3}, "horizon must be at least"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        RTRLActorCriticSettings(**settings)


def test_it_is_a_registered_agent_that_learns_from_reward():
    assert agent_class("rtrl_actor_critic") is RTRLActorCritic
    assert RTRLActorCritic.information == "reward"
