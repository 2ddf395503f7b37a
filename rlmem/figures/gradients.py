"""The vanishing gradient as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlmem.figures.style import COLORS
from rlmem.figures.video import checked_path
from rlmem.files import replacing

_FLOOR, _CEILING = 1e-20, 1e3
_LOST = 1e-7


class Reach(NamedTuple):
    """How far the gradient of one cell reaches."""

    label: str
    lags: list[int]
    """[L] steps, rising."""
    norms: NDArray[np.float64]
    """[L] relative to lag 1."""


def plot_gradient_reach(reaches: Sequence[Reach], path: str | Path, *, title: str = "") -> None:
    """Draw gradients against lags. Cells whose lines coincide share one line and one label.

    Args:
        reaches: What to draw.
        path: ``*.png`` in a folder that exists.
        title: Above the picture.

    Raises:
        ValueError: If there is nothing to draw.
        UserError: If the folder does not exist.
    """
    checked = checked_path(path, (".png",))
    if not reaches:
        raise ValueError("nothing to draw: no cells were measured")
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for number, group in enumerate(_coinciding(reaches)):
        values = np.exp(np.mean([np.log(np.maximum(one.norms, 1e-300)) for one in group], axis=0))
        label = "\n".join(", ".join(one.label for one in group[first : first + 3]) for first in range(0, len(group), 3))
        panel.plot(group[0].lags, values, color=COLORS[number % len(COLORS)], marker=".", linewidth=2.0, label=label)
    panel.axhspan(_FLOOR, _LOST, color="0.9", zorder=0)
    panel.text(1.05, _LOST / 4, "below single precision: cannot be learnt", fontsize=8.5, color="0.35", va="top")
    panel.set(xscale="log", yscale="log", ylim=(_FLOOR, _CEILING), xlabel="lag T - t (steps)")
    panel.set_ylabel(r"$|\,dL_T/dh_t\,|$ relative to lag 1")
    panel.set_title(title, fontsize=11, fontweight="bold")
    panel.grid(alpha=0.25, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    with replacing(checked) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def _coinciding(reaches: Sequence[Reach]) -> list[list[Reach]]:
    """Group cells whose gradients differ by less than a factor of ten at every lag."""
    groups: list[list[Reach]] = []
    for reach in reaches:
        line = np.log10(np.maximum(reach.norms, _FLOOR))
        for group in groups:
            if np.abs(line - np.log10(np.maximum(group[0].norms, _FLOOR))).max() < 1.0:
                group.append(reach)
                break
        else:
            groups.append([reach])
    return groups
