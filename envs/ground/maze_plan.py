"""Random mazes on a grid of cells that are wall or open, with rooms and loops, and shortest paths in them.

Axes: G cells a side, with the outer wall; P pillars.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from rlmem.envs.memory_task import Bools, Floats, Ints

CELL = 0.6
"""m, side of a cell: a corridor is one cell wide."""
_LOOPS = 0.15
"""Probability of an extra opening between two neighboring nodes, which makes a loop."""

Cell = tuple[int, int]


class Maze(NamedTuple):
    """One maze."""

    walls: Bools
    """[G, G] whether a cell is a wall; the first axis is x, the second y."""
    pillars: Ints
    """[P, 2] cells of the pillars."""
    start: Cell
    """Cell where the robot starts."""
    heading: float
    """rad, the robot's yaw at the start."""


def draw_maze(rng: np.random.Generator, size: int, pillars: int, rooms: int) -> Maze:
    """Draw a maze in which all open cells are connected.

    Nodes are every second cell. A depth-first search connects them by a tree of corridors; then rooms of 3 x 3 cells
    and loops are opened. Pillars and start are at different nodes, and no two pillars are in one row or column.

    Args:
        rng: Used for the same number of draws in all mazes of one size.
        size: Cells a side without the outer wall; odd.
        pillars: P, at most the number of nodes a side.
        rooms: Number of rooms; they may overlap.
    """
    nodes = (size + 1) // 2
    walls = np.ones((size + 2, size + 2), dtype=np.bool_)
    walls[1::2, 1::2] = False
    _carve_tree(walls, nodes, rng.random(nodes * nodes).tolist())
    for i, j in (2 * rng.integers(0, nodes - 1, (rooms, 2)) + 1).tolist():
        walls[i : i + 3, j : j + 3] = False
    opened = rng.random(walls.shape) < _LOOPS
    walls[2:-2:2, 1:-1:2] &= ~opened[2:-2:2, 1:-1:2]
    walls[1:-1:2, 2:-2:2] &= ~opened[1:-1:2, 2:-2:2]
    drawn = [divmod(place, nodes) for place in rng.permutation(nodes * nodes).tolist()]
    places = _in_different_rows(drawn, pillars)
    start = next(node for node in drawn if node not in places)
    heading = float(rng.uniform(-np.pi, np.pi))
    return Maze(walls, 2 * np.array(places) + 1, (2 * start[0] + 1, 2 * start[1] + 1), heading)


def steps_to(walls: Bools, cell: Cell) -> Ints:
    """Return [G, G], the length in cells of the shortest path from each cell to a given one; -1 in walls."""
    steps = np.full(walls.shape, -1)
    steps[cell] = 0
    queue = deque([cell])
    while queue:
        here = queue.popleft()
        for there in _neighbors(here):
            if not walls[there] and steps[there] < 0:
                steps[there] = steps[here] + 1
                queue.append(there)
    return steps


def step_along(steps: Ints, cell: Cell) -> Cell:
    """Return the first step (one cell along one axis; zero at the end) of a shortest path.

    Args:
        steps: [G, G] as :func:`steps_to` returns them.
        cell: Start of the path, an open cell.
    """
    for i, j in _neighbors(cell):
        if steps[i, j] == steps[cell] - 1 >= 0:
            return i - cell[0], j - cell[1]
    return 0, 0


def cell_at(x: float, y: float) -> Cell:
    """Return the cell that contains a point, m."""
    return int(np.floor(x / CELL)), int(np.floor(y / CELL))


def middle_of(cells: Ints) -> Floats:
    """Return the centers of cells [..., 2], m. The maze's corner is the origin."""
    middles: Floats = CELL * (cells.astype(np.float64) + 0.5)
    return middles


def _in_different_rows(nodes: list[Cell], count: int) -> list[Cell]:
    """Return the first nodes of which no two share a row or column, so that one is rarely visible from another."""
    chosen: list[Cell] = []
    for node in nodes:
        if len(chosen) < count and all(node[0] != other[0] and node[1] != other[1] for other in chosen):
            chosen.append(node)
    return chosen


def _neighbors(cell: Cell) -> list[Cell]:
    i, j = cell
    return [(i + 1, j), (i, j + 1), (i - 1, j), (i, j - 1)]


def _carve_tree(walls: Bools, nodes: int, draws: list[float]) -> None:
    """Open walls between nodes, in place, so that exactly one path connects any two: depth-first search.

    Args:
        walls: [G, G].
        nodes: Nodes a side.
        draws: Uniform numbers in [0, 1), one for each node.
    """
    path = [(nodes // 2, nodes // 2)]
    reached = set(path)
    for draw in draws[1:]:
        while True:
            free = [
                there
                for there in _neighbors(path[-1])
                if 0 <= there[0] < nodes and 0 <= there[1] < nodes and there not in reached
            ]
            if free:
                break
            path.pop()
        here, there = path[-1], free[int(draw * len(free))]
        walls[here[0] + there[0] + 1, here[1] + there[1] + 1] = False
        path.append(there)
        reached.add(there)
