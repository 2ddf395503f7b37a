"""Agents of a benchmark side by side over all their tests: scores, who improves on whom, how lengths generalize.

It holds for a table that is not finished too: what is there is shown, and agents are compared where both were run.

Axes: R runs (seeds).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlmem.benchmark.summary import Row, complete_agents, horizon_groups, memory_scores, runs_of, score_interval
from rlmem.errors import UserError
from rlmem.evaluation.statistics import Estimate, interquartile_interval, interquartile_mean, probability_of_improvement
from rlmem.figures.style import COLORS, plain, save

_AGENTS_A_ROW = 4
"""Panels beside each other."""


class Overall(NamedTuple):
    """An agent over all tests that have a memory score."""

    agent: str
    score: Estimate
    """Interquartile mean of the memory score, with its stratified-bootstrap interval."""
    improves: Estimate | None
    """Probability that a run scores higher than one of the baseline; None of the baseline itself, and without one."""
    several: bool
    """Whether a test has several runs, so that intervals say something."""


def overall(rows: Sequence[Row], baseline: str = "") -> list[Overall]:
    """Return the agents that were tested on all tests that any was tested on, best first.

    Args:
        rows: Of the table.
        baseline: Label of the agent that the others are compared with, over the tests that both have.
    """
    scores, found = memory_scores(rows), []
    for agent in complete_agents(scores):
        better = None
        if agent != baseline and (common := set(scores[agent]) & set(scores.get(baseline, {}))):
            ours, theirs = ({test: scores[name][test] for test in sorted(common)} for name in (agent, baseline))
            better = probability_of_improvement(ours, theirs)
        several = max(map(len, scores[agent].values())) > 1
        found.append(Overall(agent, interquartile_interval(scores[agent]), better, several))
    return sorted(found, key=lambda one: -one.score.value)


def plot_scores(found: Sequence[Overall], path: Path) -> None:
    """Draw each agent's memory score over all tests with its interval."""
    values = {one.agent: one.score for one in found}
    axes = _forest(values, path.stem, "memory score over all tests (0: without memory, 1: oracle)")
    axes.axvline(0.0, color="0.35", linestyle="--", linewidth=1.2, zorder=1)
    axes.axvline(1.0, color="0.35", linestyle=":", linewidth=1.2, zorder=1)
    low = min(0.0, *(part for one in values.values() for part in one))
    axes.set_xlim(low - 0.06, 1.18)
    _save(axes, path)


def plot_generalization(rows: Sequence[Row], path: Path) -> bool:
    """Draw the memory score at each memory length that was tested, a row for each agent, columns grouped by task.

    Returns:
        Whether there was something to draw: a task tested at three lengths or more.
    """
    groups = horizon_groups(rows)
    agents = [one for one in dict.fromkeys(agent for found in groups.values() for agent in found) if one != "random"]
    if not agents:
        return False
    columns = [(task, n) for task, found in groups.items() for n in sorted({n for one in found.values() for n in one})]
    values = np.full((len(agents), len(columns)), np.nan)
    for place in np.ndindex(values.shape):
        task, length = columns[place[1]]
        if runs := groups[task].get(agents[place[0]], {}).get(length):
            values[place] = score_interval(runs).value
    edges = [number for number in range(1, len(columns)) if columns[number][0] != columns[number - 1][0]]
    axes = _matrix(values, agents, [f"{_short(task)} at {length:,}" for task, length in columns], edges)
    axes.set_title("Memory score at the longest memory length of training and beyond it", fontsize=10.5)
    _save(axes, path)
    return True


def memoryless_when_lesioned(rows: Sequence[Row]) -> tuple[int, int] | None:
    """Return in how many runs the agent with its state zeroed is not above the ceiling, and of how many; or None."""
    runs = [row for row in rows if row.get("lesioned_low", "") != "" and math.isfinite(float(row["lesioned_low"]))]
    if not runs:
        return None
    return sum(float(row["lesioned_low"]) <= float(row["memoryless"]) for row in runs), len(runs)


def solved(rows: Sequence[Row], score: float = 0.9) -> bool:
    """Return whether the interquartile mean of the memory score is at least so high."""
    scores = runs_of(rows, "memory_score")
    return bool(scores) and interquartile_mean(scores) >= score


def _forest(values: Mapping[str, Estimate], name: str, x: str) -> Axes:
    """Draw a mark with an interval for each label, the first on top."""
    if not values:
        raise UserError(f"there is nothing to draw in {name}")
    figure = Figure(figsize=(7.2, 1.3 + 0.36 * len(values)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.subplots()
    for place, one in enumerate(values.values()):
        axes.plot([one.low, one.high], [place, place], color=COLORS[0], linewidth=2.4, alpha=0.55)
        axes.plot([one.value], [place], "o", color=COLORS[0], markersize=6)
        axes.annotate(
            f"{one.value:.2f}",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(values)), list(values), fontsize=9)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlabel(x)
    plain(axes)
    axes.grid(axis="y", visible=False)
    return axes


def _matrix(
    values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], edges: Sequence[int] = ()
) -> Axes:
    """Draw memory scores with their numbers, with white lines before some columns."""
    figure = Figure(figsize=(3.6 + 0.62 * len(columns), 2.4 + 0.34 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.subplots()
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isfinite(value):
            color = "black" if value > 0.6 else "white"
            said = f"{value:.2f}".replace("-0.00", "0.00")
            axes.annotate(said, (column, row), ha="center", va="center", fontsize=8, color=color)
    for column in edges:
        axes.axvline(column - 0.5, color="white", linewidth=5)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=9)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="memory score", shrink=0.8)
    return axes


def _save(axes: Axes, path: Path) -> None:
    figure = axes.figure
    assert isinstance(figure, Figure)
    save(figure, path)


def _short(test: str) -> str:
    """Return a test in fewer words: what all tasks of the suites say of themselves is left out."""
    for word, said in ((", robot planar", ""), ("memory_length ", ""), (" / ", " at "), ("-v0", "")):
        test = test.replace(word, said)
    return test.removesuffix(" at ")
