"""Mazes drawn from a seed: square cells that are wall or way, with rooms and loops, and the shortest ways in them.

Axes: G cells a side, with the wall around them; P pillars.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from rlmem.envs.memory_task import Bools, Floats, Ints

CELL = 0.6
"""m, side of a cell: a corridor is one cell wide."""
_LOOPS = 0.15
"""Probability that a wall between two neighboring nodes is opened though there is another way."""

Cell = tuple[int, int]


class Maze(NamedTuple):
    """One maze."""

    walls: Bools
    """[G, G] whether a cell is wall; the first axis goes along x, the second along y."""
    pillars: Ints
    """[P, 2] cells of the pillars."""
    start: Cell
    """Where the robot starts."""
    heading: float
    """rad, where it looks at first."""


def draw_maze(rng: np.random.Generator, size: int, pillars: int, rooms: int) -> Maze:
    """Draw a maze, all of whose open cells hang together.

    A tree over the nodes, cells two apart, by depth-first search; then rooms of 3 x 3 cells, and loops. Pillars and
    start are different nodes, and no two pillars are in one row or column.

    Args:
        rng: Draws the same number of times for all mazes of one size.
        size: Cells a side without the wall around them; odd.
        pillars: P, at most as many as there are nodes a side.
        rooms: How many rooms; they may overlap.
    """
    nodes = (size + 1) // 2
    walls = np.ones((size + 2, size + 2), dtype=np.bool_)
    walls[1::2, 1::2] = False
    _carve_tree(walls, nodes, rng.random(nodes * nodes).tolist())
    for i, j in (2 * rng.integers(0, nodes - 1, (rooms, 2)) + 1).tolist():
        walls[i : i + 3, j : j + 3] = False
    between = rng.random(walls.shape) < _LOOPS
    walls[2:-2:2, 1:-1:2] &= ~between[2:-2:2, 1:-1:2]
    walls[1:-1:2, 2:-2:2] &= ~between[1:-1:2, 2:-2:2]
    drawn = [divmod(place, nodes) for place in rng.permutation(nodes * nodes).tolist()]
    places = _apart(drawn, pillars)
    start = next(node for node in drawn if node not in places)
    heading = float(rng.uniform(-np.pi, np.pi))
    return Maze(walls, 2 * np.array(places) + 1, (2 * start[0] + 1, 2 * start[1] + 1), heading)


def steps_to(walls: Bools, cell: Cell) -> Ints:
    """Return [G, G] the cells on the shortest way to a cell from each other; -1 in walls."""
    steps = np.full(walls.shape, -1)
    steps[cell] = 0
    queue = deque([cell])
    while queue:
        here = queue.popleft()
        for there in _beside(here):
            if not walls[there] and steps[there] < 0:
                steps[there] = steps[here] + 1
                queue.append(there)
    return steps


def step_along(steps: Ints, cell: Cell) -> Cell:
    """Return the step (0 or 1 cell, along one axis) with which a shortest way begins.

    Args:
        steps: [G, G] as :func:`steps_to` returns them.
        cell: Where the way begins, an open cell.
    """
    for i, j in _beside(cell):
        if steps[i, j] == steps[cell] - 1 >= 0:
            return i - cell[0], j - cell[1]
    return 0, 0


def middle_of(cells: Ints) -> Floats:
    """Return the middles of cells [..., 2], m. The maze's corner is the origin."""
    middles: Floats = CELL * (cells.astype(np.float64) + 0.5)
    return middles


def _apart(nodes: list[Cell], count: int) -> list[Cell]:
    """Return the first so many nodes of which no two lie in one row or column: one is rarely seen from another."""
    chosen: list[Cell] = []
    for node in nodes:
        if len(chosen) < count and all(node[0] != other[0] and node[1] != other[1] for other in chosen):
            chosen.append(node)
    return chosen


def _beside(cell: Cell) -> list[Cell]:
    i, j = cell
    return [(i + 1, j), (i, j + 1), (i - 1, j), (i, j - 1)]


def _carve_tree(walls: Bools, nodes: int, draws: list[float]) -> None:
    """Open the walls between nodes, in place, so that there is one way between any two: depth-first search.

    Args:
        walls: [G, G].
        nodes: A side.
        draws: One number in [0, 1) for each node that is reached.
    """
    path = [(nodes // 2, nodes // 2)]
    reached = set(path)
    for draw in draws[1:]:
        while True:
            free = [
                there
                for there in _beside(path[-1])
                if 0 <= there[0] < nodes and 0 <= there[1] < nodes and there not in reached
            ]
            if free:
                break
            path.pop()
        here, there = path[-1], free[int(draw * len(free))]
        walls[here[0] + there[0] + 1, here[1] + there[1] + 1] = False
        path.append(there)
        reached.add(there)
