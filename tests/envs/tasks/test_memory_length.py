"""The memory length of every task is what lies between its cue and its query."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from conftest import SHORT, WORLD_IDS, expert_action, knob_choices, modest_knobs, play
from task_cases import RECALL_IDS

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.task_settings import MAX_LENGTH, draw_length
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]


class TestMemoryLength:
    @pytest.mark.parametrize(
        ("recall_id", "length"),
        [(name, length) for name in RECALL_IDS for length in (5, 600)]
        + [(name, MAX_LENGTH) for name in WORLD_IDS if name in RECALL_IDS],
    )
    def test_is_the_number_of_observations_between_cue_and_query(self, recall_id: str, length: int, make: Make) -> None:
        env = make(recall_id, memory_length=length)
        episode = play(env, 3, expert_action, steps=length + 100)
        last_cue = max(index for index in episode.where(Phase.CUE) if index < episode.where(Phase.QUERY)[0])
        first_query = episode.where(Phase.QUERY)[0]
        between = range(last_cue + 1, first_query)
        assert [episode.phases[index] for index in between] == ["delay"] * length

    @pytest.mark.parametrize("recall_id", RECALL_IDS)
    def test_is_what_driving_takes_where_the_robot_drives_itself(self, recall_id: str, make: Make) -> None:
        """At most three steps less without a guard: the free robot drives while it sees the cue too."""
        free = [
            (guard, least) for guard, least in (("cue", 40), ("none", 37)) if guard in knob_choices(recall_id, "guard")
        ]
        for guard, least in free:
            episode = play(make(recall_id, memory_length=40, guard=guard), 3, expert_action)
            delay = [index for index in episode.where(Phase.DELAY) if index < episode.where(Phase.QUERY)[0]]
            assert least <= len(delay) <= 60

    def test_is_drawn_log_uniformly_from_a_range(self) -> None:
        rng = np.random.default_rng(0)
        low, high = 5, 5_000
        draws = np.array([draw_length(rng, (low, high)) for _ in range(20_000)])
        assert draws.min() == low
        assert draws.max() <= high
        for bound in (7, 20, 100, 1_000, 4_000):
            expected = math.log((bound + 1) / low) / math.log((high + 1) / low)
            assert np.mean(draws <= bound) == pytest.approx(expected, abs=0.015)

    def test_of_a_range_reaches_both_ends(self) -> None:
        rng = np.random.default_rng(0)
        assert {draw_length(rng, (3, 6)) for _ in range(1_000)} == {3, 4, 5, 6}
        assert {draw_length(rng, (MAX_LENGTH, MAX_LENGTH)) for _ in range(100)} == {MAX_LENGTH}

    @pytest.mark.parametrize("recall_id", RECALL_IDS)
    def test_of_each_episode_stays_within_the_range(self, recall_id: str, make: Make) -> None:
        env = make(recall_id, memory_length=(4, 30))
        seen = set()
        for seed in range(12):
            episode = play(env, seed, expert_action)
            first = episode.where(Phase.QUERY)[0]
            seen.add(len([index for index in episode.where(Phase.DELAY) if index < first]))
        assert min(seen) >= 4
        assert max(seen) <= 30
        assert len(seen) > 5

    def test_is_in_the_spec_without_a_simulator(self, env_id: str) -> None:
        task = task_class(env_id)
        knobs = modest_knobs(env_id)
        spec = task.spec(task.make_settings(knobs))
        if "memory_length" in knobs:
            assert spec.memory_length == (SHORT, SHORT)
            ranged = task.spec(task.make_settings(knobs | {"memory_length": [2, 50]}))
            assert ranged.memory_length == (2, 50)
        if "credit_length" in knobs:
            before, after = (SHORT - 1, SHORT + knobs["query_steps"] - 1) if "memory_length" in knobs else (0, 0)
            assert spec.credit_length == (before + knobs["credit_length"], after + knobs["credit_length"])
