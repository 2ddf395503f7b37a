"""Drawers: what no memory reaches is what is derived, and nothing but a memory gets through the dock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import expert_action, exploit, play
from scipy import stats

from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.acts import SHOW_STEPS
from rlmem.envs.table.drawer_search import memoryless_success, oracle_success

Make = Callable[..., MemoryEnv]
DRAWERS = "rlmem/DrawerSearch-v0"


def simulated(p: np.ndarray, rng: np.random.Generator, episodes: int = 40_000) -> float:
    """Return how often an item is found by drawing drawers from p [K], none of them twice."""
    k = len(p)
    item, found = rng.integers(k, size=episodes), 0
    draws = rng.choice(k, size=(episodes, k), p=p)
    for drawn, wanted in zip(draws, item, strict=True):
        at = np.flatnonzero(drawn == wanted)
        found += len(at) > 0 and len(set(drawn[: at[0] + 1])) == at[0] + 1
    return found / episodes


@pytest.mark.parametrize("k", [2, 6, 16])
def test_independent_draws_reach_what_is_derived_and_uniform_ones_most(k: int) -> None:
    rng = np.random.default_rng(k)
    value = memoryless_success(k)
    error = 4.0 * np.sqrt(value * (1 - value) / 40_000)
    assert simulated(np.full(k, 1 / k), rng) == pytest.approx(value, abs=error)
    assert simulated(rng.dirichlet(np.full(k, 3.0)), rng) < value + error


def test_no_policy_without_memory_gets_through_the_dock_and_without_one_it_goes_around_the_ring() -> None:
    ceiling = memoryless_success(6)
    drawn = int(exploit(DRAWERS, 1, named="noise").success.sum())
    assert stats.binom.ppf(0.001, 96, ceiling) <= drawn <= stats.binom.ppf(0.999, 96, ceiling)
    assert exploit(DRAWERS, 1, named="ring").success.sum() <= stats.binom.ppf(0.999, 96, ceiling)
    assert exploit(DRAWERS, 1, named="ring", guard="none").success.mean() == 1.0


@pytest.mark.parametrize("dock_steps", [1, 7])
def test_an_open_drawer_is_seen_until_the_dock_and_the_dock_is_dark(dock_steps: int, make: Make) -> None:
    env = make(DRAWERS, k=4, dock_steps=dock_steps)
    episode = play(env, 0, expert_action, cue=1)
    assert episode.info["is_success"]
    phases, seen = np.array(episode.phases), np.array(episode.observations)
    assert (phases == "cue").sum() == 2 * SHOW_STEPS
    assert (phases == "dock").sum() == 2 * dock_steps
    assert not seen[phases == "dock"].any()
    opened = seen[phases == "cue", :4].argmax(axis=1)
    assert opened.tolist() == [3] * SHOW_STEPS + [2] * SHOW_STEPS
    assert not seen[phases == "query", :4][:-1].any(), "drawers are shut again"
    assert seen[-1, :4].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_opening_a_drawer_twice_ends_the_episode_as_a_failure(make: Make) -> None:
    env = make(DRAWERS)
    env.reset(seed=1, options={"cue": 0})
    ended, info, reward = False, {}, 0.0
    while not ended:
        env.task.opened[:] = False  # an expert that has forgotten opens the last again
        action = env.expert_action()
        env.task.opened[:, 5] = env.task.acts > 0
        _, reward, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    assert (terminated, info["is_success"]) == (True, False)
    assert reward == pytest.approx(-0.5, abs=0.2)


def test_what_was_opened_stays_open_where_the_cue_always_shows(make: Make) -> None:
    episode = play(make(DRAWERS, cue="always"), 2, expert_action, cue=2)
    asked = [
        seen[:6].sum() for seen, phase in zip(episode.observations, episode.phases, strict=True) if phase == "query"
    ]
    assert sorted(set(asked)) == [0.0, 1.0, 2.0, 3.0, 4.0]


def player(k: int, offered: int, rng: np.random.Generator) -> bool:
    """Return whether one who opens no drawer twice finds the item before 2 k acts have passed."""
    item, opened, passed = rng.integers(k), set[int](), 0
    while passed < 2 * k:
        new = [drawer for drawer in rng.permutation(k)[:offered].tolist() if drawer not in opened]
        if not new:
            passed += 1
        elif new[0] == item:
            return True
        else:
            opened.add(new[0])
    return False


@pytest.mark.parametrize(("k", "offered"), [(6, 3), (6, 1), (3, 2)])
def test_the_oracle_of_some_drawers_is_what_a_player_with_memory_reaches(k: int, offered: int) -> None:
    rng = np.random.default_rng(k)
    found = np.mean([player(k, offered, rng) for _ in range(8_000)])
    value = oracle_success(k, offered)
    assert found == pytest.approx(value, abs=4.0 * np.sqrt(value * (1 - value) / 8_000))


def test_no_policy_without_memory_gets_through_the_dock_where_some_drawers_are_offered() -> None:
    found = int(exploit(DRAWERS, 1, named="noise", preset="hard").success.sum())
    assert found <= stats.binom.ppf(0.999, 96, memoryless_success(6))


def test_the_drawers_on_the_table_are_seen_and_no_others_can_be_opened(make: Make) -> None:
    env = make(DRAWERS, preset="hard")
    episode = play(env, 4, expert_action, cue=0)
    assert episode.info["is_success"]
    seen = np.array(
        [seen[7:13] for seen, phase in zip(episode.observations, episode.phases, strict=True) if phase == "query"]
    )
    assert (seen.sum(axis=1) == 3).all()
    assert len(np.unique(seen, axis=0)) > 2
    assert not np.array(
        [seen for seen, phase in zip(episode.observations, episode.phases, strict=True) if phase == "dock"]
    ).any()


def test_acts_in_which_nothing_is_touched_pass_and_the_last_of_them_ends_the_episode(make: Make) -> None:
    env = make(DRAWERS, k=3, offered=2, query_steps=10, dock_steps=2)
    env.reset(seed=0)
    steps, truncated, offers = 0, False, set()
    while not truncated:
        observation, _, terminated, truncated, _ = env.step(np.zeros(3, np.float32))
        assert not terminated
        steps += 1
        offers.add(tuple(observation[4:7].tolist()))
    assert steps == 6 * 10 + 5 * 2
    assert len(offers) == 4, "three pairs, and the dark"
