"""Learning curves, between what is possible without memory and what is possible at all.

Axes: P points of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import ArrayLike, NDArray

from rlmem.figures.style import COLORS, STYLES
from rlmem.figures.video import checked_path
from rlmem.files import replacing

Run = Mapping[str, ArrayLike]
"""Column -> values [P]."""
Floats = NDArray[np.float64]

LABELS = {
    "env_steps": "environment steps",
    "cpu_seconds": "CPU time (s)",
    "seconds": "time (s)",
    "success": "success rate",
    "score": "score",
    "reward": "return",
    "memory_score": "memory score",
}
"""Column -> label of its axis; other columns are labeled by their names."""
_FRACTIONS = ("success", "memory_score")
_POINTS = 300


def plot_learning_curves(
    curves: Mapping[str, Sequence[Run]],
    path: str | Path,
    *,
    x: str | Sequence[str] = "env_steps",
    y: str = "success",
    memoryless: float | None = None,
    oracle: float | None = None,
    band: Literal["range", "interval"] = "range",
    title: str = "",
) -> None:
    """Draw the mean over runs with a band, one line a label, and each run faintly.

    Runs are interpolated linearly, and the mean is drawn where all runs of its label have data.

    Args:
        curves: Label -> runs (such as one a seed) -> column -> values [P], x rising.
        path: ``*.png`` in a folder that exists; 150 dots an inch.
        x: Column along the x axis; several columns make several panels, such as ``("env_steps", "cpu_seconds")``.
        y: Column along the y axis.
        memoryless: Ceiling without memory: a dashed line.
        oracle: Ceiling of the oracle: a dotted line.
        band: ``"range"``: from the least to the most of the runs; ``"interval"``: 95 % of the mean, by bootstrap over
            runs. Said in the title of the legend.
        title: Above the picture.

    Raises:
        ValueError: If there is nothing to draw, a column is missing, or values are not numbers, not as many, or not
            rising along x.
        UserError: If the folder does not exist.
    """
    checked = checked_path(path, (".png",))
    columns = (x,) if isinstance(x, str) else tuple(x)
    if not columns or not curves:
        raise ValueError("nothing to draw: curves has no labels" if columns else "x must name at least one column")
    if band not in ("range", "interval"):
        raise ValueError(f"band must be 'range' or 'interval', got {band!r}")
    figure = Figure(figsize=(1.6 + 4.6 * len(columns), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, column in zip(panels, columns, strict=True):
        for number, (label, runs) in enumerate(curves.items()):
            lines = [_line(label, run, column, y) for run in _some(label, runs)]
            _draw(panel, label, lines, number, band)
        _decorate(panel, column, memoryless, oracle)
    panels[0].set_ylabel(LABELS.get(y, y))
    if y in _FRACTIONS:
        panels[0].set_ylim(min(-0.03, panels[0].get_ylim()[0]), max(1.05, panels[0].get_ylim()[1]))
    _add_legend(figure, panels[0], curves, band)
    if title:
        figure.suptitle(title, fontweight="bold")
    with replacing(checked) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _some(label: str, runs: Any) -> Sequence[Run]:
    if isinstance(runs, Mapping) or not isinstance(runs, Sequence):
        raise ValueError(
            f"the runs of {label!r} must be a list of mappings column -> values, got {type(runs).__name__}"
        )
    if not runs:
        raise ValueError(f"there are no runs of {label!r} to draw")
    return runs


def _line(label: str, run: Run, x: str, y: str) -> tuple[Floats, Floats]:
    """Return x and y [P] of a run, checked."""
    for column in (x, y):
        if column not in run:
            raise ValueError(f"a run of {label!r} has no column {column!r}; it has: {', '.join(sorted(run)) or 'none'}")
    try:
        across, up = np.asarray(run[x], dtype=np.float64), np.asarray(run[y], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"columns {x!r} and {y!r} of {label!r} must be numbers: {error}") from error
    if across.ndim != 1 or across.shape != up.shape:
        raise ValueError(f"columns {x!r} and {y!r} of {label!r} must be as long, got {across.shape} and {up.shape}")
    known = np.isfinite(across) & np.isfinite(up)
    across, up = across[known], up[known]
    if not len(across):
        raise ValueError(f"a run of {label!r} has no values in columns {x!r} and {y!r}")
    if (np.diff(across) < 0).any():
        raise ValueError(f"column {x!r} of {label!r} must rise")
    return across, up


def _draw(panel: Axes, label: str, lines: list[tuple[Floats, Floats]], number: int, band: str) -> None:
    """Draw the runs of one label."""
    color, style = COLORS[number % len(COLORS)], STYLES[number // len(COLORS) % len(STYLES)]
    if len(lines) == 1:
        across, up = lines[0]
        panel.plot(across, up, style, color=color, label=label, linewidth=2.0, marker="o" if len(up) == 1 else None)
        return
    for across, up in lines:
        panel.plot(across, up, color=color, linewidth=0.7, alpha=0.35)
    start, end = max(across[0] for across, _ in lines), min(across[-1] for across, _ in lines)
    if start > end:
        raise ValueError(f"the runs of {label!r} have no part of the x axis in common: no mean can be drawn")
    grid = np.linspace(start, end, _POINTS)
    values = np.stack([np.interp(grid, across, up) for across, up in lines])
    low, high = _interval(values) if band == "interval" else (values.min(axis=0), values.max(axis=0))
    panel.fill_between(grid, low, high, color=color, alpha=0.18, linewidth=0)
    panel.plot(grid, values.mean(axis=0), style, color=color, label=label, linewidth=2.0)


def _interval(values: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % bootstrap interval of the mean over runs, [P] each, of values [runs, P]."""
    picks = np.random.default_rng(0).integers(0, len(values), (1_000, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5], axis=0)
    return low, high


def _decorate(panel: Axes, column: str, memoryless: float | None, oracle: float | None) -> None:
    """Draw the ceilings, with their names on the lines, and the looks of a panel."""
    for value, name, style in ((memoryless, "without memory", "--"), (oracle, "oracle", ":")):
        if value is not None:
            panel.axhline(value, color="0.35", linestyle=style, linewidth=1.2, zorder=1)
            panel.annotate(
                f"{name} {value:.3g}",
                (0.99, value),
                xycoords=("axes fraction", "data"),
                xytext=(0, -9 if value == memoryless else -3),
                textcoords="offset points",
                va="top",
                ha="right",
                fontsize=8.5,
                color="0.25",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )
    panel.set_xlabel(LABELS.get(column, column))
    panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    panel.set_xlim(left=0.0)
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _add_legend(figure: Figure, panel: Axes, curves: Mapping[str, Sequence[Run]], band: str) -> None:
    """Put the legend right of the panels, where it hides nothing."""
    handles, labels = panel.get_legend_handles_labels()
    counts = {len(runs) for runs in curves.values()}
    shade = "range of runs" if band == "range" else "95 % interval of the mean"
    runs = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    note = f"mean of {runs} runs; band: {shade}" if max(counts) > 1 else None
    figure.legend(
        handles,
        labels,
        title=note,
        title_fontsize=8.5,
        loc="outside lower center",
        ncols=min(4, len(labels)),
        frameon=False,
    )
