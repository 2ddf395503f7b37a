"""Bodies of a corridor: walls with collisions, and lamps, pads and floor for rendering."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rlmem.envs.corridor.floor_plan import ARM_LENGTH, HALF_WIDTH, PANEL_EDGE, arm_directions, wall_segments
from rlmem.envs.memory_task import Floats
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part
from rlmem.envs.simulation import pybullet

WALL_HEIGHT = 0.22
_WALL_THICKNESS = 0.04
_PAD_DISTANCE = 0.80
_FLOOR_REACH = 12.0
"""m, length of the floor in front of and behind the robot, beyond the view of the cameras."""
_WALL: Color = (0.92, 0.90, 0.85, 1.0)
_CAP: Color = (0.36, 0.42, 0.52, 1.0)
_GROUND: Color = (0.60, 0.65, 0.70, 1.0)
_FLOOR: Color = (0.88, 0.88, 0.86, 1.0)
_STRIPE: Color = (0.72, 0.74, 0.76, 1.0)
_SHADE: Color = (0.66, 0.68, 0.70, 1.0)
_LIT: Color = (1.00, 0.92, 0.22, 1.0)
DARK: Color = (0.25, 0.27, 0.31, 1.0)
YELLOW: Color = (1.00, 0.80, 0.10, 1.0)
BLUE: Color = (0.36, 0.60, 0.95, 1.0)
GREEN: Color = (0.20, 0.75, 0.35, 1.0)
RED: Color = (0.90, 0.25, 0.22, 1.0)
_PASSED: Color = (0.62, 0.80, 0.66, 1.0)
_PANEL: Color = (0.80, 0.33, 0.20, 1.0)
_AROUND = 5
"""Gates, and obstacles, that are drawn: two behind the robot, and three ahead."""


def build_walls(client: int, arms: int, corridor_length: float, *, visuals: bool) -> None:
    """Create all walls of the floor plan as one static body."""
    halves, middles, turns = _boxes(wall_segments(arms, corridor_length))
    shape = pybullet.createCollisionShapeArray(
        shapeTypes=[pybullet.GEOM_BOX] * len(halves),
        halfExtents=halves,
        collisionFramePositions=middles,
        collisionFrameOrientations=turns,
        physicsClientId=client,
    )
    hidden = parts.nothing(client) if visuals else -1
    body = pybullet.createMultiBody(0, shape, hidden, physicsClientId=client)
    pybullet.changeDynamics(body, -1, lateralFriction=0.0, physicsClientId=client)
    if visuals:
        looks = [part for box in zip(halves, middles, turns, strict=True) for part in _wall(*box)]
        for first in range(0, len(looks), parts.MAX_PARTS):
            panels = parts.visual(client, looks[first : first + parts.MAX_PARTS])
            pybullet.createMultiBody(0, -1, panels, physicsClientId=client)


def build_back_wall(client: int, *, visuals: bool) -> int:
    """Create the wall behind the start and return its id; it is moved for each episode."""
    half = [_WALL_THICKNESS / 2, HALF_WIDTH, WALL_HEIGHT / 2]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    looks = parts.visual(client, _wall(half, [0, 0, 0], [0, 0, 0, 1])) if visuals else -1
    body = pybullet.createMultiBody(0, shape, looks, [0.0, 0.0, WALL_HEIGHT / 2 - 1.0], physicsClientId=client)
    pybullet.changeDynamics(body, -1, lateralFriction=0.0, physicsClientId=client)
    return int(body)


def build_panels(client: int, *, visuals: bool) -> tuple[int, int]:
    """Create the two panels that a robot can bump into and return their ids; :class:`Course` draws them."""
    half = [_WALL_THICKNESS / 2, (HALF_WIDTH - PANEL_EDGE) / 2, WALL_HEIGHT / 2]
    shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, physicsClientId=client)
    hidden = parts.nothing(client) if visuals else -1
    bodies = []
    for _ in range(2):
        body = pybullet.createMultiBody(0, shape, hidden, parts.PARKED, physicsClientId=client)
        pybullet.changeDynamics(body, -1, lateralFriction=0.0, physicsClientId=client)
        bodies.append(int(body))
    return bodies[0], bodies[1]


def move_panel(client: int, body: int, x: float, side: int) -> None:
    """Move a panel so that its face is at ``x``, m, on a side (1: left, -1: right); away if ``x`` is infinite."""
    position = [x + _WALL_THICKNESS / 2, side * (HALF_WIDTH + PANEL_EDGE) / 2, WALL_HEIGHT / 2]
    there = position if math.isfinite(x) else parts.PARKED
    pybullet.resetBasePositionAndOrientation(body, there, parts.NO_ROTATION, physicsClientId=client)


def move_back_wall(client: int, body: int, x: float) -> None:
    """Move the wall behind the start so that its face is at ``x``, m."""
    position = [x - _WALL_THICKNESS / 2, 0.0, WALL_HEIGHT / 2]
    pybullet.resetBasePositionAndOrientation(body, position, parts.NO_ROTATION, physicsClientId=client)


class Floor:
    """Ground, corridor floor and the robot's shadow; they follow the robot, so that the corridor may be of any length.

    Args:
        client: Bullet client.
        arms: K, number of arms of the junction.
    """

    def __init__(self, client: int, arms: int) -> None:
        ground = [parts.box((14.0, 8.0, 0.01), _GROUND, (0.0, 0.0, -0.022))]
        way = [parts.box((_FLOOR_REACH, HALF_WIDTH, 0.01), _FLOOR, (0.0, 0.0, -0.0115))]
        stripes = [parts.box((0.02, HALF_WIDTH, 0.001), _STRIPE, (0.5 * number, 0.0, 0.0)) for number in range(-7, 8)]
        shadow = _disc(0.17, _SHADE)
        self._ground, self._way, self._stripes = Prop(client, ground), Prop(client, way), Prop(client, stripes)
        self._shadow = Prop(client, shadow)
        for x, y in arm_directions(arms).tolist():
            arm = Prop(client, [parts.box((ARM_LENGTH / 2, HALF_WIDTH, 0.01), _FLOOR, (ARM_LENGTH / 2, 0.0, -0.0115))])
            arm.show(0.0, 0.0, yaw=math.atan2(y, x))

    def follow(self, x: float, y: float, yaw: float) -> None:
        """Move below a robot at x, y (m) and yaw (rad); the stripes appear fixed and end before the junction."""
        self._ground.show(x, 0.0)
        self._way.show(min(x, HALF_WIDTH - _FLOOR_REACH), 0.0)
        self._stripes.show(min(math.floor(x / 0.5) * 0.5, -3.5 - HALF_WIDTH), 0.0)
        self._shadow.show(x - 0.02, y - 0.02, 0.0045, yaw=yaw)


class Course:
    """Gates, obstacles and docks around the robot."""

    def __init__(self, client: int) -> None:
        wide, high = HALF_WIDTH / 2, 0.36
        gate = [
            parts.box((0.05, wide - 0.02, 0.002), BLUE, (0.0, wide, 0.0)),
            parts.box((0.02, wide, 0.02), parts.GRAPHITE, (0.0, wide, high)),
            parts.box((0.02, 0.02, high / 2), parts.GRAPHITE, (0.0, HALF_WIDTH - 0.01, high / 2)),
        ]
        across = (HALF_WIDTH - PANEL_EDGE) / 2
        panel = [
            parts.box((_WALL_THICKNESS / 2, across, WALL_HEIGHT / 2), _PANEL),
            parts.box((_WALL_THICKNESS / 2 + 0.002, across, 0.02), parts.WHITE, (0.0, 0.0, 0.03)),
            parts.box((_WALL_THICKNESS / 2 + 0.002, across, 0.02), parts.WHITE, (0.0, 0.0, -0.05)),
        ]
        reach, top = 0.30, 0.44
        dock = [
            parts.box((reach, reach, 0.001), DARK),
            *(
                parts.box((0.012, 0.012, top / 2), parts.GRAPHITE, (x * reach, y * reach, top / 2))
                for x in (1.0, -1.0)
                for y in (1.0, -1.0)
            ),
            *(parts.box((0.012, reach, 0.012), parts.ORANGE, (x * reach, 0.0, top)) for x in (1.0, -1.0)),
            *(parts.box((reach, 0.012, 0.012), parts.ORANGE, (0.0, y * reach, top)) for y in (1.0, -1.0)),
        ]
        self._gates = [Prop(client, gate) for _ in range(_AROUND)]
        self._panels = [Prop(client, panel) for _ in range(_AROUND)]
        self._dock = Prop(client, dock)

    def show_gate(self, number: int, x: float, side: int, *, passed: bool) -> None:
        """Show one of the gates around the robot at ``x``, m, on a side; away if ``x`` is infinite."""
        if math.isfinite(x):
            color = _PASSED if passed else YELLOW
            self._gates[number % _AROUND].show(x, 0.0, 0.003, yaw=0.0 if side > 0 else math.pi, color=color)
        else:
            self._gates[number % _AROUND].park()

    def show_panel(self, number: int, x: float, side: int) -> None:
        """Show one of the obstacles around the robot at ``x``, m, on a side; away if ``x`` is infinite."""
        if math.isfinite(x):
            y = side * (HALF_WIDTH + PANEL_EDGE) / 2
            self._panels[number % _AROUND].show(x + _WALL_THICKNESS / 2, y, WALL_HEIGHT / 2)
        else:
            self._panels[number % _AROUND].park()

    def show_dock(self, x: float | None, *, shut: bool) -> None:
        """Show the next dock at ``x``, m, with its floor red while a robot is in it; None: there is none."""
        if x is None:
            self._dock.park()
        else:
            self._dock.show(x, 0.0, 0.001, color=RED if shut else DARK)


class Lamps:
    """A row of lamps over the corridor, one for each arm; the lit one, with its light on the floor, is the cue.

    Args:
        client: Bullet client.
        count: Number of lamps.
        bell: Hang a bell in the middle, which is golden while it rings.
    """

    def __init__(self, client: int, count: int, *, bell: bool = False) -> None:
        clapper = [parts.sphere(0.05, DARK, (0.0, 0.0, 0.06)), parts.cylinder(0.06, 0.02, YELLOW, (0.0, 0.0, 0.03))]
        self._bell = Prop(client, clapper) if bell else None
        self._lamps = [Prop(client, [parts.sphere(0.055, DARK)]) for _ in range(count)]
        self._bulb = Prop(client, [parts.sphere(0.08, _LIT)])
        self._light = Prop(client, _disc(0.10, _LIT))
        self._rail = Prop(
            client,
            [
                parts.box((0.015, HALF_WIDTH + 0.03, 0.015), parts.GRAPHITE, (0.0, 0.0, 0.40)),
                *(
                    parts.box((0.015, 0.015, 0.20), parts.GRAPHITE, (0.0, side * (HALF_WIDTH + 0.02), 0.20))
                    for side in (1.0, -1.0)
                ),
            ],
        )
        spread = HALF_WIDTH * 0.70
        self._offsets = np.linspace(spread, -spread, count).tolist()

    def show(self, x: float, lit: int | None, *, rings: bool = False) -> None:
        """Show the lamps at ``x``, m, with one of them lit, and the bell, if there is one."""
        self.park()
        if self._bell is not None:
            self._bell.show(x, 0.0, 0.42, color=YELLOW if rings else DARK)
        self._rail.show(x, 0.0)
        for number, (lamp, y) in enumerate(zip(self._lamps, self._offsets, strict=True)):
            if number == lit:
                self._bulb.show(x, y, 0.33)
                self._light.show(x - 0.03, y, 0.003)
            else:
                lamp.show(x, y, 0.33)

    def park(self) -> None:
        """Hide the lamps."""
        for prop in (*self._lamps, self._bulb, self._light, self._rail, self._bell):
            if prop is not None:
                prop.park()


class Pads:
    """A colored pad in each arm, and the go light at the junction, which is on until one is chosen."""

    def __init__(self, client: int, directions: Floats) -> None:
        self._pads = [Prop(client, [parts.box((0.24, 0.24, 0.002), BLUE)]) for _ in directions]
        self._go = Prop(client, [parts.box((HALF_WIDTH * 0.6, HALF_WIDTH * 0.6, 0.002), DARK)])
        self._places = (directions * _PAD_DISTANCE).tolist()

    def show(self, *, go: bool, chosen: int | None, right: bool) -> None:
        """Show the pads; the chosen one turns green or red."""
        self._go.show(0.0, 0.0, 0.002, yaw=math.pi / 4, color=GREEN if go and chosen is None else _STRIPE)
        for number, (pad, (x, y)) in enumerate(zip(self._pads, self._places, strict=True)):
            pad.show(x, y, 0.002, yaw=math.atan2(y, x), color=BLUE if number != chosen else (GREEN if right else RED))


def _disc(radius: float, color: Color) -> list[Part]:
    """Return a flat disc made of boxes, since Bullet shades a flat cylinder like a cone."""
    looks = []
    for number in range(6):
        half = number * math.pi / 12
        size = (radius * math.cos(math.pi / 12), radius * math.sin(math.pi / 12), 0.0005)
        turn = (0.0, 0.0, math.sin(half), math.cos(half))
        looks.append(Part(pybullet.GEOM_BOX, size, color, (0.0, 0.0, 0.0), turn))
    return looks


def _boxes(segments: Floats) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    """Return half extents, middles and orientations of the boxes behind wall segments [M, 2, 2].

    A box is extended by its thickness where the plan, clockwise, turns right, to close the corner. Where it turns left
    it ends with its wall, or it would stick out into the corridor.
    """
    along = segments[:, 1] - segments[:, 0]
    after = np.roll(along, -1, axis=0)
    closing = (_WALL_THICKNESS * 0.99 * (along[:, 0] * after[:, 1] - along[:, 1] * after[:, 0] < -1e-9)).tolist()
    halves, middles, turns = [], [], []
    for number, ((x0, y0), (x1, y1)) in enumerate(segments.tolist()):
        length, angle = math.hypot(x1 - x0, y1 - y0), math.atan2(y1 - y0, x1 - x0)
        cosine, sine = math.cos(angle), math.sin(angle)
        before, beyond, out = closing[number - 1], closing[number], _WALL_THICKNESS / 2
        ahead = (length + beyond - before) / 2
        halves.append([(length + before + beyond) / 2, out, WALL_HEIGHT / 2])
        middles.append([x0 + ahead * cosine - out * sine, y0 + ahead * sine + out * cosine, WALL_HEIGHT / 2])
        turns.append([0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)])
    return halves, middles, turns


def _wall(half: Sequence[float], middle: Sequence[float], turn: Sequence[float]) -> list[Part]:
    """Return the visual shapes of a wall: a panel with a darker cap."""
    x, y, z = middle
    orientation = (turn[0], turn[1], turn[2], turn[3])
    panel = Part(pybullet.GEOM_BOX, (half[0], half[1], half[2]), _WALL, (x, y, z), orientation)
    cap = Part(pybullet.GEOM_BOX, (half[0], half[1], 0.006), _CAP, (x, y, z + half[2] + 0.006), orientation)
    return [panel, cap]
