"""Stream AC(lambda) with memory: its gradients, how far a step goes, and how a run goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_agents import make
from test_rtrl_actor_critic import RUN, recall, watch

from rlmem.agents.online.learned_actions import LearnedDiscreteActions, LearnedNormalActions
from rlmem.agents.online.stream_actor_critic import StreamActorCritic, StreamActorCriticSettings, bounded_step
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import LAST
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import agent_for, train


def agent_on(env, **settings):
    cls = agent_class("stream_actor_critic")
    return agent_for(cls, cls.Settings(**{"hidden_size": 8, "memory_length": 6} | settings), env)


@pytest.mark.parametrize("discrete", [True, False])
def test_one_environment_is_enough_to_learn_recall(discrete):
    env = recall(discrete)
    env.reset(seed=0)
    seen = watch(agent_on(env, gamma=0.9), env, 3_000)
    assert seen[20][2]["rollout/success_rate"] < 0.8
    assert seen[-1][2]["rollout/success_rate"] > 0.9


def test_gradients_are_those_of_backpropagation_through_the_episode():
    env = make(num_envs=2)
    agent = agent_on(env, sparsity=0.0)
    network, inputs = agent.network, agent.network.input_size
    xs = torch.randn(5, 2, inputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    starts = torch.zeros(5, 2, dtype=torch.bool)
    starts[0] = True
    carry = agent.derivative.start(2)
    for x, start in zip(xs, starts, strict=True):
        hidden, carry = agent.derivative.step(x, start, carry)
    vectors = torch.randn(2, network.output_size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = network.gradients(vectors, hidden, xs[-1], agent.derivative, carry)
    outputs = network.unfold(xs, starts, network.initial_state(2)).output[-1]
    for stream in range(2):
        loss = (vectors[stream] * outputs[stream]).sum()
        parts = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
        torch.testing.assert_close(found[stream], torch.cat([part.flatten() for part in parts]))
    env.close()


@pytest.mark.parametrize("discrete", [True, False])
def test_scores_and_slopes_of_the_entropy_are_gradients(discrete):
    space = spaces.Discrete(3) if discrete else spaces.Box(-2.0, 2.0, (2,))
    actions = LearnedDiscreteActions(space) if discrete else LearnedNormalActions(space)
    output = torch.randn(4, actions.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output.requires_grad_()
    if discrete:
        law = torch.distributions.Categorical(logits=output)
    else:
        mean, raw = output.chunk(2, -1)
        law = torch.distributions.Normal(mean, torch.nn.functional.softplus(raw))
    action = actions.draw(output.detach(), np.random.default_rng(0))
    (by_log_prob,) = torch.autograd.grad(law.log_prob(action).sum(), output, retain_graph=True)
    torch.testing.assert_close(actions.score(output.detach(), action), by_log_prob)
    (by_entropy,) = torch.autograd.grad(law.entropy().sum(), output)
    torch.testing.assert_close(actions.entropy_slope(output.detach()), by_entropy)


def test_steps_are_shortened_where_they_would_overshoot():
    small, large = (torch.full((1, 4), size, dtype=torch.float64) for size in (0.01, 10.0))
    error = torch.tensor([2.0], dtype=torch.float64)
    torch.testing.assert_close(bounded_step(error, small, 1.0, 3.0), 2.0 * small[0])
    # 3 * |error| * 40 is 240 times too far
    torch.testing.assert_close(bounded_step(error, large, 1.0, 3.0), 2.0 * large[0] / 240.0)


def test_weights_start_sparse():
    env = make(num_envs=1)
    network = agent_on(env, hidden_size=20, sparsity=0.9).network
    assert network.readout.weight.count_nonzero(dim=1).tolist() == [2] * network.output_size
    env.close()


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path):
    run = replace(RUN, agent="stream_actor_critic", agent_settings={"hidden_size": 8})
    whole = train(run, tmp_path / "whole")
    train(replace(run, steps=96), tmp_path / "parts")
    first, second = (load_checkpoint(folder / LAST) for folder in (whole, train(run, tmp_path / "parts", resume=True)))
    assert first.tensors.keys() == second.tensors.keys()
    for tensor, value in first.tensors.items():
        np.testing.assert_array_equal(value, second.tensors[tensor], err_msg=tensor)
    assert str(first.meta["state"]) == str(second.meta["state"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"derivative": "bptt"}, "derivative"),
        ({"trace_decay": 1.1}, "trace_decay must be from 0 to 1, got 1.1"),
        ({"actor_kappa": 0.0}, "actor_kappa must be a finite number above 0, got 0"),
        ({"sparsity": 1.0}, "sparsity must be at least 0 and below 1, got 1"),
        ({"entropy": -1.0}, "entropy must be a finite number of at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StreamActorCriticSettings(**settings)


def test_it_learns_from_reward():
    assert StreamActorCritic.information == "reward"
