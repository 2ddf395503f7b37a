"""Running mean and variance of observations.

Source: Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4(3), 1962.

Axes: N streams, D components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FLOOR = 1e-2
"""Added to a variance: a component that has never moved is not blown up when it does."""
_BOUND = 5.0


class RunningMoments(NamedTuple):
    """Number, means and squared deviations; a value that is never changed in place."""

    number: float
    mean: Floats
    """[D]."""
    squares: Floats
    """[D] sums of squared deviations from the mean."""

    @classmethod
    def start(cls, size: int) -> RunningMoments:
        """Return moments of nothing."""
        return cls(0.0, np.zeros(size), np.zeros(size))

    def seen(self, x: Floats) -> RunningMoments:
        """Return moments that include observations [N, D]."""
        number = self.number + len(x)
        off = x.mean(0) - self.mean
        squares = self.squares + ((x - x.mean(0)) ** 2).sum(0) + off**2 * self.number * len(x) / number
        return RunningMoments(number, self.mean + off * len(x) / number, squares)

    def scaled(self, x: Floats) -> Floats:
        """Return observations [N, D] less the mean, in standard deviations, within +-5."""
        variance = self.squares / max(self.number - 1.0, 1.0)
        bounded: Floats = np.clip((x - self.mean) / np.sqrt(variance + _FLOOR), -_BOUND, _BOUND)
        return bounded
