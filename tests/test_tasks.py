"""Every task keeps Gymnasium's contract and its own: ceilings, knobs, memory length, phases, guard."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import (
    BAD_ACTIONS,
    CUED_IDS,
    ENV_IDS,
    SHORT,
    VARIANTS,
    WALKING_IDS,
    Actor,
    Episode,
    Variant,
    bad_actions,
    expert_action,
    knob_choices,
    modest_knobs,
    play,
    random_action,
    task_of,
)
from gymnasium.utils.env_checker import check_env
from scipy import stats
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlmem.envs.memory_task import MAX_LENGTH, PHASE_NAMES, Phase, draw_length
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]

LENGTH_IDS = [name for name in ENV_IDS if any(knob.endswith("_length") for knob in modest_knobs(name))]
RECALL_IDS = [name for name in ENV_IDS if "memory_length" in {knob.name for knob in fields(task_class(name).Settings)}]
JUDGED = ["rlmem/FlashedGoal-v0", "rlmem/Intercept-v0"]
"""Tasks whose episodes are judged, and so terminate, at a fixed time after the query begins."""
PLAYED = [variant for variant in VARIANTS if variant.env_id not in WALKING_IDS]
"""What is quick enough to be played for hundreds of episodes."""
T_MAZES = [name for name in ENV_IDS if "TMaze" in name]
EPISODES = 200
NUM_ENVS = 8


def seeded_episodes(env: MemoryVectorEnv, act: Callable[[], Any]) -> tuple[list[bool], list[float]]:
    """Run 200 seeded episodes and return success and score of each."""
    success: list[bool] = []
    score: list[float] = []
    for first in range(0, EPISODES, env.num_envs):
        env.reset(seed=first)
        running = np.ones(env.num_envs, dtype=bool)
        while running.any():
            _, _, terminated, truncated, info = env.step(act())
            ended = (terminated | truncated) & running
            if ended.any():
                success += info["is_success"][ended].tolist()
                score += info["score"][ended].tolist()
                running &= ~ended
    return success, score


class TestTheGymnasiumContract:
    def test_gymnasiums_checker_finds_nothing(self, env_id: str, cue: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(env_id, disable_env_checker=True, **modest_knobs(env_id, cue=cue))
            check_env(env.unwrapped, skip_render_check=True)
            env.close()

    def test_gymnasiums_checker_finds_nothing_where_it_renders(self, env_id: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*there is no screen here.*")
            env = gymnasium.make(env_id, disable_env_checker=True, **modest_knobs(env_id, render_mode="rgb_array"))
            check_env(env.unwrapped)
            env.close()

    def test_stable_baselines3s_checker_finds_nothing(self, env_id: str, cue: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(env_id, **modest_knobs(env_id, cue=cue))
            check_env_for_sb3(env)
            env.close()

    def test_an_id_can_name_the_module_to_import(self, env_id: str) -> None:
        env = gymnasium.make(f"rlmem:{env_id}", **modest_knobs(env_id))
        observation, _ = env.reset(seed=0)
        assert observation in env.observation_space
        env.close()

    def test_time_limits_of_gymnasium_truncate(self, env_id: str) -> None:
        env = gymnasium.make(env_id, max_episode_steps=5, **modest_knobs(env_id))
        env.reset(seed=0)
        ends = [env.step(np.zeros(env.action_space.shape or ()))[2:4] for _ in range(5)]
        assert ends == [(False, False)] * 4 + [(False, True)]
        env.close()

    def test_spaces_contain_what_is_seen_and_done(self, variant: Variant, guard: str, make: Make) -> None:
        env = make(variant.env_id, guard=guard, **variant.robot)
        for actor in (random_action, expert_action):
            episode = play(env, 1, actor)
            assert all(observation in env.observation_space for observation in episode.observations)
            assert all(action.astype(np.float32) in env.action_space for action in episode.actions)
            assert all(isinstance(reward, float) for reward in episode.rewards)

    def test_each_component_of_the_observation_has_a_name(self, env_id: str, make: Make) -> None:
        task = task_of(make(env_id))
        assert task.observation_space.shape == (len(task.observation_names),)
        assert len(set(task.observation_names)) == len(task.observation_names)

    def test_the_docstring_is_a_page_with_its_sections(self, env_id: str) -> None:
        headings = " ".join(re.findall(r"\*\*(.*?)\*\*", task_class(env_id).__doc__)).lower()
        for section in ("episode", "observation", "action", "reward", "memory", "ceilings"):
            assert section in headings


class TestCeilings:
    @pytest.mark.parametrize("variant", PLAYED, ids=lambda variant: "-".join((variant.env_id, *variant.robot.values())))
    def test_the_expert_reaches_the_oracle(self, variant: Variant, guard: str, make_vec: MakeVec) -> None:
        env = make_vec(variant.env_id, NUM_ENVS, guard=guard, autoreset_mode="disabled", **variant.robot)
        success, score = seeded_episodes(env, env.expert_action)
        oracle = env.task_spec.oracle.value
        if env.task_spec.metric == "success":
            assert np.mean(success) >= 0.99 * oracle
        else:
            chance = 3.3 * np.std(score) / math.sqrt(EPISODES)
            assert np.mean(score) == pytest.approx(oracle, rel=0.01, abs=chance), "episodes differ in what can be had"

    @pytest.mark.parametrize("length", [1, 9, 19, 20, 21, 60, 100])
    def test_all_apples_can_be_had_on_a_way_of_any_length(self, length: int, make: Make) -> None:
        env = make("rlmem/KeyToDoor-v0", credit_length=length)
        scores = [play(env, seed, expert_action).info["score"] for seed in range(8)]
        assert scores == [env.task_spec.oracle.value] * 8

    @pytest.mark.parametrize("env_id", [name for name in ENV_IDS if name not in WALKING_IDS])
    @pytest.mark.parametrize("guard", ["delay", "none"])
    def test_chance_stays_at_or_below_its_ceiling(self, env_id: str, guard: str, make_vec: MakeVec) -> None:
        env = make_vec(env_id, NUM_ENVS, guard=guard, autoreset_mode="disabled")
        rng = np.random.default_rng(7)
        success, score = seeded_episodes(env, lambda: rng.uniform(-1.0, 1.0, env.action_space.shape))
        ceiling = env.task_spec.random.value
        if env.task_spec.metric == "success":
            assert sum(success) <= stats.binom.ppf(0.999, EPISODES, ceiling)
        else:
            assert np.mean(score) <= ceiling + 3.3 * np.std(score) / math.sqrt(EPISODES)

    def test_guessing_at_the_query_stays_within_chance(self, make_vec: MakeVec) -> None:
        """Always turning left is the best that can be done without the cue, and is right as often as chance says."""
        env = make_vec("rlmem/TMaze-v0", NUM_ENVS, cue="never", autoreset_mode="disabled")
        success, _ = seeded_episodes(env, lambda: np.tile([1.0, 0.4], (NUM_ENVS, 1)))
        chance = env.task_spec.memoryless.value
        assert stats.binom.ppf(0.001, EPISODES, chance) <= sum(success) <= stats.binom.ppf(0.999, EPISODES, chance)

    def test_ceilings_are_in_order_and_derived(self, env_id: str, guard: str, cue: str) -> None:
        task = task_class(env_id)
        spec = task.spec(task.make_settings(modest_knobs(env_id, guard=guard, cue=cue)))
        assert spec.random.value <= spec.memoryless.value <= spec.oracle.value
        assert all(ceiling.why for ceiling in (spec.random, spec.memoryless, spec.oracle, *spec.partial.values()))
        assert all(spec.memoryless.value <= part.value <= spec.oracle.value for part in spec.partial.values())
        if cue != "flash" and spec.memory != "velocity":
            assert spec.memoryless.value == spec.oracle.value, "without a flash nothing is to be remembered"
        assert set(spec.guarantees) <= {"G1", "G2", "G3"}
        assert guard != "none" or not spec.guarantees

    @pytest.mark.parametrize("recall_id", RECALL_IDS)
    def test_memory_is_worth_something_where_the_cue_flashes(self, recall_id: str) -> None:
        task = task_class(recall_id)
        spec = task.spec(task.make_settings(modest_knobs(recall_id)))
        assert spec.memoryless.value < spec.oracle.value
        assert spec.guarantees == ("G1", "G2", "G3")
        assert spec.memory_score(spec.memoryless.value) == 0.0
        assert spec.memory_score(spec.oracle.value) == 1.0


class TestMemoryLength:
    @pytest.mark.parametrize("length", [5, 20, 1_000, MAX_LENGTH])
    @pytest.mark.parametrize("recall_id", RECALL_IDS)
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
        for seed in range(30):
            episode = play(env, seed, expert_action)
            first = episode.where(Phase.QUERY)[0]
            seen.add(len([index for index in episode.where(Phase.DELAY) if index < first]))
        assert min(seen) >= 4
        assert max(seen) <= 30
        assert len(seen) > 10

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


class TestEpisodes:
    def test_the_phase_is_told_on_every_step_and_ends_with_the_query(
        self, variant: Variant, guard: str, make: Make
    ) -> None:
        episode = play(make(variant.env_id, guard=guard, **variant.robot), 5, expert_action)
        assert set(episode.phases) <= set(PHASE_NAMES.tolist()) - {"over"}
        order = [name for name, after in pairwise([*episode.phases, ""]) if name != after]
        around = [name for name in order if name != "search"]
        if variant.env_id not in CUED_IDS:
            assert around == ["query"]
            return
        assert around[:3] == ["cue", "delay", "query"]
        assert around[-1] == ("wait" if "wait" in around else "query")

    def test_success_is_told_at_the_end_and_only_there(self, env_id: str, guard: str, make: Make) -> None:
        env = make(env_id, guard=guard)
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

    def test_the_expert_is_ended_by_termination_and_one_who_waits_by_truncation(
        self, variant: Variant, guard: str, make: Make
    ) -> None:
        env = make(variant.env_id, guard=guard, **variant.robot)
        finished = play(env, 4, expert_action)
        if variant.env_id not in CUED_IDS:
            assert finished.terminated != finished.truncated
            return
        assert (finished.terminated, finished.truncated) == (True, False)
        waited = play(env, 4, lambda env, rng: np.zeros(env.action_space.shape), steps=2_000)
        assert (waited.terminated, waited.truncated) == ((True, False) if variant.env_id in JUDGED else (False, True))
        assert waited.info["is_success"] is False

    def test_an_episode_never_ends_both_ways(self, env_id: str, guard: str, make_vec: MakeVec) -> None:
        env = make_vec(env_id, NUM_ENVS, guard=guard, max_episode_steps=23)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        ended = 0
        for _ in range(200):
            mixed = np.where(
                rng.random((NUM_ENVS, 1)) < 0.7, env.expert_action(), rng.uniform(-1, 1, env.action_space.shape)
            )
            *_, terminated, truncated, _ = env.step(mixed)
            assert not (terminated & truncated).any()
            ended += int((terminated | truncated).sum())
        assert ended > NUM_ENVS

    def test_a_cue_can_be_asked_for_and_changes_nothing_else(self, env_id: str, make: Make) -> None:
        env = make(env_id)
        for wanted in range(task_of(env).num_cues):
            assert play(env, 6, expert_action, cue=wanted).info["is_success"] or env_id not in CUED_IDS
            env.reset(seed=6, options={"cue": wanted})
            assert task_of(env).cue[0] == wanted
        with pytest.raises(ValueError, match="cue must be from 0 to"):
            env.reset(seed=6, options={"cue": task_of(env).num_cues})


class TestCueModes:
    def lit(self, env: MemoryEnv, episode: Episode) -> list[list[float]]:
        """Return the lamps in each observation."""
        names = task_of(env).observation_names
        lamps = [index for index, name in enumerate(names) if name.startswith("lamp")]
        return [observation[lamps].tolist() for observation in episode.observations]

    @pytest.mark.parametrize("arms", [2, 3, 4])
    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_lamps_show_the_cue_exactly_when_they_should(
        self, t_maze: str, arms: int, guard: str, cue: str, make: Make
    ) -> None:
        env = make(t_maze, arms=arms, guard=guard, cue=cue)
        for wanted in range(arms):
            episode = play(env, 8, expert_action, cue=wanted)
            first = episode.where(Phase.QUERY)[-1] if "Endless" not in t_maze else episode.where(Phase.QUERY)[0]
            dark, shown = [0.0] * arms, np.eye(arms)[wanted].tolist()
            expected = [
                shown if cue == "always" or (cue == "flash" and phase == "cue") else dark for phase in episode.phases
            ]
            assert self.lit(env, episode)[: first + 1] == expected[: first + 1]

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_the_go_light_marks_the_query(self, t_maze: str, guard: str, make: Make) -> None:
        env = make(t_maze, guard=guard)
        go = task_of(env).observation_names.index("go light")
        episode = play(env, 9, expert_action)
        assert [bool(seen[go]) for seen in episode.observations] == [phase == "query" for phase in episode.phases]

    @pytest.mark.parametrize(
        "variant",
        [variant for variant in VARIANTS if variant.env_id in CUED_IDS],
        ids=lambda variant: "-".join((variant.env_id, *variant.robot.values())),
    )
    def test_a_cue_that_is_never_shown_is_never_seen(self, variant: Variant, guard: str, make: Make) -> None:
        env = make(variant.env_id, guard=guard, cue="never", **variant.robot)
        first, second = (play(env, 10, cue=cue, steps=60) for cue in (0, 1))
        assert until_the_answer(first, second) > SHORT
        assert_same(first, second, range(until_the_answer(first, second)))

    @pytest.mark.parametrize("t_maze", T_MAZES)
    def test_colours_and_places_do_not_tell_the_cue_where_it_is_always_shown_either(
        self, t_maze: str, make: Make
    ) -> None:
        """With ``cue="always"`` two cues differ in their lamps and in nothing else."""
        env = make(t_maze, cue="always")
        first, second = (play(env, 10, cue=cue, steps=60) for cue in (0, 1))
        for before, after in zip(first.observations, second.observations, strict=True):
            assert set(np.flatnonzero(before != after).tolist()) == {0, 1}


def until_the_answer(first: Episode, second: Episode) -> int:
    """Return how many observations there are before an episode or its first query ends."""
    counts = []
    for episode in (first, second):
        query = episode.where(Phase.QUERY)
        left = [index for index in range(query[0], len(episode.phases)) if index not in query] if query else []
        counts.append(left[0] if left else len(episode.phases) - (episode.terminated or episode.truncated))
    return min(counts)


def assert_same(first: Episode, second: Episode, which: range) -> None:
    """Check that two episodes look and pay the same, bit for bit."""
    for index in which:
        np.testing.assert_array_equal(first.observations[index], second.observations[index])
        assert first.phases[index] == second.phases[index]
        assert first.rewards[index - 1] == second.rewards[index - 1] or index == 0


CUE_SEEN: dict[str, Actor] = {"search": expert_action}
"""Actors who look for the cue where it must be looked for, and act at random otherwise."""


def guaranteed(env: MemoryEnv, what: str) -> bool:
    return what in env.task_spec.guarantees


class TestGuard:
    """G1, G2 and G3 as they are defined, bit for bit. What is compared ends with the first answer."""

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_g1_the_cue_leaves_no_trace(self, variant: Variant, guard: str, seed: int, make: Make) -> None:
        env = make(variant.env_id, guard=guard, **variant.robot)
        if not guaranteed(env, "G1"):
            assert guard == "none"
            return
        steps = 120
        first, second = (play(env, seed, forward(CUE_SEEN), cue=cue, steps=steps) for cue in (0, 1))
        start = first.phases.index("delay")
        assert start == second.phases.index("delay")
        end = until_the_answer(first, second)
        assert end > start
        assert_same(first, second, range(start, end))
        assert any((first.observations[i] != second.observations[i]).any() for i in range(start))

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_g2_the_cue_phase_cannot_be_written_into(self, variant: Variant, guard: str, seed: int, make: Make) -> None:
        env = make(variant.env_id, guard=guard, **variant.robot)
        if not guaranteed(env, "G2"):
            return
        first, second = (play(env, seed, CUE_SEEN, streams={"cue": stream}, steps=80) for stream in (1, 2))
        assert (np.array(first.actions[:12]) != np.array(second.actions[:12])).any()
        start = first.phases.index("delay") if "Hidden" in variant.env_id else 0
        assert_same(first, second, range(start, until_the_answer(first, second)))

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_g3_the_delay_is_silent(self, variant: Variant, guard: str, seed: int, make: Make) -> None:
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
        for length in (1, 7, 300):
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


def forward(actors: dict[str, Actor]) -> dict[str, Actor]:
    """Let a robot that drives itself get somewhere: full speed with random steering outside the query."""

    def ahead(env: MemoryEnv, rng: np.random.Generator) -> Any:
        action = rng.uniform(-1.0, 1.0, env.action_space.shape)
        action[0] = 1.0
        return action

    return {"cue": ahead, "delay": ahead} | actors


class TestBadActions:
    @pytest.mark.parametrize("name", BAD_ACTIONS)
    def test_are_refused_and_change_nothing(self, env_id: str, name: str, make: Make) -> None:
        results = []
        for disturbed in (False, True):
            env = make(env_id, guard="none")
            size = env.action_space.shape[0]
            action, message = bad_actions(size)[name]
            env.reset(seed=11)
            rng = np.random.default_rng(1)
            seen = []
            for step in range(30):
                if disturbed and step % 7 == 3:
                    with pytest.raises(ValueError, match=f"(?i)action.*{message}"):
                        env.step(action)  # type: ignore[arg-type]
                seen.append(env.step(rng.uniform(-1, 1, size))[:4])
            results.append(seen)
        for (seen, *rest), (other, *rest_of_other) in zip(*results, strict=True):
            np.testing.assert_array_equal(seen, other)
            assert rest == rest_of_other

    def test_outside_of_the_space_are_clipped_to_it(self, env_id: str, make: Make) -> None:
        env = make(env_id, guard="none")
        size = env.action_space.shape[0]
        wild = play(env, 0, lambda env, rng: np.linspace(9.0, 4.5, size), steps=15)
        tame = play(env, 0, lambda env, rng: np.linspace(0.9, 0.5, size), steps=15)
        clipped = play(env, 0, lambda env, rng: np.ones(size), steps=15)
        np.testing.assert_array_equal(wild.observations, clipped.observations)
        both = zip(tame.observations, clipped.observations, strict=False)
        assert any((one != other).any() for one, other in both)

    def test_of_any_number_type_are_taken(self, env_id: str, make: Make) -> None:
        env = make(env_id, guard="none")
        env.reset(seed=0)
        size = env.action_space.shape[0]
        for action in (np.ones(size, dtype=np.int64), np.zeros(size, dtype=np.float16), [0.5] * size):
            env.step(action)  # type: ignore[arg-type]


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


class TestClosing:
    def test_twice_does_nothing(self, variant: Variant, make: Make) -> None:
        env = make(variant.env_id, **variant.robot)
        env.reset(seed=0)
        env.close()
        env.close()
