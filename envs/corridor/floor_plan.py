"""The floor plan of a corridor that ends in a junction with arms, and the range sensor.

The middle of the junction is the origin; the corridor leaves it along -x, and the arms at the given angles. Rays are
intersected with wall segments for all environments at once in numpy, which is faster than Bullet's ray test. A single
environment computes the same, bit for bit, in plain numbers, which are faster than arrays of one.

Axes: N environments, R rays, M walls, K arms.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from rlmem.envs.memory_task import Floats

HALF_WIDTH = 0.35
"""m, half the width of corridor and arms."""
ARM_LENGTH = 1.5
"""m, from the middle of the junction."""
MAX_RANGE = 2.0
"""m, maximum reading of a ray. It is longer than an arm, so that rays tell left from right near the junction."""
PANEL_EDGE = 0.08
"""m, from the corridor's middle to the panels that stand in its left or right half."""
_NOWHERE = 1e6
"""m, where walls are that no ray reaches."""
RAY_ANGLES = np.deg2rad([90.0, 45.0, 0.0, -45.0, -90.0])
"""[R] from the robot's heading, left to right."""


def arm_directions(arms: int) -> Floats:
    """Return unit vectors [K, 2] towards the arms, left (+y) to right (-y), evenly spread; a single one is ahead."""
    angles = _arm_angles(arms)
    directions: Floats = np.stack((np.cos(angles), np.sin(angles)), axis=-1).round(12) + 0.0
    return directions


def wall_segments(arms: int, corridor_length: float) -> Floats:
    """Return the walls of the closed floor plan, clockwise, so that the outside is to the left.

    Args:
        arms: K, at least 1.
        corridor_length: m, from the junction's middle to the corridor's closed end.

    Returns:
        [M, 2, 2] the two ends (x, y) of each wall, m.
    """
    angles = [math.pi, *_arm_angles(arms), -math.pi]
    lengths = [corridor_length, *[ARM_LENGTH] * arms]
    corners = []
    for here, after in pairwise(angles):
        middle, distance = (here + after) / 2, HALF_WIDTH / math.sin((here - after) / 2)
        corners.append((distance * math.cos(middle), distance * math.sin(middle)))
    points = []
    for number, (angle, length) in enumerate(zip(angles[:-1], lengths, strict=True)):
        ahead, left = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        points += [
            (length * ahead[0] + side * left[0], length * ahead[1] + side * left[1])
            for side in (HALF_WIDTH, -HALF_WIDTH)
        ]
        points.append(corners[number])
    ends = np.array(points)
    return np.stack((ends, np.roll(ends, -1, axis=0)), axis=1)


class RangeSensor:
    """Distances from robots to the walls around them.

    Args:
        walls: [M, 2, 2] the ends of the walls that all environments share, m.
        num_envs: N. Each environment has one wall of its own, across the corridor behind the start.
        panels: Panels across a side of the corridor that each environment has besides.
    """

    def __init__(self, walls: Floats, num_envs: int, panels: int = 0) -> None:
        everywhere = np.broadcast_to(walls, (num_envs, *walls.shape))
        own = np.zeros((num_envs, panels + 1, 2, 2))
        own[:, :, :, 1] = HALF_WIDTH, -HALF_WIDTH
        own[:, :panels, :, 0] = _NOWHERE
        self._panels = slice(len(walls), len(walls) + panels)
        segments = np.concatenate((everywhere, own), axis=1)
        self._from_x, self._from_y = segments[:, :, 0, 0].copy(), segments[:, :, 0, 1].copy()
        self._along_x = (segments[:, :, 1, 0] - self._from_x)[:, None]
        self._along_y = (segments[:, :, 1, 1] - self._from_y)[:, None]
        self._walls: list[tuple[float, float, float, float]] = []
        """[M] x, y, along x, along y of the walls of the first environment, for :meth:`single`; empty: out of date."""

    def set_back_wall(self, index: int, x: float) -> None:
        """Put the wall behind the start of one environment at ``x``, m."""
        self._from_x[index, -1] = x
        self._walls = []

    def set_panel(self, index: int, panel: int, x: float, side: int) -> None:
        """Put a panel of one environment across a side (1: left, -1: right) at ``x``, m; out of sight if infinite."""
        self._from_x[index, self._panels][panel] = x if math.isfinite(x) else _NOWHERE
        self._from_y[index, self._panels][panel] = side * HALF_WIDTH
        self._along_y[index, 0, self._panels][panel] = side * (PANEL_EDGE - HALF_WIDTH)
        self._walls = []

    def __call__(self, x: Floats, y: Floats, yaw: Floats) -> Floats:
        """Read all rays.

        Args:
            x: [N] m.
            y: [N] m.
            yaw: [N] rad.

        Returns:
            [N, R] distances, m, ``MAX_RANGE`` at most.
        """
        angles = yaw[:, None] + RAY_ANGLES
        ray_x, ray_y = np.cos(angles)[:, :, None], np.sin(angles)[:, :, None]
        to_x, to_y = (self._from_x - x[:, None])[:, None], (self._from_y - y[:, None])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / (ray_x * self._along_y - ray_y * self._along_x)
            distance = (to_x * self._along_y - to_y * self._along_x) * inverse
            where = (to_x * ray_y - to_y * ray_x) * inverse
            hit = (distance >= 0.0) & (where >= 0.0) & (where <= 1.0)
        nearest: Floats = np.minimum(np.where(hit, distance, MAX_RANGE).min(axis=2), MAX_RANGE)
        return nearest

    def single(self, x: float, y: float, rays: list[tuple[float, float]]) -> list[float]:
        """Read the rays of the first environment.

        Args:
            x: m.
            y: m.
            rays: [R] unit vectors.

        Returns:
            [R] distances, m, the same as those of all environments at once.
        """
        if not self._walls:
            parts = (self._from_x[0], self._from_y[0], self._along_x[0, 0], self._along_y[0, 0])
            self._walls = list(zip(*(part.tolist() for part in parts), strict=True))
        ahead = []
        for from_x, from_y, along_x, along_y in self._walls:
            to_x, to_y = from_x - x, from_y - y
            ahead.append((to_x, to_y, along_x, along_y, to_x * along_y - to_y * along_x))
        distances = []
        for ray_x, ray_y in rays:
            nearest = MAX_RANGE
            for to_x, to_y, along_x, along_y, area in ahead:
                across = ray_x * along_y - ray_y * along_x
                if across:  # else the ray is parallel to the wall
                    inverse = 1.0 / across
                    distance = area * inverse
                    if 0.0 <= distance < nearest and 0.0 <= (to_x * ray_y - to_y * ray_x) * inverse <= 1.0:
                        nearest = distance
            distances.append(nearest)
        return distances


def _arm_angles(arms: int) -> Floats:
    """Return [K] rad from the corridor's direction, left to right."""
    return np.deg2rad(np.linspace(90.0, -90.0, arms) if arms > 1 else np.zeros(1))
