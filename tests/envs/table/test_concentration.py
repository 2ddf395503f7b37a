"""Concentration: ceilings by simulation and by search of all policies, deals anew, and docks that wash."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, play, task_of

from rlmem.envs.memory_task import QUERY
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.concentration import Concentration, memoryless_pairs, perfect_pairs

Make = Callable[..., MemoryEnv]
TILES = "rlmem/Concentration-v0"


def played(pairs: int, turns: int, rng: np.random.Generator, *, skewed: bool) -> int:
    """Return how many pairs a policy without memory finds that draws its tiles uniformly, or not."""
    found, colors = 0, rng.permutation(np.repeat(np.arange(pairs), 2))
    for _ in range(turns):
        odds = 1.0 + 3.0 * np.arange(len(colors)) if skewed else np.ones(len(colors))
        first, second = rng.choice(len(colors), 2, replace=False, p=odds / odds.sum())
        if colors[first] == colors[second]:
            found += 1
            colors = rng.permutation(np.delete(colors, (first, second)))
        if not len(colors):
            break
    return found


@pytest.mark.parametrize(("pairs", "turns"), [(2, 3), (4, 8)])
def test_uniform_touches_reach_the_memoryless_ceiling_and_others_no_more(pairs: int, turns: int) -> None:
    rng = np.random.default_rng(0)
    uniform, skewed = (np.array([played(pairs, turns, rng, skewed=how) for _ in range(4_000)]) for how in (False, True))
    error = 4.0 * uniform.std() / np.sqrt(len(uniform))
    assert uniform.mean() == pytest.approx(memoryless_pairs(pairs, turns), abs=error)
    assert skewed.mean() <= memoryless_pairs(pairs, turns) + error


@cache
def best(pairs: int, turns: int, known: int, pair: bool = False) -> float:
    """Return what the best of all policies with a perfect memory finds, over all choices of both tiles."""
    if not pairs or not turns:
        return 0.0
    anew = 1.0 + best(pairs - 1, turns - 1, 0)
    if pair:
        return max(anew, best(pairs, turns - 1, known, True))
    unknown, values = 2 * pairs - known, [best(pairs, turns - 1, known)]
    if known:  # a known tile first, an unknown one second
        seen = (known - 1) / unknown * best(pairs, turns - 1, known - 1, True)
        fresh = (unknown - known) / unknown
        values.append(anew / unknown + seen + (fresh * best(pairs, turns - 1, known + 1) if fresh else 0.0))
    after = [best(pairs, turns - 1, known + 1)] if unknown > known else []  # a known tile second
    if unknown - 1 > known:
        others = unknown - 1
        new = (others - 1 - known) / others
        then = anew / others + known / others * best(pairs, turns - 1, known + 1, True)
        after.append(then + (new * best(pairs, turns - 1, known + 2) if new else 0.0))
    elif unknown > known:
        after.append(anew / (unknown - 1) + known / (unknown - 1) * best(pairs, turns - 1, known + 1, True))
    values.append(known / unknown * anew + (1 - known / unknown) * max(after, default=0.0))
    return max(values)


@pytest.mark.parametrize("pairs", [2, 3, 4, 8])
def test_no_policy_with_a_perfect_memory_finds_more_than_the_oracle(pairs: int) -> None:
    for turns in range(1, 3 * pairs):
        assert best(pairs, turns, 0) == pytest.approx(perfect_pairs(pairs, turns), abs=1e-12)


def table(env: MemoryEnv) -> Concentration:
    task = task_of(env)
    assert isinstance(task, Concentration)
    return task


def after_touching(env: MemoryEnv, tiles: list[int], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is observed in the 20 control steps after the dock that follows the touch of some tiles."""
    env.reset(seed=4)
    task = table(env)
    with monkeypatch.context() as patched:
        patched.setattr(task, "wanted", lambda: np.array([tiles[min(task.acts[0], len(tiles) - 1)]]))
        while task.acts[0] < len(tiles) or env.task.phase[0] != 3:
            env.step(env.expert_action())
    seen = [task.observe()[0]]
    rng = np.random.default_rng(0)
    return seen + [env.step(rng.uniform(-0.3, 0.3, 3))[0] for _ in range(20)]


def test_a_turn_that_found_nothing_leaves_no_trace_behind_its_dock(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make(TILES, pairs=4, turns=8)
    env.reset(seed=4)
    color = table(env).color[0].tolist()
    first = [0, next(tile for tile in range(1, 8) if color[tile] != color[0])]
    second = [7, next(tile for tile in range(6, 0, -1) if color[tile] != color[7])]
    one, other = (after_touching(env, tiles, monkeypatch) for tiles in (first, second))
    np.testing.assert_array_equal(one, other)


def test_a_pair_is_taken_away_and_the_rest_is_dealt_anew(make: Make) -> None:
    env = make(TILES, pairs=3, turns=30)
    task = table(env)
    env.reset(seed=0)
    while not task.paired.any():
        env.step(env.expert_action())
    before = task.color[0].copy()
    while env.task.phase[0] != 3:
        env.step(env.expert_action())
    paired = task.paired[0]
    assert paired.sum() == 2
    assert (task.color[0, paired] == before[paired]).all()
    assert sorted(task.color[0]) == sorted(before)
    assert not task.known.any()
    while task.phase[0] != QUERY:
        env.step(env.expert_action())
    shown = task.observe()[0]
    assert not shown[: 3 * 6].any()
    assert (shown[3 * 6 : 4 * 6] == ~paired).all()


def test_an_act_without_a_touch_terminates_the_episode(make: Make) -> None:
    env = make(TILES, query_steps=10)
    env.reset(seed=0)
    ended = [env.step(np.zeros(3))[2:4] for _ in range(10)]
    assert ended == [(False, False)] * 9 + [(True, False)]


def test_the_expert_knows_only_what_it_has_seen(make: Make) -> None:
    """Colors of tiles that were not seen change nothing of what it does next."""
    env = make(TILES, pairs=4, turns=8)
    env.reset(seed=1)
    task = table(env)
    for _ in range(60):
        action = env.expert_action()
        color, unseen = task.color.copy(), np.flatnonzero(~task.known[0] & ~task.paired[0])
        task.color[0, unseen] = task.color[0, unseen[::-1]]
        np.testing.assert_array_equal(env.expert_action(), action)
        task.color[:] = color
        if any(env.step(action)[2:4]):
            break


def test_all_that_was_seen_is_shown_where_the_cue_always_shows(make: Make) -> None:
    env = make(TILES, cue="always", pairs=4, turns=3)
    play(env, 2, expert_action, steps=30)
    task = table(env)
    assert task.known.sum() >= 2
    shown = task.observe()[0, :32].reshape(8, 4)
    if task.phase[0] != 6:
        np.testing.assert_array_equal(shown.any(axis=1), task.known[0])
