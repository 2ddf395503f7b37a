"""Sizes and settings of maze recall, with the scores measured at each size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from rlmem.envs.robots import MOBILE_ROBOTS
from rlmem.envs.task_settings import TaskSettings, check_choice


class MazeSize(NamedTuple):
    """Pillars, episode length and measured scores of one size of maze."""

    cells: int
    """Cells a side, without the outer wall."""
    rooms: int
    pillars: int
    steps: int
    """Control steps of an episode."""
    random: float
    """Score of uniform random actions, measured."""
    memoryless: float
    """Best score of the policies without memory, measured."""
    oracle: float
    """Score of the expert, measured."""
    trained: int = 0
    """Env steps of the trained agent among these policies; 0: they are scripts only."""


SIZES = {
    "5x5": MazeSize(5, 1, 2, 250, 0.20, 14.9, 16.5, trained=2_500_000),
    "7x7": MazeSize(7, 1, 3, 500, 0.11, 8.5, 19.9, trained=2_000_000),
    "9x9": MazeSize(9, 2, 3, 1_000, 0.23, 5.2, 33.5),
    "11x11": MazeSize(11, 3, 4, 2_000, 0.16, 7.1, 52.9),
    "13x13": MazeSize(13, 4, 5, 3_000, 0.24, 3.5, 68.7),
    "15x15": MazeSize(15, 5, 6, 4_000, 0.20, 2.0, 78.5),
}
"""The last four have the cells, pillars and steps of Memory Maze; the first two are smaller, and learnt sooner."""

SizeName = Literal["5x5", "7x7", "9x9", "11x11", "13x13", "15x15"]


@dataclass(frozen=True, kw_only=True)
class MazeRecallSettings(TaskSettings):
    """The knobs of maze recall. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        guard: ``"none"``: the robot must move to see, so it cannot be held.
        cue: ``"flash"``: a pillar is observed only while it is visible; ``"always"``: the direction of the shortest
            path to the named pillar is observed throughout, so that no memory is needed.
        size: Cells of the maze along each side; it also sets the number of pillars and rooms and the episode's length.
            ``"9x9"`` to ``"15x15"`` are those of Memory Maze.
        robot: ``"planar"``: a base moved directly by three motors, which is fast to simulate; ``"diff_drive"``: a base
            with two driven wheels that roll by friction.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    guard: Literal["none"] = "none"
    cue: Literal["flash", "always"] = "flash"
    size: SizeName = "7x7"
    robot: Literal["planar", "diff_drive"] = "planar"

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, ("none",))
        check_choice("cue", self.cue, ("flash", "always"))
        super().__post_init__()
        check_choice("size", self.size, tuple(SIZES))
        check_choice("robot", self.robot, tuple(MOBILE_ROBOTS))
