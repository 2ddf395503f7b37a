"""Looks of the table world: room, table, objects, lamps and cameras."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from rlmem.envs.camera import agent_picture, join, photograph
from rlmem.envs.pixels import SIZE
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part
from rlmem.envs.simulation import pybullet, quiet

TABLE_HEIGHT = 0.625
"""m, height of the table's top above the floor; the world's origin lies on the table."""
_TABLE_X = 0.42
"""m, of its middle."""

COLORS: dict[str, Color] = {
    "red": (0.90, 0.16, 0.18, 1.0),
    "green": (0.15, 0.70, 0.28, 1.0),
    "blue": (0.14, 0.38, 0.95, 1.0),
    "yellow": (0.98, 0.82, 0.12, 1.0),
    "purple": (0.60, 0.22, 0.80, 1.0),
    "cyan": (0.15, 0.80, 0.88, 1.0),
    "orange": (0.98, 0.52, 0.10, 1.0),
    "pink": (0.98, 0.52, 0.72, 1.0),
    "white": (0.95, 0.95, 0.95, 1.0),
}
"""Nine colors that are easy to tell apart."""
DARK: Color = (0.22, 0.24, 0.28, 1.0)
GREEN: Color = (0.20, 0.85, 0.40, 1.0)
RED: Color = (0.92, 0.22, 0.20, 1.0)
LIT: Color = (1.00, 0.93, 0.30, 1.0)
MAT: Color = (0.30, 0.33, 0.38, 1.0)
RIM: Color = (0.78, 0.80, 0.83, 1.0)

HALF = 0.025
"""m, half the edge of a cube; every shape fits into it."""


def build_room(client: int) -> None:
    """Put floor and table into a world, from pybullet_data by path. Nothing collides with them."""
    folder = pybullet_data.getDataPath()
    with quiet(), quiet(2):
        for name, x in (("plane.urdf", 0.0), ("table/table.urdf", _TABLE_X)):
            place = [x, 0.0, -TABLE_HEIGHT - 0.001]
            body = pybullet.loadURDF(f"{folder}/{name}", place, useFixedBase=True, physicsClientId=client)
            pybullet.setCollisionFilterGroupMask(body, -1, 0, 0, physicsClientId=client)


def build_table_top(client: int, *, visuals: bool) -> None:
    """Put the table's top into a world, as an invisible box that collides.

    A box and not a plane: Bullet lets a pushed cube sink into a plane by half.
    """
    shape = pybullet.createCollisionShape(
        pybullet.GEOM_BOX, halfExtents=[0.75, 0.5, TABLE_HEIGHT / 2], physicsClientId=client
    )
    hidden = parts.nothing(client) if visuals else -1
    place = [_TABLE_X, 0.0, -TABLE_HEIGHT / 2]
    body = pybullet.createMultiBody(0, shape, hidden, place, physicsClientId=client)
    pybullet.changeDynamics(body, -1, lateralFriction=0.6, physicsClientId=client)


def _cube(color: Color) -> list[Part]:
    return [parts.box((HALF, HALF, HALF), color)]


def _ball(color: Color) -> list[Part]:
    return [parts.sphere(HALF, color)]


def _can(color: Color) -> list[Part]:
    return [parts.cylinder(0.9 * HALF, 2 * HALF, color)]


def _cross(color: Color) -> list[Part]:
    a, b = HALF, 0.36 * HALF
    return [parts.box((a, b, b), color), parts.box((b, a, b), color), parts.box((b, b, a), color)]


def _steps(color: Color) -> list[Part]:
    third = HALF / 3
    return [parts.box((HALF * (1 - 0.33 * i),) * 2 + (third,), color, (0, 0, (2 * i - 2) * third)) for i in range(3)]


def _slab(color: Color) -> list[Part]:
    return [parts.box((HALF, HALF, 0.3 * HALF), color, (0, 0, -0.7 * HALF))]


def _pillar(color: Color) -> list[Part]:
    return [parts.box((0.4 * HALF, 0.4 * HALF, HALF), color)]


def _arch(color: Color) -> list[Part]:
    leg = (0.3 * HALF, HALF, 0.7 * HALF)
    return [
        parts.box(leg, color, (0.7 * HALF, 0, -0.3 * HALF)),
        parts.box(leg, color, (-0.7 * HALF, 0, -0.3 * HALF)),
        parts.box((HALF, HALF, 0.3 * HALF), color, (0, 0, 0.7 * HALF)),
    ]


def _mushroom(color: Color) -> list[Part]:
    return [
        parts.cylinder(0.4 * HALF, 1.2 * HALF, color, (0, 0, -0.4 * HALF)),
        parts.cylinder(HALF, 0.8 * HALF, color, (0, 0, 0.6 * HALF)),
    ]


SHAPES: dict[str, Callable[[Color], list[Part]]] = {
    "cube": _cube,
    "ball": _ball,
    "can": _can,
    "cross": _cross,
    "steps": _steps,
    "slab": _slab,
    "pillar": _pillar,
    "arch": _arch,
    "mushroom": _mushroom,
}
"""Nine shapes that fit into a cube; each function takes a color."""


def disc(radius: float, color: Color, height: float = 0.001) -> list[Part]:
    """Return the looks of a flat disc, of boxes: Bullet shades a flat cylinder like a cone."""
    looks = []
    for number in range(8):
        half = number * math.pi / 16
        size = (radius * math.cos(math.pi / 16), radius * math.sin(math.pi / 16), height)
        looks.append(Part(pybullet.GEOM_BOX, size, color, (0.0, 0.0, 0.0), (0.0, 0.0, math.sin(half), math.cos(half))))
    return looks


class GoLight(Prop):
    """A dome on a socket: green during the query, else dark.

    Args:
        client: Bullet client.
        x: m, where it stands.
        y: Likewise.
    """

    def __init__(self, client: int, x: float = 0.69, y: float = -0.17) -> None:
        dome = parts.sphere(0.022, DARK, (0.0, 0.0, 0.014))
        super().__init__(client, [dome, parts.cylinder(0.030, 0.016, parts.GRAPHITE, (0.0, 0.0, 0.008))])
        self._place = x, y

    def light(self, *, on: bool) -> None:
        """Show it, on or off."""
        self.show(*self._place, color=GREEN if on else DARK)


def view(client: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
    """Take a picture [height, width, 3]: from across the table (``"behind"``), ``"above"``, or ``"both"``."""
    if camera == "both":
        left = width * 3 // 5
        return join(view(client, "behind", left, height), view(client, "above", width - left, height))
    if camera == "behind":
        return photograph(client, (1.27, -0.52, 0.74), (0.41, 0.01, 0.10), width, height, shadow=True)
    return photograph(client, (1.05, 0.0, 0.72), (0.54, 0.0, 0.02), width, height, shadow=True)


def look(client: int) -> NDArray[np.uint8]:
    """Take a picture [64, 64, 3] of the workspace from across the table, for an agent."""
    return agent_picture(client, (0.98, 0.0, 0.62), (0.55, 0.0, 0.02), SIZE, field_of_view=45.0)


def look_in_window(client: int) -> None:
    """Let Bullet's window look across the table."""
    pybullet.resetDebugVisualizerCamera(1.25, 115.0, -33.0, [0.40, 0.0, 0.12], physicsClientId=client)
