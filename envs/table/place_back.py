"""Remember where an object stood: a cube is pushed off its mark, which disappears; later it is to be brought back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, DELAY, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import pybullet
from rlmem.envs.table import scenery
from rlmem.envs.table.place import PlaceSettings, PlaceTask
from rlmem.envs.table.settings import CENTER, SENSED, check_meters
from rlmem.spec import TaskSpec

_HALF, _WALL, _HEIGHT = 0.030, 0.007, 0.018
"""m, half the cube's width, half the thickness of its walls, and half its height. The fingertip stands between the
walls with 4 mm to spare on each side, so that it takes the cube along in every direction."""
_MASS = 0.2
"""kg."""
_LOW = 0.024
"""m, of the fingertip when the query begins: in the cube."""
_BRAKING = 0.6
"""Part of the remaining way that the expert goes in one step: a cube that is let go while it moves slides on."""
_STILL, _PUSH = 3, 5
"""Control steps of the cue in which the cube stands on its mark, and in which it is pushed off."""
_LEAST = -1.0
"""Least value of the reward's bracket, so that no answer is worse than waiting for the end."""


@dataclass(frozen=True, kw_only=True)
class PlaceBackSettings(PlaceSettings):
    """The knobs of bringing back. See also :class:`rlmem.envs.table.place.PlaceSettings`.

    Args:
        radius: R, m, radius of the disc on which the mark lies.
        tolerance: r, m, how near to its mark the cube must be.
        commit_distance: m, by which the hand must rise to let go.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    radius: float = 0.12
    tolerance: float = 0.035
    commit_distance: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_meters("radius", self.radius, least=0.05, most=0.13)
        self.check_tolerance(least=0.015)
        check_meters("commit_distance", self.commit_distance, least=0.04, most=0.15)


class PlaceBack(PlaceTask[PlaceBackSettings]):
    """A cube is pushed off its mark and the mark vanishes; later, bring the cube back to where it stood.

    **Episode.** A cube, open at the top, stands on its mark, uniform on a disc of radius R, with the fingertip in it.
    For 3 control steps (20 a second) it stands there; in the next 5 the hand pushes it to the disc's middle, with
    ``guard="delay"`` and ``"cue"`` whatever the policy does. Then the mark disappears for good. After ``memory_length``
    control steps the go light comes on. Moving the hand moves the cube too, by the contact of the fingertip with its
    walls. The first time that the fingertip rises by ``commit_distance`` it lets go, which is the answer: the episode
    terminates, with success if the cube's middle is within r of the mark's. It is truncated when the cube is not let go
    within ``query_steps``.

    **Observation** (9, float32). 0: whether the mark is there; 1 and 2: its place, x (ahead) and y (left) from the
    disc's middle, in units of 0.25 m, 0 while it is not there; 3: go light; 4 and 5: place of the cube in the same
    units; 6 to 8: position of the fingertip relative to the disc's middle at a height of 0.10 m, in units of 0.25 m.
    With ``control="joint"`` the joint angles follow, scaled to their ranges. With ``guard="delay"`` cube and arm are
    not sensed until the go light, with ``guard="cue"`` the cube is not sensed before the delay; the components are 0
    then.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** At letting go: +1 within r, -c / (1 - c) outside, with c = (r / R)^2, and 0.5 (1 - 3 e / 2 R), at least
    -0.5, for an error of e m, so that guessing earns about 0 on average. -0.015 for each control step of the query.
    Before that the reward does not depend on the mark.

    **Memory.** Retention of the place of an object, log2 (R / r)^2 bits, over ``memory_length`` control steps.

    **Ceilings.** Without memory (r / R)^2: the cube is let go once, at one place, and the mark is uniform on the disc
    and independent of it. Oracle 1. With ``guard="delay"`` the arm moves by itself during the cue, is held during the
    delay, and starts the query at rest in the disc's middle, with fresh noise and the cube around the fingertip: where
    the cube came from leaves no trace (G1, G2 and G3 hold exactly). With ``guard="cue"`` the arm can move during the
    delay, and can bring the cube back at once. With ``guard="none"`` it can move throughout, and is to push the cube
    off itself: a policy that leaves it on its mark needs no memory. (With ``cue="never"`` it starts in the middle
    then.)

    **No work in the delay.** The fingertip stands in the cube until the answer: a hand that went to work would take the
    cube along, or rise out of it, which is the answer.
    """

    HOME_NOISE: ClassVar[Vector] = (0.010, 0.010, 0.002)
    WAITING: ClassVar[Vector] = (0.14, 0.14, 0.006)
    GRAVITY: ClassVar[bool] = True
    FORGET_CONTACTS: ClassVar[bool] = True
    STEP_COST: ClassVar[float] = 0.015
    HEIGHTS: ClassVar[Vector] = (0.0005, 0.002, 0.003)  # low: the cube stands on them
    Settings: ClassVar[type[PlaceBackSettings]] = PlaceBackSettings
    settings: PlaceBackSettings

    def __init__(
        self, settings: PlaceBackSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.cube = np.zeros((num_envs, 2))
        """[N, 2] m, from the disc's middle."""
        self._cubes: list[int] = []
        things = [f"{thing} {axis} (of {SENSED:g} m)" for thing in ("mark", "cube") for axis in ("x", "y")]
        super().__init__(
            settings,
            num_envs,
            signals=("mark there", *things[:2], "go light", *things[2:]),
            home=(*CENTER, _LOW),
            visuals=visuals,
            gui=gui,
        )

    @classmethod
    def spec(cls, settings: PlaceBackSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        guess = "(r / R)^2: the cube is let go at one place, and the mark is uniform on the disc"
        return recall_spec(
            settings,
            memory="position of an object",
            n_bits=-math.log2(settings.chance),
            chance=settings.chance,
            query_steps=settings.query_steps,
            guess=guess,
            random=f"{guess}; at most, since it may not be let go",
            always="the mark is still there at the query",
            oracle="remember the mark, bring the cube there",
            never="the mark is never seen: nothing to remember",
        )

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the mark; a free hand starts from it. See :meth:`TableTask.deal`."""
        super().deal(index, rng, cue)
        self.cue_steps[index] = _STILL + _PUSH
        if self.settings.guard == "none" and self.settings.cue != "never":
            self.home[index, :2] = self.point[index] + CENTER

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes; a free hand has the cube from the start. See :meth:`MemoryTask.begin`."""
        super().begin(indices, cues)
        if self.settings.guard == "none":
            for index in indices.tolist():
                self.ask(index)

    def start_delay(self, indices: Indices) -> None:
        """Put the cube around a hand that is free in the delay. See :meth:`RecallTask.start_delay`."""
        if self.settings.guard == "cue":
            self.rehome(indices)
            for index in indices.tolist():
                self._put(index)

    def ask(self, index: int) -> None:
        """Put the cube around the fingertip, unless it is there already. See :meth:`TableTask.ask`."""
        if self.locked or self.phase[index] == CUE:
            self._put(index)

    def move(self, actions: Floats, free: Bools) -> None:
        """Run one control step of physics, and see where the cubes are. See :meth:`TableTask.move`."""
        super().move(actions, free)
        for index in np.flatnonzero(free).tolist():
            client = self.worlds[index].client
            place, _ = pybullet.getBasePositionAndOrientation(self._cubes[index], physicsClientId=client)
            self.cube[index] = place[0] - CENTER[0], place[1] - CENTER[1]

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take letting go as the answer. See :meth:`TableTask.query_reward`."""
        answered = asked & (self.tip[:, 2] >= _LOW + self.settings.commit_distance)
        if answered.any():
            self.answer(answered, self.cube, step, least=_LEAST)

    def signals(self) -> Floats:
        """Return whether the mark is there, and where; go light; and where the cube is [N, 6]."""
        out = np.zeros((self.num_envs, 6))
        lit = self.lit()
        out[lit, 0], out[lit, 1:3] = 1.0, self.point[lit] / SENSED
        out[:, 3] = self.phase == QUERY
        sensed = {"delay": self.phase == QUERY, "cue": self.phase != CUE, "none": self.phase != -1}[self.settings.guard]
        out[sensed, 4:] = np.clip(self.cube[sensed] / SENSED, -1.0, 1.0)
        return out

    def goal(self) -> Floats:
        """Return where the hand must go to bring the cube to its mark, then above; privileged. [N, 3]."""
        goal = self.tip.copy()
        goal[:, :2] += _BRAKING * (self.point - self.cube)
        away = np.hypot(*(self.point - self.cube).T)
        there = (self.phase == QUERY) & (away < 0.3 * self.settings.tolerance)
        up = there | (self.tip[:, 2] > _LOW + 0.02)
        goal[:, 2] = np.where(up, _LOW + self.settings.commit_distance + 0.01, _LOW)
        goal[up, :2] = self.tip[up, :2]
        return goal

    def build_bodies(self, index: int, client: int) -> None:
        """Put the cube into one more world: four walls. See :meth:`TableTask.build_bodies`."""
        across, along = (_WALL, _HALF, _HEIGHT), (_HALF - 2 * _WALL, _WALL, _HEIGHT)
        out, orange = _HALF - _WALL, scenery.COLORS["orange"]
        walls = [parts.box(across, orange, (side * out, 0.0, 0.0)) for side in (-1, 1)]
        walls += [parts.box(along, orange, (0.0, side * out, 0.0)) for side in (-1, 1)]
        shape = pybullet.createCollisionShapeArray(
            shapeTypes=[wall.kind for wall in walls],
            halfExtents=[wall.size for wall in walls],
            collisionFramePositions=[wall.position for wall in walls],
            physicsClientId=client,
        )
        looks = parts.visual(client, walls) if self.visuals else -1
        self._cubes.append(int(pybullet.createMultiBody(_MASS, shape, looks, parts.PARKED, physicsClientId=client)))

    def draw_props(self, index: int) -> None:
        """Show the mark, and hand and cube where the guard moves them. See :meth:`TableTask.draw_props`."""
        phase = self.phase[index]
        if phase == CUE and self.settings.guard != "none":
            part = min(max((self.clock[index] - _STILL + 1) / _PUSH, 0.0), 1.0)
            place = self.home[index].copy()
            place[:2] += (1.0 - part) * (self.point[index] + CENTER - place[:2])
            self._arms[index].place(self.kinematics.posture(place[None])[0].tolist())
            self._put(index, place[0], place[1])
        elif phase == DELAY and self.locked:
            self._put(index)
        super().draw_props(index)

    def _put(self, index: int, x: float | None = None, y: float | None = None) -> None:
        """Put the cube somewhere (m), at rest; around the fingertip's home if nowhere else."""
        where = [float(self.home[index, 0]), float(self.home[index, 1]), _HEIGHT]
        if x is None or y is None:
            self.cube[index] = self.home[index, :2] - CENTER
        else:
            where[:2] = [float(x), float(y)]
        body, client = self._cubes[index], self.worlds[index].client
        pybullet.resetBasePositionAndOrientation(body, where, parts.NO_ROTATION, physicsClientId=client)
        pybullet.resetBaseVelocity(body, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], physicsClientId=client)
