"""Statistics of few runs on several tasks: interquartile mean, stratified bootstrap, who improves on whom, profiles.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at the Edge of the Statistical
Precipice", NeurIPS 2021. Intervals of success rates: :func:`rlmem.evaluation.episodes.clopper_pearson`.

Scores are given as a mapping task -> scores [R], one a run (training seed); tasks may have different numbers of runs.

Axes: R runs of a task, B resamples, X thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scores = Mapping[str, ArrayLike]
"""Task -> scores [R] of its runs."""
Statistic = Callable[[list[Floats]], Floats]
"""Maps the scores of each task, [..., R] each, to one number for each leading index."""

RESAMPLES = 10_000


class Estimate(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float


class Profile(NamedTuple):
    """A performance profile; arrays [X]."""

    thresholds: Floats
    fraction: Floats
    """Runs with a score above the threshold, as a fraction, the mean over tasks."""
    low: Floats
    high: Floats


def interquartile_mean(scores: ArrayLike) -> float:
    """Return the mean of the middle half: a quarter of the scores, rounded down, is cut at either end.

    Args:
        scores: Any shape; all of them together.

    Raises:
        ValueError: If there is none, or one is not a number.
    """
    return float(_interquartile(_checked("scores", scores).ravel()))


def interquartile_interval(scores: Scores, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """Return the interquartile mean over all runs of all tasks, with its stratified-bootstrap interval.

    Raises:
        ValueError: If there are no scores, or one is not a number.
    """

    def pooled(tasks: list[Floats]) -> Floats:
        return _interquartile(np.concatenate(tasks, axis=-1))

    return stratified_bootstrap(scores, pooled, confidence=confidence, seed=seed)


def stratified_bootstrap(
    scores: Scores, statistic: Statistic, *, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Return a statistic with its percentile interval: runs are drawn anew, with replacement, within each task.

    With one run a task there is nothing to draw from: the interval has no width and says nothing.

    Args:
        scores: Task -> scores [R].
        statistic: Of the scores of the tasks, [..., R] each.
        resamples: B.
        confidence: From 0 to 1.
        seed: Of the draws.

    Raises:
        ValueError: If there are no scores, or one is not a number.
    """
    tasks, rng = _tasks(scores), np.random.default_rng(seed)
    drawn = statistic([_resampled(runs, resamples, rng) for runs in tasks])
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(statistic(tasks)), float(low), float(high))


def probability_of_improvement(
    scores: Scores, others: Scores, *, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """Return how probable it is that a run scores higher than a run of the others, the mean over tasks.

    Equal scores count half, as in the test of Mann and Whitney.

    Raises:
        ValueError: If the two have not the same tasks, there are no scores, or one is not a number.
    """
    if set(scores) != set(others):
        raise ValueError(f"both must have the same tasks, got {sorted(scores)} and {sorted(others)}")
    ours, theirs = _tasks(scores), _tasks({name: others[name] for name in scores})
    rng = np.random.default_rng(seed)
    value = np.mean([_superiority(x, y) for x, y in zip(ours, theirs, strict=True)])
    drawn = np.mean(
        [
            _superiority(_resampled(x, resamples, rng), _resampled(y, resamples, rng))
            for x, y in zip(ours, theirs, strict=True)
        ],
        axis=0,
    )
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high))


def performance_profile(
    scores: Scores,
    thresholds: Sequence[float] | Floats,
    *,
    resamples: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Profile:
    """Return which fraction of runs scores above each threshold, with pointwise intervals.

    Raises:
        ValueError: If there are no scores or thresholds, or one is not a number.
    """
    tasks, at, rng = _tasks(scores), _checked("thresholds", thresholds), np.random.default_rng(seed)

    def above(parts: list[Floats]) -> Floats:
        fractions = [(runs[..., None, :] > at[:, None]).mean(axis=-1) for runs in parts]
        mean: Floats = np.mean(fractions, axis=0)
        return mean

    drawn = above([_resampled(runs, resamples, rng) for runs in tasks])
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Profile(at, above(tasks), low, high)


def _interquartile(scores: Floats) -> Floats:
    """Return the interquartile mean over the last axis."""
    count = scores.shape[-1]
    cut = count // 4
    mean: Floats = np.sort(scores, axis=-1)[..., cut : count - cut].mean(axis=-1)
    return mean


def _superiority(x: Floats, y: Floats) -> Floats:
    """Return the part of pairs in which x [..., R] is above y [..., R'], equal ones counted half."""
    first, second = x[..., :, None], y[..., None, :]
    part: Floats = ((first > second) + 0.5 * (first == second)).mean(axis=(-2, -1))
    return part


def _resampled(runs: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Return draws [B, R] with replacement."""
    return runs[rng.integers(0, len(runs), (resamples, len(runs)))]


def _tasks(scores: Scores) -> list[Floats]:
    if not scores:
        raise ValueError("there must be scores of at least one task, got none")
    return [_checked(f"scores of {task}", runs).ravel() for task, runs in scores.items()]


def _checked(what: str, values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise ValueError(f"{what} must hold at least one number, got none")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite numbers, got {array.tolist()}")
    return array
