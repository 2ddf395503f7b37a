"""The command line as a newcomer meets it, with wrong arguments too."""

import json

import gymnasium
import pytest

from rlmem import UserError, __version__
from rlmem.cli.main import VERBS, main
from rlmem.cli.train import Bar
from rlmem.networks.cells.lstm import LSTM
from rlmem.registry import AGENTS, TASKS

QUICK = ["--env.robot", "planar", "--env.memory-length", "5"]


def test_without_arguments_it_shows_its_verbs(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlmem {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    try:
        status = main([verb, "--help"])
    except SystemExit as leave:
        status = leave.code
    assert status == 0
    assert f"rlmem {verb}" in capsys.readouterr().out


def test_list_names_every_task_agent_and_knob(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*TASKS, *AGENTS))
    for task in TASKS:
        assert main(["list", task]) == 0
        assert "guard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean 'train'"),
        (["train", "--env", "TMazeActiv"], "Did you mean 'rlmem/TMazeActive-v0'"),
        (["train", "--agent", "expret"], "Did you mean 'expert'"),
        (["train", "--env"], "--env needs a name"),
        (["train", "--agent", "expert"], "does not learn"),
        (["evaluate", "runs/nothing"], "is not a training run"),
        (["evaluate", "--agent", "ppo"], "must be trained first"),
        (["render", "--agent", "expert", "--out", "video.avi"], ".mp4"),
        (["render", "--agent", "expert", "--episodes", "0"], "episodes must be at least 1"),
        (["list", "Nothing-v0"], "unknown environment"),
        (["evaluate", "--agent", "expert", "--episodes", "0"], "episodes must be at least 1"),
    ],
)
def test_a_wrong_argument_gets_one_clear_message(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--env.memory-lenght", "3"], "--env.memory-length"),
        (["train", "--env.memory-length", "0"], "memory_length must be"),
        (["train", "--agent", "ppo", "--agent.gamma", "2"], "gamma must be from 0 to 1"),
        (["audit", "--env.guard", "lots"], "guard"),
    ],
)
def test_a_wrong_option_is_explained(argv, message, capsys):
    with pytest.raises(SystemExit) as leave:
        main(argv)
    assert leave.value.code == 2
    assert message in capsys.readouterr().err


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, tmp_path):
    def broken_scan(*_):
        raise ValueError("a bug in a cell")

    monkeypatch.setattr(LSTM, "scan", broken_scan)
    with pytest.raises(ValueError, match="a bug in a cell") as fault:
        main(["train", "--agent.n-steps", "4", "--envs", "2", "--steps", "8", "--out", str(tmp_path), *QUICK])
    assert not isinstance(fault.value, UserError)


def test_a_user_error_is_a_value_error_that_the_command_line_tells_in_one_line(capsys):
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        gymnasium.make_vec("rlmem/TMaze-v0", num_envs=0)
    assert main(["evaluate", "--agent", "expert", "--env.memory-length", "5", "--episodes", "0"]) == 2
    assert capsys.readouterr().err == "rlmem evaluate: episodes must be at least 1, got 0\n"


def test_evaluate_prints_success_with_its_interval_and_writes_it(capsys, tmp_path):
    path = tmp_path / "result.json"
    assert main(["evaluate", "--agent", "expert", "--episodes", "20", "--json", str(path), *QUICK]) == 0
    assert "95 % interval 0.832 to 1.000" in capsys.readouterr().out
    result = json.loads(path.read_text())
    assert result["value"] == 1.0
    assert result["knobs"]["memory_length"] == 5


@pytest.mark.parametrize(("metric", "said"), [("success", "success 0.25"), ("score", "return 12.50")])
def test_progress_shows_what_the_task_is_judged_by(metric, said, capsys):
    Bar(100, metric).report(100, {"rollout/success_rate": 0.25, "rollout/ep_rew_mean": 12.5})
    assert capsys.readouterr().out.strip().endswith(said)


def test_a_run_is_trained_evaluated_with_another_length_and_rendered(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = ["--agent", "ppo", "--agent.n-steps", "32", "--agent.batch-size", "64"]
    train = ["train", *agent, "--steps", "128", "--envs", "4", "--eval-episodes", "4", *QUICK]
    assert main(train) == 0
    assert "rlmem evaluate runs/TMaze-v0/ppo/0" in capsys.readouterr().out
    run = "runs/TMaze-v0/ppo/0"
    assert main(train) == 2
    assert "go on with it by `rlmem train runs/" in capsys.readouterr().err
    assert main(["train", run, "--steps", "256"]) == 0
    for other in (["--env.memory-length", "7"], ["--seed", "3"], ["--name", "long"], ["--eval-every", "9"]):
        assert main(["train", run, *other]) == 2
    assert main(["evaluate", run, "--episodes", "5", "--env.memory-length", "9"]) == 0
    assert "mean length" in capsys.readouterr().out
    assert main(["evaluate", run, "--env.arms", "3"]) == 2
    assert "give the knobs that it was trained with" in capsys.readouterr().err
    video = ["render", run, "--episodes", "1", "--width", "160", "--height", "90", "--env.query-steps", "10"]
    assert main([*video, "--out", "rollout.gif"]) == 0
    assert (tmp_path / "rollout.gif").stat().st_size > 1000


def test_a_window_needs_a_screen(capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["render", "--agent", "expert", "--human"]) == 2
    assert "no screen" in capsys.readouterr().err


def test_a_task_in_the_place_of_a_run_is_recognized(capsys):
    assert main(["render", "FlashedGoal"]) == 2
    assert "FlashedGoal is a task and not a training run: write --env FlashedGoal" in capsys.readouterr().err
