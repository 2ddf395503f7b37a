"""The actor-critic from reward alone: what its filters compute, how a run goes on, and that it learns."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.online.action_distribution import make_action_distribution
from rlmem.agents.online.kalman_actor_critic import KalmanActorCritic, KalmanActorCriticSettings
from rlmem.agents.online.rollout_learner import AdamRolloutLearner, KalmanRolloutLearner
from rlmem.learning.kalman import GaussianLikelihood, KalmanSettings
from rlmem.learning.kalman.likelihoods import Innovation
from rlmem.learning.network import Network
from rlmem.learning.updates import GradientSettings
from rlmem.networks.cells import CELLS
from rlmem.runs.checkpoints import LAST
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import agent_for, train

UPDATES = ["kalman", "adam"]
BOX, CHOICE = spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.Discrete(3)


def network(outputs, cell="rtu", seed=0):
    torch.manual_seed(seed)
    return Network(CELLS[cell](3, 4, memory_length=10), outputs).double()


def rollout(learner, steps=6, streams=4):
    """Run a learner over random inputs; return inputs, starts and outputs."""
    rng = np.random.default_rng(0)
    xs = torch.from_numpy(rng.normal(size=(steps, streams, 3)))
    starts = torch.from_numpy(rng.random((steps, streams)) < 0.2)
    starts[0] = True
    learner.begin(streams)
    return xs, starts, torch.stack([learner.step(x, start) for x, start in zip(xs, starts, strict=True)])


def log_likelihood(net, space, law, xs, starts, actions, weights):
    """Return the sum of weighted log-probabilities of actions, with gradient."""
    outputs = net.unfold(xs, starts, net.initial_state(xs.shape[1])).output.flatten(0, 1)
    if space is CHOICE:
        logs = torch.log_softmax(outputs, -1).gather(1, actions[:, None])[:, 0]
    else:
        logs = -0.5 * ((actions - outputs) / 0.7).square().sum(-1)
    return (weights * logs).sum()


@pytest.mark.parametrize("streams", [1, 20], ids=["fewer rows than parameters", "more"])
@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "discrete"])
def test_the_kalman_move_of_an_actor_is_a_natural_policy_gradient(space, streams):
    law = make_action_distribution(space, 0.7)
    net, p0 = network(law.size), 0.2
    learner = KalmanRolloutLearner(net, "rtrl", "one", KalmanSettings(p0=p0, clip=None))
    xs, starts, outputs = rollout(learner, streams=streams)
    assert (streams * 6 * 2 > net.num_parameters) == (streams == 20)
    actions = law.draw(outputs.flatten(0, 1), np.random.default_rng(1))
    weights = torch.from_numpy(np.random.default_rng(2).normal(size=len(actions)))
    error, noise = law.likelihood.innovation(outputs.flatten(0, 1), actions)
    before = net.theta.clone()
    parameters = list(net.parameters())
    objective = log_likelihood(net, space, law, xs, starts, actions, weights)
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(objective, parameters)])
    rows = law.likelihood.rows(torch.cat(learner._rows))
    precision = torch.linalg.inv(noise) if noise.dim() == 3 else torch.diag_embed(1.0 / noise)
    fisher = torch.einsum("mqp,mqr,mrs->ps", rows, precision, rows)
    learner.update(law.likelihood, Innovation(weights[:, None] * error, noise))
    wanted = torch.linalg.solve(fisher + torch.eye(len(before)) / p0, gradient)
    torch.testing.assert_close(net.theta - before, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("space", [BOX, CHOICE], ids=["box", "discrete"])
def test_adam_in_its_place_follows_the_policy_gradient(space):
    law = make_action_distribution(space, 0.7)
    net = network(law.size)
    learner = AdamRolloutLearner(net, "rtrl", GradientSettings(max_grad_norm=1e9))
    xs, starts, outputs = rollout(learner)
    actions = law.draw(outputs.flatten(0, 1), np.random.default_rng(1))
    weights = torch.from_numpy(np.random.default_rng(2).normal(size=len(actions)))
    objective = log_likelihood(net, space, law, xs, starts, actions, weights) / len(actions)
    wanted = torch.cat([part.flatten() for part in torch.autograd.grad(objective, list(net.parameters()))])
    error, noise = law.likelihood.innovation(outputs.flatten(0, 1), actions)
    learner.update(law.likelihood, Innovation(weights[:, None] * error, noise))
    torch.testing.assert_close(-net.flat.grad, wanted, rtol=1e-9, atol=1e-12)


def test_the_critic_of_a_linear_value_is_recursive_least_squares():
    net = network(1, "memoryless")
    with torch.no_grad():  # the cell's part is nothing and stays so: V and the rows of the cell are 0
        net.readout.weight.zero_()
        for parameter in net.cell.parameters():
            parameter.zero_()
    p0, noise = 2.0, 0.3
    learner = KalmanRolloutLearner(net, "rtrl", "one", KalmanSettings(p0=p0, clip=None))
    law, rng = GaussianLikelihood(variance=noise), np.random.default_rng(3)
    prior = net.theta.clone()
    features, targets = [], []
    for _ in range(3):
        xs, _, outputs = rollout(learner)
        xs = xs.flatten(0, 1)
        targets.append(torch.from_numpy(rng.normal(size=(len(xs), 1))))
        learner.update(law, law.innovation(outputs.flatten(0, 1), targets[-1]))
        features.append(torch.cat((torch.ones(len(xs), 1), xs), 1))
    xs, ys = torch.cat(features), torch.cat(targets)[:, 0]
    where = torch.cat(
        (net.unflatten(torch.arange(len(prior)))["readout.bias"], torch.arange(len(prior) - 3, len(prior)))
    )
    information = xs.T @ xs / noise + torch.eye(4, dtype=torch.float64) / p0
    wanted = torch.linalg.solve(information, xs.T @ ys / noise + prior[where] / p0)
    torch.testing.assert_close(net.theta[where], wanted, rtol=1e-9, atol=1e-12)


def test_the_move_does_not_depend_on_the_order_of_the_steps():
    moved = []
    for order in (torch.arange(24), torch.arange(23, -1, -1)):
        net = network(2)
        learner = KalmanRolloutLearner(net, "rtrl", "node", KalmanSettings(p0=1.0, forgetting=0.9))
        rollout(learner)
        learner._rows = [torch.cat(learner._rows)[order]]
        error = torch.from_numpy(np.random.default_rng(0).normal(size=(24, 2)))[order]
        metrics = learner.update(
            GaussianLikelihood(variance=0.25), Innovation(error, torch.full((24, 2), 0.25).double())
        )
        moved.append((net.theta.clone(), metrics["nis"]))
    torch.testing.assert_close(moved[0][0], moved[1][0])
    assert moved[0][1] == pytest.approx(moved[1][1])


@pytest.mark.parametrize("update", UPDATES)
def test_no_move_is_longer_than_the_bound_and_its_direction_is_kept(update):
    moved = []
    for bound in (np.inf, 1e-4):
        net = network(2)
        settings = KalmanSettings(p0=1.0, clip=None), GradientSettings(learning_rate=0.1)
        learner = (
            KalmanRolloutLearner(net, "rtrl", "one", settings[0])
            if update == "kalman"
            else AdamRolloutLearner(net, "rtrl", settings[1])
        )
        rollout(learner)
        before = net.theta.clone()
        ones = torch.ones(24, 2, dtype=torch.float64)
        metrics = learner.update(GaussianLikelihood(variance=0.25), Innovation(ones, 0.25 * ones), bound)
        moved.append((net.theta - before, metrics["kl"]))
    (free, far), (short, near) = moved
    assert far > 1e-3
    assert near == pytest.approx(1e-4)
    torch.testing.assert_close(short, free * (1e-4 / far) ** 0.5)


class Paid(gymnasium.Env):
    """Reward 1 at every step, cut off after 5: nothing ever ends for good."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2, start=3)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        return np.ones(1, np.float32), 1.0, False, self.steps == 5, {}


