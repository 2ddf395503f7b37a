"""Path planning of the maze's expert: where to drive next on the shortest path to a pillar."""

from __future__ import annotations

from rlmem.envs.ground.maze_plan import CELL, Cell, Maze, cell_at, step_along, steps_to
from rlmem.envs.memory_task import Ints

_LOOKAHEAD = 0.3
"""m, along the middle of the corridor, to the point that the expert drives to."""


class ShortestPath:
    """The shortest path of one robot; computed once for each maze and goal."""

    def __init__(self) -> None:
        self._maze: Maze | None = None
        self._goal: Cell = (0, 0)
        self._steps: Ints | None = None

    def target(self, maze: Maze, goal: Cell, x: float, y: float) -> tuple[float, float]:
        """Return the point, m, to drive to now: a little ahead on the middle of the corridor.

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
        return middle_x + beyond * i, middle_y + beyond * j
