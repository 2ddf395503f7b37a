"""The shell game: the ball goes where the swaps take it, the swaps are seen, and what partial memories reach."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.shell_game import BALL_STEPS, ShellGame, ShellGameSettings, swapping

Make = Callable[..., MemoryEnv]
SHELL = "rlmem/ShellGame-v0"


def made(env: MemoryEnv) -> ShellGame:
    task = task_of(env)
    assert isinstance(task, ShellGame)
    return task


def followed(cue: np.ndarray[Any, Any], k: int) -> int:
    """Return where the ball is at the end of a cue [T, k + P], by what is seen alone."""
    slot, pairs = int(cue[0, :k].argmax()), list(combinations(range(k), 2))
    for seen in cue:
        pair = pairs[seen[k:].argmax()] if seen[k:].max() == 1.0 else ()
        if slot in pair:
            slot = sum(pair) - slot
    return slot


@pytest.mark.parametrize(("k", "swaps", "swap_steps"), [(4, 2, 3), (5, 6, 1), (7, (0, 4), 2), (4, 0, 3)])
def test_the_swaps_that_are_seen_take_the_ball_to_the_answer(k: int, swaps: Any, swap_steps: int, make: Make) -> None:
    env = make(SHELL, k=k, swaps=swaps, swap_steps=swap_steps)
    counts = set()
    for seed in range(25 if isinstance(swaps, tuple) else 6):
        episode = play(env, seed, expert_action)
        cue = np.array([episode.observations[index][: k + k * (k - 1) // 2] for index in episode.where(Phase.CUE)])
        assert followed(cue, k) == episode.info["cue"]
        assert episode.info["is_success"]
        counts.add((len(cue) - BALL_STEPS) // swap_steps)
        assert not cue[BALL_STEPS:, :k].any(), "the ball is under a cup"
    assert counts == (set(range(swaps[0], swaps[1] + 1)) if isinstance(swaps, tuple) else {swaps})


def test_a_swap_shows_for_its_pair_of_slots_as_a_part_of_the_way(make: Make) -> None:
    env = make(SHELL, swaps=3, swap_steps=4)
    episode = play(env, 1, expert_action)
    cue = np.array([episode.observations[index] for index in episode.where(Phase.CUE)])
    assert len(cue) == BALL_STEPS + 12
    moving = cue[BALL_STEPS:, 4:10]
    assert ((moving > 0.0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(moving.max(axis=1), [0.25, 0.5, 0.75, 1.0] * 3)
    assert not episode.observations[episode.where(Phase.DELAY)[0]].any(), "nothing is seen in the delay"


def test_the_ball_that_is_always_seen_moves_with_the_swaps(make: Make) -> None:
    env = make(SHELL, cue="always", swaps=3)
    episode = play(env, 2, expert_action)
    task = made(env)
    slots = [int(seen[:4].argmax()) for seen in episode.observations]
    last = episode.where(Phase.CUE)[-1]
    assert slots[BALL_STEPS - 1] == task.ball[0, 0]
    assert slots[BALL_STEPS + 2] == task.ball[0, 1]
    assert slots[last:] == [int(task.cue[0])] * len(slots[last:])


def test_first_and_last_slots_are_uniform_and_swaps_independent_of_the_last() -> None:
    task = ShellGame(ShellGameSettings(swaps=2))
    first, joint = np.zeros(4), np.zeros((4, 6))
    for seed in range(1_200):
        task.reset(seeds=[seed])
        first[task.ball[0, 0]] += 1
        joint[task.cue[0], task.swap[0, 0]] += 1
    task.close()
    assert stats.chisquare(first).pvalue > 1e-3
    assert stats.chisquare(joint.ravel()).pvalue > 1e-3


@pytest.mark.parametrize(("k", "swaps"), [(4, 1), (4, 2), (6, 3), (5, (1, 3))])
def test_who_remembers_the_start_only_is_right_as_often_as_its_ceiling_says(k: int, swaps: Any) -> None:
    settings = ShellGameSettings(k=k, swaps=swaps)
    task = ShellGame(settings)
    right = 0
    for seed in range(1_500):
        task.reset(seeds=[seed])
        right += int(task.ball[0, 0] == task.cue[0])
    task.close()
    ceiling = ShellGame.spec(settings).partial["the start, not the swaps"].value
    assert right / 1_500 == pytest.approx(ceiling, abs=3.3 * 0.5 / np.sqrt(1_500))


def test_a_wrong_cup_ends_the_episode_and_guessing_earns_nothing(make: Make) -> None:
    env = make(SHELL)
    answers = []
    for cue in range(4):
        episode = play(env, 2, lambda env, rng: np.array([1.0, 0.0, 0.0]), cue=cue)
        assert episode.terminated
        answers.append(sum(episode.rewards))
    assert sorted(round(answer - min(answers), 6) for answer in answers) == [0.0, 0.0, 0.0, round(4 / 3, 6)]
    assert sum(answers) / 4 == pytest.approx(0.1 - 0.01 * len(episode.where(Phase.QUERY)[1:]), abs=0.02)


def test_cups_that_change_places_arrive_and_do_not_meet() -> None:
    one, other = np.array([0.1, 0.0]), np.array([0.0, 0.1])
    np.testing.assert_allclose(swapping(one, other, 0.0), [one, other], atol=1e-12)
    np.testing.assert_allclose(swapping(one, other, 1.0), [other, one], atol=1e-12)
    apart = [np.hypot(*np.subtract(*swapping(one, other, part))) for part in np.linspace(0.0, 1.0, 21)]
    assert min(apart) > 0.049


class TestExploiters:
    def reached(self, what: str, frames: int, episodes: int = 96, **knobs: Any) -> float:
        return float(exploit(SHELL, frames, named=what, episodes=episodes, **knobs).score.mean())

    def test_a_free_hand_follows_the_ball_for_its_policy(self) -> None:
        assert self.reached("follow", 1, guard="none", swaps=5) >= 0.9

    def test_a_free_hand_that_points_at_the_start_reaches_what_the_start_is_worth(self) -> None:
        reached = self.reached("point", 1, guard="none", swaps=1)
        assert stats.binom.ppf(0.001, 96, 0.5) <= reached * 96 <= stats.binom.ppf(0.999, 96, 0.5)

    @pytest.mark.parametrize("frames", [1, 4])
    def test_a_guarded_hand_does_neither(self, frames: int) -> None:
        for guard in ("cue", "delay"):
            assert self.reached("follow", frames, guard=guard) * 96 <= stats.binom.ppf(0.999, 96, 0.25)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"k": 3}, "k must be a whole number from 4 to 7, got 3"),
        ({"swaps": -1}, "swaps must be a whole number from 0 to 100, or a range"),
        ({"swaps": (3, 1)}, r"swaps must be a whole number from 0 to 100, or a range .* got \(3, 1\)"),
        ({"swaps": True}, "swaps must be a whole number from 0 to 100, or a range"),
        ({"swap_steps": 0}, "swap_steps must be a whole number from 1 to 100, got 0"),
        ({"commit_distance": 0.5}, "commit_distance must be from 0.05 to 0.10 m, got 0.5"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShellGame.make_settings(knobs)
