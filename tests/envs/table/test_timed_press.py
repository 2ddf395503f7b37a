"""Interval timing: when the tone sounds, the brake, windows, ceilings of waiting at a constant rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Episode, expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.audit.bench import Bench
from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.interval import TimedPressSettings, chance, without_tone
from rlmem.envs.table.timed_press import TimedPress
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]
TIMED = "rlmem/TimedPress-v0"
PRESS = np.array([0.0, 0.0, -1.0])


def press_after(steps: int) -> Callable[[MemoryEnv, np.random.Generator], Any]:
    """Press so many control steps after the tone's end, whatever the tone."""

    def act(env: MemoryEnv, rng: np.random.Generator) -> Any:
        task = task_of(env)
        assert isinstance(task, TimedPress)
        return PRESS if task.phase[0] != Phase.CUE and task.elapsed[0] + 1 >= steps else np.zeros(3)

    return act


def tone_steps(episode: Episode, tones: int) -> list[int]:
    """Return the indices of the observations with a tone."""
    return [index for index, seen in enumerate(episode.observations) if seen[:tones].any()]


def test_the_tone_sounds_for_three_steps_after_a_silence_that_is_drawn(make: Make) -> None:
    env, starts = make(TIMED), set()
    for seed in range(60):
        episode = play(env, seed, expert_action)
        first = tone_steps(episode, 2)[0]
        assert tone_steps(episode, 2) == [first, first + 1, first + 2]
        assert episode.where(Phase.DELAY)[0] == first + 3
        starts.add(first)
    assert starts == set(range(8))


