"""Bits are those of Fano's inequality, and rewriting tells the first cue from the later ones."""

import math

import numpy as np
import pytest
from remembering import TASK, Remembers

from rlmem.evaluation.capacity import bits_recalled, capacity, capacity_curve, heat_map, memory_credit_map, rewriting
from rlmem.evaluation.episodes import evaluate_on

ENDLESS = {"env": "TMazeEndless-v0", "knobs": TASK["knobs"] | {"corridors": 6}}


@pytest.mark.parametrize("k", [2, 3, 8, 100])
@pytest.mark.parametrize("success", [0.3, 0.6, 0.95, 1.0])
def test_bits_are_the_information_through_a_symmetric_channel(k, success):
    joint = np.full((k, k), (1 - success) / (k - 1) / k)
    np.fill_diagonal(joint, success / k)
    shared = sum(p * math.log2(p * k * k) for p in joint.ravel() if p > 0)
    expected = shared if success > 1 / k else 0.0
    assert bits_recalled(success, math.log2(k)) == pytest.approx(expected, abs=1e-9)


def test_an_agent_that_remembers_one_bit_recalls_one_and_one_that_forgets_none():
    sure = capacity(evaluate_on(Remembers(), **TASK, seeds=range(40)))
    assert (sure.asked, sure.recalled.value, sure.recalled.high) == (1.0, 1.0, 1.0)
    assert 0.5 < sure.recalled.low < 1.0
    curve = capacity_curve(Remembers(lasts=25), knob="memory_length", values=[3, 30], **TASK, seeds=range(40))
    assert curve[0].recalled.value == 1.0
    assert curve[1].recalled.value < 0.2
    with pytest.raises(ValueError, match="bits to be remembered"):
        capacity(evaluate_on(Remembers(), **ENDLESS, seeds=range(2)))


class FirstOnly(Remembers):
    """Remembers the first cue of an episode for good."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        old = None if state is None else np.where(episode_start, 0.0, state[0])
        actions, (side, age) = super().predict(observation, state, episode_start)
        if old is None:
            return actions, (side, age)
        side = np.where(old != 0.0, old, side)
        from remembering import drive

        return drive(observation, np.where(side == 0.0, 1.0, side)), (side, age)


def test_one_that_rewrites_is_right_everywhere_and_one_that_cannot_at_first_only():
    good = rewriting(evaluate_on(Remembers(), **ENDLESS, seeds=range(20)))
    assert (good.first.value, good.later.value, good.score) == (1.0, 1.0, 1.0)
    assert (good.by_corridor == 1.0).all()
    bad = rewriting(evaluate_on(FirstOnly(), **ENDLESS, seeds=range(60)))
    assert bad.first.value == 1.0
    assert bad.later.low < 0.5 < bad.later.high
    assert abs(bad.score) < 0.4
    with pytest.raises(ValueError, match="TMazeEndless"):
        rewriting(evaluate_on(Remembers(), **TASK, seeds=range(2)))


def test_a_heat_map_has_a_place_for_each_pair_and_means_of_several():
    found = heat_map([(20, 5, 0.5), (10, 5, 1.0), (20, 50, 0.2), (20, 5, 0.7)])
    assert (found.x, found.y) == ([10, 20], [5, 50])
    np.testing.assert_allclose(found.values, [[1.0, 0.6], [np.nan, 0.2]])
    with pytest.raises(ValueError, match="nothing to lay out"):
        heat_map([])


class Looks(Remembers):
    """Backs up until the light has shone."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        actions, (side, age) = super().predict(observation, state, episode_start)
        searching = (side == 0.0) & (observation[:, 2] == 0.0)
        actions[searching] = (-1.0, 0.0)
        return actions, (side, age)


def test_the_map_of_one_agent_falls_along_memory_and_not_along_credit():
    task = {"env": "TMazeActive-v0", "knobs": {"robot": "planar", "query_steps": 30}}
    found = memory_credit_map(Looks(lasts=15), **task, memory_lengths=[4, 30], credit_lengths=[1, 12], seeds=range(30))
    assert (found.x, found.y) == ([4.0, 30.0], [1.0, 12.0])
    assert found.values[:, 0].tolist() == [1.0, 1.0]
    assert abs(found.values[0, 1]) < 0.5
    assert found.values[1, 1] == found.values[0, 1]


def test_a_map_may_be_of_an_agent_for_each_place():
    def trained(memory, credit):
        return Looks(lasts=10**9 if memory * credit < 100 else 1)

    task = {"env": "TMazeActive-v0", "knobs": {"robot": "planar", "query_steps": 30}}
    found = memory_credit_map(trained, **task, memory_lengths=[5, 20], credit_lengths=[1, 10], seeds=range(30))
    assert found.values[0].tolist() == [1.0, 1.0]
    assert found.values[1, 0] == 1.0
    assert found.values[1, 1] < 0.5
    with pytest.raises(ValueError, match="unknown knob of TMaze 'credit_length'"):
        memory_credit_map(Looks(), "TMaze-v0", [5], [1], seeds=range(2))
