"""Confidence bounds of a rate and of a mean."""

from __future__ import annotations

import numpy as np
from scipy import stats

from rlmem.envs.memory_task import Floats


def clopper_pearson(hits: int, tries: int, confidence: float) -> tuple[float, float]:
    """Return the exact one-sided lower and upper bound of a rate, each at ``confidence``.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.

    Args:
        hits: From 0 to ``tries``.
        tries: At least 1.
        confidence: Such as 0.99.
    """
    lower = float(stats.beta.ppf(1.0 - confidence, hits, tries - hits + 1)) if hits else 0.0
    upper = float(stats.beta.ppf(confidence, hits + 1, tries - hits)) if hits < tries else 1.0
    return lower, upper


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
