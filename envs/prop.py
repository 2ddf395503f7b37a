"""Bodies without collisions, for rendering."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part
from rlmem.envs.simulation import pybullet


class Prop:
    """A body without collisions that is moved and colored before an image is rendered.

    Args:
        client: Bullet client.
        shapes: Its visual shapes; :meth:`show` sets the color of the first.
    """

    def __init__(self, client: int, shapes: Sequence[Part]) -> None:
        self._client = client
        looks = parts.visual(client, shapes)
        self._body = pybullet.createMultiBody(0, -1, looks, parts.PARKED, physicsClientId=client)

    def show(self, x: float, y: float, z: float = 0.0, *, yaw: float = 0.0, color: Color | None = None) -> None:
        """Move the body to a pose (m, rad) and set its color."""
        turn = [0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)]
        pybullet.resetBasePositionAndOrientation(self._body, [x, y, z], turn, physicsClientId=self._client)
        if color is not None:
            pybullet.changeVisualShape(self._body, -1, rgbaColor=color, physicsClientId=self._client)

    def park(self) -> None:
        """Move the body out of every camera's sight."""
        position, turn = parts.PARKED, parts.NO_ROTATION
        pybullet.resetBasePositionAndOrientation(self._body, position, turn, physicsClientId=self._client)