def test_a_cut_off_episode_is_worth_what_would_have_followed():
    env = SyncVectorEnv([Paid] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    settings = KalmanActorCriticSettings(gamma=0.8, n_steps=16, critic_noise=0.01, cell="memoryless", hidden_size=2)
    agent = agent_for(KalmanActorCritic, settings, env)
    agent.learn(env, 1600, lambda *_: True)
    value = agent.critic.peek(torch.ones(2, 1, dtype=torch.float64), torch.ones(2, dtype=torch.bool))
    assert value[0].item() == pytest.approx(1 / (1 - 0.8), rel=0.05)
    env.close()


class Recall(gymnasium.Env):
    """A cue of +1 or -1, two blank steps, then a question: action 1 answers +1, action 0 answers -1."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.cue = 0, self.np_random.choice([-1.0, 1.0])
        return np.array([self.cue, 0.0], np.float32), {}

    def step(self, action):
        self.steps += 1
        right = (action == 1) == (self.cue > 0)
        over = self.steps == 4
        return np.array([0.0, self.steps == 3], np.float32), float(right and over), over, False, {}


def test_it_learns_to_recall_by_choices_from_reward():
    env = SyncVectorEnv([Recall] * 8, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    agent = agent_for(KalmanActorCritic, KalmanActorCriticSettings(n_steps=32, hidden_size=8, memory_length=5), env)
    agent.learn(env, 8192, lambda *_: True)
    one = SyncVectorEnv([Recall] * 64, autoreset_mode=AutoresetMode.SAME_STEP)
    observation, _ = one.reset(seed=1)
    state, start, total = None, np.ones(64, dtype=bool), 0.0
    for _ in range(4):
        action, state = agent.predict(observation, state, start)
        observation, reward, terminated, _, _ = one.step(action)
        start, total = terminated, total + reward.sum()
    assert total / 64 > 0.95
    env.close()
    one.close()


@pytest.mark.parametrize("update", UPDATES)
def test_a_run_in_two_parts_is_the_run_in_one(update, tmp_path):
    run = RunSettings(
        env="TMaze-v0",
        agent="kalman_actor_critic",
        steps=1024,
        envs=4,
        eval_every=256,
        eval_episodes=2,
        knobs={"robot": "planar", "memory_length": (2, 9)},
        agent_settings={"hidden_size": 8, "update": update, "n_steps": 32},
    )
    whole = train(run, tmp_path / "whole")
    train(replace(run, steps=512), tmp_path / "parts")
    first, second = (load_checkpoint(folder / LAST) for folder in (whole, train(run, tmp_path / "parts", resume=True)))
    assert first.tensors.keys() == second.tensors.keys()
    for tensor, value in first.tensors.items():
        np.testing.assert_array_equal(value, second.tensors[tensor], err_msg=tensor)
    assert str(first.meta["state"]) == str(second.meta["state"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update": "kalmann"}, "Did you mean 'kalman'"),
        ({"derivative": "rtlr"}, "Did you mean 'rtrl'"),
        ({"groups": "nodes"}, "Did you mean 'node'"),
        ({"n_steps": 0}, "n_steps must be at least 1, got 0"),
        ({"gamma": 1.1}, "gamma must be from 0 to 1, got 1.1"),
        ({"deviation": 0.0}, "deviation must be a finite number above 0, got 0.0"),
        ({"max_kl": 0.0}, "max_kl must be above 0 nats"),
        ({"forgetting": 0.0}, "forgetting must be above 0 and at most 1"),
        ({"learning_rate": -1.0}, "learning_rate must be a finite number above 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        KalmanActorCriticSettings(**settings)


@pytest.mark.parametrize("space", [spaces.MultiDiscrete([2, 3]), spaces.Box(-np.inf, np.inf, (2,)), spaces.Discrete(1)])
def test_other_actions_are_refused(space):
    with pytest.raises(ValueError, match="actions must be bounded vectors or one of two or more choices"):
        make_action_distribution(space, 0.5)
