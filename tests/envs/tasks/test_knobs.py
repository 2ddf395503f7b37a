"""Every task refuses knobs that cannot be, and says what can."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import gymnasium
import pytest
from conftest import ENV_IDS, knob_choices, modest_knobs

from rlmem.envs.single import MemoryEnv
from rlmem.envs.task_settings import MAX_LENGTH
from rlmem.registry import task_class

LENGTH_IDS = [name for name in ENV_IDS if any(knob.endswith("_length") for knob in modest_knobs(name))]


class TestKnobs:
    def test_a_misspelt_knob_is_named_with_the_right_one(self, env_id: str) -> None:
        for misspelt, right in (("gaurd", "guard"), ("cues", "cue")):
            knobs: dict[str, Any] = {misspelt: "delay"}
            with pytest.raises(ValueError, match=f"Did you mean '{right}'"):
                gymnasium.make(env_id, **knobs)
            with pytest.raises(ValueError, match=f"Did you mean '{right}'"):
                gymnasium.make_vec(env_id, 2, vectorization_mode="vector_entry_point", **knobs)

    @pytest.mark.parametrize("length", [0, -3, 1.5, "20", MAX_LENGTH + 1, (5, 2), (0, 5), (1, 2, 3), True, None])
    @pytest.mark.parametrize("env_id", LENGTH_IDS)
    def test_a_length_that_cannot_be_is_refused_with_what_can(self, env_id: str, length: Any) -> None:
        knob = next(name for name in modest_knobs(env_id) if name.endswith("_length"))
        with pytest.raises(ValueError, match=f"{knob} must be a whole number of control steps from 1 to {MAX_LENGTH}"):
            gymnasium.make(env_id, **{knob: length})

    def test_a_choice_that_there_is_not_is_refused_with_what_there_is(self, env_id: str) -> None:
        names = [knob.name for knob in fields(task_class(env_id).Settings) if knob_choices(env_id, knob.name)]
        named = [name for name in names if all(isinstance(choice, str) for choice in knob_choices(env_id, name))]
        assert {"guard", "cue"} <= set(named)
        for knob in named:
            with pytest.raises(ValueError, match=rf"{knob} must be one of '.*', got 'sometimes'"):
                task_class(env_id).make_settings({knob: "sometimes"})

    def test_a_task_that_there_is_not_is_named_with_the_nearest(self) -> None:
        with pytest.raises(ValueError, match="Did you mean 'rlmem/TMaze-v0'"):
            task_class("rlmem/TMace-v0")

    def test_settings_cannot_be_changed_behind_the_tasks_back(self, env_id: str) -> None:
        settings = task_class(env_id).make_settings({})
        with pytest.raises(AttributeError):
            settings.guard = "none"
        assert all(field.kw_only for field in fields(settings))

    def test_an_unknown_way_to_render_is_refused(self, env_id: str) -> None:
        task = task_class(env_id)
        with pytest.raises(ValueError, match="render_mode must be"):
            MemoryEnv(f"{task.__module__}:{task.__name__}", render_mode="ascii")
