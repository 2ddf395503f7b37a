"""Where goals lie, how pucks are released, and what follows for whoever does not remember the goal or the velocity.

Axes: A of motion.
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
"""m, from the goal, within which the puck is there."""
REST = 0.1
"""m/s, up to which the puck is at rest."""
HOME = 0.1
"""m: the puck is released uniformly within so much of the middle, along each axis..."""
DRIFT = 0.4
"""...with a velocity, m/s, uniform within so much of zero, along each axis."""
CELLS = 8
"""Equal parts of the goals' range (of the disc: sectors); the number of its cell is the cue."""


def goal_in_cell(cell: int, where: Floats) -> Floats:
    """Return a goal [A], m, uniform over the goals of a cell where ``where`` [A] is uniform on [0, 1]."""
    across = (cell + where[0]) / CELLS
    if len(where) == 1:
        return np.array([GOALS * (2.0 * across - 1.0)])
    radius, angle = GOALS * math.sqrt(where[1]), math.tau * across
    return np.array([radius * math.cos(angle), radius * math.sin(angle)])


def without_goal(axes: int) -> float:
    """Return how often the goal is near enough to the place where a puck ends that knows nothing of it, at most."""
    return (TOLERANCE / GOALS) ** axes


def without_velocity(axes: int) -> float:
    """Return the part of all releases that forces of the position alone can bring to the goal and to rest, at most.

    Such forces keep the volume of phase space (see :mod:`rlmem.envs.control.puck`), so that it is the volume of the
    successes by that of the releases. It is reached on the rail: a spring between the goal and the middle whose half
    period is the time given turns each release into its mirror image about the goal.
    """
    released = (2.0 * HOME * 2.0 * DRIFT) ** axes
    return min(1.0, _ball(axes, TOLERANCE) * _ball(axes, REST) / released)


def _ball(axes: int, radius: float) -> float:
    """Return the length of an interval or the area of a disc of a radius."""
    return 2.0 * radius if axes == 1 else math.pi * radius**2
