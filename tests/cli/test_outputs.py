"""Files that a verb writes: refused before the work where they cannot be written, and as JSON."""

import json
from pathlib import Path

import pytest
from quick import QUICK

from rlmem import __version__
from rlmem.cli.main import main


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


def test_evaluate_prints_success_with_its_interval_and_writes_it(capsys, tmp_path):
    path = tmp_path / "result.json"
    assert main(["evaluate", "--agent", "expert", "--episodes", "20", "--json", str(path), *QUICK]) == 0
    assert "95 % interval 0.832 to 1.000" in capsys.readouterr().out
    result = json.loads(path.read_text())
    assert result["value"] == 1.0
    assert result["knobs"]["memory_length"] == 5


def test_evaluate_says_what_information_the_agent_learned_from(capsys, tmp_path):
    small = ["--agent.n-steps", "4", "--agent.hidden-size", "8", "--envs", "2", "--steps", "8", "--eval-episodes", "2"]
    taught = ["--agent.critic-observation", "privileged", "--agent.auxiliary", "cue"]
    assert main(["train", *small, *taught, "--out", str(tmp_path), *QUICK]) == 0
    capsys.readouterr()
    run, path = str(tmp_path / "TMaze-v0" / "recurrent_ppo" / "0"), tmp_path / "result.json"
    assert main(["evaluate", run, "--episodes", "2", "--json", str(path)]) == 0
    learned_from = "reward, critic: full state, labels: cue"
    assert f"context: recurrent; information: {learned_from}\n" in capsys.readouterr().out
    assert json.loads(path.read_text())["information"] == learned_from
    (tmp_path / "mine.py").write_text("def act(observation, state):\n    return observation[:, :2] * 0, state\n")
    assert main(["evaluate", "--policy", f"{tmp_path / 'mine.py'}:act", "--episodes", "2", *QUICK]) == 0
    assert "context: its own\n" in capsys.readouterr().out


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
