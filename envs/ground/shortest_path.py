"""Path planning of the maze's expert: where to drive next on the shortest path to a pillar."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor, hypot

from rlmem.envs.ground.maze_plan import CELL, Cell, Maze, cell_at, step_along, steps_to
from rlmem.envs.memory_task import Bools, Ints

_LOOKAHEAD = 0.3
"""m, along the middle of the corridor, to the point that the expert drives to where it sees no further."""
_CLEARANCE = 0.24
"""m, half the width of the free lane to a point that the expert drives to straight."""


class ShortestPath:
    """The shortest path of one robot; computed once for each maze and goal."""

    def __init__(self) -> None:
        self._maze: Maze | None = None
        self._goal: Cell = (0, 0)
        self._steps: Ints | None = None

    def target(self, maze: Maze, goal: Cell, x: float, y: float) -> tuple[float, float]:
        """Return the point, m, to drive to now: the furthest cell of the path to which a straight lane is free.

        Args:
            maze: The maze that the robot is in.
            goal: The cell where the path ends.
            x: m, of the robot.
            y: m, of the robot.
        """
        if self._steps is None or self._maze is not maze or self._goal != goal:
            self._maze, self._goal, self._steps = maze, goal, steps_to(maze.walls, goal)
        here = cell_at(x, y)
        i, j = step_along(self._steps, here)
        middle_x, middle_y = (here[0] + 0.5) * CELL, (here[1] + 0.5) * CELL
        beyond = (max(0.0, i * (x - middle_x) + j * (y - middle_y)) + _LOOKAHEAD) * abs(i + j)
        best = middle_x + beyond * i, middle_y + beyond * j
        while (i, j) != (0, 0):
            here = here[0] + i, here[1] + j
            point = (here[0] + 0.5) * CELL, (here[1] + 0.5) * CELL
            if not lane_is_free(maze.walls, (x, y), point):
                break
            best = point
            i, j = step_along(self._steps, here)
        return best


def lane_is_free(walls: Bools, begin: tuple[float, float], end: tuple[float, float]) -> bool:
    """Return whether a robot can drive straight from one point to another, m, without touching a wall [G, G]."""
    x, y = begin[0] / CELL, begin[1] / CELL
    along_x, along_y = end[0] / CELL - x, end[1] / CELL - y
    scale = _CLEARANCE / CELL / (hypot(along_x, along_y) or 1.0)
    aside_x, aside_y = -along_y * scale, along_x * scale
    left = _line_is_free(walls, x + aside_x, y + aside_y, along_x, along_y)
    return left and _line_is_free(walls, x - aside_x, y - aside_y, along_x, along_y)


def _line_is_free(walls: Bools, x: float, y: float, along_x: float, along_y: float) -> bool:
    """Return whether a line from a point, both in cells, passes no wall: it is cut where it goes from cell to cell."""
    cuts = [0.0, 1.0]
    for place, along in ((x, along_x), (y, along_y)):
        if along:
            low, high = sorted((place, place + along))
            cuts += [(edge - place) / along for edge in range(ceil(low), floor(high) + 1)]
    cuts.sort()
    middles = ((one + other) / 2.0 for one, other in pairwise(cuts))
    return not any(walls[int(x + part * along_x), int(y + part * along_y)] for part in middles)
