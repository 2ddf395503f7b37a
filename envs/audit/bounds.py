"""Confidence bounds of a rate and of a mean."""

from __future__ import annotations

import numpy as np
from scipy import stats

from rlmem.envs.memory_task import Floats
from rlmem.evaluation.episodes import clopper_pearson


def rate_bounds(hits: int, tries: int, confidence: float) -> tuple[float, float]:
    """Return the exact one-sided lower and upper bound of a rate, each at ``confidence``, by Clopper and Pearson.

    Args:
        hits: From 0 to ``tries``.
        tries: At least 1.
        confidence: Such as 0.99.
    """
    return clopper_pearson(hits, tries, 2.0 * confidence - 1.0)


def mean_bounds(values: Floats, confidence: float) -> tuple[float, float]:
    """Return the one-sided lower and upper bound of a mean by Student's t, each at ``confidence``.

    Args:
        values: [E], at least two.
        confidence: Such as 0.99.
    """
    count = len(values)
    reach = float(stats.t.ppf(confidence, count - 1) * values.std(ddof=1) / np.sqrt(count))
    middle = float(values.mean())
    return middle - reach, middle + reach
