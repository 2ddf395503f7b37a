"""The knobs of every table task, and the workspace: where hands work, how fast they move, and its physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlmem.envs.robots import ARMS
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import PHYSICS
from rlmem.envs.task_settings import TaskSettings, check_choice, check_whole
from rlmem.errors import UserError

MAX_SPEED = 0.6
"""m/s of the hand along each axis."""
STRIDE = MAX_SPEED / PHYSICS.control_hz
"""m along each axis in a control step, at most."""
MAX_JOINT_SPEED = 1.5
"""rad/s of each joint, where joints are controlled."""
CENTER = (0.51, 0.0)
"""m, the middle of the workspace on the table, from the arm's base."""
HOME: Vector = (*CENTER, 0.035)
"""m, of the fingertip: low in the middle, among what stands around it."""
LOW, HIGH = np.array([0.36, -0.25, 0.018]), np.array([0.66, 0.25, 0.26])
"""[3] m, the box that the fingertip stays in."""
SENSED = 0.25
"""m, the unit of the hand's position in the observation."""
ORIGIN: Vector = (*CENTER, 0.10)
"""m, the origin of the hand's position in the observation."""


def check_meters(knob: str, value: float, *, least: float, most: float) -> None:
    """Raise UserError unless a knob is a length within bounds, m."""
    if not least <= value <= most:
        raise UserError(f"{knob} must be from {_meters(least)} to {_meters(most)} m, got {value}")


def _meters(length: float) -> str:
    """Return a length to the centimeter, or finer where it is."""
    return max(f"{length:.2f}", f"{length:g}", key=len)


@dataclass(frozen=True, kw_only=True)
class TableSettings(TaskSettings):
    """The knobs of every task on a table. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        robot: ``"panda"``: Franka Panda; ``"kuka"``: Kuka iiwa with a stylus.
        control: ``"end_effector"``: velocity of the hand, which points down; ``"joint"``: velocities of the 7 joints.
        query_steps: Control steps of the query; without an answer the episode is truncated then.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    robot: Literal["panda", "kuka"] = "panda"
    control: Literal["end_effector", "joint"] = "end_effector"
    query_steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("robot", self.robot, tuple(ARMS))
        check_choice("control", self.control, ("end_effector", "joint"))
        check_whole("query_steps", self.query_steps, least=10, most=1_000)
