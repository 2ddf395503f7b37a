"""A curriculum: short memories first, longer ones as they are learned, resumed where it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_resume import assert_same_run

from rlmem.errors import UserError
from rlmem.runs.checkpoints import BEST, LAST
from rlmem.runs.curriculum import Curriculum, check_curriculum
from rlmem.runs.progress import read_progress
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import make_env, train

RUN: dict[str, Any] = {
    "env": "TMaze-v0",
    "agent": "recurrent_ppo",
    "steps": 1024,
    "envs": 4,
    "eval_every": 256,
    "eval_episodes": 4,
    "stop_at": -2.0,  # each evaluation reaches it
    "curriculum": (3, 6),
    "knobs": {"memory_length": (2, 12), "query_steps": 10},
    "eval_knobs": {"memory_length": 12},
    "agent_settings": {"n_steps": 32, "seq_len": 8, "rows": 8, "n_epochs": 1, "hidden_size": 8},
}


def test_each_stage_is_trained_and_evaluated_at_its_own_lengths():
    settings = RunSettings(**RUN)
    training, validation = make_env(settings, 16, "same_step"), make_env(settings, 4, "disabled")
    curriculum = Curriculum(settings.curriculum, training, validation)
    lengths = []
    for _ in range(3):
        for env in (training, validation):
            env.reset(seed=0)
        lengths.append((int(training.task.length.min()), int(training.task.length.max()), set(validation.task.length)))
        if not curriculum.last:
            curriculum.go_on()
    training.close()
    validation.close()
    assert [low for low, *_ in lengths] == [2, 2, 2]
    assert lengths[0][1] <= 3 < lengths[1][1] <= 6 < lengths[2][1] <= 12
    assert [tested for *_, tested in lengths] == [{3}, {6}, {12}]


def test_a_stage_below_all_that_is_asked_for_is_trained_at_its_length_alone():
    settings = RunSettings(**RUN | {"curriculum": (3,), "knobs": {"memory_length": (8, 12), "query_steps": 10}})
    training, validation = make_env(settings, 8, "same_step"), make_env(settings, 4, "disabled")
    Curriculum(settings.curriculum, training, validation)
    training.reset(seed=0)
    assert set(training.task.length) == {3}
    training.close()
    validation.close()


def test_a_run_goes_through_its_stages_and_ends_in_the_last(tmp_path):
    folder = train(RunSettings(**RUN), tmp_path)
    assert list(read_progress(folder)["eval/stage"]) == [0, 1, 2]
    assert load_checkpoint(folder / LAST).meta["evaluation"]["stage"] == 2
    assert read_settings(folder).curriculum == (3, 6)
    said: list[str] = []
    train(RunSettings(**RUN), tmp_path, resume=True, plan=said.append)
    assert "finished" in said[0]


def test_the_best_checkpoint_is_of_the_stage_that_was_reached(tmp_path):
    settings = RunSettings(**RUN | {"stop_at": 2.0})  # no evaluation reaches it
    folder = train(settings, tmp_path)
    assert set(read_progress(folder)["eval/stage"]) == {0}
    train(replace(settings, stop_at=-2.0, steps=2048), tmp_path, resume=True)
    assert load_checkpoint(folder / BEST).meta["evaluation"]["stage"] == 2


def test_a_run_that_is_stopped_between_stages_goes_on_bit_for_bit(tmp_path):
    whole = train(RunSettings(**RUN), tmp_path / "whole")
    train(RunSettings(**RUN | {"steps": 256}), tmp_path / "parts")
    assert_same_run(whole, train(RunSettings(**RUN), tmp_path / "parts", resume=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"curriculum": (6, 3)}, r"must be memory lengths that rise, from 1 on and below the 12 .* got \[6, 3\]"),
        ({"curriculum": (0, 6)}, "from 1 on"),
        ({"curriculum": (12,)}, "below the 12"),
        (
            {"env": "HopperPosition-v0", "knobs": {}, "eval_knobs": {}, "curriculum": (3,)},
            "none that training can change",
        ),
        ({"env": "CartPole-v1", "knobs": {}, "eval_knobs": {}, "curriculum": (3,)}, "none that training can change"),
    ],
)
def test_a_curriculum_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        RunSettings(**RUN | changes)


def test_an_environment_of_another_package_has_no_curriculum_even_with_a_knob_of_that_name():
    with pytest.raises(UserError, match="CartPole-v1 has none that training can change"):
        check_curriculum((3,), "CartPole-v1", {"memory_length": 12})
