"""The comparison of training algorithms as a picture: sequences, and CPU seconds, until a method has learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from rlmem.figures.style import COLORS, plain, save
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import make_problem

_COLUMNS = {"sequences": "sequences until learnt", "cpu_seconds": "CPU seconds until learnt"}
_FAMILIES = {False: ("gradient steps", COLORS[0], "o"), True: ("Kalman filter", COLORS[1], "D")}
"""Whether a method is a Kalman filter -> name, color, marker."""

Row = dict[str, str]


def draw(rows: Sequence[Row], path: str | Path) -> None:
    """Draw a group of marks for each problem and cell, a mark a method: median and range of the runs that learnt.

    Each method's name says how many of its runs learnt.

    Problems and cells that no method learns are named below the figure.

    Args:
        rows: Of :func:`rlmem.learning.comparison.study.run_study`.
        path: ``*.png`` in a folder that exists.

    Raises:
        ValueError: If there are no rows.
        UserError: If the folder does not exist.
    """
    kinds: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row["problem"], row["cell"]), []).append(row)
    if not kinds:
        raise ValueError("nothing to draw: there are no rows")
    learnt = {kind: own for kind, own in kinds.items() if any(_has_learnt(row) for row in own)}
    heights = [len({row["method"] for row in own}) for own in learnt.values()] or [1]
    figure = Figure(figsize=(9.5, 1.0 + 0.3 * len(heights) + 0.23 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 2, sharex="col", sharey="row", squeeze=False, height_ratios=heights)
    for (kind, own), pair in zip(learnt.items(), panels, strict=False):
        pair[0].set_title(_title(*kind), fontsize=9, loc="left", fontweight="bold")
        for panel, column in zip(pair, _COLUMNS, strict=True):
            _marks(panel, own, column)
    for panel, words in zip(panels[-1], _COLUMNS.values(), strict=True):
        panel.set_xlabel(words, fontsize=9)
    handles = [
        Line2D([], [], color=color, marker=marker, label=f"{name}: median and range of the runs that learnt")
        for name, color, marker in _FAMILIES.values()
    ]
    none = [_title(*kind) for kind in kinds if kind not in learnt]
    note = f"no method learns: {'; '.join(none)}" if none else None
    figure.legend(
        handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9, title=note, title_fontsize=9
    )
    save(figure, path)


def _marks(panel: Axes, rows: Sequence[Row], column: str) -> None:
    """Draw the methods of one problem and cell, the first on top."""
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    names = []
    for place, method in enumerate(methods):
        own = [row for row in rows if row["method"] == method]
        values = [float(row[column]) for row in own if _has_learnt(row)]
        names.append(f"{METHODS[method].title}: {len(values)} of {len(own)}")
        _, color, marker = _FAMILIES[METHODS[method].kalman]
        if values:
            panel.plot([min(values), max(values)], [place, place], color=color, linewidth=2.4, alpha=0.55)
            panel.plot([float(np.median(values))], [place], marker, color=color, markersize=5.5)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_yticks(range(len(methods)), names, fontsize=8)
    panel.set_ylim(len(methods) - 0.4, -0.6)
    panel.tick_params(axis="x", labelsize=8)
    plain(panel)
    panel.grid(axis="y", visible=False)


def _has_learnt(row: Row) -> bool:
    return math.isfinite(float(row["sequences"]))


def _title(problem: str, cell: str) -> str:
    return f"{make_problem(problem).title}; {cell}"
