"""Metrics go to Weights & Biases in whole rows, and a resumed run goes on in the same one."""

import sys
from types import SimpleNamespace

import pytest

import rlmem
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

SMALL = {"n_steps": 8, "batch_size": 16, "n_epochs": 1}


@pytest.fixture
def recorded(monkeypatch):
    """A wandb that writes down what is asked of it."""
    calls = []

    def init(**arguments):
        calls.append(("init", arguments))
        return SimpleNamespace(
            define_metric=lambda *_, **__: None,
            log=lambda row: calls.append(("log", row)),
            finish=lambda: calls.append(("finish", {})),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, errors=SimpleNamespace(Error=OSError)))
    return calls


def test_a_run_and_its_resumption_are_one_run_there(recorded, tmp_path):
    made = {
        "env": "CartPole-v1",
        "agent": "ppo",
        "envs": 2,
        "eval_episodes": 2,
        "eval_every": 16,
        "agent_settings": SMALL,
    }
    train(RunSettings(steps=16, **made), folder=tmp_path, wandb="project")
    train(RunSettings(steps=32, **made), folder=tmp_path, resume=True, wandb="project")
    begun = [arguments for call, arguments in recorded if call == "init"]
    assert begun[0]["project"] == "project"
    assert begun[0]["id"] == begun[1]["id"]
    assert begun[0]["config"]["agent_settings"]["n_steps"] == 8
    rows = [row for call, row in recorded if call == "log"]
    assert [row["env_steps"] for row in rows] == [16, 32]
    assert all("eval/value" in row and "train/loss" in row for row in rows)
    assert [call for call, _ in recorded].count("finish") == 2


def test_without_the_library_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    settings = RunSettings(env="CartPole-v1", agent="ppo", steps=16, envs=2, agent_settings=SMALL)
    with pytest.raises(rlmem.UserError, match=r"pip install 'rlmem\[wandb\]'"):
        train(settings, folder=tmp_path, wandb="project")
