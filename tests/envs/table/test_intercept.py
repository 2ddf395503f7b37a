"""Occluded motion: the ball's course, when it is seen, where it comes out, who guesses without having seen it."""

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
from rlmem.envs.table.intercept import WIDTH, Intercept, InterceptSettings
from rlmem.envs.table.settings import SENSED

Make = Callable[..., MemoryEnv]
CATCH = "rlmem/Intercept-v0"


def course(episode: Episode) -> Any:
    """Return the places [T, 2] (m) at which the ball was seen."""
    seen = np.array([episode.observations[index] for index in episode.where(Phase.CUE)], dtype=np.float64)
    assert (seen[:, 0] == 1.0).all()
    return seen[:, 1:3] * SENSED


@pytest.mark.parametrize("length", [3, 20, 400])
def test_the_ball_comes_out_where_a_straight_line_leads(length: int, make: Make) -> None:
    env = make(CATCH, memory_length=length, query_steps=12)
    task = task_of(env)
    assert isinstance(task, Intercept)
    for seed in range(6):
        places = course(play(env, seed, expert_action))
        (slope, start), *_ = np.polyfit(places[:, 0], places[:, 1], 1, full=True)
        assert start - slope * WIDTH == pytest.approx(task.exits[0], abs=1e-3)
        rolled = -np.diff(places, axis=0)
        np.testing.assert_allclose(rolled[:, 0], WIDTH / (length + 12), atol=1e-6)


def test_the_longer_it_is_hidden_the_longer_it_is_seen_within_bounds(make: Make) -> None:
    steps = [
        len(play(make(CATCH, memory_length=length, query_steps=12), 1, expert_action).where(Phase.CUE))
        for length in (1, 20, 48, 300)
    ]
    assert steps == [8, 19, 36, 60]


def test_where_it_vanishes_and_comes_out_is_uniform_and_independent() -> None:
    task = Intercept(InterceptSettings())
    places = []
    for seed in range(900):
        task.reset(seeds=[seed])
        places.append((task.enters[0], task.exits[0]))
    task.close()
    enters, exits = (np.array(places).T / 0.10 + 1.0) / 2.0
    assert stats.kstest(enters, "uniform").pvalue > 1e-3
    assert stats.kstest(exits, "uniform").pvalue > 1e-3
    assert abs(stats.spearmanr(enters, exits).statistic) < 0.1


def test_a_cue_is_a_part_of_the_edge() -> None:
    task = Intercept(InterceptSettings(), 8)
    task.reset(seeds=[5] * 8, cues=np.arange(8))
    np.testing.assert_allclose(np.diff(task.exits), 0.025)
    assert np.ptp(task.enters) == 0.0
    task.close()


def test_every_episode_ends_when_the_ball_comes_out(make: Make) -> None:
    env = make(CATCH, query_steps=15)
    for actor in (expert_action, lambda env, rng: rng.uniform(-1.0, 1.0, 2)):
        episode = play(env, 3, actor)
        assert episode.terminated
        assert len(episode.where(Phase.QUERY)) == 16
        assert not any(episode.rewards[:-1])


def test_who_stays_in_the_middle_is_right_as_often_as_the_ceiling_says_and_earns_about_nothing() -> None:
    settings = InterceptSettings(memory_length=1)
    with Bench(Intercept(settings, 16)) as bench:
        played = bench.play(lambda stack, _: np.zeros((16, 2)), np.arange(400))
    chance = Intercept.spec(settings).memoryless.value
    low, high = (stats.binom.ppf(part, 400, chance) for part in (0.001, 0.999))
    assert low <= played.success.sum() <= high
    assert played.returns.mean() == pytest.approx(0.0, abs=0.1)


def test_where_it_vanished_does_not_tell_where_it_comes_out() -> None:
    """To be where it vanished, or opposite, is no better than chance."""
    with Bench(Intercept(InterceptSettings(memory_length=1), 16)) as bench:
        task = bench.task
        assert isinstance(task, Intercept)
        for side in (1.0, -1.0):

            def act(stack: Any, _: Any, side: float = side) -> Any:
                way = np.zeros((16, 2))
                way[:, 1] = (side * task.enters - task.tip[:, 1]) / 0.03
                return way

            right = bench.play(act, np.arange(320)).success.sum()
            assert right <= stats.binom.ppf(0.999, 320, 0.2)


def test_where_the_ball_is_always_seen_no_memory_is_needed(make: Make) -> None:
    env = make(CATCH, cue="always")

    def follow(env: MemoryEnv, rng: np.random.Generator) -> Any:
        seen = env.task.observe()[0].astype(np.float64)
        return np.array([0.0, np.clip((seen[2] - seen[5]) * SENSED / 0.03, -1.0, 1.0)])

    assert all(play(env, seed, follow).info["is_success"] for seed in range(20))


def reached(frames: int, **knobs: Any) -> float:
    """Return the success of the first scripted exploiter with so many frames."""
    return float(exploit(CATCH, frames, **knobs).score.mean())


def test_a_free_hand_waits_where_the_ball_comes_out_and_a_guarded_one_cannot() -> None:
    assert reached(1, guard="none") >= 0.9
    assert reached(4, guard="cue") >= 0.6
    for frames, guard in ((1, "delay"), (4, "delay"), (1, "cue")):
        assert reached(frames, guard=guard) * 96 <= stats.binom.ppf(0.999, 96, 0.2)


@pytest.mark.parametrize("robot", ["panda", "kuka"])
def test_joints_can_be_controlled_too(robot: str, make: Make) -> None:
    env = make(CATCH, control="joint", robot=robot, query_steps=12)
    assert all(play(env, seed, expert_action).info["is_success"] for seed in range(4))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"tolerance": 0.2}, "tolerance must be from 0.005 to 0.05 m, got 0.2"),
        ({"query_steps": 5}, "query_steps must be a whole number from 10 to 1000, got 5"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InterceptSettings(**knobs)
