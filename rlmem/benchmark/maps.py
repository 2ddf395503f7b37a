"""Memory length x credit length: the memory scores of agents that were trained and tested at both lengths."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rlmem.environments import LENGTH_KNOBS, complete_knobs
from rlmem.evaluation.capacity import HeatMap, heat_map
from rlmem.registry import short_id

_AXIS = 2
"""Different lengths along each axis that make a map."""


class LengthMap(NamedTuple):
    """The map of an agent on a task."""

    agent: str
    task: str
    scores: HeatMap
    """Memory length across, credit length up: mean memory scores of runs."""


def length_maps(rows: Sequence[Mapping[str, str]]) -> list[LengthMap]:
    """Return the maps that the rows make: more than half of the places measured, at two lengths or more each way.

    Only tests at the longest lengths of a run's training count; other tests say how lengths generalize.

    Args:
        rows: Of the table.
    """
    points: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for row in rows:
        at, score = _longest(row["env"], row["test_knobs"]), float(row["memory_score"])
        if at is not None and at == _longest(row["env"], row["knobs"]) and math.isfinite(score):
            points.setdefault((row["agent"], short_id(row["env"])), []).append((*at, score))
    maps = [LengthMap(agent, task, heat_map(found)) for (agent, task), found in points.items()]
    return [one for one in maps if _is_map(one.scores)]


def _is_map(found: HeatMap) -> bool:
    return min(len(found.x), len(found.y)) >= _AXIS and float(np.isfinite(found.values).mean()) > 0.5


def _longest(env: str, knobs: str) -> tuple[float, float] | None:
    """Return the longest memory length and credit length of a task at its knobs, None where it has not both."""
    settings = complete_knobs(env, json.loads(knobs))
    if not all(name in settings for name in LENGTH_KNOBS):
        return None
    memory, credit = (_most(settings[name]) for name in LENGTH_KNOBS)
    return memory, credit


def _most(length: Any) -> float:
    return float(max(length) if isinstance(length, (list, tuple)) else length)
