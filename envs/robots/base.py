"""Interface of mobile robots: set a pose, command speed and turn rate, read pose and velocity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from rlmem.envs.simulation import Physics


class Twist(NamedTuple):
    """Where a mobile robot is and how it moves, in the plane of the floor."""

    x: float
    """Position along the world's x axis, m."""
    y: float
    """Position along the world's y axis, m."""
    yaw: float
    """Heading, rad, counter-clockwise from the x axis, in (-pi, pi]."""
    speed: float
    """Speed along the heading, m/s."""
    turn_rate: float
    """rad/s, counter-clockwise."""


class Robot(ABC):
    """A mobile robot in one Bullet client.

    Args:
        client: The Bullet client to build the body in.
        physics: Steps of the world; motor forces are divided by its ``substeps``.
        visuals: Give the body its looks. A body without looks moves the same, bit for bit.
    """

    MAX_SPEED: ClassVar[float] = 1.0
    """m/s at full throttle: 0.05 m a control step of 1/20 s."""
    MAX_TURN_RATE: ClassVar[float] = 4.0
    """rad/s at full steering."""
    RADIUS: ClassVar[float] = 0.17
    """m, radius of a circle around the body."""

    @abstractmethod
    def __init__(self, client: int, physics: Physics, *, visuals: bool) -> None: ...

    @abstractmethod
    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the robot somewhere, at rest, with its motors holding it.

        Args:
            x: m.
            y: m.
            yaw: rad.
        """

    @abstractmethod
    def step(self, throttle: float, steering: float) -> Twist:
        """Run one control step.

        Args:
            throttle: Forward speed as a part of ``MAX_SPEED``, in [-1, 1].
            steering: Turn rate as a part of ``MAX_TURN_RATE``, in [-1, 1].

        Returns:
            The robot's motion after the step.
        """
