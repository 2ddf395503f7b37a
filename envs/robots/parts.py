"""Colored shapes, and visuals made of several of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlmem.envs.simulation import pybullet

Vector = tuple[float, float, float]
Color = tuple[float, float, float, float]

NO_ROTATION = (0.0, 0.0, 0.0, 1.0)
PARKED: Vector = (0.0, 0.0, -50.0)
"""m, far below the floor: where bodies are that are not in the scene."""
LYING = (0.7071067811865476, 0.0, 0.0, 0.7071067811865476)
"""Turns the axis of a cylinder from z to y."""

WHITE: Color = (0.93, 0.94, 0.96, 1.0)
GRAPHITE: Color = (0.13, 0.14, 0.17, 1.0)
RUBBER: Color = (0.05, 0.05, 0.06, 1.0)
CYAN: Color = (0.10, 0.78, 0.92, 1.0)
ORANGE: Color = (0.98, 0.55, 0.12, 1.0)


MAX_PARTS = 16
"""Most parts of one visual; Bullet crashes on more."""


class Part(NamedTuple):
    """One colored shape."""

    kind: int
    """``pybullet.GEOM_BOX``, ``GEOM_CYLINDER`` or ``GEOM_SPHERE``."""
    size: Vector
    """Half extents of a box, or (radius, height, 0); m."""
    color: Color
    position: Vector = (0.0, 0.0, 0.0)
    orientation: tuple[float, float, float, float] = NO_ROTATION


def cylinder(radius: float, height: float, color: Color, position: Vector = (0.0, 0.0, 0.0)) -> Part:
    """An upright cylinder; sizes in m."""
    return Part(pybullet.GEOM_CYLINDER, (radius, height, 0.0), color, position)


def box(half_extents: Vector, color: Color, position: Vector = (0.0, 0.0, 0.0)) -> Part:
    """A box; sizes in m."""
    return Part(pybullet.GEOM_BOX, half_extents, color, position)


def sphere(radius: float, color: Color, position: Vector = (0.0, 0.0, 0.0)) -> Part:
    """A ball; sizes in m."""
    return Part(pybullet.GEOM_SPHERE, (radius, 0.0, 0.0), color, position)


def visual(client: int, parts: Sequence[Part]) -> int:
    """Make one visual shape of several parts and return its Bullet id."""
    return int(
        pybullet.createVisualShapeArray(
            shapeTypes=[part.kind for part in parts],
            halfExtents=[part.size for part in parts],
            radii=[part.size[0] for part in parts],
            lengths=[part.size[1] for part in parts],
            rgbaColors=[part.color for part in parts],
            visualFramePositions=[part.position for part in parts],
            visualFrameOrientations=[part.orientation for part in parts],
            physicsClientId=client,
        )
    )


def nothing(client: int) -> int:
    """Make an invisible visual shape; without one, Bullet draws the collision shape."""
    return visual(client, [sphere(0.001, GRAPHITE, (0.0, 0.0, -60.0))])


def mobile_base(accent: Color) -> list[Part]:
    """The upper body that both mobile robots share, its middle at the origin, front along x."""
    return [
        cylinder(0.128, 0.050, WHITE),
        cylinder(0.130, 0.010, accent, (0.0, 0.0, 0.004)),
        cylinder(0.105, 0.030, GRAPHITE, (0.0, 0.0, 0.040)),
        cylinder(0.042, 0.040, RUBBER, (-0.03, 0.0, 0.072)),
        cylinder(0.044, 0.008, accent, (-0.03, 0.0, 0.078)),
        box((0.022, 0.055, 0.016), GRAPHITE, (0.112, 0.0, 0.026)),
        sphere(0.015, accent, (0.134, 0.027, 0.030)),
        sphere(0.015, accent, (0.134, -0.027, 0.030)),
        box((0.045, 0.010, 0.004), accent, (0.055, 0.0, 0.056)),
    ]
