"""The comparison of training algorithms as a picture: error against sequences, and against CPU time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.figures.learning_curves import Floats
from rlmem.figures.style import COLORS
from rlmem.figures.video import checked_path
from rlmem.files import replacing
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import make_problem

_POINTS = 200


def draw(rows: Sequence[dict[str, str]], path: str | Path) -> None:
    """Draw a row of panels for each problem and cell: the median error over seeds, in a band of their range.

    Args:
        rows: Of :func:`rlmem.learning.comparison.study.run_study`.
        path: ``*.png`` in a folder that exists.

    Raises:
        ValueError: If there are no rows.
        UserError: If the folder does not exist.
    """
    checked = checked_path(path, (".png",))
    kinds = list(dict.fromkeys((row["problem"], row["cell"]) for row in rows))
    if not kinds:
        raise ValueError("nothing to draw: there are no rows")
    figure = Figure(figsize=(10.5, 0.9 + 2.9 * len(kinds)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(kinds), 2, sharey="row", squeeze=False)
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    for (problem, cell), pair in zip(kinds, panels, strict=True):
        made = make_problem(problem)
        for number, method in enumerate(methods):
            runs = [
                np.array(json.loads(row["curve"]))
                for row in rows
                if (row["problem"], row["cell"], row["method"]) == (problem, cell, method)
            ]
            for column, panel in enumerate(pair):
                if runs:
                    across, low, middle, high = _median_and_range(runs, column)
                    color = COLORS[number % len(COLORS)]
                    panel.fill_between(across, low, high, color=color, alpha=0.18, linewidth=0)
                    panel.plot(across, middle, color=color, label=METHODS[method].title, linewidth=1.7)
        for panel, label in zip(pair, ("sequences", "CPU time (s)"), strict=True):
            panel.axhline(made.bar, color="0.4", linestyle="--", linewidth=1.0)
            panel.set(xscale="log", xlabel=label)
            panel.grid(alpha=0.25, linewidth=0.6)
            panel.spines[["top", "right"]].set_visible(False)
        pair[0].set_ylabel(made.error_name)
        pair[0].set_title(f"{made.title}; {cell}", fontsize=10, loc="left")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
        title="median of the runs; band: their range",
        title_fontsize=9,
    )
    with replacing(checked) as temporary:
        figure.savefig(temporary, dpi=140, format="png")


def _median_and_range(runs: Sequence[Floats], column: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return a grid of the x axis, and least, median and most over runs.

    A run that has ended keeps its last error.
    """
    start = max(run[1 if len(run) > 1 else 0, column] for run in runs)
    end = max(run[-1, column] for run in runs)
    grid = np.geomspace(max(start, 1e-3), max(end, start, 1e-3) * 1.0001, _POINTS)
    errors = [np.interp(grid, run[:, column], run[:, 2]) for run in runs]
    low, middle, high = np.percentile(errors, [0, 50, 100], axis=0)
    return grid, low, middle, high
