"""Tell a Kalman filter that diverges: errors that grow, and are far larger than the filter itself predicts.

A consistent filter has a normalized innovation squared (NIS) of about 1 (Bar-Shalom, Li and Kirubarajan, "Estimation
with Applications to Tracking and Navigation", 2001, section 5.4). One that is merely too sure of a model that cannot be
exact also has a large NIS, but its errors do not grow; so both are asked for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rlmem.learning.divergence import DivergenceError

_HORIZON = 20
"""Updates that a running mean looks back, about."""


class Consistency(NamedTuple):
    """Running means of logarithms, so that a single outlier does not count for much."""

    updates: int = 0
    nis: float = 0.0
    """Of the NIS."""
    error: float = 0.0
    """Of squared errors over R; errors within the noise count as large as the noise."""
    least: float = math.inf
    """The least of these means so far."""

    def seen(self, nis: float, error: float) -> Consistency:
        """Return the means after one more update.

        Args:
            nis: Its normalized innovation squared.
            error: Mean of its squared errors, each over the variance R of its noise.
        """
        number = self.updates + 1
        share = 1.0 / min(number, _HORIZON)
        of_nis = self.nis + share * (math.log(max(nis, 1e-12)) - self.nis)
        of_error = self.error + share * (math.log(max(error, 1.0)) - self.error)
        return Consistency(number, of_nis, of_error, min(self.least, of_error))

    def check(self, limit: float) -> None:
        """Refuse to go on where the NIS is above a limit, and errors are as many times larger than they were at best.

        Raises:
            DivergenceError: If so.
        """
        bound = math.log(limit)
        if self.updates > _HORIZON and self.nis > bound and self.error - self.least > bound:
            raise DivergenceError(
                f"the Kalman filter diverges: over the last {_HORIZON} updates the squared errors were "
                f"{math.exp(self.nis):,.0f} times what it expects, and {math.exp(self.error - self.least):,.0f} times "
                "what they were at best. Lower p0, raise the noise R, or scale inputs and targets to about 1"
            )
