"""Draw docs/cells.png: the memory score of every cell on every task, from the table of ``scripts/cells_study.py``.

python scripts/cells_figure.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import tyro
from cells_study import TASKS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.csv_table import read_rows
from rlmem.errors import UserError
from rlmem.figures.style import save
from rlmem.networks.cells import CELLS


@dataclass(frozen=True, kw_only=True)
class Options:
    """Figure of the study of cells.

    Args:
        table: Written by scripts/cells_study.py.
        out: The figure.
    """

    table: Path = Path("benchmarks/results/cells.csv")
    out: Path = Path("docs/cells.png")


def main(options: Options) -> None:
    """Draw a field for each task and cell, the median over runs; what was not run stays empty."""
    draw(read_rows(options.table), options.out)
    print(f"written to {options.out}")


def draw(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw the fields.

    Raises:
        UserError: If there are no rows.
    """
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    cells = [cell for cell in CELLS if any(row["cell"] == cell for row in rows)]
    if not rows:
        raise UserError("nothing to draw: scripts/cells_study.py has written no rows")
    scores = np.full((len(cells), len(tasks)), np.nan)
    for i, cell in enumerate(cells):
        for j, task in enumerate(tasks):
            found = [float(row["memory_score"]) for row in rows if row["cell"] == cell and row["task"] == task]
            scores[i, j] = median(found) if found else np.nan
    figure = Figure(figsize=(1.6 + 0.95 * len(tasks), 1.4 + 0.36 * len(cells)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown = axes.imshow(np.clip(scores, 0.0, 1.0), cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), score in np.ndenumerate(scores):
        words = "" if np.isnan(score) else f"{score:.2f}"
        axes.text(j, i, words, ha="center", va="center", fontsize=8, color="black" if score > 0.6 else "white")
    axes.set_xticks(range(len(tasks)), [task.replace(" ", "\n") for task in tasks], fontsize=8)
    axes.set_yticks(range(len(cells)), cells, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("memory score: 0 without memory, 1 the oracle", fontsize=8)
    save(figure, path)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
