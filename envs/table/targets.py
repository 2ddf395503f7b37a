"""Boxes that a hand can touch, K on each of N tables, and the distance of the fingertip from each.

All boxes of a table are the same to the physics, whatever they look like: touching one does not tell what it is.

Axes: N tables, K targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rlmem.envs.memory_task import Bools, Floats, Indices, Ints
from rlmem.envs.robots import parts
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import pybullet
from rlmem.envs.table.settings import CENTER

FAR = 9.0
"""m, the distance of a box that is not on the table."""
TOUCH = 0.003
"""m, largest distance from a box that counts as touching it: Bullet's solver leaves such a gap in a contact."""
_BESIDE = 0.018
"""m, how far beside the way from the ring's middle to a box a hand can be and touch no other box."""


class Targets:
    """K boxes on each of N tables, none of which is on the table at first.

    Args:
        num_envs: N.
        count: K.
        half: Half extents of a box, m.
    """

    def __init__(self, num_envs: int, count: int, half: Vector) -> None:
        self.half = np.array(half)
        self._halves = self.half[:, None, None]
        self._place = np.zeros((3, count, num_envs))
        self._cos, self._sin = np.ones((count, num_envs)), np.zeros((count, num_envs))
        self.standing = np.zeros((num_envs, count), dtype=np.bool_)
        """[N, K] whether a box is on the table."""
        self._bodies: list[list[int]] = []
        self._clients: list[int] = []

    @property
    def place(self) -> Floats:
        """[N, K, 3] m, middles of the boxes."""
        return self._place.T

    def build(self, client: int, *, visuals: bool) -> None:
        """Put the boxes of one more table into its world, parked."""
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=self.half.tolist(), physicsClientId=client)
        hidden = parts.nothing(client) if visuals else -1
        self._clients.append(client)
        self._bodies.append(
            [
                int(pybullet.createMultiBody(0, shape, hidden, parts.PARKED, physicsClientId=client))
                for _ in range(self.standing.shape[1])
            ]
        )

    def stand(self, index: int, number: int, x: float, y: float, yaw: float = 0.0, z: float = 0.0) -> None:
        """Put a box of one table down, its bottom at height ``z``; it may stand already. m, rad."""
        place = (x, y, z + float(self.half[2]))
        self._place[:, number, index], self.standing[index, number] = place, True
        self._cos[number, index], self._sin[number, index] = math.cos(yaw), math.sin(yaw)
        self._move(index, number, place, yaw)

    def remove(self, index: int, number: int) -> None:
        """Take a box of one table away."""
        self.standing[index, number] = False
        self._move(index, number, parts.PARKED, 0.0)

    def clear(self, indices: Indices) -> None:
        """Note that no box is on some tables, whose worlds have been restored or are about to be."""
        self.standing[indices] = False

    def distance(self, tip: Floats) -> Floats:
        """Return how far the surface of each fingertip is from each box, [N, K] m.

        Args:
            tip: [N, 3] m, middles of the fingertips.
        """
        out = tip.T[:, None] - self._place
        x, y, _ = out
        out[0], out[1] = self._cos * x + self._sin * y, self._cos * y - self._sin * x
        np.abs(out, out=out)
        out -= self._halves
        np.maximum(out, 0.0, out=out)
        out *= out
        distance: Floats = np.sqrt(out[0] + out[1] + out[2]).T
        distance -= TIP_RADIUS
        distance[~self.standing] = FAR
        return distance

    def _move(self, index: int, number: int, place: Sequence[float], yaw: float) -> None:
        turn = [0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)]
        pybullet.resetBasePositionAndOrientation(
            self._bodies[index][number], place, turn, physicsClientId=self._clients[index]
        )


def ring(count: int, radius: float, first: float = 0.0) -> Floats:
    """Return places around the origin, [K, 3]: x, y (m) and the heading (rad) from the middle.

    A straight way from one to another passes the inside of the ring: with up to seven cubes on a ring of 0.12 m a hand
    on it meets no third; with more it must go by the middle.

    Args:
        count: K.
        radius: m.
        first: rad, of the first; the others follow counter-clockwise.
    """
    angles = first + 2.0 * np.pi * np.arange(count) / count
    return np.stack((radius * np.cos(angles), radius * np.sin(angles), angles), axis=-1)


def around_hand(count: int, way: float, half: float) -> Floats:
    """Return where boxes stand around a hand in the workspace's middle, [K, 3]: x, y (m) and yaw (rad).

    Args:
        count: K.
        way: m, from the fingertip to each box.
        half: m, half the width of a box.
    """
    places = ring(count, way + half + TIP_RADIUS)
    places[:, :2] += CENTER
    return places


def way_to_box(tip: Floats, goal: Floats, middle: tuple[float, float]) -> Floats:
    """Return the next point on a hand's way from inside a ring to a box of it, such that it touches no other, [N, 3].

    It is the box itself for a hand near the straight line from the ring's middle to the box, else the nearest point of
    that line.

    Args:
        tip: [N, 3] m, middles of the fingertips.
        goal: [N, 3] m, middles of the boxes.
        middle: x, y of the ring's middle, m.
    """
    way, here = goal[:, :2] - middle, tip[:, :2] - middle
    way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)[:, None]
    along = np.maximum((way * here).sum(axis=1), 0.0)[:, None]
    across = here - along * way
    beside = np.hypot(across[:, 0], across[:, 1]) > _BESIDE
    foot = goal.copy()
    foot[beside, :2] = (along * way + middle)[beside]
    return foot


def newly_touched(distance: Floats, armed: Bools, release: float) -> Ints:
    """Return which box each fingertip begins to touch, [N], -1 for none.

    A touch counts once: the hand must go ``release`` m away from all boxes before the next touch counts.

    Args:
        distance: [N, K] from :meth:`Targets.distance`.
        armed: [N] whether a touch would count; brought up to date in place.
        release: m.
    """
    least = np.minimum.reduce(distance, axis=1)
    touching = armed & (least <= TOUCH)
    armed |= least >= release
    if not np.count_nonzero(touching):
        return np.full(len(distance), -1)
    armed &= ~touching
    return np.where(touching, distance.argmin(axis=1), -1)
