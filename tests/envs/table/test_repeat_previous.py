"""The sliding window: which light is asked for, when lights are seen, what presses earn, and a hand that points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conftest import Episode, expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.audit.bounds import mean_bounds
from rlmem.envs.memory_task import Floats
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.repeat_previous import RepeatPrevious, RepeatPreviousSettings

Make = Callable[..., MemoryEnv]
REPEAT = "rlmem/RepeatPrevious-v0"


def made(env: MemoryEnv) -> RepeatPrevious:
    task = task_of(env)
    assert isinstance(task, RepeatPrevious)
    return task


def lights_seen(episode: Episode) -> list[int]:
    """Return the pads that light up, in order: a light is one where there was none, or another, before."""
    lit = [int(seen[:4].argmax()) if seen[:4].any() else -1 for seen in episode.observations]
    return [after for before, after in pairwise([-1, *lit]) if after >= 0 and after != before]


@pytest.mark.parametrize(("k", "presses"), [(1, 5), (2, 8), (4, 1), (7, 3)])
def test_the_light_asked_for_is_the_one_k_lights_before_the_last(k: int, presses: int, make: Make) -> None:
    env = make(REPEAT, k=k, presses=presses)
    for seed in range(6):
        episode = play(env, seed, expert_action)
        task = made(env)
        lights = lights_seen(episode)
        assert len(lights) == presses + k
        assert task.answers[0].tolist() == lights[:presses]
        assert episode.info["is_success"]
        assert episode.info["score"] == 1.0
        assert episode.terminated


def test_the_first_row_is_k_and_one_lights_and_one_more_follows_each_press(make: Make) -> None:
    env = make(REPEAT, k=2, presses=3, memory_length=4)
    episode = play(env, 1, expert_action)
    runs = [name for name, after in pairwise([*episode.phases, ""]) if name != after]
    assert runs == ["cue", "delay", "query"] * 3
    row = [bool(seen[:4].any()) for seen in episode.observations[: episode.phases.index("delay")]]
    assert row == [True, True, True, False, False] * 2 + [True, True, True]
    assert not episode.observations[episode.phases.index("delay")].any(), "nothing is seen in the delay"


def test_the_same_pad_twice_in_a_row_is_seen_as_two_lights(make: Make) -> None:
    env = make(REPEAT, k=1, presses=1)
    task = made(env)
    for seed in range(40):
        env.reset(seed=seed)
        if task.lights[0, 0] == task.lights[0, 1]:
            assert len(lights_seen(play(env, seed, expert_action))) == 2
            return
    pytest.fail("no such episode among 40")


def always_ahead(env: MemoryEnv, rng: np.random.Generator) -> Floats:
    return np.array([1.0, 0.0, 0.0])


def test_each_press_is_a_trial_of_its_own(make: Make) -> None:
    """A wrong press does not end the episode, and the hand starts the next query from its home."""
    env = make(REPEAT, k=1, presses=6)
    for seed in range(5):
        episode = play(env, seed, always_ahead)
        task = made(env)
        right = task.lights[0, :6] == 0
        assert episode.terminated
        assert episode.info["score"] == pytest.approx(right.mean())
        assert episode.info["is_success"] == bool(right.all())
        starts = [i for i, (a, b) in enumerate(pairwise(episode.phases), 1) if (a, b) == ("delay", "query")]
        assert len(starts) == 6
        hands = np.array([episode.observations[start][5:] for start in starts]) * 0.25
        assert np.abs(hands[:, :2]).max() < 0.0105
        assert len(np.unique(hands, axis=0)) == 6, "with fresh noise"


def test_guessing_earns_nothing() -> None:
    task = RepeatPrevious(RepeatPreviousSettings(memory_length=1, presses=20), 8)
    task.reset(seeds=list(range(8)))
    earned, ends = 0.0, 0
    while ends < 24:
        step = task.step(np.tile([1.0, 0.0, 0.0], (8, 1)))
        earned += float(step.reward.sum())
        ended = step.terminated
        ends += int(ended.sum())
        task.reset(np.flatnonzero(ended))
    task.close()
    assert earned / ends / 20 == pytest.approx(0.1 - 0.03, abs=0.09), "the way to a pad, less the steps"


def test_nothing_of_the_lights_is_seen_or_earned_before_the_answer(make: Make) -> None:
    env = make(REPEAT, k=2, presses=2)
    first, second = (play(env, 3, always_ahead, cue=cue) for cue in (1, 2))
    start, end = first.phases.index("delay"), first.phases.index("query") + 2
    for index in range(start, end):
        np.testing.assert_array_equal(first.observations[index], second.observations[index])
    assert first.rewards[start:end] == second.rewards[start:end]


def test_lights_are_uniform_and_independent_of_each_other() -> None:
    task = RepeatPrevious(RepeatPreviousSettings(k=1, presses=1))
    counts = np.zeros((4, 4))
    for seed in range(1_600):
        task.reset(seeds=[seed])
        counts[tuple(task.lights[0])] += 1
    task.close()
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_an_episode_is_truncated_where_no_press_comes(make: Make) -> None:
    env = make(REPEAT, query_steps=15)
    episode = play(env, 0, lambda env, rng: np.zeros(3))
    assert (episode.terminated, episode.truncated) == (False, True)
    assert sum(episode.rewards) == pytest.approx(-0.15, abs=0.02), "but for the noise of where the hand starts"


class TestExploiters:
    def reached(self, frames: int, **knobs: Any) -> Floats:
        return exploit(REPEAT, frames, **knobs).score

    def test_a_free_hand_points_at_the_first_light_for_its_policy(self) -> None:
        assert self.reached(1, guard="none", presses=1).mean() >= 0.9
        assert mean_bounds(self.reached(1, guard="none"), 0.99)[0] > 0.25

    def test_a_guarded_hand_does_not(self) -> None:
        for frames, guard in ((4, "delay"), (1, "cue"), (4, "cue")):
            assert mean_bounds(self.reached(frames, guard=guard, presses=4), 0.999)[0] <= 0.25


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"k": 0}, "k must be a whole number from 1 to 100, got 0"),
        ({"presses": 0}, "presses must be a whole number from 1 to 1000, got 0"),
        ({"commit_distance": 0.5}, "commit_distance must be from 0.05 to 0.10 m, got 0.5"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RepeatPrevious.make_settings(knobs)
