"""Wrong words on the command line get one line that says what would be right, before any work is done."""

import errno
from pathlib import Path

import gymnasium
import pytest
import torch
from quick import QUICK

from rlmem import UserError
from rlmem.cli.main import main
from rlmem.networks.cells.lstm import LSTM


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean 'train'"),
        (["train", "--env", "TMazeActiv"], "Did you mean 'rlmem/TMazeActive-v0'"),
        (["train", "--env", "CartPole"], "Did you mean 'CartPole-v1'"),
        (["train", "--env", "no_module:Thing-v0"], "run this in its folder, or set PYTHONPATH"),
        (["train", "--agent", "expret"], "Did you mean 'expert'"),
        (["train", "--env"], "--env needs a value"),
        (["train", "--env", ""], "the argument after --env is empty: write a name or a value there"),
        (["train", "--env="], "--env needs a value, and what is given is empty"),
        (["train", "--name", "", "--agent", "ppo"], "the argument after --name is empty"),
        (["train", ""], "the argument is empty"),
        (["evaluate", " "], "the argument is empty"),
        (["list", ""], "the argument is empty"),
        (["benchmark", "quick", "--list", "--only", "ppo", ""], "the argument after ppo is empty"),
        (["train", "--agent", "expert"], "does not learn"),
        (["train", "--env.memory-lenght", "3"], "Did you mean --env.memory-length"),
        (["train", "--lr", "1"], "Did you mean --agent.learning-rate or --agent.lr-schedule?"),
        (["train", "--total-timesteps", "9"], "unknown option --total-timesteps. `rlmem train --help` lists all"),
        (["train", "--env.memory-length", "0"], "--env.memory-length must be"),
        (["train", "--env.memory-length", "5", "x"], "--env.memory-length must be a whole number or 2 values"),
        (["train", "--agent.gamma", "2"], "--agent.gamma must be"),
        (["train", "--agent.auxiliary", "gates.x"], "unknown label of auxiliary 'gates.x'. Known: chosen, clock, cue"),
        (["train", "--steps", "many"], "--steps must be a whole number, got 'many'"),
        (["train", "--steps", "1.5"], "--steps must be a whole number"),
        (["train", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["train", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["train", "--device", "tpu"], "device of agent 'recurrent_ppo' must be cpu or cuda, got 'tpu'"),
        (["train", "--device", "cpu:0"], "device of agent 'recurrent_ppo' must be cpu or cuda, got 'cpu:0'"),
        (["train", "--init-from", "nope"], "there is no run nope: name its folder, runs/ENV/AGENT/SEED, or zoo:NAME"),
        (["train", "--agent", "ekf", "--device", "cuda"], "device of agent 'ekf' must be cpu, got 'cuda'"),
        (["audit", "--env.cue", "lots"], "--env.cue must be flash, always or never, got 'lots'"),
        (["audit", "--env", "CartPole-v1"], "CartPole-v1 is no task of rlmem"),
        (["compare", "--env", "TMaze-v0"], "--env. `rlmem benchmark SUITE.toml` compares agents on a task"),
        (["compare", "--seconds", "-1"], "--seconds must be at least"),
        (["memory", "--agent", "expert", "--episodes", "1"], "--episodes must be at least 2"),
        (["memory", "--agent", "expert", "--lengths", "-5"], "--lengths must be at least 1"),
        (["compare", "--hidden-size", "100000000"], "--hidden-size must be at most 10,000, got 100000000"),
        (["gradients", "--hidden-size", "100000000"], "--hidden-size must be at most 10,000, got 100000000"),
        (["gradients", "--hidden-size", "1"], "--hidden-size must be at least 2"),
        (["benchmark", "quick", "--processes", "0"], "--processes must be at least 1"),
        (["evaluate", "runs/nothing"], "there is no run"),
        (["export"], "export what? Name first the folder of a run"),
        (["evaluate", "--agent", "ppo"], "must be trained first"),
        (["evaluate", "--agent", "expert", "--episodes", "0"], "--episodes must be at least 1"),
        (["render", "--agent", "expert", "--out", "video.avi"], ".mp4, .gif or .webp"),
        (["render", "--agent", "expert", "--episodes", "0"], "--episodes must be at least 1"),
        (["render", "--agent", "expert", "--fps", "500"], "--fps must be at most 50, got 500"),
        (["report", "--agent", "ppo"], "a report of what?"),
        (["list", "Nothing-v0"], "one of your own is named with its module: my_module:Nothing-v0"),
        (["list", "zoo:ShellGame-v0-hard"], "no environment: `rlmem zoo ShellGame-v0-hard` shows its card"),
        (["list", "ShellGame-v0-hard"], "zoo:ShellGame-v0-hard is a trained agent and no environment: `rlmem zoo"),
        (["train", "--env", "zoo:TMaze"], "`rlmem zoo TMaze` shows its card"),
        (["audit", "hub:me/t-maze"], "hub:me/t-maze is a trained agent and no environment\n"),
        (["demo", "--memory-length", "0"], "--memory-length must be at least 1"),
    ],
)
def test_a_wrong_argument_gets_one_line_that_names_it(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TMaze", "TMaze is no training run: write --env TMaze or zoo:TMaze-v0\n"),
        ("CartPole-v1", "CartPole-v1 is no training run: write --env CartPole-v1\n"),
        ("runs", f"it has no settings.toml; {Path('runs/TMaze-v0/ppo/0')} is one\n"),
    ],
)
def test_what_stands_in_the_place_of_a_run_is_recognized(name, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs/TMaze-v0/ppo/0"
    run.mkdir(parents=True)
    (run / "settings.toml").touch()
    assert main(["render", name]) == 2
    assert capsys.readouterr().err.endswith(message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(capsys, tmp_path):
    assert main(["train", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "PyTorch finds none here" in capsys.readouterr().err


def test_a_window_needs_a_screen(capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["render", "--agent", "expert", "--human"]) == 2
    assert "no screen" in capsys.readouterr().err


def test_the_exit_status_tells_a_damaged_file_from_a_disk_that_is_full_meanwhile(capsys, tmp_path, monkeypatch):
    (tmp_path / "settings.toml").write_text("env = ")
    assert main(["evaluate", str(tmp_path)]) == 2
    (tmp_path / "suite.toml").write_bytes(b"\xff")
    assert main(["benchmark", str(tmp_path / "suite.toml")]) == 2

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rlmem.cli.json_output.write_text", full)
    capsys.readouterr()
    assert main(["list", "--json", str(tmp_path / "tasks.json")]) == 1
    assert capsys.readouterr().err == "rlmem list: [Errno 28] No space left on device\n"


def test_a_user_error_is_a_value_error_that_the_command_line_tells_in_one_line(capsys):
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        gymnasium.make_vec("rlmem/TMaze-v0", num_envs=0)
    assert main(["evaluate", "--agent", "expert", "--env.memory-length", "5", "--episodes", "0"]) == 2
    assert capsys.readouterr().err == "rlmem evaluate: --episodes must be at least 1, got 0\n"


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, tmp_path):
    def broken_scan(*_):
        raise ValueError("a bug in a cell")

    monkeypatch.setattr(LSTM, "scan", broken_scan)
    with pytest.raises(ValueError, match="a bug in a cell") as fault:
        main(["train", "--agent.n-steps", "4", "--envs", "2", "--steps", "8", "--out", str(tmp_path), *QUICK])
    assert not isinstance(fault.value, UserError)
