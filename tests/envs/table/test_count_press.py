"""Counting: flashes at irregular times, presses that count once, the key that says done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.count_press import CountPress, CountPressSettings

Make = Callable[..., MemoryEnv]
COUNT = "rlmem/CountPress-v0"


def pressing(times: int) -> Callable[[MemoryEnv, np.random.Generator], Any]:
    """Press so often, then say done, whatever has flashed."""

    def act(env: MemoryEnv, rng: np.random.Generator) -> Any:
        task = task_of(env)
        assert isinstance(task, CountPress)
        if not task.armed[0]:
            return np.array([0.0, 0.0, 1.0])
        return np.array([0.0, 0.0, -1.0] if task.count[0] < times else [0.0, 1.0, 0.0])

    return act


@pytest.mark.parametrize(("most", "robot"), [(2, "panda"), (4, "kuka"), (7, "panda")])
def test_the_expert_presses_as_often_as_it_flashed(most: int, robot: str, make: Make) -> None:
    env = make(COUNT, max_count=most, robot=robot)
    for cue in range(most):
        episode = play(env, 40 + cue, expert_action, cue=cue)
        flashes = sum(seen[0] for seen in episode.observations)
        downs = np.diff([0.0, *(seen[3] for seen in episode.observations)])
        assert episode.info["is_success"]
        assert flashes == cue + 1
        assert (downs > 0).sum() == cue + 2, "each press shows as one, and the key that says done too"


def test_it_flashes_for_one_step_at_irregular_times(make: Make) -> None:
    env, gaps = make(COUNT, max_count=6), []
    for seed in range(20):
        episode = play(env, seed, expert_action, cue=5)
        lit = [index for index, seen in enumerate(episode.observations) if seen[0]]
        assert set(lit) <= set(episode.where(Phase.CUE))
        gaps += np.diff(lit).tolist()
    assert set(gaps) == {2, 3, 4, 5, 6}


def test_the_cue_takes_as_long_for_each_number(make: Make) -> None:
    env = make(COUNT)
    assert {len(play(env, 3, expert_action, cue=cue).where(Phase.CUE)) for cue in range(4)} == {16}


def test_one_press_too_many_ends_the_episode(make: Make) -> None:
    env = make(COUNT)
    for cue in range(3):
        episode = play(env, 5, pressing(9), cue=cue)
        assert episode.terminated
        assert not episode.info["is_success"]
        task = task_of(env)
        assert isinstance(task, CountPress)
        assert task.count[0] == cue + 2


def test_a_fixed_count_is_right_as_often_as_the_ceiling_says_and_earns_nothing(make: Make) -> None:
    env = make(COUNT)
    ceiling = env.task_spec.memoryless.value
    for times in (1, 2, 3, 4):
        played = [play(env, 8, pressing(times), cue=cue) for cue in range(4)]
        assert [episode.info["is_success"] for episode in played] == [cue + 1 == times for cue in range(4)]
        steps = np.mean([len(episode.where(Phase.QUERY)) - 1 for episode in played])
        assert np.mean([sum(episode.rewards) for episode in played]) <= 1e-9 - CountPress.STEP_COST * steps
    assert ceiling == 0.25


def test_no_answer_is_worse_than_waiting(make: Make) -> None:
    env = make(COUNT, query_steps=60)
    waited = sum(play(env, 1, lambda env, rng: np.zeros(3)).rewards)
    answered = [sum(play(env, 1, pressing(times), cue=cue).rewards) for times in (0, 2, 9) for cue in range(4)]
    assert min(answered) > waited


def test_nothing_before_the_answer_depends_on_the_number(make: Make) -> None:
    env = make(COUNT)
    more, most = (play(env, 6, pressing(2), cue=cue) for cue in (2, 3))
    start = more.where(Phase.QUERY)[0]
    np.testing.assert_array_equal(more.observations[start:], most.observations[start:])
    assert more.rewards[start:-1] == most.rewards[start:-1]


def test_where_the_cue_is_always_shown_no_memory_is_needed(make: Make) -> None:
    env = make(COUNT, cue="always")

    def act(env: MemoryEnv, rng: np.random.Generator) -> Any:
        seen = env.task.observe()[0]
        return np.array([0.0, 0.0, 1.0] if seen[3] else [0.0, 0.0, -1.0] if seen[1] > 0 else [0.0, 1.0, 0.0])

    assert all(play(env, seed, {"query": act}).info["is_success"] for seed in range(20))


def reached(frames: int, **knobs: Any) -> float:
    """Return the success of the scripted exploiter with so many frames."""
    return float(exploit(COUNT, frames, **knobs).score.mean())


def test_a_free_hand_is_an_abacus_and_a_guarded_one_is_not() -> None:
    assert reached(1, guard="none") >= 0.9
    for guard in ("cue", "delay"):
        assert reached(4, guard=guard) * 96 <= stats.binom.ppf(0.999, 96, 0.25)


def test_joints_can_be_controlled_too(make: Make) -> None:
    env = make(COUNT, control="joint")
    assert all(play(env, seed, expert_action).info["is_success"] for seed in range(4))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"max_count": 1}, "max_count must be a whole number from 2 to 10, got 1"),
        ({"commit_distance": 0.01}, "commit_distance must be from 0.04 to 0.10 m, got 0.01"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CountPressSettings(**knobs)
