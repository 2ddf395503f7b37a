"""Numbers as tables and sentences show them: a return of 2369 is "2,369" and not "2.37e+03"."""

from __future__ import annotations

_LARGE, _MIDDLING = 100.0, 10.0
"""From which on a number is shown without decimals, and with one."""


def short_number(value: float) -> str:
    """Return a number with three digits that count, such as a ceiling: "0.333", "10", "2,369"."""
    return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.3g}"


def measured_number(value: float) -> str:
    """Return a number whose digits line up in a column, such as a measured value: "0.990", "10.0", "1,817"."""
    digits = 0 if abs(value) >= _LARGE else 1 if abs(value) >= _MIDDLING else 3
    return f"{value:,.{digits}f}"
