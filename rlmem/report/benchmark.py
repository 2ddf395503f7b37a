"""The page of a benchmark: its summary, with a picture of each table, profiles, horizon and learning curves.

Axes: R runs, P points of a curve.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlmem.benchmark.maps import length_maps
from rlmem.benchmark.summary import (
    HORIZON,
    LEGEND,
    OVERALL,
    complete_agents,
    few_runs,
    horizon_groups,
    memory_scores,
    run_interval,
    runs_of,
    summary_sections,
)
from rlmem.benchmark.table import RESULTS, read_rows
from rlmem.environments import spec_at
from rlmem.errors import UserError
from rlmem.evaluation.statistics import performance_profile
from rlmem.registry import short_id
from rlmem.report.content import Chart, Line, Page, Section, Table
from rlmem.report.learning import AXES, ceilings, limits, measure
from rlmem.runs.progress import read_progress
from rlmem.spec import TaskSpec

Row = Mapping[str, str]
_POINTS = 60
_ZEROED = ", state zeroed"


def benchmark_page(folder: Path) -> Page:
    """Gather all of a benchmark's page.

    Args:
        folder: Of the benchmark, with ``results.csv``.

    Raises:
        UserError: If there is no table, or if the table is of something else, or empty.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(f"{folder} has no {RESULTS}: it is not the folder of a benchmark")
    rows = read_rows(path)
    if not rows:
        raise UserError(f"{path} has no rows yet: no run is finished")
    # rows are in the order in which runs ended: let agents have one order on all tasks
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    rows.sort(key=lambda row: agents.index(row["agent"]))
    colors = {agent: number for number, agent in enumerate(agents)}
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    sections = []
    for section in summary_sections(rows):
        charts: list[Chart] = []
        if section.title in tasks:
            mine = [row for row in rows if row["task"] == section.title]
            charts = [*_forests(mine, colors), *_learning(folder, mine, colors)]
        elif section.title == OVERALL:
            charts = _profiles(rows, colors)
        elif section.title == HORIZON:
            charts = _horizons(rows, colors)
        tables = [Table(title=table.title, head=table.head, rows=table.rows) for table in section.tables]
        text = [*section.text, *([section.note] if section.note else [])]
        sections.append(Section(title=section.title, text=text, tables=tables, charts=charts))
    sections[-1:-1] = _maps(rows)  # before what is said about the numbers
    missing = []
    if not any(section.title == OVERALL for section in sections):
        missing.append("performance profiles: they need two agents, both tested on two tasks or lengths")
    if not any(section.title == HORIZON for section in sections):
        missing.append("horizon curves: no task was tested at three memory lengths")
    counts = [("tasks", len(tasks)), ("agents", len(colors)), ("runs", len({row["cell"] for row in rows}))]
    facts = [*((name, str(count)) for name, count in counts), ("benchmark", str(folder))]
    title = f"Benchmark {folder.resolve().name}"
    return Page(title=title, subtitle=LEGEND, verdict=few_runs(rows), facts=facts, sections=sections, missing=missing)


def _forests(rows: Sequence[Row], colors: Mapping[str, int]) -> list[Chart]:
    """Return a chart for each test of a task: agents with their intervals, and with the state zeroed."""
    charts = []
    for test in dict.fromkeys(row["test"] for row in rows):
        here = [row for row in rows if row["test"] == test]
        spec, metric, lines = _spec(here[0]), here[0]["metric"], []
        for agent in dict.fromkeys(row["agent"] for row in here):
            runs = [row for row in here if row["agent"] == agent]
            found = run_interval(runs, "value")
            lines.append(_mark(agent, found.value, found.low, found.high, colors[agent]))
            lesioned = runs_of(runs, "lesioned")
            if lesioned:
                low, high = (float(np.mean(runs_of(runs, name))) for name in ("lesioned_low", "lesioned_high"))
                lines.append(_mark(agent + _ZEROED, float(np.mean(lesioned)), low, high, colors[agent]))
        charts.append(
            Chart(
                title=f"Tested at {test}" if test else "Tested as trained",
                x=measure(metric),
                y="agent",
                lines=lines,
                kind="forest",
                levels=ceilings(spec),
                limits=limits(metric),
                note="State zeroed: means over runs of the value and of the ends of its interval over episodes."
                if any(line.label.endswith(_ZEROED) for line in lines)
                else "",
            )
        )
    return charts


def _mark(label: str, value: float, low: float, high: float, color: int) -> Line:
    return Line(label=label, x=[value], y=[None], low=[low], high=[high], color=color)


