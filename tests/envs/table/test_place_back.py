"""Bringing back: the hand takes the cube along, letting go is the answer, where it stood leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.place_back import PlaceBack, PlaceBackSettings

Make = Callable[..., MemoryEnv]
PLACE = "rlmem/PlaceBack-v0"


def at_query(env: MemoryEnv, seed: int, cue: int | None = None) -> PlaceBack:
    """Start an episode and go on to its query."""
    task = task_of(env)
    assert isinstance(task, PlaceBack)
    env.reset(seed=seed, options=None if cue is None else {"cue": cue})
    while task.phase[0] != Phase.QUERY:
        env.step(np.zeros(env.action_space.shape))
    return task


@pytest.mark.parametrize(
    ("way", "robot"), [((1.0, 0.0), "panda"), ((-1.0, 0.0), "kuka"), ((0.0, 1.0), "kuka"), ((0.7, -0.7), "panda")]
)
def test_the_hand_takes_the_cube_along_in_every_direction(way: tuple[float, float], robot: str, make: Make) -> None:
    env = make(PLACE, robot=robot)
    task = at_query(env, 2)
    before = task.cube[0].copy()
    for step in range(8):
        env.step(np.array([*(way if step < 4 else (0.0, 0.0)), 0.0]))
        assert np.hypot(*(task.cube[0] - task.tip[0, :2] + [0.51, 0.0])) < 0.012, "the fingertip stays in the cube"
    moved = task.cube[0] - before
    assert moved @ np.array(way) / np.hypot(*way) > 0.08


def shown(env: MemoryEnv, seed: int) -> list[tuple[bytes, float]]:
    """Return the observation and reward of each step of an episode with random actions of that seed."""
    env.reset(seed=seed)
    rng, found, ended = np.random.default_rng(seed), [], False
    while not ended:
        observation, reward, terminated, truncated, _ = env.step(rng.normal(size=3).clip(-1.0, 1.0))
        found.append((observation.tobytes(), float(reward)))
        ended = terminated or truncated
    return found


@pytest.mark.parametrize("before", [592, 594])
def test_the_episode_before_changes_no_bit(before: int, make: Make) -> None:
    """Seeds at which Bullet used to carry contacts of cube and fingertip into the next episode."""
    used = make(PLACE, memory_length=20)
    shown(used, before)
    assert shown(used, 593) == shown(make(PLACE, memory_length=20), 593)


def test_the_cube_stays_where_it_is_let_go(make: Make) -> None:
    env = make(PLACE, commit_distance=0.15)
    task = at_query(env, 2)
    for _ in range(3):
        env.step(np.array([0.5, 0.0, 0.0]))
    for _ in range(2):
        env.step(np.array([0.0, 0.0, 1.0]))
    rests = task.cube[0].copy()
    for _ in range(5):
        env.step(np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(task.cube[0], rests, atol=0.002)
    assert np.abs(task.tip[0, 1]) > 0.08


def test_the_cube_is_judged_and_not_the_hand(make: Make) -> None:
    env = make(PLACE, radius=0.13, tolerance=0.02)
    right = 0
    for seed in range(12):
        task = at_query(env, seed)
        for _ in range(30):
            _, _, terminated, _, info = env.step(env.expert_action())
            if terminated:
                assert info["is_success"] == (np.hypot(*(task.cube[0] - task.point[0])) <= 0.02)
                assert task.tip[0, 2] >= 0.074
                right += info["is_success"]
                break
    assert right >= 11


def test_marks_are_uniform_on_the_disc() -> None:
    task = PlaceBack(PlaceBackSettings())
    drawn = []
    for seed in range(800):
        task.reset(seeds=[seed], cues=np.array([seed % 8]))
        drawn.append(task.point[0].copy())
    x, y = np.array(drawn).T
    task.close()
    assert stats.kstest((x**2 + y**2) / task.settings.radius**2, "uniform").pvalue > 1e-3
    assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3


def test_where_the_cube_was_pushed_from_does_not_show_once_the_mark_is_gone(make: Make) -> None:
    env = make(PLACE)
    first, second = (play(env, 6, lambda env, rng: np.array([0.6, -0.4, 0.05]), cue=cue, steps=40) for cue in (0, 5))
    start = len(first.where(Phase.CUE))
    assert start == len(second.where(Phase.CUE)) == 8
    np.testing.assert_array_equal(first.observations[start:], second.observations[start:])
    assert (first.observations[0] != second.observations[0]).any()


def test_no_answer_is_worse_than_waiting_and_letting_go_at_once_earns_about_nothing(make: Make) -> None:
    env = make(PLACE, query_steps=60)
    waited = sum(play(env, 1, lambda env, rng: np.zeros(3)).rewards)
    earned = [sum(play(env, seed, lambda env, rng: np.array([0.0, 0.0, 1.0])).rewards) for seed in range(60)]
    assert min(earned) > waited
    assert np.mean(earned) == pytest.approx(-0.02, abs=0.12)


def test_pictures_change_nothing_and_show_the_push(make: Make) -> None:
    plain, seen = [], []
    for guard in ("delay", "cue", "none"):
        for mode, episodes in ((None, plain), ("rgb_array", seen)):
            env = make(PLACE, guard=guard, render_mode=mode)
            task = task_of(env)
            observation, _ = env.reset(seed=3)
            rows = [observation]
            for step in range(24):
                if mode and step % 3 == 0:
                    task.frame(0, "above", 48, 32)
                observation, _, terminated, truncated, _ = env.step(env.expert_action())
                rows.append(observation)
                if terminated or truncated:
                    break
            episodes.append(np.array(rows))
    for left, right in zip(plain, seen, strict=True):
        np.testing.assert_array_equal(left, right)


def reached(frames: int, **knobs: Any) -> float:
    """Return the success of the scripted exploiter that keeps the cube, with so many frames."""
    return float(exploit(PLACE, frames, **knobs).score.mean())


def test_a_free_hand_keeps_the_cube_on_its_mark_and_a_guarded_one_cannot() -> None:
    chance = PlaceBack.spec(PlaceBackSettings()).memoryless.value
    assert reached(1, guard="none") >= 0.9
    assert reached(4, guard="cue") >= 0.9
    assert reached(4) * 96 <= stats.binom.ppf(0.999, 96, chance)
    assert reached(1, guard="cue") * 96 <= stats.binom.ppf(0.999, 96, chance)


@pytest.mark.parametrize("robot", ["panda", "kuka"])
def test_joints_can_be_controlled_too(robot: str, make: Make) -> None:
    env = make(PLACE, control="joint", robot=robot)
    assert sum(play(env, seed, expert_action).info["is_success"] for seed in range(6)) >= 5


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"radius": 1.0}, "radius must be from 0.05 to 0.13 m, got 1.0"),
        ({"tolerance": 0.2}, "tolerance must be at least 0.015 m and less than the radius, got 0.2"),
        ({"commit_distance": 0.01}, "commit_distance must be from 0.04 to 0.15 m, got 0.01"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlaceBackSettings(**knobs)
