"""Figures of a benchmark's table: performance profiles, horizon curves, memory length x credit length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rlmem.benchmark.maps import length_maps
from rlmem.benchmark.summary import complete_agents, horizon_groups, memory_scores, run_interval
from rlmem.environments import task_spec
from rlmem.evaluation.statistics import performance_profile
from rlmem.figures.comparisons import plot_curves, plot_heat_map, plot_profiles
from rlmem.figures.style import Curve

_MOST = 16
"""Lines in a figure: eight colors in two styles."""


def write_figures(
    rows: Sequence[Mapping[str, str]], folder: Path, kinds: Sequence[str] = ("profiles", "horizons", "maps")
) -> list[Path]:
    """Draw what the rows allow and return the files.

    Args:
        rows: Of the table.
        folder: Where to; it exists.
        kinds: Of figures.
    """
    draw = {"profiles": _profiles, "horizons": _horizons, "maps": _maps}
    return [path for kind in kinds for path in draw[kind](rows, folder)]


def _profiles(rows: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    scores = memory_scores(rows)
    agents = [agent for agent in complete_agents(scores) if agent not in ("random", "expert")][:_MOST]
    if len(agents) < 2 or max(len(scores[agent]) for agent in agents) < 2:
        return []
    thresholds = np.linspace(-0.2, 1.0, 121)
    profiles = {agent: performance_profile(scores[agent], thresholds) for agent in agents}
    path = folder / "profiles.png"
    plot_profiles(profiles, path, title="Which fraction of runs is above a memory score, over all tasks")
    return [path]


def _horizons(rows: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    paths = []
    for task, agents in horizon_groups(rows).items():
        curves = {}
        for agent, lengths in list(agents.items())[:_MOST]:
            points = [run_interval(found, "value") for found in lengths.values()]
            curves[agent] = Curve(list(lengths), *zip(*points, strict=True))
        row = next(row for row in rows if row["task"] == task)
        spec = task_spec(row["env"], json.loads(row["test_knobs"]))
        path = folder / f"horizon-{_slug(task)}.png"
        y = "success rate" if row["metric"] == "success" else "mean score"
        plot_curves(curves, path, spec=spec, y=y, title=f"How far back: {task}")
        paths.append(path)
    return paths


def _maps(rows: Sequence[Mapping[str, str]], folder: Path) -> list[Path]:
    paths = []
    for found in length_maps(rows):
        path = folder / f"memory-credit-{_slug(found.agent)}-{_slug(found.task)}.png"
        x, y = "memory length (control steps)", "credit length (control steps)"
        plot_heat_map(found.scores, path, x=x, y=y, title=f"{found.agent} on {found.task}")
        paths.append(path)
    return paths


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
