"""Others' agents in benchmarks/agents.py do the work of ours: gradient steps, samples, memory where an episode ends.

Those of packages that are not installed are left out.
"""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

ROOT = Path(__file__).parent.parent.parent
N_STEPS, N_EPOCHS, EPISODE, HIDDEN = 16, 2, 5, 4
ROLLOUT = 8 * N_STEPS


@pytest.fixture
def make(monkeypatch):
    """A maker of one of the agents, with minibatches of one row."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    env = importlib.import_module("agents").Noise(EPISODE)
    yield lambda module, name: getattr(importlib.import_module(f"peers.{module}"), name)(
        env, HIDDEN, N_STEPS, N_EPOCHS, N_STEPS
    )
    for name in [name for name in set(sys.modules) - before if name.split(".")[0] in ("agents", "peers")]:
        del sys.modules[name]


@pytest.fixture
def steps():
    """Grows by one item with each gradient step in PyTorch."""
    steps = []
    handle = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    yield steps
    handle.remove()


def note_samples(agent):
    """Return a list that grows by the size of each minibatch."""
    sizes, step = [], agent.step
    agent.step = lambda *batch: (sizes.append(batch[-1].numel()), step(*batch))
    return sizes


def test_cleanrl_learns_from_each_sample_in_each_epoch_and_its_memory_is_the_same_when_it_learns(make, steps):
    agent = make("cleanrl_ppo", "CleanRLPPO")
    sizes = note_samples(agent)
    agent.learn(ROLLOUT)
    assert len(steps) == N_EPOCHS * 8
    assert sizes == [N_STEPS] * len(steps)
    agent.collect()
    with torch.no_grad():
        policy, values, _ = agent.network(agent.observations, agent.starts, agent.initial_state)
    assert agent.starts.sum() >= 8 * 3
    torch.testing.assert_close(policy.log_prob(agent.actions).sum(-1), agent.log_probs)
    torch.testing.assert_close(values, agent.values)


def test_torchrl_learns_from_each_sample_in_each_epoch_and_its_memory_is_the_same_when_it_learns(make, steps):
    modules = pytest.importorskip("torchrl.modules")
    agent = make("torchrl_ppo", "TorchRLPPO")
    sizes = note_samples(agent)
    agent.learn(ROLLOUT)
    assert len(steps) == N_EPOCHS * 8
    assert sizes == [N_STEPS] * len(steps)
    rollout = next(agent.rollouts)
    with modules.set_recurrent_mode(True), torch.no_grad():
        again = agent.loss.actor_network.get_dist(rollout.exclude("next"))
    assert rollout["is_init"].sum() >= 8 * 3
    torch.testing.assert_close(again.log_prob(rollout["action"]), rollout["action_log_prob"])


def test_skrl_takes_as_many_gradient_steps(make, steps):
    pytest.importorskip("skrl")
    make("skrl_ppo", "SkrlPPO").learn(ROLLOUT)
    assert len(steps) == N_EPOCHS * 8


def test_memorax_takes_as_many_gradient_steps_of_actor_and_critic(make):
    pytest.importorskip("memorax")
    agent = make("memorax_ppo", "MemoraxPPO")
    agent.learn(ROLLOUT)
    assert int(agent.state.step) == ROLLOUT
    for state in (agent.state.actor_optimizer_state, agent.state.critic_optimizer_state):
        assert int(state[1][0].count) == N_EPOCHS * 8