@pytest.mark.parametrize(("interval", "tolerance", "robot"), [(6, 1, "panda"), (20, 2, "kuka"), (41, 3, "panda")])
def test_a_press_is_right_within_the_tolerance_and_wrong_just_outside(
    interval: int, tolerance: int, robot: str, make: Make
) -> None:
    env = make(TIMED, interval=interval, tolerance=tolerance, robot=robot)
    for cue, due in enumerate((interval, interval * 3 // 2)):
        for late in (-tolerance - 1, -tolerance, 0, tolerance, tolerance + 1):
            episode = play(env, 7, press_after(due + late), cue=cue)
            assert episode.terminated
            assert episode.info["is_success"] == (abs(late) <= tolerance)
            assert len(episode.rewards) - tone_steps(episode, 2)[-1] - 1 == due + late, "it presses in that very step"


def test_nothing_is_seen_that_tells_the_time_or_the_actions_until_the_press(make: Make) -> None:
    env = make(TIMED)
    task = task_of(env)
    rng = np.random.default_rng(1)
    env.reset(seed=4)
    while task.phase[0] == Phase.CUE:
        before, *_ = env.step(rng.uniform(-1.0, 1.0, 3))
    for _ in range(40):
        seen, *_ = env.step(np.append(rng.choice([-1.0, 1.0], 2), rng.uniform(-0.5, 1.0)))
        np.testing.assert_array_equal(seen, before)
    assert env.step(np.array([0.0, 0.0, -0.51]))[2]


def test_what_is_done_once_the_brake_lets_go_changes_nothing(make: Make) -> None:
    ends = []
    for other in (-1.0, 1.0):
        env = make(TIMED)
        task = task_of(env)
        assert isinstance(task, TimedPress)
        env.reset(seed=4)
        while task.phase[0] == Phase.CUE:
            env.step(np.zeros(3))
        ends.append(env.step(np.array([other, other, -1.0])))
    assert ends[0][1:3] == ends[1][1:3]
    np.testing.assert_array_equal(ends[0][0], ends[1][0])


@pytest.mark.parametrize("tones", [1, 2, 3])
def test_the_ceiling_is_what_pressing_at_the_best_constant_rate_reaches(tones: int) -> None:
    """By simulation of waiting times, without a robot."""
    settings = TimedPressSettings(tones=tones)
    rng = np.random.default_rng(0)
    due = np.array(settings.intervals)[rng.integers(tones, size=40_000)]
    reached = max(
        float((np.abs(rng.geometric(1.0 / mean, size=40_000) - due) <= settings.tolerance).mean())
        for mean in range(5, 60, 5)
    )
    ceiling = TimedPress.spec(settings).memoryless.value
    assert reached == pytest.approx(ceiling, abs=0.006)
    if tones == 1:
        assert ceiling == pytest.approx(5 / (np.e * 20), rel=0.05)
    assert chance(settings, 4) > ceiling


def test_a_press_at_a_constant_rate_stays_within_the_ceiling(make: Make) -> None:
    cls = task_class(TIMED)
    rng = np.random.default_rng(5)
    with Bench(cls(cls.make_settings({}), 16)) as bench:
        played = bench.play(lambda stack, _: np.where(rng.random((16, 1)) < 0.045, PRESS, 0.0), np.arange(480))
    low, high = (stats.binom.ppf(part, 480, chance(TimedPressSettings())) for part in (0.001, 0.999))
    assert low <= played.success.sum() <= high


def test_timing_without_the_tone_reaches_its_partial_ceiling(make: Make) -> None:
    env = make(TIMED)
    right = [play(env, seed, press_after(20), cue=seed % 2).info["is_success"] for seed in range(20)]
    assert np.mean(right) == env.task_spec.partial["the time, not the tone"].value == 0.5


def test_who_does_not_hear_can_time_the_episode_only() -> None:
    """Eight silences, of which five fit into the window of one of two tones."""
    assert without_tone(TimedPressSettings()) == pytest.approx(5 / 8 / 2)


def test_never_to_press_is_worse_than_any_press(make: Make) -> None:
    env = make(TIMED, query_steps=60)
    waited = play(env, 2, lambda env, rng: np.zeros(3))
    assert waited.truncated
    for steps in (1, 10, 20, 30, 60, 70):
        for cue in (0, 1):
            assert sum(play(env, 2, press_after(steps), cue=cue).rewards) > sum(waited.rewards)


@pytest.mark.parametrize("interval", [200, 2_000])
def test_a_long_interval_leaves_the_time_to_answer(interval: int, make: Make) -> None:
    env = make(TIMED, interval=interval, tolerance=interval // 10, tones=4, query_steps=60)
    assert all(play(env, 1, expert_action, cue=cue).info["is_success"] for cue in range(4))


def test_where_the_time_to_come_is_shown_no_memory_is_needed(make: Make) -> None:
    env = make(TIMED, cue="always")

    def act(env: MemoryEnv, rng: np.random.Generator) -> Any:
        return PRESS if env.task.observe()[0, 2] <= 1 / 30 else np.zeros(3)

    assert all(play(env, seed, act).info["is_success"] for seed in range(20))


def reached(frames: int, **knobs: Any) -> float:
    """Return the success of the scripted exploiter with so many frames."""
    return float(exploit(TIMED, frames, **knobs).score.mean())


def test_a_free_hand_is_a_clock_and_a_braked_one_is_not() -> None:
    assert reached(1, guard="none") >= 0.9
    assert reached(4, guard="cue") >= 0.9
    for frames in (1, 4):
        assert reached(frames) <= chance(TimedPressSettings())


@pytest.mark.parametrize("robot", ["panda", "kuka"])
def test_joints_can_be_controlled_too(robot: str, make: Make) -> None:
    env = make(TIMED, control="joint", robot=robot)
    assert all(play(env, seed, expert_action).info["is_success"] for seed in range(4))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"interval": 5}, "interval must be a whole number from 6 to 10000, got 5"),
        ({"tones": 5}, "tones must be a whole number from 1 to 4, got 5"),
        ({"tolerance": 5}, "tolerance must be a whole number from 1 to 4, got 5"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimedPressSettings(**knobs)
