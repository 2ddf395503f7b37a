"""Controllers taught online by the task's expert: who is asked, what is learnt, and how a run goes on."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from test_agents import make, small

import rlmem  # noqa: F401 - registers the tasks
from rlmem.agents.online.ekf_controller import EKFControllerSettings
from rlmem.cli.main import main
from rlmem.evaluation.episodes import evaluate
from rlmem.evaluation.seeds import validation_seeds
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import LAST
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import agent_for, train

LEARNT = {"steps": 6000, "envs": 8, "eval_every": 600, "eval_episodes": 20, "stop_at": 1.0}
METHODS = [("ekf", {}), ("adam_dagger", {}), ("adam_dagger", {"replay": False})]


def learn(name, steps=512, num_envs=4, **settings):
    env = make(num_envs=num_envs)
    env.reset(seed=0)
    cls = agent_class(name)
    agent = agent_for(cls, cls.Settings(**settings), env)
    seen = []
    agent.learn(env, steps, lambda _, metrics: bool(seen.append(metrics)) or True)
    env.close()
    return agent, seen


@pytest.mark.parametrize("robot", ["planar", "diff_drive"])
def test_the_ekf_learns_the_t_maze_from_some_forty_episodes(robot, tmp_path):
    settings = RunSettings(env="TMaze-v0", agent="ekf", knobs={"robot": robot, "memory_length": 20}, **LEARNT)
    folder = train(settings, tmp_path)
    env = gymnasium.make_vec("rlmem/TMaze-v0", num_envs=20, autoreset_mode="disabled", **settings.knobs)
    agent = agent_for(agent_class("ekf"), settings.make_agent_settings(), env)
    agent.load(folder / "best.safetensors")
    assert evaluate(agent, env, validation_seeds(40)).value >= 0.95
    assert agent.episodes < 100
    assert agent.queries < agent.env_steps
    env.close()


def test_the_expert_is_asked_less_and_less_where_the_controller_is_sure():
    _, seen = learn("ekf", steps=2048, ask_above=0.5)
    queries = np.diff([0.0] + [metrics["expert/queries"] for metrics in seen])
    assert queries[: len(queries) // 4].sum() > 1.5 * queries[-len(queries) // 4 :].sum()


def test_all_queries_ask_at_every_control_step():
    agent, _ = learn("ekf", queries="all")
    assert agent.queries == agent.env_steps == 512


def test_labels_that_were_not_asked_for_teach_nothing():
    env = make()
    env.reset(seed=0)
    taught, left = small("ekf", env), small("ekf", env)
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(4, 12)))
    for agent in (taught, left):
        agent.begin(4)
    start = torch.ones(4, dtype=torch.bool)
    asked = torch.tensor([True, False, True, False])
    for agent, other in ((taught, 0.3), (left, -5.0)):
        output, _ = agent.observe(x, start)
        label = torch.where(asked[:, None], output + 1.0, other)
        agent.teach(x, start, label, asked)
    torch.testing.assert_close(taught.network.theta, left.network.theta, rtol=0, atol=0)
    env.close()


def test_an_update_moves_the_action_towards_the_label():
    env = make()
    agent = small("ekf", env)
    agent.begin(4)
    x, start = torch.ones(4, 12, dtype=torch.float64), torch.ones(4, dtype=torch.bool)
    label = torch.full((4, 2), 0.5, dtype=torch.float64)
    before, _ = agent.observe(x, start)
    agent.teach(x, start, label, start)
    after, _ = agent.observe(x, start)
    assert (after - label).norm() < 0.5 * (before - label).norm()
    env.close()


def test_an_action_that_is_cut_off_where_the_experts_is_teaches_nothing():
    env = make()
    agent = small("ekf", env)
    agent.begin(4)
    with torch.no_grad():
        agent.network.readout.bias.fill_(3.0)
    x, start = torch.zeros(4, 12, dtype=torch.float64), torch.ones(4, dtype=torch.bool)
    output, _ = agent.observe(x, start)
    assert (output > 1.0).all()
    before = agent.network.theta.clone()
    agent.teach(x, start, torch.ones(4, 2, dtype=torch.float64), start)
    torch.testing.assert_close(agent.network.theta, before, rtol=0, atol=0)
    output, _ = agent.observe(x, start)
    agent.teach(x, start, torch.full((4, 2), 0.9, dtype=torch.float64), start)
    assert (agent.observe(x, start)[0] < output).all()
    env.close()


@pytest.mark.parametrize("groups", ["one", "node", "gate", "layer"])
def test_every_grouping_learns(groups):
    agent, _ = learn("ekf", groups=groups, steps=512)
    assert np.isfinite(agent.network.theta.numpy()).all()
    assert len(agent.filter.layout.groups) == (1 if groups == "one" else len(agent.network.groups(groups)))


@pytest.mark.parametrize(("name", "settings"), METHODS)
def test_a_run_in_two_parts_is_the_run_in_one(name, settings, tmp_path):
    run = RunSettings(
        env="TMaze-v0",
        agent=name,
        steps=1024,
        envs=4,
        eval_every=256,
        eval_episodes=2,
        knobs={"robot": "planar", "memory_length": (2, 9)},
        agent_settings={"hidden_size": 8} | settings,
    )
    whole = train(run, tmp_path / "whole")
    train(replace(run, steps=512), tmp_path / "parts")
    first, second = (load_checkpoint(folder / LAST) for folder in (whole, train(run, tmp_path / "parts", resume=True)))
    assert first.tensors.keys() == second.tensors.keys()
    for tensor, value in first.tensors.items():
        np.testing.assert_array_equal(value, second.tensors[tensor], err_msg=tensor)
    assert str(first.meta["state"]) == str(second.meta["state"])


@pytest.mark.parametrize("replay", [True, False])
def test_adam_learns_from_past_episodes_and_without(replay):
    _, seen = learn("adam_dagger", steps=6144, replay=replay, hidden_size=16)
    losses = [metrics["train/loss"] for metrics in seen]
    assert np.nanmean(losses[-24:]) < 0.7 * np.nanmean(losses[:8])


@pytest.mark.parametrize("name", ["ekf", "adam_dagger"])
def test_an_environment_without_an_expert_is_refused(name):
    vector = SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")], autoreset_mode="SameStep")
    with pytest.raises(ValueError, match=r"learns from an expert, and .* has no expert_action"):
        agent_for(agent_class(name), agent_class(name).Settings(), vector).learn(vector, 10, lambda *_: True)
    vector.close()


def test_the_cost_of_the_filter_is_told_before_training(tmp_path, capsys):
    run = [
        "--agent",
        "ekf",
        "--env",
        "TMaze-v0",
        "--steps",
        "64",
        "--envs",
        "4",
        "--eval-every",
        "64",
        "--eval-episodes",
    ]
    assert main(["train", *run, "1", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "GEKF: 506 parameters, P 2.05 MB; an update with 8 rows" in said
    assert said.index("GEKF") < said.index("done:")


def test_discrete_actions_are_refused():
    vector = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")])
    with pytest.raises(ValueError, match="needs bounded vectors as actions"):
        agent_for(agent_class("ekf"), agent_class("ekf").Settings(), vector)
    vector.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "rtuu"}, "Did you mean 'rtu'"),
        ({"noise": 0.0}, "noise must be a finite number above 0, got 0.0"),
        ({"p0": -1.0}, "p0 must be a finite variance above 0"),
        ({"forgetting": 1.5}, "forgetting must be above 0 and at most 1"),
        ({"groups": "nodes"}, "Did you mean 'node'"),
        ({"queries": "some"}, "unknown queries 'some'"),
        ({"derivative": "rtlr"}, "Did you mean 'rtrl'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EKFControllerSettings(**settings)
