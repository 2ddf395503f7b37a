"""Bodies of a maze: collision walls around the robot; visual walls, floor and pillars; and the cameras.

Axes: G cells a side, P pillars.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.camera import photograph
from rlmem.envs.ground.lidar import wall_colors
from rlmem.envs.ground.maze_plan import CELL, Cell
from rlmem.envs.memory_task import Bools, Floats
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color
from rlmem.envs.simulation import pybullet

WALL_HEIGHT = 0.30
_PARKED_Z = -20.0
_AROUND = 3
"""Cells a side of the neighborhood in which walls are solid: the robot's cell and the eight around it."""
_LOW = 0.10
"""m, height of the walls in pictures, low enough for the camera to see robot and pillars over them."""
_GROUND: Color = (0.60, 0.65, 0.70, 1.0)
_FLOOR: Color = (0.90, 0.90, 0.88, 1.0)
_TILE: Color = (0.84, 0.85, 0.85, 1.0)
_SHADE: Color = (0.66, 0.68, 0.70, 1.0)


class NearbyWalls:
    """Collision shapes of the walls around one robot: nine static boxes that are moved along with it.

    A maze has hundreds of walls, which differ in each episode; the robot can only touch those of the cells around its
    own. Cell (i, j) uses box (i mod 3, j mod 3), so that a box that is still needed is not moved.

    Args:
        client: Bullet client.
        visuals: Hide the boxes from cameras; without visuals they have no visual shape anyway.
    """

    def __init__(self, client: int, *, visuals: bool) -> None:
        self._client = client
        half = [CELL / 2, CELL / 2, WALL_HEIGHT / 2]
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
        hidden = parts.nothing(client) if visuals else -1
        self._boxes = {}
        for slot in product(range(_AROUND), range(_AROUND)):
            body = pybullet.createMultiBody(0, shape, hidden, self._parking(slot), physicsClientId=client)
            pybullet.changeDynamics(body, -1, lateralFriction=0.0, physicsClientId=client)
            self._boxes[slot] = int(body)
        self._cells: dict[Cell, Cell] = {}
        self._here: Cell | None = None

    def forget(self) -> None:
        """Note that the world was restored, so that all boxes are parked again."""
        self._here = None
        self._cells = {}

    def follow(self, walls: Bools, here: Cell) -> None:
        """Move the boxes to the walls around a cell.

        Args:
            walls: [G, G].
            here: A cell that is not on the border.
        """
        if here == self._here:
            return
        self._here = here
        for i, j in product(range(here[0] - 1, here[0] + 2), range(here[1] - 1, here[1] + 2)):
            slot = (i % _AROUND, j % _AROUND)
            if self._cells.get(slot) == (i, j):
                continue
            self._cells[slot] = (i, j)
            middle = [(i + 0.5) * CELL, (j + 0.5) * CELL, WALL_HEIGHT / 2]
            place = middle if walls[i, j] else self._parking(slot)
            pybullet.resetBasePositionAndOrientation(
                self._boxes[slot], place, parts.NO_ROTATION, physicsClientId=self._client
            )

    @staticmethod
    def _parking(slot: Cell) -> list[float]:
        return [float(slot[0]), float(slot[1]), _PARKED_Z]


