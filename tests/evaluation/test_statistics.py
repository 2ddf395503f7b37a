"""Statistics of few runs, against numbers computed by hand and by scipy."""

import numpy as np
import pytest
from scipy import stats

from rlmem.evaluation.statistics import (
    interquartile_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)

RNG = np.random.default_rng(3)
TASKS = {"a": RNG.normal(0.3, 0.2, 5), "b": RNG.normal(0.8, 0.1, 7), "c": RNG.uniform(0, 1, 6)}


def test_the_interquartile_mean_of_eight_is_that_of_the_middle_four():
    assert interquartile_mean([9, 1, 100, 4, 3, -50, 2, 8]) == (2 + 3 + 4 + 8) / 4
    assert interquartile_mean([1.0, 5.0, 6.0]) == 4.0
    assert interquartile_mean([0.7]) == 0.7


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 37])
def test_the_interquartile_mean_is_scipys_trimmed_mean(count):
    values = RNG.normal(size=count)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_the_interval_is_that_of_a_bootstrap_written_as_a_loop():
    rng, means = np.random.default_rng(1), []
    for _ in range(4_000):
        runs = np.concatenate([rng.choice(runs, len(runs)) for runs in TASKS.values()])
        means.append(stats.trim_mean(runs, 0.25))
    found = interquartile_interval(TASKS)
    assert found.value == pytest.approx(stats.trim_mean(np.concatenate(list(TASKS.values())), 0.25))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.01)


def test_runs_are_drawn_within_their_task():
    apart = {"easy": [1.0] * 5, "hard": [0.0] * 5}
    found = stratified_bootstrap(apart, lambda tasks: np.concatenate(tasks, axis=-1).mean(axis=-1))
    assert found == (0.5, 0.5, 0.5)


def test_the_interval_of_a_mean_is_scipys_for_one_task():
    runs = RNG.normal(size=30)
    ours = stratified_bootstrap({"a": runs}, lambda tasks: tasks[0].mean(axis=-1))
    theirs = stats.bootstrap((runs,), np.mean, method="percentile", rng=0).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_improvement_is_the_statistic_of_mann_and_whitney():
    ours, theirs = {"a": [1.0, 2.0, 2.0, 5.0]}, {"a": [0.0, 2.0, 3.0]}
    expected = stats.mannwhitneyu(ours["a"], theirs["a"]).statistic / 12
    found = probability_of_improvement(ours, theirs)
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high
    assert probability_of_improvement(theirs, ours).value == pytest.approx(1 - expected)
    assert probability_of_improvement(TASKS, TASKS).value == pytest.approx(0.5)
    assert probability_of_improvement({"a": [1, 2], "b": [0, 0]}, {"a": [0, 0], "b": [1, 2]}) == (0.5, 0.5, 0.5)


def test_the_profile_says_which_part_of_runs_is_above_a_threshold():
    profile = performance_profile({"a": [0.2, 0.4], "b": [0.6, 0.6, 0.6, 1.0]}, [0.0, 0.2, 0.5, 0.6, 1.0])
    np.testing.assert_allclose(profile.fraction, [1.0, 0.75, 0.5, 0.125, 0.0])
    assert (profile.low <= profile.fraction).all()
    assert (profile.fraction <= profile.high).all()
    area = np.trapezoid(performance_profile(TASKS, np.linspace(-2, 2, 4001)).fraction, dx=0.001) - 2
    assert area == pytest.approx(np.mean([runs.mean() for runs in TASKS.values()]), abs=2e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean([]), "at least one number"),
        (lambda: interquartile_interval({}), "at least one task"),
        (lambda: interquartile_interval({"a": [1.0, float("nan")]}), "scores of a must be finite"),
        (lambda: probability_of_improvement({"a": [1]}, {"b": [1]}), "the same tasks"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
