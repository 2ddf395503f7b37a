"""The set memory: what is shown and stands there, right and wrong touches, guessing, exploiting a free hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.remember_set import RememberSet, RememberSetSettings
from rlmem.envs.table.targets import ring, way_to_box

Make = Callable[..., MemoryEnv]
SET = "rlmem/RememberSet-v0"


def made(env: MemoryEnv) -> RememberSet:
    task = task_of(env)
    assert isinstance(task, RememberSet)
    return task


def touch(env: MemoryEnv, colors: list[int]) -> tuple[list[float], bool, bool]:
    """Touch cubes in an order, as the expert would if they were the cue; return rewards, whether it ended, success."""
    task = made(env)
    rewards: list[float] = []
    for color in colors:
        place = np.array([*task.slots[task.slot[0, color], :2], 0.025])
        while task.targets.standing[0, color]:
            way = way_to_box(task.tip, place[None], (0.51, 0.0))[0] - task.tip[0]
            _, reward, ended, _, info = env.step(way / max(0.03, np.abs(way).max()))
            rewards.append(reward)
            if ended:
                return rewards, True, info["is_success"]
    return rewards, False, False


def to_the_query(env: MemoryEnv, seed: int, cue: int) -> None:
    _, info = env.reset(seed=seed, options={"cue": cue})
    while info["phase"] != "query":
        info = env.step(np.zeros(3))[4]


@pytest.mark.parametrize(("n", "order"), [(1, "turned"), (2, "shuffled"), (3, "turned"), (4, "shuffled")])
def test_the_expert_touches_sets_of_any_size(n: int, order: str, make: Make) -> None:
    env = make(SET, n=n, order=order)
    for seed in range(6):
        assert play(env, seed, expert_action).info["is_success"]


def test_cubes_stand_in_one_order_from_any_slot_or_in_any_order(make: Make) -> None:
    ways = {}
    for order in ("turned", "shuffled"):
        task = made(make(SET, order=order))
        ways[order] = set()
        for seed in range(60):
            task.reset(seeds=[seed])
            ways[order].add(tuple(task.slot[0].tolist()))
    assert ways["turned"] == {tuple((first + color) % 5 for color in range(5)) for first in range(5)}
    assert len(ways["shuffled"]) > 30


def test_what_is_seen_is_what_is_shown_and_what_stands_there(make: Make) -> None:
    env = make(SET, n=2)
    task = made(env)
    episode = play(env, 4, expert_action)
    members = np.zeros(5)
    members[task.wanted[0]] = 1.0
    for index in episode.where(Phase.CUE):
        np.testing.assert_array_equal(episode.observations[index][:5], members)
    assert not episode.observations[episode.where(Phase.DELAY)[0]].any(), "nothing is seen in the delay"
    first = episode.observations[episode.where(Phase.QUERY)[0]]
    places = task.slots[task.slot[0], :2] - (0.51, 0.0)
    np.testing.assert_allclose(first[6:16].reshape(5, 2), places / 0.14, atol=1e-6)
    last = episode.observations[-1][6:16].reshape(5, 2)
    np.testing.assert_array_equal(last.any(axis=1), members == 0.0)


def test_colors_can_be_shown_one_by_one_in_an_order_that_tells_nothing(make: Make) -> None:
    env = make(SET, n=3, presentation="one_by_one")
    first = []
    for seed in range(60):
        episode = play(env, seed, expert_action, cue=0)
        seen = np.array([episode.observations[index][:7] for index in episode.where(Phase.CUE)])
        assert len(seen) == 9
        assert (seen.sum(axis=1) == 1.0).all()
        assert set(seen.argmax(axis=1).tolist()) == {0, 1, 2}
        first.append(int(seen[0].argmax()))
    assert stats.chisquare(np.bincount(first, minlength=3)).pvalue > 1e-3


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_members_count_in_any_order(order: list[int], make: Make) -> None:
    env = make(SET, n=2)
    to_the_query(env, 3, made(env).answers.tolist().index([0, 1]))
    rewards, ended, success = touch(env, order)
    assert ended
    assert success
    assert sum(rewards) == pytest.approx(1.0 + 0.1 - 0.01 * len(rewards), abs=0.12)


def test_a_wrong_touch_ends_the_episode_and_what_a_guess_earns_is_nothing(make: Make) -> None:
    """The same ways of the hand for all sets: first 0, then 1, then 2."""
    env = make(SET, n=2)
    task = made(env)
    plain, firsts = [], []
    for cue in range(task.num_cues):
        to_the_query(env, 3, cue)
        rewards, ended, success = touch(env, [0, 1, 2])
        assert ended
        assert success == (task.answers[cue].tolist() == [0, 1])
        firsts.append(rewards[0])
        plain.append(sum(rewards) + 0.01 * len(rewards))
    assert len(set(firsts)) == 1, "nothing tells the set before a touch"
    assert 0.0 <= np.mean(plain) <= 0.2, "the ways to two cubes are paid for, and no more"


@pytest.mark.parametrize("order", ["turned", "shuffled"])
def test_sets_and_slots_are_drawn_uniformly_and_independently(order: Any) -> None:
    task = RememberSet(RememberSetSettings(n=1, order=order))
    counts = np.zeros((3, 3))
    for seed in range(900):
        task.reset(seeds=[seed])
        counts[task.cue[0], task.slot[0, task.wanted[0, 0]]] += 1
    task.close()
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_ceiling_counts_sets(n: int) -> None:
    spec = RememberSet.spec(RememberSetSettings(n=n))
    assert spec.memoryless.value == pytest.approx(1 / math.comb(2 * n + 1, n))
    assert 2.0**-spec.n_bits == pytest.approx(spec.memoryless.value)
    assert spec.partial["one color"].value == pytest.approx(1 / math.comb(2 * n, n - 1))


@pytest.mark.parametrize("count", [5, 7, 9])
def test_the_way_of_the_foot_meets_the_box_it_goes_to_and_no_other(count: int) -> None:
    places = ring(count, 0.117)
    for a in range(count):
        for b in set(range(count)) - {a}:
            tip = np.array([[*places[a, :2] * 0.7, 0.03]])
            goal = np.array([[*places[b, :2], 0.03]])
            for _ in range(40):
                tip += np.clip(way_to_box(tip, goal, (0.0, 0.0)) - tip, -0.01, 0.01)
                if np.hypot(*(tip - goal)[0, :2]) < 0.037:
                    break
                away = np.hypot(*(places[:, :2] - tip[0, :2]).T)
                assert np.delete(away, [a, b]).min() > 0.045
            else:
                pytest.fail("the box was not reached")


class TestExploiters:
    def reached(self, frames: int, **knobs: Any) -> float:
        return float(exploit(SET, frames, episodes=64, **knobs).score.mean())

    def test_a_free_hand_remembers_for_its_policy(self) -> None:
        assert self.reached(1, guard="none") >= 0.5
        assert self.reached(4, guard="cue") >= 0.5

    def test_a_guarded_hand_does_not(self) -> None:
        for frames, guard in ((1, "delay"), (4, "delay"), (1, "cue")):
            assert self.reached(frames, guard=guard) * 64 <= stats.binom.ppf(0.999, 64, 0.1)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"n": 0}, "n must be a whole number from 1 to 4, got 0"),
        ({"n": 5}, "n must be a whole number from 1 to 4, got 5"),
        ({"presentation": "slowly"}, "presentation must be one of 'together', 'one_by_one', got 'slowly'"),
        ({"order": "any"}, "order must be one of 'turned', 'shuffled', got 'any'"),
        ({"commit_distance": 0.5}, "commit_distance must be from 0.05 to 0.10 m, got 0.5"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RememberSet.make_settings(knobs)
