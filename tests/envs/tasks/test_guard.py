"""The guard's exact properties hold for every task, bit for bit, and do not without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import CUED_IDS, VARIANTS, Actor, Variant, expert_action, play, task_of
from scipy import stats
from task_cases import NUM_ENVS, RECALL_IDS, T_MAZES, assert_same, until_the_answer

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
CUE_SEEN: dict[str, Actor] = {"search": expert_action}
"""Actors who look for the cue where it must be looked for, and act at random otherwise."""


def guaranteed(env: MemoryEnv, what: str) -> bool:
    return what in env.task_spec.guarantees


def forward(actors: dict[str, Actor]) -> dict[str, Actor]:
    """Let a robot that drives itself get somewhere: full speed with random steering outside the query."""

    def ahead(env: MemoryEnv, rng: np.random.Generator) -> Any:
        action = rng.uniform(-1.0, 1.0, env.action_space.shape)
        action[0] = 1.0
        return action

    return {"cue": ahead, "delay": ahead} | actors


class TestGuard:
    """G1, G2 and G3 as they are defined, bit for bit. What is compared ends with the first answer."""

    def test_g1_the_cue_leaves_no_trace(self, variant: Variant, guard: str, make: Make) -> None:
        seed = VARIANTS.index(variant) % 3
        env = make(variant.env_id, guard=guard, **variant.robot)
        if not guaranteed(env, "G1"):
            assert guard == "none" or variant.env_id not in CUED_IDS
            return
        steps = 120
        first, second = (play(env, seed, forward(CUE_SEEN), cue=cue, steps=steps) for cue in (0, 1))
        start = first.phases.index("delay")
        assert start == second.phases.index("delay")
        end = until_the_answer(first, second)
        assert end > start
        assert_same(first, second, range(start, end))
        assert any((first.observations[i] != second.observations[i]).any() for i in range(start))

    def test_g2_the_cue_phase_cannot_be_written_into(self, variant: Variant, guard: str, make: Make) -> None:
        seed = VARIANTS.index(variant) % 3
        env = make(variant.env_id, guard=guard, **variant.robot)
        if not guaranteed(env, "G2"):
            return
        first, second = (play(env, seed, CUE_SEEN, streams={"cue": stream}, steps=80) for stream in (1, 2))
        assert (np.array(first.actions[:12]) != np.array(second.actions[:12])).any()
        start = first.phases.index("delay") if "Hidden" in variant.env_id else 0
        assert_same(first, second, range(start, until_the_answer(first, second)))

    def test_g3_the_delay_is_silent(self, variant: Variant, guard: str, make: Make) -> None:
        seed = VARIANTS.index(variant) % 3
        env = make(variant.env_id, guard=guard, **variant.robot)
        if not guaranteed(env, "G3"):
            return
        first, second = (play(env, seed, CUE_SEEN, streams={"delay": stream}, steps=80) for stream in (1, 2))
        begins = first.where(Phase.DELAY)[0]
        assert (first.actions[begins] != second.actions[begins]).any()
        assert first.where(Phase.QUERY)
        assert_same(first, second, range(until_the_answer(first, second)))

    @pytest.mark.parametrize("recall_id", RECALL_IDS)
    def test_the_length_of_the_delay_does_not_show_at_the_query(self, recall_id: str, make: Make) -> None:
        """The same seed draws the same noise for every fixed length, so the first query looks the same after each."""
        looks = []
        for length in (1, 7, 90):
            episode = play(make(recall_id, memory_length=length), 3, expert_action)
            looks.append(episode.observations[episode.where(Phase.QUERY)[0]])
        np.testing.assert_array_equal(looks[0], looks[1])
        np.testing.assert_array_equal(looks[0], looks[2])

    @pytest.mark.parametrize("recall_id", [name for name in RECALL_IDS if "Hidden" not in name])
    def test_proprioception_is_silent_until_the_query(self, recall_id: str, make: Make) -> None:
        env = make(recall_id, guard="delay")
        episode = play(env, 3, CUE_SEEN, steps=60)
        for phase in (Phase.CUE, Phase.DELAY):
            seen = np.array([episode.observations[index] for index in episode.where(phase)])
            before_go = task_of(env).observation_names.index("go light")
            assert not seen[:, before_go:].any()
        delay = [episode.observations[index].tolist() for index in episode.where(Phase.DELAY)]
        assert all(seen == delay[0] for seen in delay), "nothing counts the steps"

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_the_free_twin_can_be_written_into(self, t_maze: str, make: Make) -> None:
        """The negative control: without the guard the same comparisons find traces."""
        env = make(t_maze, guard="none")
        first, second = (play(env, 0, CUE_SEEN, streams={"cue": stream}, steps=12) for stream in (1, 2))
        after = max(first.phases.index("delay"), second.phases.index("delay"))
        assert (first.observations[after] != second.observations[after]).any(), "G2 does not hold"
        env = make(t_maze, guard="cue")
        first, second = (play(env, 0, CUE_SEEN, streams={"delay": stream}, steps=16) for stream in (1, 2))
        after = first.phases.index("delay") + 1
        assert (first.observations[after] != second.observations[after]).any(), "G3 does not hold"

    def test_without_a_guard_a_policy_with_no_memory_reads_the_cue_from_its_pose(self, make_vec: MakeVec) -> None:
        """Why the guard exists: lean towards the lamp, keep leaning, turn to where you lean."""
        success = {}
        for guard in ("none", "delay"):
            env = make_vec("rlmem/TMaze-v0", NUM_ENVS, memory_length=40, guard=guard, autoreset_mode="disabled")
            seen: dict[str, Any] = {}

            def act(seen: dict[str, Any] = seen) -> Any:
                left, right, go, ranges, sine = (seen["now"][:, index] for index in (0, 1, 2, slice(3, 8), 9))
                lean = np.where(left + right > 0, left - right, np.sign(ranges[:, 4] - ranges[:, 0]))
                heading = np.where(go > 0, 1.5, 0.3) * lean
                return np.stack((np.full(NUM_ENVS, 0.8), np.clip(3.0 * (heading - sine), -1, 1)), axis=-1)

            outcomes: list[bool] = []
            for first in range(0, 80, NUM_ENVS):
                seen["now"], _ = env.reset(seed=first)
                running = np.ones(NUM_ENVS, dtype=bool)
                while running.any():
                    seen["now"], _, terminated, truncated, info = env.step(act())
                    ended = (terminated | truncated) & running
                    outcomes += info["is_success"][ended].tolist() if ended.any() else []
                    running &= ~ended
            success[guard] = sum(outcomes)
        assert success["none"] > stats.binom.ppf(0.99999, 80, 0.5)
        assert success["delay"] <= stats.binom.ppf(0.999, 80, 0.5)
