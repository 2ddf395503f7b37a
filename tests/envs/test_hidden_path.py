"""The hidden path: ceilings by simulation, false steps, attempts, and what the expert knows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.ground.hidden_path import HiddenPath, HiddenPathSettings, eliminated
from rlmem.envs.single import MemoryEnv

Make = Callable[..., MemoryEnv]
PATH = "rlmem/HiddenPath-v0"


@pytest.mark.parametrize(("rows", "columns", "attempts"), [(2, 2, 3), (2, 3, 4), (3, 2, 2)])
def test_no_distribution_of_paths_finds_more_than_the_ceiling(rows: int, columns: int, attempts: int) -> None:
    """Exact: the mean over all safe paths of the probability that K independent draws hit it."""
    spec = HiddenPath.spec(HiddenPathSettings(rows=rows, columns=columns, attempts=attempts))
    rng, paths = np.random.default_rng(0), columns**rows
    uniform = np.full(paths, 1 / paths)
    assert np.mean(1 - (1 - uniform) ** attempts) == pytest.approx(spec.memoryless.value)
    for _ in range(50):
        drawn = rng.dirichlet(np.full(paths, 0.5))
        assert np.mean(1 - (1 - drawn) ** attempts) <= spec.memoryless.value


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (3, 2), (3, 3)])
def test_an_eliminator_succeeds_as_often_as_the_oracle_says(rows: int, columns: int) -> None:
    """Exact: a count over all safe paths of the false steps of one who tries each row's plates in order."""
    false_steps = np.array([sum(path) for path in product(range(columns), repeat=rows)])
    for attempts in range(1, rows * columns):
        assert np.mean(false_steps < attempts) == pytest.approx(eliminated(rows, columns, attempts))
    assert eliminated(rows, columns, rows * (columns - 1) + 1) == 1.0


def test_the_expert_with_too_few_attempts_reaches_the_oracle(make: Make) -> None:
    env = make(PATH, rows=2, attempts=3, query_steps=60)
    oracle = env.task_spec.oracle.value
    found = sum(play(env, seed, expert_action).info["is_success"] for seed in range(60))
    assert stats.binom.ppf(0.001, 60, oracle) <= found <= stats.binom.ppf(0.999, 60, oracle)


def test_a_column_drawn_by_the_noise_stays_below_the_ceiling() -> None:
    ceiling = HiddenPath.spec(HiddenPathSettings()).memoryless.value
    assert exploit(PATH, 1, episodes=64).success.sum() <= stats.binom.ppf(0.999, 64, ceiling)


def test_a_false_step_is_seen_then_it_is_dark_then_the_robot_is_at_the_start(make: Make) -> None:
    env = make(PATH, dock_steps=4)
    task = task_of(env)
    assert isinstance(task, HiddenPath)
    episode = play(env, 0, expert_action, cue=2)
    phases, seen = np.array(episode.phases), np.array(episode.observations)
    first = int(np.flatnonzero(phases == "cue")[0])
    assert phases[first : first + 6].tolist() == ["cue"] * 2 + ["dock"] * 4
    assert (seen[first : first + 2, 3] == 1.0).all()
    assert not seen[phases == "dock"].any()
    assert phases[first + 6] == "query"
    assert abs(seen[first + 6, 5]) < 0.05 / 4 + 1e-6, "at the start"
    assert seen[first - 1, 5] > 0.1
    assert (phases[1:] == "cue").sum() == 2 * task.failed[0]
    attempt = float(np.sum(episode.rewards[:first]))
    assert attempt == pytest.approx(-0.0005 * first - 0.1 * 4.0 * seen[0, 5]), "the way is taken back"


def test_the_way_is_paid_once_and_standing_still_costs(make: Make) -> None:
    env = make(PATH)
    episode = play(env, 0, expert_action)
    assert float(np.sum(episode.rewards)) > 1.0
    ahead = play(env, 1, lambda env, rng: np.array([1.0, 0.0])).rewards[:4]
    still = play(env, 1, lambda env, rng: np.array([0.0, 0.0])).rewards[:4]
    assert float(np.sum(ahead)) > 0.0 > float(np.sum(still))


def test_leaving_the_floor_and_standing_still_are_false_steps_and_the_last_ends_the_episode(make: Make) -> None:
    env = make(PATH, attempts=2, query_steps=10)
    for action in ([1.0, 0.3], [0.0, 0.0], [-1.0, 0.0]):
        episode = play(env, 1, lambda env, rng, action=action: np.array(action))  # type: ignore[misc]
        assert episode.terminated
        assert not episode.info["is_success"]
        assert episode.phases.count("cue") == 2, "seen once: the second false step ends the episode"


def test_the_expert_knows_only_what_it_has_found_out(make: Make) -> None:
    env = make(PATH)
    env.reset(seed=5)
    task = task_of(env)
    assert isinstance(task, HiddenPath)
    for _ in range(200):
        action, safe = env.expert_action(), task.safe.copy()
        task.safe[0, task.furthest[0] :] = (safe[0, task.furthest[0] :] + 1) % 3
        np.testing.assert_array_equal(env.expert_action(), action)
        task.safe[:] = safe
        if any(env.step(action)[2:4]):
            break
