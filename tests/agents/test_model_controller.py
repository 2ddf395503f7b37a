"""A controller through an identified model: what is identified, what passes through it, and how a run goes on."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.online.forward_model import ForwardModel
from rlmem.agents.online.imagined_loop import ImaginedLoop, Tracking
from rlmem.agents.online.model_controller import ModelController, ModelControllerSettings
from rlmem.learning.kalman import KalmanSettings
from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS
from rlmem.runs.checkpoints import LAST
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import agent_for, train


def network(inputs, outputs, cell="rtu", hidden=4, seed=0):
    torch.manual_seed(seed)
    return Network(CELLS[cell](inputs, hidden, memory_length=10), outputs).double()


def test_a_model_that_is_linear_in_its_parameters_is_recursive_least_squares():
    net = network(3, 2, "memoryless", 1)
    with torch.no_grad():  # the cell's part is nothing and stays so: V and the rows of the cell are 0
        net.readout.weight.zero_()
        for parameter in net.cell.parameters():
            parameter.zero_()
    p0, noise, change = 5.0, 0.1, 0.5
    model = ForwardModel(net, change=change, noise=noise, settings=KalmanSettings(p0=p0, clip=None))
    model.begin(4)
    rng = np.random.default_rng(0)
    plant = torch.from_numpy(rng.normal(size=(2, 3)))
    prior = torch.cat((net.readout.bias[:, None], net.skip.weight), 1).detach().clone()
    inputs, targets = [], []
    x = torch.from_numpy(rng.normal(size=(4, 2)))
    for t in range(20):
        action = torch.from_numpy(rng.normal(size=(4, 1)))
        both = torch.cat((x, action), 1)
        after = 0.9 * x + 0.1 * both @ plant.T + 0.01 * torch.from_numpy(rng.normal(size=(4, 2)))
        counts = torch.from_numpy(rng.random(4) < 0.7)
        model.learn(x, action, after, torch.full((4,), t == 0), counts)
        inputs.append(torch.cat((torch.ones(4, 1), both), 1)[counts])
        targets.append(((after - x) / change)[counts])
        x = after
    xs, ys = torch.cat(inputs), torch.cat(targets)
    wanted = torch.linalg.solve(xs.T @ xs / noise + torch.eye(4) / p0, xs.T @ ys / noise + prior.T / p0).T
    found = torch.cat((net.readout.bias[:, None], net.skip.weight), 1).detach()
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)


def test_a_model_finds_a_hidden_velocity():
    """A mass on a rail, seen by its position alone: what the next will be takes a memory of the last."""
    errors = {}
    for cell in ("lru", "memoryless"):
        model = ForwardModel(network(2, 1, cell, 8), change=0.05, noise=1e-2, settings=KalmanSettings(p0=1.0))
        model.begin(8)
        rng = np.random.default_rng(0)
        seen = []
        for t in range(400):
            if t % 20 == 0:
                position, velocity = rng.uniform(-0.5, 0.5, (2, 8, 1))
            force = rng.uniform(-1.0, 1.0, (8, 1))
            velocity = velocity + 0.05 * force
            after = position + 0.05 * velocity
            x, action, to = (torch.from_numpy(part) for part in (position, force, after))
            every = torch.ones(8, dtype=torch.bool)
            model.learn(x, action, to, every & (t % 20 == 0), every & (t % 20 > 1))
            seen.append(model.error)
            position = after
        errors[cell] = np.mean(seen[-100:])
    assert errors["lru"] < 0.25 * errors["memoryless"]


def loop(horizon=5):
    controller, model = network(2, 1), network(3, 2, seed=1)
    forward = ForwardModel(model, change=0.3, noise=0.1, settings=KalmanSettings())
    return ImaginedLoop(controller, forward, Tracking((1,), (0,), 0.2), horizon)


def test_the_rows_of_an_imagined_loop_are_the_derivatives_of_what_it_comes_to():
    closed = loop()
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 2)))
    memory, state = closed.controller.initial_state(3), closed.model.network.initial_state(3)
    residuals, rows = closed.imagine(x, memory, state)
    assert residuals.shape == (3, 5 * 2)
    assert rows.shape == (3, 5 * 2, closed.controller.num_parameters)
    theta, frozen = closed.controller.theta.clone(), closed.model.network.theta.clone()
    for index in np.random.default_rng(1).integers(len(theta), size=12).tolist():
        shifted = []
        for step in (1e-6, -1e-6):
            closed.controller.theta.copy_(theta)
            closed.controller.theta[index] += step
            shifted.append(closed.imagine(x, memory, state).residuals)
        closed.controller.theta.copy_(theta)
        torch.testing.assert_close(rows[..., index], (shifted[0] - shifted[1]) / 2e-6, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(closed.model.network.theta, frozen, rtol=0, atol=0)


def test_the_loop_is_controller_and_model_in_turn():
    closed = loop(horizon=3)
    x = torch.tensor([[0.4, -0.2]], dtype=torch.float64)
    memory, state = closed.controller.initial_state(1), closed.model.network.initial_state(1)
    residuals = closed.imagine(x, memory, state).residuals[0]
    wanted = []
    with torch.no_grad():
        for _ in range(3):
            output, memory = closed.controller(x, memory)
            change, state = closed.model.network(torch.cat((x, output.clamp(-1, 1)), 1), state)
            x = x + 0.3 * change
            wanted += [x[0, 1] - x[0, 0], 0.2 * output[0, 0]]
    torch.testing.assert_close(residuals, torch.stack(wanted))


class Mass(gymnasium.Env):
    """Bring a mass, seen by its position alone, to where it should be: [where, position], 30 steps of 0.1 s."""

    observation_space = spaces.Box(-10.0, 10.0, (2,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.goal, self.position, self.velocity = self.np_random.uniform(-0.5, 0.5, 3)
        return np.array([self.goal, self.position], np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        self.velocity += 0.1 * float(action[0])
        self.position += 0.1 * self.velocity
        near = abs(self.position - self.goal) < 0.1 and abs(self.velocity) < 0.2
        seen = np.array([self.goal, self.position], np.float32)
        return seen, 0.0, False, self.steps == 30, {"near": near}


def test_it_learns_to_bring_a_mass_to_rest_without_reward_or_velocity():
    env = SyncVectorEnv([Mass] * 8, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    settings = ModelControllerSettings(
        controlled=(1,),
        reference=(0,),
        active=None,
        explore_steps=1024,
        plan_every=8,
        horizon=15,
        hidden_size=8,
        memory_length=5,
        model_cell="lru",
        model_hidden_size=8,
    )
    agent = agent_for(ModelController, settings, env)

    def near():
        many = SyncVectorEnv([Mass] * 32, autoreset_mode=AutoresetMode.DISABLED)
        observation, _ = many.reset(seed=1)
        state, start = None, np.ones(32, dtype=bool)
        for _ in range(30):
            action, state = agent.predict(observation, state, start)
            observation, _, _, _, info = many.step(action)
            start = np.zeros(32, dtype=bool)
        many.close()
        return np.mean(info["near"].astype(float))

    before = near()
    agent.learn(env, 2560, lambda *_: True)
    assert before < 0.2
    assert near() > 0.8
    env.close()


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path):
    run = RunSettings(
        env="FlashedGoal-v0",
        agent="model_controller",
        steps=1024,
        envs=4,
        eval_every=256,
        eval_episodes=2,
        knobs={"cue": "always", "memory_length": 2},
        agent_settings={"hidden_size": 8, "explore_steps": 384, "horizon": 4, "plan_every": 8},
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
        ({"controlled": (3, 4)}, r"must be equally many observations, at least one, got \(3, 4\) and \(0,\)"),
        ({"model_cell": "rtuu"}, "Did you mean 'rtu'"),
        ({"groups": "nodes"}, "Did you mean 'node'"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"explore_steps": -1}, "explore_steps must be at least 0, got -1"),
        ({"model_memory_length": 2}, "model_memory_length must be at least 3 control steps, got 2"),
        ({"noise": 0.0}, "noise must be a finite number above 0, got 0.0"),
        ({"exploration": -0.1}, "exploration must be a finite number, at least 0, got -0.1"),
        ({"p0": 0.0}, "p0 must be a finite variance above 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ModelControllerSettings(**settings)


def test_observations_that_are_not_there_are_refused():
    env = SyncVectorEnv([Mass])
    with pytest.raises(ValueError, match=r"must be indices of observations from 0 to 1, got \(3,\), \(0,\) and 2"):
        agent_for(ModelController, ModelControllerSettings(), env)
    env.close()
