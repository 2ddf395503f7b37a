"""Figures that compare agents: curves over memory lengths, performance profiles, heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.evaluation.capacity import HeatMap
from rlmem.evaluation.statistics import Profile
from rlmem.figures.style import Curve, ceilings, draw_curve, length_axis, plain, save
from rlmem.spec import TaskSpec

_FEW = 5
"""Lines that may have bands: more bands would hide each other."""


def plot_curves(
    curves: Mapping[str, Curve], path: str | Path, *, spec: TaskSpec | None = None, y: str = "", title: str = ""
) -> None:
    """Draw curves over memory lengths, one a label, such as the horizon curves of several agents."""
    figure = Figure(figsize=(8.6, 4.4), layout="constrained")
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
    figure = Figure(figsize=(8.6, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (label, profile) in enumerate(profiles.items()):
        band = (profile.low, profile.high) if len(profiles) <= _FEW else (profile.fraction, profile.fraction)
        draw_curve(axes, Curve(profile.thresholds, profile.fraction, *band), number, label, "")
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


def _legend(figure: Figure, axes: Axes) -> None:
    """Name the lines to the right of the axes, the highest on top, where no name is cut."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    lines.sort(key=lambda line: -float(np.nanmean(np.asarray(line.get_ydata(), dtype=np.float64))))
    figure.legend(handles=lines, loc="outside right upper", frameon=False, fontsize=9)
