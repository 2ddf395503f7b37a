"""Hyperparameters of a Kalman filter over parameters. Only the ratios of p0, q and the noise R matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from rlmem.errors import UserError

Form = Literal["covariance", "square_root"]
"""P itself, or a factor A with P = A A^T, which cannot lose its positive sign but takes twice the time."""


@dataclass(frozen=True, kw_only=True)
class KalmanSettings:
    """Hyperparameters of a Kalman filter of parameters.

    Args:
        p0: Prior variance of a parameter (of scale 1).
        q: Variance that an update adds to each parameter (of scale 1): process noise, for drifting targets. Only in
            covariance form.
        forgetting: lambda, by which P is divided at each update; 1 forgets nothing.
        clip: Bound of the normalized innovations, in standard deviations (Huber's function); None does not bound.
        form: "covariance" or "square_root".
        trace_cap: Forgetting and process noise stop where they would take the trace of a group's P above so many times
            that of the prior, so that P does not wind up where nothing excites it.
        max_nis: An update raises :class:`rlmem.learning.divergence.DivergenceError` where squared errors are more than
            this times what the filter expects, and than what they were at best; inf: never.

    Raises:
        UserError: If a value is out of bounds, or process noise is asked of the square root.
    """

    p0: float = 0.1
    q: float = 0.0
    forgetting: float = 1.0
    clip: float | None = 3.0
    form: Form = "covariance"
    trace_cap: float = 1.0
    max_nis: float = 100.0

    def __post_init__(self) -> None:
        if not 0 < self.p0 < math.inf:
            raise UserError(f"p0 must be a finite variance above 0, got {self.p0}")
        if not 0 <= self.q < math.inf:
            raise UserError(f"q must be a finite variance, at least 0, got {self.q}")
        if not 0 < self.forgetting <= 1:
            raise UserError(f"forgetting must be above 0 and at most 1 (0.999 is common), got {self.forgetting}")
        if self.clip is not None and not self.clip > 0:
            raise UserError(f"clip must be above 0 standard deviations, or None, got {self.clip}")
        if self.form not in get_args(Form):
            raise UserError(f"form must be one of {get_args(Form)}, got {self.form!r}")
        if not 1 <= self.trace_cap < math.inf:
            raise UserError(f"trace_cap must be at least 1 time the prior's trace, and finite, got {self.trace_cap}")
        if not self.max_nis > 1:
            raise UserError(f"max_nis must be above 1 (inf for no limit), got {self.max_nis}")
        if self.q > 0 and self.form == "square_root":
            raise UserError(
                f"the square_root form cannot add process noise, got q={self.q}: set q=0 and forgetting below 1, "
                'or form="covariance"'
            )
