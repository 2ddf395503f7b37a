"""Cues are seen when they should be, and nothing else tells them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import CASES, CUED_IDS, SHORT, Case, Episode, expert_action, play, task_of
from task_cases import T_MAZES, assert_same, until_the_answer

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv

Make = Callable[..., MemoryEnv]


class TestCueModes:
    def lit(self, env: MemoryEnv, episode: Episode) -> list[list[float]]:
        """Return the lamps in each observation."""
        names = task_of(env).observation_names
        lamps = [index for index, name in enumerate(names) if name.startswith("lamp")]
        return [observation[lamps].tolist() for observation in episode.observations]

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_lamps_show_the_cue_exactly_when_they_should(self, t_maze: str, guard: str, cue: str, make: Make) -> None:
        arms = 2 if guard in ("delay", "dock") else 4
        env = make(t_maze, arms=arms, guard=guard, cue=cue)
        for wanted in range(arms):
            episode = play(env, 8, expert_action, cue=wanted)
            first = episode.where(Phase.QUERY)[-1] if "Endless" not in t_maze else episode.where(Phase.QUERY)[0]
            dark, shown = [0.0] * arms, np.eye(arms)[wanted].tolist()
            seen = {"always": {"cue", "delay", "query", "search", "over"}, "flash": {"cue"}, "never": set()}[cue]
            expected = [shown if phase in seen else dark for phase in episode.phases]
            assert self.lit(env, episode)[: first + 1] == expected[: first + 1]

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_the_go_light_marks_the_query(self, t_maze: str, guard: str, make: Make) -> None:
        env = make(t_maze, guard=guard)
        go = task_of(env).observation_names.index("go light")
        episode = play(env, 9, expert_action)
        assert [bool(seen[go]) for seen in episode.observations] == [phase == "query" for phase in episode.phases]

    @pytest.mark.parametrize(
        "case",
        [case for case in CASES if case.env_id in CUED_IDS],
        ids=lambda case: "-".join((case.env_id, *case.knobs.values())),
    )
    def test_a_cue_that_is_never_shown_is_never_seen(self, case: Case, make: Make) -> None:
        env = make(case.env_id, cue="never", **case.knobs)
        first, second = (play(env, 10, cue=cue, steps=60) for cue in (0, 1))
        assert until_the_answer(first, second) > SHORT
        assert_same(first, second, range(until_the_answer(first, second)))

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_colors_and_places_do_not_tell_the_cue_where_it_is_always_shown_either(
        self, t_maze: str, make: Make
    ) -> None:
        """With ``cue="always"`` two cues differ in their lamps and in nothing else."""
        env = make(t_maze, cue="always")
        first, second = (play(env, 10, cue=cue, steps=60) for cue in (0, 1))
        for before, after in zip(first.observations, second.observations, strict=True):
            assert set(np.flatnonzero(before != after).tolist()) == {0, 1}
