"""Figures of several agents: curves over memory lengths, performance profiles, heat maps; and what all share.

Axes: P points of a curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from rlmem.evaluation.capacity import HeatMap
from rlmem.evaluation.statistics import Profile
from rlmem.figures.learning_curves import COLORS, STYLES
from rlmem.figures.video import checked_path
from rlmem.files import replacing
from rlmem.spec import TaskSpec

MARKERS = "osD^vPX*"
"""Of the lines of a figure, which so differ in more than color."""


class Curve(NamedTuple):
    """A line with a band; arrays [P]."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike
    high: ArrayLike


def plot_curves(
    curves: Mapping[str, Curve], path: str | Path, *, spec: TaskSpec | None = None, y: str = "", title: str = ""
) -> None:
    """Draw curves over memory lengths, one a label, such as the horizon curves of several agents."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (label, curve) in enumerate(curves.items()):
        draw_curve(axes, curve, number, label)
    ceilings(axes, spec)
    length_axis(axes, sorted({float(x) for curve in curves.values() for x in np.asarray(curve.x)}))
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10.5)
    plain(axes)
    _legend(figure, axes)
    save(figure, path)


def plot_profiles(profiles: Mapping[str, Profile], path: str | Path, *, title: str = "") -> None:
    """Draw performance profiles: which fraction of runs is above each memory score."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (label, profile) in enumerate(profiles.items()):
        draw_curve(axes, Curve(profile.thresholds, profile.fraction, profile.low, profile.high), number, label, "")
    axes.set_xlabel("memory score (0: without memory, 1: oracle)")
    axes.set_ylabel("fraction of runs above it")
    axes.set_ylim(-0.03, 1.05)
    axes.set_title(title, fontsize=10.5)
    plain(axes)
    _legend(figure, axes)
    save(figure, path)


def plot_heat_map(found: HeatMap, path: str | Path, *, x: str, y: str, title: str = "") -> None:
    """Draw memory scores over two axes, with the numbers in the cells; cells that were not measured stay empty."""
    figure = Figure(figsize=(2.2 + 0.95 * len(found.x), 1.8 + 0.62 * len(found.y)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(found.values, origin="lower", aspect="auto", cmap="cividis", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(found.values.shape):
        value = found.values[row, column]
        if np.isfinite(value):
            color = "black" if value > 0.6 else "white"
            axes.annotate(f"{value:.2f}", (column, row), ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(len(found.x)), [f"{value:,.0f}" for value in found.x])
    axes.set_yticks(range(len(found.y)), [f"{value:,.0f}" for value in found.y])
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10.5)
    figure.colorbar(image, ax=axes, label="memory score")
    save(figure, path)


def draw_curve(axes: Axes, curve: Curve, number: int, label: str, marker: str | None = None) -> None:
    """Draw a line with its band in the color of its number; beyond eight, colors come again with another style."""
    color, style = COLORS[number % len(COLORS)], STYLES[number // len(COLORS) % len(STYLES)]
    sign = MARKERS[number % len(MARKERS)] if marker is None else marker
    axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0)
    axes.plot(curve.x, curve.y, style, color=color, linewidth=2.0, marker=sign, markersize=4.5, label=label or None)


def ceilings(axes: Axes, spec: TaskSpec | None, *, vertical: bool = False) -> None:
    """Draw what is reached without memory, and by the oracle."""
    if spec is None:
        return
    for ceiling, name, style in ((spec.memoryless, "without memory", "--"), (spec.oracle, "oracle", ":")):
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


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, max(len(labels), 1)), frameon=False)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, at once; see :func:`rlmem.files.replacing`."""
    with replacing(checked_path(path, (".png",))) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
