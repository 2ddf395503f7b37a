"""The figure of a memory report: lesions, horizon curve, probe, gradient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rlmem.digits import short_number
from rlmem.evaluation.episodes import Evaluation
from rlmem.evaluation.gradient import GradientLag
from rlmem.evaluation.horizon import HorizonCurve, length_in_words
from rlmem.evaluation.memory import MemoryReport
from rlmem.evaluation.probe import CueProbe
from rlmem.figures.style import COLORS, Curve, ceilings, draw_curve, length_axis, level_line, plain, save

BLUE, ORANGE, GREEN = COLORS[:3]
_PHASES = {"search": "#EFEFEF", "cue": "#FBE7C6", "delay": "#E8F1F8", "query": "#DDF0E4", "wait": "#F3E6DA"}


def plot_memory(report: MemoryReport, path: str | Path, *, title: str = "") -> None:
    """Draw a memory report: lesions, and horizon curve, probe and gradient where they were measured.

    Args:
        report: What was measured.
        path: ``*.png`` in a folder that exists.
        title: Above the picture.

    Raises:
        UserError: If the file has another ending.
        UserError: If the folder does not exist.
    """
    panels: list[Callable[[Axes], None]] = [lambda axes: draw_lesions(axes, report)]
    horizon, probe, gradient = report.horizon, report.probe, report.gradient
    if horizon is not None:
        panels.append(lambda axes: draw_horizon(axes, horizon, report.trained_length))
    if probe is not None:
        panels.append(lambda axes: draw_probe(axes, probe))
    if gradient is not None:
        panels.append(lambda axes: draw_gradient(axes, gradient))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, draw in zip(grid, panels, strict=False):
        draw(axes)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    if title:
        figure.suptitle(title, fontweight="bold")
    save(figure, path)


def draw_lesions(axes: Axes, report: MemoryReport) -> None:
    """Draw success with and without lesions as bars with 95 % intervals, between the ceilings."""
    bars: list[tuple[str, Evaluation, str]] = [("intact", report.intact, BLUE)]
    bars += [(t.lesion.words, t.lesioned, ORANGE) for t in report.lesions]
    if report.noise is not None:
        bars.append(("noise in mid-delay", report.noise.disturbed, GREEN))
    axes.set_ylim(-0.5, len(bars) - 0.05)  # room for the names of the ceilings
    for place, (_, result, color) in enumerate(bars):
        low, high = result.interval
        axes.barh(place, result.value, 0.62, color=color, alpha=0.85)
        axes.plot([low, high], [place, place], color="0.15", linewidth=1.4)
        axes.annotate(
            _two(result.value), (0, place), xytext=(5, 0), textcoords="offset points", va="center", color="white"
        )
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.invert_yaxis()
    ceilings(axes, report.spec, vertical=True)
    axes.set_xlabel(report.intact.measure)
    axes.set_title("What a lesion of the hidden state does", fontsize=10.5)
    plain(axes)
    axes.grid(axis="y", visible=False)


def draw_horizon(axes: Axes, curve: HorizonCurve, trained: int | None = None) -> None:
    """Draw success over memory lengths, with L50 and L90 in the title."""
    lengths = [point.knob for point in curve.points]
    results = [point.result for point in curve.points]
    low, high = zip(*(result.interval for result in results), strict=True)
    draw_curve(axes, Curve(lengths, [result.value for result in results], low, high), 0, "")
    if trained is not None:
        axes.axvline(trained, color="0.35", linestyle="-.", linewidth=1.0)
        axes.annotate(
            "longest in training",
            (trained, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 0),
            textcoords="offset points",
            rotation=90,
            ha="right",
            fontsize=8,
            color="0.25",
        )
    ceilings(axes, results[0].spec)
    ends = (("L50", curve.l50), ("L90", curve.l90))
    words = [f"{name} {length_in_words(at, lengths).partition(' (')[0]}" for name, at in ends]
    axes.set_title("How far back:  " + ",  ".join(words), fontsize=10.5)
    length_axis(axes, lengths)
    axes.set_ylabel(results[0].measure)
    plain(axes)


def draw_probe(axes: Axes, probe: CueProbe) -> None:
    """Draw the accuracy of the linear probe over time, on the phases."""
    steps = np.array([point.step for point in probe.points])
    phases = [point.phase for point in probe.points]
    edges = [0, *(i for i in range(1, len(phases)) if phases[i] != phases[i - 1]), len(phases)]
    scale = max(8.0, float(steps[-1]) / 50)
    for first, end in pairwise(edges):
        left = steps[first] if first else 0.0
        right = steps[end] if end < len(steps) else steps[-1] * 1.02 + 1
        axes.axvspan(left, right, color=_PHASES.get(phases[first], "#F2F2F2"), linewidth=0)
        middle = _to_axis(scale, left) + _to_axis(scale, right)
        axes.annotate(
            phases[first],
            (_from_axis(scale, middle / 2), 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -3),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8.5,
            color="0.3",
        )
    axes.set_xscale("function", functions=(lambda x: _to_axis(scale, x), lambda y: _from_axis(scale, y)))
    low, high = [point.low for point in probe.points], [point.high for point in probe.points]
    draw_curve(axes, Curve(steps, [point.accuracy for point in probe.points], low, high), 0, "")
    level_line(axes, probe.chance, "commonest cue")
    axes.set_ylim(0.0, 1.12)
    axes.set_xlim(0.0, steps[-1] * 1.02 + 1)
    ticks = [0, *(factor * 10**power for power in range(5) for factor in (1, 2, 5))]
    axes.set_xticks([tick for tick in ticks if tick <= steps[-1]])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("control steps since the episode began")
    axes.set_ylabel("accuracy of the probe")
    axes.set_title("What the hidden state holds of the cue (linear probe)", fontsize=10.5)
    plain(axes)


def draw_gradient(axes: Axes, gradient: GradientLag) -> None:
    """Draw the gradient's norm over the lag, on logarithmic axes."""
    lags, norms = np.array(gradient.lags), np.maximum(gradient.norms, 1e-16)
    axes.plot(lags, norms, color=BLUE, linewidth=2.0, marker="o", markersize=4)
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1.0)
    apart = [*(later > 1.3 * lag for lag, later in pairwise(gradient.lags)), True]  # other labels would overlap
    labels = [f"{lag:,}" if is_apart else "" for lag, is_apart in zip(gradient.lags, apart, strict=True)]
    axes.set_xticks(lags, labels, rotation=45 if len(lags) > 10 else 0)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.15, 1.15 * max(lags[-1], 1))
    if norms.min() > 0.1 and norms.max() < 10:
        axes.set_ylim(0.05, 20)
    axes.axhline(1.0, color="0.35", linestyle=":", linewidth=1.0)
    axes.set_xlabel("lag: control steps before the query")
    axes.set_ylabel("|gradient|, lag 0 = 1")
    axes.set_title("How far back the gradient reaches", fontsize=10.5)
    plain(axes)


def _two(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else short_number(value)


def _to_axis(scale: float, x: Any) -> Any:
    """Place time on the axis: as it is at first, its logarithm later, so that cue and query are seen beside a delay."""
    return np.log1p(np.asarray(x, dtype=np.float64).clip(min=0) / scale)


def _from_axis(scale: float, y: Any) -> Any:
    return scale * np.expm1(y)
