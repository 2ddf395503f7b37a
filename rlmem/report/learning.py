"""Learning curves of a run: success on validation seeds against control steps and CPU seconds."""

from __future__ import annotations

from pathlib import Path

from rlmem.errors import UserError
from rlmem.figures.learning_curves import LABELS
from rlmem.report.content import Chart, Level, Line, Section
from rlmem.runs.progress import read_progress
from rlmem.spec import TaskSpec

AXES = {"env_steps": "environment steps", "cpu_seconds": "CPU time (s)"}
"""Columns of ``progress.csv`` -> labels of their axes."""


def learning_section(folder: Path, spec: TaskSpec) -> tuple[Section | None, dict[str, str]]:
    """Return the learning curves of a run, or what is missing and why."""
    try:
        progress = read_progress(folder)
    except UserError:
        return None, {"learning curves": "the run holds no progress.csv: it was trained elsewhere, or not at all"}
    if "eval/value" not in progress:
        return None, {"learning curves": "the run has not come to its first evaluation"}
    value, low, high = (progress[f"eval/{name}"].tolist() for name in ("value", "low", "high"))
    charts = [
        Chart(
            title=f"Against {words.partition(' (')[0]}",
            x=words,
            y=measure(spec.metric),
            lines=[Line(label="validation", x=progress[column].tolist(), y=value, low=low, high=high)],
            marks=True,
            levels=ceilings(spec),
            limits=limits(spec.metric),
        )
        for column, words in AXES.items()
        if column in progress
    ]
    text = ["Evaluations on validation seeds in training; the band is the 95 % interval over their episodes."]
    return Section(title="Learning", text=text, charts=charts), {}


def measure(metric: str) -> str:
    """Return what is counted, ``"success"`` or ``"score"``, as the label of an axis."""
    return LABELS["success"] if metric == "success" else "mean score"


def ceilings(spec: TaskSpec | None) -> list[Level]:
    """Return what is reached without memory, and by the oracle; nothing where that is not known."""
    if spec is None:
        return []
    without = [Level(value=spec.memoryless.value, label="without memory")] if spec.memoryless.known else []
    return [*without, Level(value=spec.oracle.value, label="oracle", dotted=True)]


def limits(metric: str) -> tuple[float, float] | None:
    """Return the ends of an axis of success, None where they follow from the values."""
    return (0.0, 1.0) if metric == "success" else None
