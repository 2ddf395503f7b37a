"""Every task tells phases, success and ends, and shows the cue that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conftest import CUED_IDS, Case, expert_action, play, task_of
from task_cases import NUM_ENVS

from rlmem.envs.memory_task import PHASE_NAMES
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
JUDGED = ["rlmem/FlashedGoal-v0", "rlmem/Intercept-v0"]
"""Tasks whose episodes are judged, and so terminate, at a fixed time after the query begins."""


class TestEpisodes:
    def test_the_phase_is_told_on_every_step_and_ends_with_the_query(self, case: Case, make: Make) -> None:
        episode = play(make(case.env_id, **case.knobs), 5, expert_action)
        assert set(episode.phases) <= set(PHASE_NAMES.tolist()) - {"over"}
        order = [name for name, after in pairwise([*episode.phases, ""]) if name != after]
        around = [name for name in order if name != "search"]
        if case.env_id not in CUED_IDS:
            assert around[0] == around[-1] == "query"
            assert set(around) <= {"query", "cue", "dock"}, "an act, what it shows, a dock"
            return
        phases = ["cue", "delay", *(["dock"] if case.knobs["guard"] == "dock" else []), "query"]
        assert around[: len(phases)] == phases
        assert around[-1] == ("wait" if "wait" in around else "query")

    def test_success_is_told_at_the_end_and_only_there(self, env_id: str, make: Make) -> None:
        env = make(env_id)
        env.reset(seed=2)
        info: dict[str, Any] = {}
        for _ in range(2_000):
            assert not {"is_success", "score", "cue"} & info.keys()
            *_, terminated, truncated, info = env.step(env.expert_action())
            if terminated or truncated:
                break
        assert isinstance(info["is_success"], bool)
        assert info["is_success"] or env_id not in CUED_IDS
        assert 0 <= info["cue"] < task_of(env).num_cues

    def test_the_expert_is_ended_by_termination_and_one_who_waits_by_truncation(self, case: Case, make: Make) -> None:
        env = make(case.env_id, **case.knobs)
        finished = play(env, 4, expert_action)
        if case.env_id not in CUED_IDS:
            assert finished.terminated != finished.truncated
            return
        assert (finished.terminated, finished.truncated) == (True, False)
        waited = play(env, 4, lambda env, rng: np.zeros(env.action_space.shape), steps=2_000)
        assert (waited.terminated, waited.truncated) == ((True, False) if case.env_id in JUDGED else (False, True))
        assert waited.info["is_success"] is False

    def test_an_episode_never_ends_both_ways(self, env_id: str, make_vec: MakeVec) -> None:
        env = make_vec(env_id, NUM_ENVS // 2, max_episode_steps=23)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        ended = 0
        for _ in range(50):
            mixed = np.where(
                rng.random((NUM_ENVS // 2, 1)) < 0.7, env.expert_action(), rng.uniform(-1, 1, env.action_space.shape)
            )
            *_, terminated, truncated, _ = env.step(mixed)
            assert not (terminated & truncated).any()
            ended += int((terminated | truncated).sum())
        assert ended >= NUM_ENVS

    def test_a_cue_can_be_asked_for_and_changes_nothing_else(self, env_id: str, make: Make) -> None:
        env = make(env_id)
        for wanted in range(task_of(env).num_cues):
            assert play(env, 6, expert_action, cue=wanted).info["is_success"] or env_id not in CUED_IDS
            env.reset(seed=6, options={"cue": wanted})
            assert task_of(env).cue[0] == wanted
        with pytest.raises(ValueError, match="cue must be from 0 to"):
            env.reset(seed=6, options={"cue": task_of(env).num_cues})
