"""Places on a disc: cells of equal area, one a cue, and points that are uniform within their cell."""

from __future__ import annotations

import math

import numpy as np

_RINGS, _SECTORS = 2, 4

CELLS = _RINGS * _SECTORS
"""How many cells of equal area the disc is cut into."""
CELL_NAMES = tuple(
    f"{near} {side}"
    for near in ("near", "far")
    for side in ("ahead left", "behind left", "behind right", "ahead right")
)
"""Where each cell lies, seen from the disc's middle."""


def point_in_cell(cell: int, rng: np.random.Generator, radius: float) -> tuple[float, float]:
    """Draw a point of one cell, x and y (m) from the disc's middle; two draws, whatever the cell.

    Args:
        cell: From 0 to ``CELLS`` - 1.
        rng: Drawn from.
        radius: m, of the disc.
    """
    out, around = rng.random(2).tolist()
    distance = radius * math.sqrt((cell // _SECTORS + out) / _RINGS)
    angle = math.tau * (cell % _SECTORS + around) / _SECTORS
    return distance * math.cos(angle), distance * math.sin(angle)
