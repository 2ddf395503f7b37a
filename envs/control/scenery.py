"""Visual shapes of the puck's rail or table, of the goal and the go light; and the cameras.

Axes: A axes of motion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.camera import join, photograph
from rlmem.envs.corridor.scenery import DARK, GREEN, RED, YELLOW
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part
from rlmem.envs.simulation import pybullet

RAIL_HALF_WIDTH = 0.11
"""m."""
_GROUND: Color = (0.60, 0.65, 0.70, 1.0)
_SHADE: Color = (0.52, 0.57, 0.62, 1.0)
_TOP: Color = (0.86, 0.88, 0.90, 1.0)
_SIDE: Color = (0.30, 0.36, 0.46, 1.0)
_MARK: Color = (0.66, 0.70, 0.74, 1.0)
_TICK = 0.2
"""m."""
_RIM = 0.035
"""m."""
CAMERAS = ("behind", "above")
_EYES = {
    (1, "above"): ((0.0, 0.0, 1.7), (0.0, 0.0, 0.0), 16 / 9),
    (1, "behind"): ((0.0, -1.22, 0.80), (0.0, 0.05, 0.05), 16 / 9),
    (2, "above"): ((0.0, 0.0, 2.6), (0.0, 0.0, 0.0), 1.0),
    (2, "behind"): ((0.0, -1.75, 1.85), (0.0, -0.12, 0.0), 1.2),
}
"""Axes, camera -> its position relative to its target, m; its target, m; aspect ratio that shows everything."""


class PuckTable:
    """Visual bodies without collision: the board that the puck slides on, the goal's disc, and the go light.

    Args:
        client: Bullet client.
        axes: 1: a rail; 2: a table.
        edge: m, from the middle to the end of the rail, or to each edge of the table.
        tolerance: m, radius of the goal.
    """

    def __init__(self, client: int, axes: int, *, edge: float, tolerance: float) -> None:
        self._client, self._axes = client, axes
        depth = RAIL_HALF_WIDTH if axes == 1 else edge
        self._still = [
            Prop(client, [parts.box((12.0, 8.0, 0.01), _GROUND, (0.0, 0.0, -0.32))]),
            Prop(client, [parts.box((edge + 0.05, depth + 0.05, 0.002), _SHADE, (0.04, 0.04, -0.31))]),
            Prop(client, _board(edge, depth)),
            Prop(client, _ends(edge, depth)),
            Prop(client, _ticks(edge, depth)),
        ]
        for prop in self._still:
            prop.show(0.0, 0.0)
        self._goals = {color: Prop(client, disc(tolerance, 0.002, color)) for color in (YELLOW, GREEN, RED)}
        self._lamp = Prop(client, [parts.sphere(0.055, DARK)])
        self._post = Prop(client, [parts.cylinder(0.014, 0.24, parts.GRAPHITE)])
        self._lamp_y = depth + 0.10
        self._post.show(0.0, self._lamp_y, 0.02)

    def show(self, goal: Sequence[float] | None, *, go: bool, result: bool | None) -> None:
        """Show or hide the goal, and switch the go light.

        Args:
            goal: [A] m, None hides it.
            go: Whether the light is on.
            result: Sets the color of the goal: None yellow, true green, false red.
        """
        color = YELLOW if result is None else GREEN if result else RED
        for own, pad in self._goals.items():
            if goal is not None and own == color:
                pad.show(goal[0], goal[1] if len(goal) > 1 else 0.0, 0.002)
            else:
                pad.park()
        self._lamp.show(0.0, self._lamp_y, 0.18, color=GREEN if go else DARK)

    def frame(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3] from ``"behind"``, from ``"above"``, or from ``"both"``.

        For a table both are side by side; for a rail they are strips of two wide pictures, one above the other.
        """
        if camera != "both":
            return self._photograph(camera, width, height)
        if self._axes == 1:
            cut = height * 3 // 5
            top, bottom = (self._photograph(name, width, height) for name in CAMERAS)
            low = height // 3  # so that the caption below does not cover the rail
            return join(top[(height - cut) // 2 :][:cut], bottom[low : low + height - cut], axis=0)
        cut = width * 3 // 5
        return join(self._photograph("behind", cut, height), self._photograph("above", width - cut, height))

    def _photograph(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        (x, y, z), target, wide = _EYES[self._axes, camera]
        away = max(1.0, wide * height / width)
        eye = (target[0] + away * x, target[1] + away * y, target[2] + away * z)
        return photograph(self._client, eye, target, width, height, up=(0.0, 1.0, 0.0))


def _board(edge: float, depth: float) -> list[Part]:
    """Return the slab that the puck slides on."""
    top = parts.box((edge, depth, 0.010), _TOP, (0.0, 0.0, -0.010))
    body = parts.box((edge + _RIM, depth + _RIM, 0.035), _SIDE, (0.0, 0.0, -0.056))
    feet = [
        parts.box((0.04, min(depth, 0.04), 0.11), parts.GRAPHITE, (x * (edge - 0.1), y * max(depth - 0.1, 0.0), -0.20))
        for x in (-1.0, 1.0)
        for y in ((0.0,) if depth < 0.2 else (-1.0, 1.0))
    ]
    return [top, body, *feet]


def _ends(edge: float, depth: float) -> list[Part]:
    """Return the red strips at the edge, beyond which the episode ends."""
    across = [parts.box((_RIM / 2, depth, 0.004), RED, (x * (edge + _RIM / 2), 0.0, -0.004)) for x in (-1.0, 1.0)]
    if depth < edge:
        return across
    along = [parts.box((edge + _RIM, _RIM / 2, 0.004), RED, (0.0, y * (edge + _RIM / 2), -0.004)) for y in (-1.0, 1.0)]
    return across + along


def _ticks(edge: float, depth: float) -> list[Part]:
    """Return thin lines every 0.2 m: across a rail, in both directions on a table."""
    count = round(edge / _TICK)
    at = [_TICK * number for number in range(-count + 1, count)]
    across = [parts.box((0.003, depth, 0.0005), _MARK, (x, 0.0, 0.0006)) for x in at]
    if depth < edge:
        return across
    return across[::2] + [parts.box((edge, 0.003, 0.0005), _MARK, (0.0, y, 0.0006)) for y in at[::2]]


def disc(radius: float, half_height: float, color: Color, z: float = 0.0) -> list[Part]:
    """Return an upright disc made of boxes, with 24 corners, since Bullet shades a flat cylinder like a cone."""
    looks = []
    for number in range(6):
        half = number * math.pi / 12
        size = (radius * math.cos(math.pi / 12), radius * math.sin(math.pi / 12), half_height)
        turn = (0.0, 0.0, math.sin(half), math.cos(half))
        looks.append(Part(pybullet.GEOM_BOX, size, color, (0.0, 0.0, z), turn))
    return looks
