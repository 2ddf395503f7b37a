"""Distributions of goals and releases, and the ceilings without the goal or without the velocity that follow.

Axes: A axes of motion.
"""

from __future__ import annotations

import math

import numpy as np

from rlmem.envs.memory_task import Floats

EDGE = 1.0
"""m, from the middle to the end of the rail, or to each edge of the table."""
GOALS = 0.8
"""m: goals are uniform on [-GOALS, GOALS], or on a disc of this radius."""
TOLERANCE = 0.08
"""m, distance from the goal that counts as reaching it."""
REST = 0.1
"""m/s, speed up to which the puck counts as at rest."""
HOME = 0.1
"""m, largest distance of the release from the middle, along each axis; uniform."""
DRIFT = 0.4
"""m/s, largest velocity of the release, along each axis; uniform."""
CELLS = 8
"""Equal parts of the goals' range (sectors of the disc); the cue is the number of the goal's part."""


def goal_in_cell(cell: int, where: Floats) -> Floats:
    """Return a goal [A], m, in a cell; uniform over the cell if ``where`` [A] is uniform on [0, 1]."""
    across = (cell + where[0]) / CELLS
    if len(where) == 1:
        return np.array([GOALS * (2.0 * across - 1.0)])
    radius, angle = GOALS * math.sqrt(where[1]), math.tau * across
    return np.array([radius * math.cos(angle), radius * math.sin(angle)])


def without_goal(axes: int) -> float:
    """Return the largest success rate of policies that do not know the goal."""
    return (TOLERANCE / GOALS) ** axes


def without_velocity(axes: int) -> float:
    """Return the largest success rate of policies whose forces do not depend on the velocity.

    Such forces preserve the volume of phase space (see :mod:`rlmem.envs.control.puck`), so that the rate is at most the
    volume of the successes divided by that of the releases. It is reached on the rail, by a spring between goal and
    middle whose half period is the time of the query: it mirrors each release about its center.
    """
    released = (2.0 * HOME * 2.0 * DRIFT) ** axes
    return min(1.0, _ball(axes, TOLERANCE) * _ball(axes, REST) / released)


def _ball(axes: int, radius: float) -> float:
    """Return the length of an interval or the area of a disc of a radius."""
    return 2.0 * radius if axes == 1 else math.pi * radius**2
