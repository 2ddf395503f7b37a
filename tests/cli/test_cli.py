"""The command line as a newcomer meets it, with wrong arguments too."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rlmem import UserError, __version__, load_run
from rlmem.agents.recurrent.numpy_policy import NumpyPolicy
from rlmem.cli.arguments import convert
from rlmem.cli.main import VERBS, main
from rlmem.cli.training_progress import TrainingProgress
from rlmem.evaluation.episodes import evaluate_on
from rlmem.networks.cells.lstm import LSTM
from rlmem.registry import AGENTS, TASKS
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings

QUICK = ["--env.robot", "planar", "--env.memory-length", "5"]


def test_without_arguments_it_shows_its_verbs(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlmem {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_once_without_markup_and_with_examples(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    try:
        status = main([verb, "--help"])
    except SystemExit as leave:
        status = leave.code
    assert status == 0
    shown = capsys.readouterr().out
    usage, *paragraphs = shown.split("\n\n")
    assert usage.startswith(f"usage: rlmem {verb}")
    assert f"examples:\n  rlmem {verb}" in shown
    assert not re.search(r"\033|``|:class:|:data:|Args:|Raises:|See the module", shown)
    assert len(set(paragraphs)) == len(paragraphs)
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("  rlmem "))


@pytest.mark.parametrize("argv", [["list"], ["train", "--help"], ["evaluate", "--help"], ["compare", "--help"]])
def test_help_and_list_import_neither_torch_nor_a_simulator(argv):
    code = f"""import sys
from rlmem.cli.main import main
try:
    main({argv})
except SystemExit:
    pass
print([name for name in ("torch", "pybullet", "stable_baselines3", "matplotlib", "scipy") if name in sys.modules])"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


def test_list_names_every_task_agent_and_knob_on_lines_that_fit_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*TASKS, *AGENTS))
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    for task in TASKS:
        assert main(["list", task]) == 0
        shown = capsys.readouterr().out
        assert "guard" in shown
        assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean 'train'"),
        (["train", "--env", "TMazeActiv"], "Did you mean 'rlmem/TMazeActive-v0'"),
        (["train", "--env", "CartPole"], "Did you mean 'CartPole-v1'"),
        (["train", "--env", "no_module:Thing-v0"], "run this in its folder, or set PYTHONPATH"),
        (["train", "--agent", "expret"], "Did you mean 'expert'"),
        (["train", "--env"], "--env needs a value"),
        (["train", "--agent", "expert"], "does not learn"),
        (["train", "--env.memory-lenght", "3"], "Did you mean --env.memory-length"),
        (["train", "--lr", "1"], "Did you mean --agent.learning-rate or --agent.lr-schedule?"),
        (["train", "--total-timesteps", "9"], "unknown option --total-timesteps. `rlmem train --help` lists all"),
        (["train", "--env.memory-length", "0"], "--env.memory-length must be"),
        (["train", "--env.memory-length", "5", "x"], "--env.memory-length must be a whole number or 2 values"),
        (["train", "--agent.gamma", "2"], "--agent.gamma must be"),
        (["train", "--steps", "many"], "--steps must be a whole number, got 'many'"),
        (["train", "--steps", "1.5"], "--steps must be a whole number"),
        (["train", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["train", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["train", "--device", "tpu"], "device of agent 'recurrent_ppo' must be cpu or cuda, got 'tpu'"),
        (["train", "--agent", "ekf", "--device", "cuda"], "device of agent 'ekf' must be cpu, got 'cuda'"),
        (["audit", "--env.cue", "lots"], "--env.cue must be flash, always or never, got 'lots'"),
        (["audit", "--env", "CartPole-v1"], "CartPole-v1 is no task of rlmem"),
        (["compare", "--seconds", "-1"], "--seconds must be at least"),
        (["memory", "--agent", "expert", "--episodes", "1"], "--episodes must be at least 2"),
        (["memory", "--agent", "expert", "--lengths", "-5"], "--lengths must be at least 1"),
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
    "argv",
    [
        ["evaluate", "--agent", "expert", "--json"],
        ["render", "--agent", "expert", "--out"],
        ["audit", "--out"],
        ["gradients", "--out"],
    ],
)
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_work(argv, capsys, tmp_path):
    (tmp_path / "here.mp4").mkdir()
    (tmp_path / "here.png").mkdir()
    path = tmp_path / ("here.png" if argv[0] == "gradients" else "here.mp4")
    assert main([*argv, str(path)]) == 2
    assert f"{argv[-1]} must be a file, and {path} is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["evaluate", "--agent", "expert", "--json", "x.json"],
        ["render", "--agent", "expert", "--out", "x.mp4"],
        ["gradients", "--out", "x.png"],
        ["audit", "--out", "x.html"],
        ["compare", "--out", "x"],
        ["demo", "--out", "x"],
        ["train", "--out", "x"],
        ["benchmark", "tasks", "--out", "x"],
    ],
)
def test_a_place_that_nobody_can_write_to_is_refused_before_the_work(argv, capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for place in (file, Path("/proc/none")):  # where root cannot write either
        assert main([*argv[:-1], str(place / argv[-1])]) == 2
        said = capsys.readouterr().err
        assert f"{argv[-2]}: cannot write into {place}" in said
        assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(capsys, tmp_path):
    assert main(["train", "--device", "cuda", "--out", str(tmp_path)]) == 2
    assert "PyTorch finds none here" in capsys.readouterr().err


def test_steps_may_be_written_with_an_exponent():
    assert convert(["1e5"], int | None, "--steps") == 100_000
    assert convert(["5", "50"], int | tuple[int, int], "--env.memory-length") == (5, 50)


def test_a_list_may_be_empty():
    assert convert(["none"], tuple[str, ...], "--agent.auxiliary") == ()
    assert convert(["cue", "phase"], tuple[str, ...], "--agent.auxiliary") == ("cue", "phase")


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
    assert capsys.readouterr().err == "rlmem evaluate: --episodes must be at least 1, got 0\n"


def test_evaluate_prints_success_with_its_interval_and_writes_it(capsys, tmp_path):
    path = tmp_path / "result.json"
    assert main(["evaluate", "--agent", "expert", "--episodes", "20", "--json", str(path), *QUICK]) == 0
    assert "95 % interval 0.832 to 1.000" in capsys.readouterr().out
    result = json.loads(path.read_text())
    assert result["value"] == 1.0
    assert result["knobs"]["memory_length"] == 5


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["list"], "tasks"),
        (["list", "TMaze-v0"], "knobs"),
        (["doctor"], "packages"),
        (["benchmark", "quick", "--list"], "runs"),
        (["evaluate", "--agent", "expert", "--episodes", "2", *QUICK], "value"),
    ],
)
def test_json_is_all_that_is_on_standard_output_and_the_same_in_a_file(argv, found, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*argv, "--json"]) == 0
    shown = capsys.readouterr()
    values = json.loads(shown.out)
    assert values["rlmem_version"] == __version__
    assert values[found]
    assert shown.err.strip()
    assert main([*argv, "--json", "values.json"]) == 0
    assert json.loads((tmp_path / "values.json").read_text()).keys() == values.keys()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("rlmem tr", "train"),
        ("rlmem train --env TMazeA", "TMazeActive-v0"),
        ("rlmem audit Int", "Intercept-v0"),
        ("rlmem train --env CountPress-v0 --env.max", "--env.max-count"),
        ("rlmem train --agent.ce", "--agent.cell"),
        ("rlmem export RUN --to n", "numpy"),
    ],
)
def test_a_shell_completes_verbs_tasks_knobs_settings_and_values(words, completed, capsys):
    assert main(["completion", "bash"]) == 0
    ask = f'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _rlmem; echo "${{COMPREPLY[*]}}"'
    script = f"{capsys.readouterr().out}\n{ask}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == completed


