"""Colors, lines, axes and legends that all figures share.

Axes: P points of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from rlmem.figures.video import checked_path
from rlmem.files import replacing
from rlmem.spec import TaskSpec

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""Okabe and Ito's colors, which color-blind readers can tell apart (yellow, too pale for lines, darkened)."""
STYLES = ("-", "--", ":")
"""Beyond eight lines, colors come again with another style."""
MARKERS = "osD^vPX*"
"""Of the lines of a figure, which so differ in more than color."""


class Curve(NamedTuple):
    """A line with a band; arrays [P]."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike
    high: ArrayLike


def draw_curve(axes: Axes, curve: Curve, number: int, label: str, marker: str | None = None) -> None:
    """Draw a line with its band in the color of its number; beyond eight, colors come again with another style."""
    color, style = COLORS[number % len(COLORS)], STYLES[number // len(COLORS) % len(STYLES)]
    sign = MARKERS[number % len(MARKERS)] if marker is None else marker
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
    axes.plot(curve.x, curve.y, style, color=color, linewidth=2.0, marker=sign, markersize=4.5, label=label or None)


def ceilings(axes: Axes, spec: TaskSpec | None, *, vertical: bool = False) -> None:
    """Draw what is reached without memory, and by the oracle, where that is known."""
    if spec is None:
        return
    for ceiling, name, style in ((spec.memoryless, "without memory", "--"), (spec.oracle, "oracle", ":")):
        if not ceiling.known:
            continue
        if vertical:
            axes.axvline(ceiling.value, color="0.35", linestyle=style, linewidth=1.2)
            axes.annotate(
                name,
                (ceiling.value, 0.0),
                xycoords=("data", "axes fraction"),
                xytext=(-3 if name == "oracle" else 3, 4),
                textcoords="offset points",
                ha="right" if name == "oracle" else "left",
                fontsize=8,
                color="0.25",
            )
        else:
            level_line(axes, ceiling.value, name, style)
    if vertical:
        axes.set_xlim(0, spec.oracle.value * 1.06)
    else:
        axes.set_ylim(min(0.0, spec.memoryless.value), spec.oracle.value * 1.08)


def level_line(axes: Axes, value: float, name: str, style: str = "--") -> None:
    """Draw a level with its name on it."""
    axes.axhline(value, color="0.35", linestyle=style, linewidth=1.2, zorder=1)
    axes.annotate(
        name,
        (0.01, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color="0.25",
    )


def length_axis(axes: Axes, lengths: Sequence[float]) -> None:
    """Let the x axis be memory lengths, on a logarithmic scale, with those that were measured named."""
    axes.set_xscale("log")
    axes.set_xticks(lengths, [f"{length:,.0f}" for length in lengths], rotation=45 if len(lengths) > 8 else 0)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("memory length (control steps)")


def plain(axes: Axes) -> None:
    """Give axes the looks of all figures: a faint grid, no box."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, at once; see :func:`rlmem.files.replacing`."""
    with replacing(checked_path(path, (".png",))) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
