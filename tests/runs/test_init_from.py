"""Runs that start from the weights of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.errors import UserError
from rlmem.runs.checkpoints import BEST, LAST
from rlmem.runs.loading import load_run
from rlmem.runs.named import run_folder
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.training import train

SMALL: dict[str, Any] = {"n_steps": 16, "hidden_size": 8}
FIRST = RunSettings(
    env="TMaze-v0",
    agent="recurrent_ppo",
    steps=64,
    envs=2,
    eval_every=64,
    eval_episodes=1,
    knobs={"memory_length": 3, "robot": "planar", "query_steps": 10},
    agent_settings=SMALL,
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to start from."""
    return train(FIRST, tmp_path_factory.mktemp("first"))


def cells_of(folder: Path, which: str) -> dict[str, np.ndarray]:
    weights = load_run(folder, which).agent.model.policy.network.actor.state_dict()
    return {name: value.numpy() for name, value in weights.items()}


@pytest.mark.parametrize("name", ["a folder", "zoo:TMaze-v0"])
def test_a_run_starts_from_the_best_weights_of_another(name: str, first: Path, tmp_path: Path) -> None:
    source = str(first) if name == "a folder" else name
    before = run_folder(source)
    settings = read_settings(before).agent_settings | {"n_steps": 16, "seq_len": 16, "frozen_cells": True}
    folder = train(replace(FIRST, seed=1, init_from=source, agent_settings=settings), tmp_path)
    wanted, found = cells_of(before, BEST), cells_of(folder, LAST)
    for part, value in wanted.items():
        np.testing.assert_array_equal(found[part], value)
    with pytest.raises(UserError, match="init_from"):
        train(replace(FIRST, seed=1, agent_settings=settings), folder=folder, resume=True)


def test_weights_of_either_recurrent_agent_start_the_other_with_all_else_new(tmp_path: Path) -> None:
    shape: dict[str, Any] = {"hidden_size": 8, "n_steps": 16, "norm_obs": True}
    one = RecurrentA2C("MlpPolicy", MemoryBandit(2, 5), seed=0, **shape).learn(64)
    one.save(tmp_path / "one")
    other = RecurrentPPO("MlpPolicy", MemoryBandit(2, 5), seed=1, **shape)
    other.init_from(tmp_path / "one")
    weights = other.policy.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in one.policy.state_dict().items())
    assert other.num_timesteps == 0
    assert not other.policy.optimizer.state_dict()["state"]


def test_a_critic_of_another_full_state_starts_anew_and_the_actor_does_not(tmp_path: Path) -> None:
    sizes = [replace(FIRST, env="MazeRecall-v0", knobs={"size": size}) for size in ("5x5", "7x7")]
    taught = SMALL | {"critic_observation": "privileged", "auxiliary": ["bearings"], "norm_obs": True}
    small, large = (replace(run, agent_settings=taught) for run in sizes)
    before = train(small, tmp_path)
    with pytest.warns(UserWarning, match="has another shape: the critic here starts anew"):
        after = train(replace(large, seed=1, init_from=str(before), steps=32, eval_every=32), tmp_path)
    assert load_run(after, LAST).agent.env_steps == 32
    agents = [RecurrentPPO("MlpPolicy", MemoryBandit(2, 5), seed=i, **SMALL, critic_arch=[4 + i]) for i in range(2)]
    agents[0].save(tmp_path / "one")
    own = {name: value.clone() for name, value in agents[1].policy.state_dict().items()}
    with pytest.warns(UserWarning, match="the critic here starts anew"):
        agents[1].init_from(tmp_path / "one")
    saved = agents[0].policy.state_dict()
    for name, value in agents[1].policy.state_dict().items():
        assert torch.equal(value, (own if name.startswith("network.critic") else saved)[name]), name


def test_what_does_not_fit_is_refused_in_one_line(first: Path, tmp_path: Path) -> None:
    for changed, message in (
        ({"agent_settings": SMALL | {"hidden_size": 9}}, "does not fit: its network.actor.*, and .* is needed here"),
        ({"agent": "ppo", "agent_settings": {}}, "agent 'ppo' starts from fresh weights"),
        ({"init_from": str(tmp_path / "none")}, "there is no run .*none: name its folder"),
        ({"init_from": "zoo:None"}, "trained agent"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            train(replace(FIRST, **{"init_from": str(first), **changed}), tmp_path / "runs")  # type: ignore[arg-type]
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="holds no recurrent agent"):
        RecurrentPPO("MlpPolicy", MemoryBandit(2, 5), hidden_size=8).init_from(_of_another_agent(tmp_path))


def _of_another_agent(tmp_path: Path) -> Path:
    settings = replace(FIRST, agent="ppo", agent_settings={"n_steps": 16, "hidden_size": 8})
    return train(settings, tmp_path / "ppo") / LAST
