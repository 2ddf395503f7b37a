"""Horizon curves find the length at which a memory of known length is lost."""

import math

import numpy as np
import pytest
from remembering import TASK, Remembers

from rlmem.evaluation.horizon import (
    HorizonLength,
    crossing,
    episode_scores,
    horizon_curve,
    length_at,
    length_generalization,
    length_in_words,
    sweep,
)

KNOBS = {"robot": "planar", "query_steps": 30}


def test_a_memory_of_ten_steps_is_lost_between_the_lengths_around_it():
    curve = horizon_curve(Remembers(lasts=25), "TMaze-v0", [4, 8, 16, 32], knobs=KNOBS, seeds=range(40))
    assert [point.result.value for point in curve.points[:2]] == [1.0, 1.0]
    assert 0.3 < curve.points[-1].result.value < 0.7
    assert curve.l90.value < curve.l50.value <= 32
    assert curve.l50.low <= curve.l90.value
    assert (curve.l50.low, curve.l50.high) in {(8, 16), (16, 32), (8, 32), (4, 16)}


def test_a_crossing_is_linear_in_the_logarithm_of_the_length():
    assert crossing([10, 1000], np.array([1.0, 0.0]), 0.5) == (pytest.approx(100.0), 10, 1000)
    assert crossing([10, 20, 40], np.array([1.0, 0.6, 0.2]), 0.5).value == pytest.approx(20 * 2**0.25)
    assert crossing([10, 20], np.array([0.4, 0.9]), 0.5) == (0.0, 0.0, 10)
    assert crossing([10, 20], np.array([0.9, 0.5]), 0.5) == (math.inf, 20, math.inf)


def test_intervals_reach_over_what_was_not_measured():
    sure = np.array([[1.0] * 9, [-1.0] * 9])
    assert length_at([10, 100], sure, 0.5)[1:3] == (10, 100)
    rng = np.random.default_rng(0)
    unsure = np.stack([np.ones(50), 2.0 * rng.integers(0, 2, 50), 2.0 * (rng.random(50) < 0.25), np.zeros(50)])
    found = length_at([1, 2, 4, 8], unsure, 0.5)
    assert found.low < found.value < found.high
    assert (found.low, found.high) in {(2, 4), (2, 8)}
    assert length_at([5, 10], np.ones((2, 9)), 0.9)[:3] == (math.inf, 10, math.inf)


def test_lengths_are_said_in_words():
    lengths = [5, 50, 2_000]
    assert length_in_words(HorizonLength(math.inf, 2_000, math.inf), lengths) == "above 2,000"
    assert length_in_words(HorizonLength(0.0, 0.0, 5.0), lengths) == "below 5"
    assert length_in_words(HorizonLength(0.0, 0.0, 50.0), lengths) == "below 5 (below 5 to 50)"
    assert length_in_words(HorizonLength(1234.4, 50.0, 2_000.0), lengths) == "1,234 (50 to 2,000)"
    assert length_in_words(HorizonLength(1234.4, 50.0, math.inf), lengths) == "1,234 (50 to above 2,000)"


def test_a_curve_that_is_high_only_at_long_lengths_is_not_said_to_end_before_the_shortest():
    lengths = [5, 10, 50, 2_000]
    late = np.repeat([[0.0], [1.0], [1.0], [1.0]], 3, axis=1)
    assert length_in_words(length_at(lengths, late, 0.9), lengths) == "only 10 to 2,000"
    again = np.repeat([[1.0], [1.0], [0.0], [1.0]], 3, axis=1)
    assert length_in_words(length_at(lengths, again, 0.9), lengths) == "only 5 to 10, 2,000"


def test_scores_of_episodes_have_the_evaluations_memory_score_as_mean():
    for env, knobs in (("TMaze-v0", {}), ("TMazeEndless-v0", {"corridors": 4})):
        points = sweep(Remembers(lasts=12), env, "memory_length", [4, 12], knobs=KNOBS | knobs, seeds=range(12))
        for point in points:
            assert episode_scores(point.result).mean() == pytest.approx(point.result.memory_score)


def test_generalization_is_measured_at_multiples_of_the_length_of_training():
    found = length_generalization(Remembers(lasts=20), "TMaze-v0", 5, knobs=KNOBS, seeds=range(30))
    assert list(found) == [1, 2, 5, 10]
    assert found[1].value == found[2].value == 1.0
    assert found[10].value < 0.8
    assert found[10].lengths.mean() > 50


def test_a_sweep_makes_an_agent_for_each_value_where_it_is_given_a_maker():
    made = []

    def make(env):
        made.append(env.single_observation_space.shape[0])
        return Remembers()

    sweep(make, "TMaze-v0", "arms", [2], knobs=TASK["knobs"], seeds=range(2))
    assert made == [12]


def test_what_gives_no_curve_is_explained():
    with pytest.raises(ValueError, match="lengths must rise"):
        horizon_curve(Remembers(), "TMaze-v0", [20, 10])
    with pytest.raises(ValueError, match="no memory score"):
        horizon_curve(Remembers(), "TMaze-v0", [3], knobs=KNOBS | {"cue": "always"}, seeds=range(2))
    with pytest.raises(ValueError, match="unknown knob"):
        sweep(Remembers(), "TMaze-v0", "length", [3], knobs=KNOBS, seeds=range(2))