def _profiles(rows: Sequence[Row], colors: Mapping[str, int]) -> list[Chart]:
    scores, thresholds = memory_scores(rows), np.linspace(-0.2, 1.0, 61)
    lines = []
    for agent in complete_agents(scores):
        found = performance_profile(scores[agent], thresholds)
        parts = [part.tolist() for part in (found.thresholds, found.fraction, found.low, found.high)]
        lines.append(Line(label=agent, x=parts[0], y=parts[1], low=parts[2], high=parts[3], color=colors[agent]))
    chart = Chart(
        title="Performance profiles",
        x="memory score (0: without memory, 1: oracle)",
        y="fraction of runs above it",
        lines=lines,
        limits=(0.0, 1.0),
        note="Over all tasks. Band: 95 % interval by stratified bootstrap over runs.",
    )
    return [chart] if lines else []


def _horizons(rows: Sequence[Row], colors: Mapping[str, int]) -> list[Chart]:
    charts = []
    for task, agents in horizon_groups(rows).items():
        lines = []
        for agent, lengths in agents.items():
            values = [run_interval(found, "value") for found in lengths.values()]
            y, low, high = (list(part) for part in zip(*values, strict=True))
            x = [float(length) for length in lengths]
            lines.append(Line(label=agent, x=x, y=y, low=low, high=high, color=colors[agent]))
        first = next(row for row in rows if row["task"] == task)
        spec, metric = _spec(first), first["metric"]
        charts.append(
            Chart(
                title=task,
                x="memory length (control steps)",
                y=measure(metric),
                lines=lines,
                logarithmic=True,
                marks=True,
                levels=ceilings(spec),
                limits=limits(metric),
                note="Band: 95 % interval, over runs, or where there is one run over its episodes.",
            )
        )
    return charts


def _maps(rows: Sequence[Row]) -> list[Section]:
    """Return the maps of memory length and credit length as tables whose cells are shaded by their numbers."""
    tables = []
    for found in length_maps(rows):
        scores = found.scores
        up = list(zip(scores.y, scores.values.tolist(), strict=True))[::-1]
        shades = [[score if math.isfinite(score) else None for score in line] for _, line in up]
        cells = [["" if score is None else f"{score:.2f}" for score in line] for line in shades]
        tables.append(
            Table(
                title=f"{found.agent} on {found.task}",
                head=["credit length", *(f"memory {length:,.0f}" for length in scores.x)],
                rows=[[f"{credit:,.0f}", *line] for (credit, _), line in zip(up, cells, strict=True)],
                shades=shades,
            )
        )
    text = "Mean memory score of agents that were trained and tested at these lengths, in control steps. Memory "
    text += "length: from the cue to the answer. Credit length: from the answer to its reward."
    return [Section(title="Memory length and credit length", text=[text], tables=tables)] if tables else []


class _Curve(NamedTuple):
    """Learning curve of a run; arrays [P]."""

    x: list[float]
    y: list[float]


def _learning(folder: Path, rows: Sequence[Row], colors: Mapping[str, int]) -> list[Chart]:
    """Return learning curves of a task against control steps and CPU seconds, where its runs are still there."""
    spec, metric, charts = _spec(rows[0]), rows[0]["metric"], []
    for column, words in AXES.items():
        lines = []
        for agent in dict.fromkeys(row["agent"] for row in rows):
            cells = dict.fromkeys(
                Path(short_id(row["env"]), row["name"], row["cell"]) for row in rows if row["agent"] == agent
            )
            curves = [curve for cell in cells if (curve := _curve(folder / "runs" / cell, column)) is not None]
            lines += [Line(label=agent, x=one.x, y=one.y, color=colors[agent], faint=len(curves) > 1) for one in curves]
            if len(curves) > 1:
                lines.append(_mean(agent, curves, colors[agent]))
        if lines:
            charts.append(
                Chart(
                    title=f"Learning against {words.partition(' (')[0]}",
                    x=words,
                    y=measure(metric),
                    lines=lines,
                    levels=ceilings(spec),
                    limits=limits(metric),
                    note="On validation seeds in training. Thin: runs, which may stop when they are good enough. "
                    "Thick: their mean and range; a run that stopped keeps its last value.",
                )
            )
    return charts


def _curve(run: Path, column: str) -> _Curve | None:
    try:
        progress = read_progress(run)
    except UserError:
        return None
    if column not in progress or "eval/value" not in progress:
        return None
    points = [(x, y) for x, y in zip(progress[column], progress["eval/value"], strict=True) if math.isfinite(x + y)]
    return _Curve([float(x) for x, _ in points], [float(y) for _, y in points]) if points else None


def _mean(agent: str, curves: Sequence[_Curve], color: int) -> Line:
    start, end = max(curve.x[0] for curve in curves), max(curve.x[-1] for curve in curves)
    grid = np.linspace(start, end, _POINTS) if end > start else np.array([start])
    values = np.stack([np.interp(grid, curve.x, curve.y) for curve in curves])
    low, high = values.min(axis=0), values.max(axis=0)
    return Line(
        label=agent,
        x=grid.tolist(),
        y=values.mean(axis=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        color=color,
    )


def _spec(row: Row) -> TaskSpec | None:
    return spec_at(row["env"], json.loads(row["test_knobs"]))
