"""Agents that learn online refuse numbers that are not finite, and do not depend on the number of threads."""

import gymnasium
import numpy as np
import pytest
import torch
from test_agents import make

import rlmem  # noqa: F401 - registers the tasks
from rlmem.errors import UserError
from rlmem.registry import agent_class
from rlmem.runs.training import agent_for

AGENTS = {
    "ekf": {},
    "adam_dagger": {},
    "kalman_actor_critic": {"n_steps": 16},
    "rtrl_actor_critic": {},
    "stream_actor_critic": {},
    "model_controller": {"controlled": (1,), "reference": (0,), "active": None, "explore_steps": 0, "horizon": 2},
}


class Broken(gymnasium.vector.VectorWrapper):
    """Gives a number that is not finite at the 20th step."""

    def __init__(self, env, what):
        super().__init__(env)
        self.what, self.count = what, 0

    def step(self, actions):
        observation, reward, *rest = self.env.step(actions)
        self.count += 1
        if self.count == 20:
            observation, reward = np.array(observation), np.array(reward, dtype=float)
            (observation[1] if self.what == "observations" else reward)[1] = np.nan
        return observation, reward, *rest


def agent_on(env, name):
    cls = agent_class(name)
    return agent_for(cls, cls.Settings(hidden_size=4, **AGENTS[name]), env)


CASES = [(name, "observations") for name in AGENTS]
CASES += [("kalman_actor_critic", "rewards"), ("rtrl_actor_critic", "rewards"), ("stream_actor_critic", "rewards")]


@pytest.mark.parametrize(("name", "what"), CASES)
def test_numbers_that_are_not_finite_stop_learning_before_they_reach_the_parameters(name, what):
    env = Broken(make(num_envs=2), what)
    env.reset(seed=0)
    agent = agent_on(env, name)
    with pytest.raises(UserError, match=f"{what} must be finite numbers, got nan"):
        agent.learn(env, 1_000, lambda *_: True)
    assert all(torch.as_tensor(value).isfinite().all() for value in agent.tensors().values())
    env.close()


def test_learning_runs_on_one_thread_and_leaves_their_number_as_it_was():
    threads, seen = torch.get_num_threads(), []
    env = make(num_envs=2)
    env.reset(seed=0)
    agent = agent_on(env, "ekf")
    teach = agent.teach
    agent.teach = lambda *given: seen.append(torch.get_num_threads()) or teach(*given)
    try:
        torch.set_num_threads(2)
        agent.learn(env, 32, lambda *_: False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert set(seen) == {1}
    env.close()
