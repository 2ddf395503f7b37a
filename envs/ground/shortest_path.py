"""Path planning of the maze's expert: where to drive next on the shortest path to a pillar."""

from __future__ import annotations

import numpy as np

from rlmem.envs.ground.maze_plan import CELL, Cell, Maze, cell_at, step_along, steps_to
from rlmem.envs.memory_task import Bools, Ints

_LOOKAHEAD = 0.3
"""m, along the middle of the corridor, to the point that the expert drives to where it sees no further."""
_CLEARANCE = 0.24
"""m, half the width of the free lane to a point that the expert drives to straight."""
_SPACING = 0.05
"""m, between the points at which a lane is looked at."""


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
    along = np.array(end) - begin
    length = float(np.hypot(*along))
    if length == 0.0:
        return True
    aside = _CLEARANCE / length * np.array([-along[1], along[0]])
    line = begin + np.linspace(0.0, 1.0, int(length / _SPACING) + 2)[:, None] * along
    cells = np.floor(np.stack((line + aside, line - aside)) / CELL).astype(np.int64)
    return not walls[cells[..., 0], cells[..., 1]].any()