def test_completion_is_made_for_each_shell_and_no_other(capsys):
    for shell in ("zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert "memory-length" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == 2
    assert "for which shell? bash, zsh, fish" in capsys.readouterr().err


def test_progress_shows_training_and_the_last_evaluation_with_its_length_and_interval(capsys, tmp_path):
    settings = RunSettings(env="TMaze-v0", agent="ppo", steps=100, knobs={"memory_length": (5, 50)})
    with TrainingProgress(settings, tmp_path) as progress:
        table = {"env_steps": 64.0, "eval/value": 1.0, "eval/low": 0.93, "eval/high": 1.0}
        Progress(tmp_path / "progress.csv").add(table)
        progress.report(100, {"rollout/success_rate": 0.58})
    evaluation, training = capsys.readouterr().out.splitlines()
    assert evaluation == "evaluation at 64 steps, memory length 5 to 50: success 1.00 (0.93 to 1.00)"
    assert training.endswith("success in training 0.58")


def test_the_bar_of_a_long_training_fits_80_columns_whole(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the output for a terminal
    with TrainingProgress(RunSettings(env="TMaze-v0", agent="ppo", steps=2_000_000), tmp_path) as progress:
        progress.report(1_000_000, {"rollout/success_rate": 0.58})
        monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 1_000.0)
        progress.report(1_500_000, {"rollout/success_rate": 0.58})
    bar = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).split("\r")[-1].strip()
    assert "1,500,000/2,000,000 steps" in bar
    assert "success in training 0.58" in bar
    assert bar.endswith("left")
    assert "…" not in bar
    assert len(bar) <= 80


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


def test_a_window_needs_a_screen(capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["render", "--agent", "expert", "--human"]) == 2
    assert "no screen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FlashedGoal", "FlashedGoal is no training run: write --env FlashedGoal\n"),
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
