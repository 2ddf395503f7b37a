"""Looks of the hidden path: floor, plates and the cameras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.camera import join, photograph
from rlmem.envs.memory_task import Bools
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color

_GROUND: Color = (0.60, 0.65, 0.70, 1.0)
_FLOOR: Color = (0.88, 0.88, 0.86, 1.0)
_PLATE: Color = (0.42, 0.60, 0.88, 1.0)
_SAFE: Color = (0.25, 0.75, 0.40, 1.0)
_WRONG: Color = (0.92, 0.22, 0.20, 1.0)
_TRIED: Color = (0.62, 0.40, 0.42, 1.0)
_SHADE: Color = (0.66, 0.68, 0.70, 1.0)
_SIDE = 0.5
_PITCH = 1.0


class PathLooks:
    """Floor and plates of one world.

    Args:
        client: Bullet client.
        rows: n.
        columns: y of each column's middle, m.
    """

    def __init__(self, client: int, rows: int, columns: list[float]) -> None:
        length, width = rows * _PITCH, len(columns) * _SIDE
        Prop(client, [parts.box((length + 12.0, 12.0, 0.01), _GROUND)]).show(length / 2, 0.0, -0.022)
        Prop(client, [parts.box((length / 2 + 0.6, width / 2 + 0.04, 0.01), _FLOOR)]).show(length / 2, 0.0, -0.0115)
        half = (_SIDE / 2 - 0.02, _SIDE / 2 - 0.02, 0.002)
        self._plates = [[Prop(client, [parts.box(half, _PLATE)]) for _ in columns] for _ in range(rows)]
        self._shadow = Prop(client, [parts.cylinder(0.15, 0.001, _SHADE)])
        self._columns = columns

    def show(
        self,
        *,
        safe: list[int],
        false: Bools,
        crossed: int,
        at: tuple[int, int] | None,
        pose: list[float],
    ) -> None:
        """Color the plates: green where this attempt has crossed, red for a false step, dull for earlier ones.

        Args:
            safe: [n] safe plates.
            false: [n, w] plates that were found to be false.
            crossed: Rows that this attempt has crossed.
            at: Row and column of a false step that is seen now, or None.
            pose: x, y (m) and yaw (rad) of the robot.
        """
        for row, plates in enumerate(self._plates):
            for column, (plate, y) in enumerate(zip(plates, self._columns, strict=True)):
                color = _TRIED if false[row, column] else _PLATE
                if row < crossed and column == safe[row]:
                    color = _SAFE
                if (row, column) == at:
                    color = _WRONG
                plate.show((row + 1) * _PITCH - _SIDE / 2, y, 0.002, color=color)
        self._shadow.show(pose[0] - 0.02, pose[1] - 0.02, 0.005)


def view_path(client: int, size: tuple[float, float], camera: str, width: int, height: int) -> NDArray[np.uint8]:
    """Take a picture [height, width, 3] from behind the start (``"behind"``), ``"above"``, or ``"both"``.

    Args:
        client: Bullet client.
        size: Length and width of all plates, m.
        camera: Which.
        width: Pixels.
        height: Pixels.
    """
    if camera == "both":
        left = width * 3 // 5
        return join(
            view_path(client, size, "behind", left, height), view_path(client, size, "above", width - left, height)
        )
    length, across = size
    reach = max(length, 1.2 * across)
    if camera == "behind":
        eye = (-0.15 * reach - 0.8, -0.20 * reach, 0.42 * reach + 0.35)
        return photograph(client, eye, (0.40 * length, 0.0, 0.0), width, height).copy()
    tall = 1.15 * max((length + 0.9) / 2, (across + 0.4) / 2 * height / width) / np.tan(np.deg2rad(25.0))
    middle = length / 2
    return photograph(client, (middle, 0.0, tall), (middle, 0.0, 0.0), width, height, up=(1.0, 0.0, 0.0)).copy()
