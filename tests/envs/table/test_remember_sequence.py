"""The sequence memory: what is shown in which order, touches in and out of turn, guessing, exploiting a free hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.remember_sequence import RememberSequence, RememberSequenceSettings

Make = Callable[..., MemoryEnv]
SEQUENCE = "rlmem/RememberSequence-v0"


def made(env: MemoryEnv) -> RememberSequence:
    task = task_of(env)
    assert isinstance(task, RememberSequence)
    return task


def touched_as(env: MemoryEnv, seed: int, cue: int, believed: list[int]) -> tuple[list[float], bool]:
    """Play with a sequence, as the expert would if it were another; return rewards of the query, and success."""
    task = made(env)
    _, info = env.reset(seed=seed, options={"cue": cue})
    truth, rewards, ended = task.wanted[0].copy(), list[float](), False
    while not ended:
        asked = info["phase"] == "query"
        task.wanted[0] = believed
        action = env.expert_action()
        task.wanted[0] = truth
        _, reward, ended, _, info = env.step(action)
        rewards += [reward] if asked else []
    return rewards, info["is_success"]


@pytest.mark.parametrize(
    ("n", "m", "order"), [(1, 2, "turned"), (3, 4, "shuffled"), (5, 6, "turned"), (4, 9, "shuffled")]
)
def test_the_expert_touches_sequences_of_any_length(n: int, m: int, order: str, make: Make) -> None:
    env = make(SEQUENCE, n=n, m=m, order=order)
    for seed in range(6):
        assert play(env, seed, expert_action).info["is_success"]


def test_colors_are_shown_one_by_one_in_their_order_and_none_twice(make: Make) -> None:
    env = make(SEQUENCE, n=3, m=5)
    task = made(env)
    for seed in range(10):
        episode = play(env, seed, expert_action)
        cue = np.array([episode.observations[index] for index in episode.where(Phase.CUE)])
        assert cue[:, :5].argmax(axis=1).tolist() == np.repeat(task.answers[episode.info["cue"]], 3).tolist()
        assert not cue[:, 5:].any()
        assert (cue[:, :5].sum(axis=1) == 1.0).all()
        assert not episode.observations[episode.where(Phase.DELAY)[0]].any(), "nothing is seen in the delay"


def test_where_the_cue_is_always_shown_it_is_the_next_color(make: Make) -> None:
    env = make(SEQUENCE, cue="always")
    task = made(env)
    episode = play(env, 3, expert_action)
    shown = [int(episode.observations[index][:4].argmax()) for index in episode.where(Phase.QUERY)[:-1]]
    order = [shown[0], *[after for before, after in pairwise(shown) if after != before]]
    assert order == task.wanted[0].tolist()


def test_only_the_color_whose_turn_it_is_counts(make: Make) -> None:
    env = make(SEQUENCE, n=3, m=4)
    sequences = made(env).answers.tolist()
    cue = sequences.index([2, 0, 3])
    for believed, right in (([2, 0, 3], 3), ([2, 3, 0], 1), ([0, 2, 3], 0), ([2, 0, 1], 2)):
        rewards, success = touched_as(env, 5, cue, believed)
        assert success == (right == 3)
        assert sum(reward > 0.2 for reward in rewards) == right


def test_guessing_earns_nothing_but_what_the_ways_are_worth(make: Make) -> None:
    """The same touches for all sequences: 0, then 1, then 2."""
    env = make(SEQUENCE, n=3, m=4)
    firsts, earned = [], []
    for cue in range(24):
        rewards, _ = touched_as(env, 3, cue, [0, 1, 2])
        firsts.append(rewards[0])
        earned.append(sum(rewards) + 0.01 * len(rewards))
    assert len(set(firsts)) == 1, "nothing tells the sequence before a touch"
    assert 0.05 <= np.mean(earned) <= 0.2


def test_sequences_are_drawn_uniformly() -> None:
    task = RememberSequence(RememberSequenceSettings(n=2, m=3))
    counts = np.zeros((6, 3))
    for seed in range(1_200):
        task.reset(seeds=[seed])
        counts[task.cue[0], task.slot[0, 0]] += 1
    task.close()
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3


@pytest.mark.parametrize(("n", "m"), [(1, 2), (3, 4), (4, 9)])
def test_the_ceiling_counts_sequences(n: int, m: int) -> None:
    spec = RememberSequence.spec(RememberSequenceSettings(n=n, m=m))
    assert spec.memoryless.value == pytest.approx(1 / math.perm(m, n))
    assert 2.0**-spec.n_bits == pytest.approx(spec.memoryless.value)
    assert spec.partial["the set, not the order"].value == pytest.approx(1 / math.factorial(n))


class TestExploiters:
    def reached(self, frames: int, **knobs: Any) -> int:
        """Return how many of 96 episodes succeed."""
        return int(exploit(SEQUENCE, frames, named="last of 3", n=3, **knobs).success.sum())

    def test_a_free_hand_remembers_the_last_color_for_its_policy(self) -> None:
        for frames, guard in ((1, "none"), (4, "cue")):
            assert self.reached(frames, guard=guard) > stats.binom.ppf(0.999, 96, 1 / 24)

    def test_a_guarded_hand_does_not(self) -> None:
        for frames, guard in ((1, "delay"), (4, "delay"), (1, "cue")):
            assert self.reached(frames, guard=guard) <= stats.binom.ppf(0.999, 96, 1 / 24)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"n": 0}, "n must be a whole number from 1 to 3, got 0"),
        ({"n": 4}, "n must be a whole number from 1 to 3, got 4"),
        ({"n": 6, "m": 9}, "n must be a whole number from 1 to 5, got 6"),
        ({"m": 10}, "m must be a whole number from 2 to 9, got 10"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RememberSequence.make_settings(knobs)
