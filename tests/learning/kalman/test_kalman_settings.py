"""Settings of a Kalman filter: every bad value is refused with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from rlmem.learning.kalman import KalmanSettings

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"p0": 0.0}, "p0 must be a finite variance above 0, got 0.0"),
    ({"p0": float("inf")}, "p0 must be a finite variance above 0, got inf"),
    ({"p0": float("nan")}, "p0 must be .* got nan"),
    ({"q": -1.0}, "q must be a finite variance, at least 0, got -1.0"),
    ({"q": float("nan")}, "q must be .* got nan"),
    ({"forgetting": 0.0}, "forgetting must be above 0 and at most 1 .* got 0.0"),
    ({"forgetting": 1.1}, "forgetting must be above 0 and at most 1 .* got 1.1"),
    ({"clip": 0.0}, "clip must be above 0 standard deviations, or None, got 0.0"),
    ({"clip": float("nan")}, "clip must be .* got nan"),
    ({"form": "square"}, "form must be one of .*covariance.*square_root.*, got 'square'"),
    ({"trace_cap": 0.5}, "trace_cap must be at least 1 .* got 0.5"),
    ({"trace_cap": float("inf")}, "trace_cap must be .* got inf"),
    ({"form": "square_root", "q": 1e-3}, "square_root form cannot add process noise, got q=0.001: set q=0"),
]


@pytest.mark.parametrize(("changed", "message"), WRONG, ids=str)
def test_a_setting_out_of_bounds_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KalmanSettings(**changed)
