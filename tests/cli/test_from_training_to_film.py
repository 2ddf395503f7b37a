"""The verbs one after another, as a newcomer takes them: train, go on, evaluate, render, export."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from quick import QUICK

from rlmem import UserError, load_run
from rlmem.agents.recurrent.numpy_policy import NumpyPolicy
from rlmem.cli.main import main
from rlmem.environments import draws_pictures
from rlmem.evaluation.episodes import evaluate_on


def test_an_environment_of_gymnasium_is_trained_with_its_knobs_and_evaluated(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = ["--agent", "ppo", "--agent.n-steps", "32", "--agent.batch-size", "64", "--eval-episodes", "2"]
    knobs = ["--env", "CartPole-v1", "--env.sutton-barto-reward", "--envs", "2", "--steps", "64"]
    assert main(["train", *agent, *knobs]) == 0
    assert main(["train", "runs/CartPole-v1/ppo/0", "--steps", "128"]) == 0
    assert main(["evaluate", "runs/CartPole-v1/ppo/0", "--episodes", "3"]) == 0
    shown = capsys.readouterr().out
    assert "mean return" in shown
    assert "memory score" not in shown
    assert main(["report", "runs/CartPole-v1/ppo/0"]) == 2
    assert "CartPole-v1 is none: `rlmem memory" in capsys.readouterr().err


class Tuples(gymnasium.Env[Any, Any]):
    """Observes a pair, of a number and a choice."""

    observation_space = gymnasium.spaces.Tuple((gymnasium.spaces.Box(-1.0, 1.0, (2,)), gymnasium.spaces.Discrete(3)))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, **_):
        return (np.zeros(2, np.float32), 1), {}

    def step(self, action):
        return (np.ones(2, np.float32), 2), float(action), False, False, {}


def test_an_environment_that_draws_no_pictures_is_refused_in_one_line_and_not_offered_for_a_film(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(gymnasium.registry, "Tuples-v0", gymnasium.spec("CartPole-v1").__class__("Tuples-v0", Tuples))
    gymnasium.registry["Tuples-v0"].max_episode_steps = 8
    agent = ["--agent.n-steps", "16", "--agent.hidden-size", "8", "--eval-episodes", "2"]
    assert main(["train", "--env", "Tuples-v0", *agent, "--envs", "2", "--steps", "32"]) == 0
    run = "runs/Tuples-v0/recurrent_ppo/0"
    assert f"next: rlmem evaluate {run}\n      rlmem memory {run}\n" in capsys.readouterr().out
    assert main(["render", run]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rlmem render: Tuples-v0 draws no pictures: give it a render_mode argument")
    assert said.count("\n") == 1
    assert main(["report", run]) == 2
    assert "render" not in capsys.readouterr().err
    with pytest.raises(UserError, match="draws no pictures"):
        load_run(run).make_env(render_mode="rgb_array")
    assert draws_pictures("CartPole-v1")


def test_tuples_are_observed_as_vectors(tmp_path, monkeypatch):
    monkeypatch.setitem(gymnasium.registry, "Tuples-v0", gymnasium.spec("CartPole-v1").__class__("Tuples-v0", Tuples))
    gymnasium.registry["Tuples-v0"].max_episode_steps = 8
    agent = ["--agent.n-steps", "16", "--agent.hidden-size", "8", "--eval-episodes", "2", "--out", str(tmp_path)]
    assert main(["train", "--env", "Tuples-v0", *agent, "--envs", "2", "--steps", "32"]) == 0
    run = load_run(tmp_path / "Tuples-v0" / "recurrent_ppo" / "0")
    observation, _ = run.make_env().reset()
    np.testing.assert_array_equal(observation, [0.0, 0.0, 0.0, 1.0, 0.0])
    assert run.predict(observation[None])[0].shape == (1,)


def test_a_run_is_trained_evaluated_with_another_length_and_rendered(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = ["--agent", "ppo", "--agent.n-steps", "32", "--agent.batch-size", "64"]
    train = ["train", *agent, "--steps", "128", "--envs", "4", "--eval-episodes", "4", *QUICK]
    assert main(train) == 0
    assert "rlmem evaluate runs/TMaze-v0/ppo/0" in capsys.readouterr().out
    run = "runs/TMaze-v0/ppo/0"
    assert main(train) == 2
    shown = capsys.readouterr()
    assert "go on with it by `rlmem train runs/" in shown.err
    assert not shown.out  # it is refused before anything is announced
    assert main(["train", run, "--steps", "256"]) == 0
    for other in (["--env.memory-length", "7"], ["--seed", "3"], ["--name", "long"], ["--eval-every", "9"]):
        assert main(["train", run, *other]) == 2
    capsys.readouterr()
    assert main(["train", run, "--steps", "128"]) == 2
    assert "--steps must be at least 256, for which the run was begun, got 128" in capsys.readouterr().err
    assert main(["train", run, "--agent.n-steps", "16"]) == 2
    assert f"{run} keeps the settings of its agent: leave --agent.n-steps out" in capsys.readouterr().err
    assert main(["evaluate", run, "--episodes", "5", "--env.memory-length", "9"]) == 0
    assert "mean length" in capsys.readouterr().out
    assert main(["evaluate", run, "--env.arms", "3"]) == 2
    assert "give the knobs that it was trained with" in capsys.readouterr().err
    assert main(["export", run]) == 2
    assert "agent 'ppo' cannot be exported: it must be recurrent_ppo, recurrent_a2c or" in capsys.readouterr().err
    video = ["render", run, "--episodes", "1", "--width", "160", "--height", "90", "--env.query-steps", "10"]
    assert main([*video, "--out", "rollout.gif"]) == 0
    assert (tmp_path / "rollout.gif").stat().st_size > 1000


def test_an_exported_run_acts_without_torch_as_the_agent_does_and_says_what_the_robot_needs_to_know(capsys, tmp_path):
    small = ["--agent.n-steps", "4", "--agent.hidden-size", "8", "--envs", "2", "--steps", "8", "--eval-episodes", "2"]
    assert main(["train", *small, "--out", str(tmp_path), *QUICK]) == 0
    run, policy_file = tmp_path / "TMaze-v0" / "recurrent_ppo" / "0", tmp_path / "robot" / "policy.npz"
    assert main(["export", str(run), "--to", "numpy", "--out", str(policy_file)]) == 0
    assert "to act 20 times a second" in capsys.readouterr().out
    policy, agent = NumpyPolicy(policy_file), load_run(run)
    assert policy.metadata["observation_names"][-1] == "turn rate (of 4 rad/s)"
    assert policy.metadata["action_names"] == ["throttle", "steering"]
    assert policy.metadata["action_high"] == [1.0, 1.0]
    returns = [evaluate_on(one, agent.env, knobs=agent.knobs, seeds=[1, 2]).returns for one in (policy, agent)]
    np.testing.assert_allclose(*returns, atol=1e-3)


def test_an_agent_of_ones_own_is_filmed_and_refused_in_one_line_where_its_actions_do_not_fit(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    acts = "import numpy as np\n\n\ndef {}(observation, state):\n    return np.ones({}), state\n"
    (tmp_path / "mine.py").write_text(acts.format("ahead", "(len(observation), 2)") + acts.format("wrong", 7))
    short = ["--env.robot", "planar", "--env.memory-length", "3", "--episodes", "1", "--width", "160", "--height", "90"]
    assert main(["render", "--policy", "mine.py:ahead", *short]) == 0
    assert "mine.py:ahead on rlmem/TMaze-v0" in capsys.readouterr().out
    assert (tmp_path / "rollout.mp4").stat().st_size > 1_000
    assert main(["render", "--policy", "mine.py:wrong", "--out", "wrong.mp4", *short]) == 2
    assert "the agent must return actions of shape (1, 2), got (7,)" in capsys.readouterr().err
    assert not (tmp_path / "wrong.mp4").exists()