class MazeLooks:
    """Visual bodies of one maze: floor, walls in the colors of their region, and pillars.

    Args:
        client: Bullet client.
        cells: G.
        colors: [P, 3] of the pillars.
    """

    def __init__(self, client: int, cells: int, colors: Floats) -> None:
        extent, half = cells * CELL, CELL / 2
        middle = extent / 2
        Prop(client, [parts.box((middle + 14.0, middle + 14.0, 0.01), _GROUND)]).show(middle, middle, -0.024)
        Prop(client, [parts.box((middle, middle, 0.01), _FLOOR)]).show(middle, middle, -0.0115)
        for number in range(1, cells):
            line = number * CELL
            Prop(client, [parts.box((0.008, middle, 0.001), _TILE)]).show(line, middle)
            Prop(client, [parts.box((middle, 0.008, 0.001), _TILE)]).show(middle, line)
        painted = wall_colors(cells)
        self._walls = {}
        for cell in product(range(cells), range(cells)):
            red, green, blue = (0.25 + 0.9 * painted[cell]).clip(0.0, 1.0).tolist()
            cap: Color = (0.55 * red, 0.58 * green, 0.62 * blue, 1.0)
            block = [
                parts.box((half, half, _LOW / 2), (red, green, blue, 1.0), (0.0, 0.0, _LOW / 2)),
                parts.box((half, half, 0.004), cap, (0.0, 0.0, _LOW + 0.004)),
            ]
            self._walls[cell] = Prop(client, block)
        self._pillars = [_Pillar(client, (*color, 1.0)) for color in colors.tolist()]
        self._shadow = Prop(client, [parts.box((0.15, 0.15, 0.0005), _SHADE)])
        self._drawn: Bools | None = None

    def show(self, walls: Bools, pillars: Floats, named: int, robot: Sequence[float]) -> None:
        """Show a maze.

        Args:
            walls: [G, G].
            pillars: [P, 2] m.
            named: The pillar to reach; it is highlighted.
            robot: x and y, m, and yaw, rad.
        """
        if self._drawn is not walls:
            self._drawn = walls
            for cell, prop in self._walls.items():
                if walls[cell]:
                    prop.show((cell[0] + 0.5) * CELL, (cell[1] + 0.5) * CELL)
                else:
                    prop.park()
        for number, (pillar, (x, y)) in enumerate(zip(self._pillars, pillars.tolist(), strict=True)):
            pillar.show(x, y, named=number == named)
        self._shadow.show(robot[0] - 0.02, robot[1] - 0.02, 0.002, yaw=robot[2])


class _Pillar:
    """A column of light on a base; the named one is marked by a square around it and a sphere on top."""

    def __init__(self, client: int, color: Color) -> None:
        pale: Color = (0.5 + 0.5 * color[0], 0.5 + 0.5 * color[1], 0.5 + 0.5 * color[2], 1.0)
        self._column = Prop(
            client,
            [
                parts.cylinder(0.085, 0.42, color, (0.0, 0.0, 0.21)),
                parts.cylinder(0.115, 0.03, parts.GRAPHITE, (0.0, 0.0, 0.015)),
                parts.cylinder(0.10, 0.03, pale, (0.0, 0.0, 0.43)),
            ],
        )
        self._mark = Prop(client, [parts.box((0.26, 0.26, 0.002), pale, (0.0, 0.0, 0.003))])
        self._star = Prop(client, [parts.sphere(0.07, color, (0.0, 0.0, 0.55))])

    def show(self, x: float, y: float, *, named: bool) -> None:
        self._column.show(x, y)
        if named:
            self._mark.show(x, y)
            self._star.show(x, y)
        else:
            self._mark.park()
            self._star.park()


def view(client: int, pose: Sequence[float], extent: float, camera: str, width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture [height, width, 3] of one maze.

    Args:
        client: Bullet client.
        pose: x and y, m, and yaw, rad, of the robot.
        extent: m, side of the maze.
        camera: ``"behind"`` the robot, or ``"above"`` the whole maze.
        width: Pixels.
        height: Pixels.
    """
    x, y, yaw = pose
    ahead_x, ahead_y = float(np.cos(yaw)), float(np.sin(yaw))
    if camera == "behind":
        eye = (x - 1.5 * ahead_x, y - 1.5 * ahead_y, 1.25)
        return photograph(client, eye, (x + 0.6 * ahead_x, y + 0.6 * ahead_y, 0.05), width, height).copy()
    tall = 0.5 * extent / np.tan(np.deg2rad(25.0)) * max(1.0, height / width) * 1.04
    middle = extent / 2
    eye, target = (middle, middle, tall), (middle, middle, 0.0)
    return photograph(client, eye, target, width, height, up=(1.0, 0.0, 0.0)).copy()
