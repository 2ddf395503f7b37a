"""Arms at tables: N worlds, hands that move within bounds, their observations and their pictures.

Axes: N environments, D observation, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.memory_task import DOCK, QUERY, Bools, Floats, Indices, MemoryTask
from rlmem.envs.robots import ARMS, Arm
from rlmem.envs.robots.arm_kinematics import ArmKinematics
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.table import scenery
from rlmem.envs.table.settings import HIGH, HOME, LOW, MAX_JOINT_SPEED, ORIGIN, SENSED, STRIDE, TableSettings
from rlmem.envs.table.targets import Targets
from rlmem.envs.task_settings import check_choice

C = TypeVar("C", bound=TableSettings)


class ArmTask(MemoryTask[C]):
    """N arms at N tables; :class:`rlmem.envs.table.table_task.TableTask` adds the episodes.

    Args:
        settings: The task's knobs.
        num_envs: N.
        signals: Names of the task's own components of the observation.
        targets: K, boxes that can be touched.
        half: Half extents of such a box, m.
        home: Where the fingertip is when the query begins, before noise, m.
        visuals: Give bodies their looks.
        gui: Show the world in Bullet's window.
    """

    WAITING: ClassVar[Vector] = (0.05, 0.05, 0.03)
    """m around home, not below it: bounds of a hand that the guard does not hold before the query."""
    PLANAR: ClassVar[bool] = False
    """Whether the hand stays at the height of its home; the action then has two components."""
    GRAVITY: ClassVar[bool] = False
    """Whether there is gravity. An arm does not need it: its own weight is compensated."""
    FORGET_CONTACTS: ClassVar[bool] = False
    """Whether Bullet forgets the last contacts before each episode, see :meth:`World.forget_contacts`. Exact repetition
    needs it where bodies touch as soon as they are put down."""
    plain = False
    """Whether the arm has simple looks, which are quick to draw."""

    def __init__(
        self,
        settings: C,
        num_envs: int = 1,
        *,
        signals: tuple[str, ...],
        targets: int = 0,
        half: Vector = (scenery.HALF,) * 3,
        home: Vector = HOME,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        self._by_joint = settings.control == "joint"
        joints = tuple(f"joint {number}" for number in range(1, 8))
        axes = ("x", "y") if self.PLANAR else ("x", "y", "z")
        self.action_names = joints if self._by_joint else axes
        body = tuple(f"hand {axis} (of {SENSED:g} m)" for axis in ("x", "y", "z"))
        angles = tuple(f"{name} (of its range)" for name in joints) if self._by_joint else ()
        self.observation_names = (*signals, *body, *angles)
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self._num_signals = len(signals)
        self.kinematics = ARMS[settings.robot].kinematics()
        self.posture = np.tile(self.kinematics.rest, (num_envs, 1))
        """[N, 7] rad."""
        self.tip = np.tile(home, (num_envs, 1))
        """[N, 3] m, middles of the fingertips."""
        self.home = self.tip.copy()
        """[N, 3] m, where the fingertips are when the query begins."""
        self.targets = Targets(num_envs, targets, half)
        self.low, self.high = LOW, HIGH
        """[3] m, bounds of the fingertip from the query on; a task may narrow them."""
        self._home, waiting = np.array(home), np.array(self.WAITING)
        self._waiting = self._home - waiting * (1.0, 1.0, 0.0), self._home + waiting
        self._arms: list[Arm] = []
        self._onward = 1
        for index in range(num_envs):
            self.worlds.append(World(partial(self._build, index), PHYSICS, gui=gui))

    @abstractmethod
    def signals(self) -> Floats:
        """Return the task's own components of the observation, which come first."""

    def build_bodies(self, index: int, client: int) -> None:
        """Put free bodies into one more world."""

    @abstractmethod
    def build_props(self, client: int) -> None:
        """Put bodies that are only looked at into one more world."""

    def rehome(self, indices: Indices, rise: float = 0.0) -> None:
        """Restore some worlds from their snapshots, with arms at rest at home, or ``rise`` m above it."""
        places = self.home[indices] + (0.0, 0.0, rise)
        postures = self.kinematics.posture(places)
        for index, posture in zip(indices.tolist(), postures.tolist(), strict=True):
            world = self.worlds[index]
            world.restore()
            if self.FORGET_CONTACTS:
                world.forget_contacts()
            self._arms[index].place(posture)
        self.posture[indices], self.tip[indices] = postures, places

    def move(self, actions: Floats, free: Bools) -> None:
        """Run one control step of physics where the arm is free, [N]."""
        count, arms = np.count_nonzero(free), self._arms
        if not count:
            return
        velocities = self._velocities(actions)
        # In alternating order: the arm that is stepped first was stepped last before, and is still in the CPU's cache.
        self._onward = -self._onward
        if count == self.num_envs:
            rows = velocities[:: self._onward].tolist()
            self.posture[:: self._onward] = [
                arm.step(row) for arm, row in zip(arms[:: self._onward], rows, strict=True)
            ]
            self.tip = self.kinematics.tip(self.posture)
            return
        which = np.flatnonzero(free)[:: self._onward]
        rows = velocities[which].tolist()
        self.posture[which] = postures = np.array(
            [arms[index].step(row) for index, row in zip(which.tolist(), rows, strict=True)]
        )
        self.tip[which] = self.kinematics.tip(postures)

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: signals, then hand position and joint angles, 0 where they are not sensed."""
        observation = np.zeros((self.num_envs, len(self.observation_names)), dtype=np.float32)
        signals = self.signals()
        observation[:, : signals.shape[1]] = signals
        sensing = self.sensing()
        count = np.count_nonzero(sensing)
        if count:
            body = (self.tip - ORIGIN) / SENSED
            if self._by_joint:
                low, high = self.kinematics.low, self.kinematics.high
                body = np.concatenate((body, (2.0 * self.posture - low - high) / (high - low)), axis=1)
            np.minimum(np.maximum(body, -1.0, out=body), 1.0, out=body)
            if count < self.num_envs:
                body[~sensing] = 0.0
            observation[:, self._num_signals :] = body
        observation[self.phase == DOCK] = 0.0
        return observation

    def toward(self, goal: Floats) -> Floats:
        """Return the actions [N, A] that move the fingertips straight to ``goal``, [N, 3] m, as fast as possible."""
        way = goal - self.tip
        steps = np.maximum(np.abs(way).max(axis=1, keepdims=True) / STRIDE, 1.0)
        if self._by_joint:
            turn = (self.kinematics.posture(self.tip + way / steps) - self.posture) * PHYSICS.control_hz
            actions: Floats = turn / np.maximum(np.abs(turn).max(axis=1, keepdims=True), MAX_JOINT_SPEED)
        else:
            actions = (way / (STRIDE * steps))[:, : len(self.action_names)]
        return actions

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from across the table (``"behind"``), ``"above"``, or ``"both"``."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        return scenery.view(self.worlds[index].client, camera, width, height)

    def look(self, index: int) -> NDArray[np.uint8]:
        """Take a picture [64, 64, 3] of the workspace from across the table."""
        self.draw(index)
        return scenery.look(self.worlds[index].client)

    def show_in_window(self, index: int) -> None:
        """Point the camera of Bullet's window at one table."""
        self.draw(index)
        scenery.look_in_window(self.worlds[index].client)

    def _velocities(self, actions: Floats) -> Floats:
        """Return joint velocities [N, 7], rad/s, that keep the fingertips within their bounds."""
        if self.settings.guard == "delay":
            low, high = self.low, self.high
        else:
            asked, (low, high) = (self.phase == QUERY)[:, None], self._waiting
            low, high = np.where(asked, self.low, low), np.where(asked, self.high, high)
        hands = self.kinematics, self.posture, self.tip
        if self._by_joint:
            return _bounded_velocities(*hands, actions * MAX_JOINT_SPEED, low, high)
        if self.PLANAR:
            way = np.empty((self.num_envs, 3))
            way[:, :2], way[:, 2] = STRIDE * actions, self._home[2] - self.tip[:, 2]
        else:
            way = STRIDE * actions
        return _straight_velocities(*hands, way, low, high)

    def _build(self, index: int, client: int) -> None:
        if self.GRAVITY:
            pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
        scenery.build_table_top(client, visuals=self.visuals)
        self._arms.append(ARMS[self.settings.robot](client, PHYSICS, visuals=self.visuals, plain=self.plain))
        self.targets.build(client, visuals=self.visuals)
        self.build_bodies(index, client)
        if self.visuals:
            scenery.build_room(client)
            self.build_props(client)


def _straight_velocities(
    arm: ArmKinematics, posture: Floats, tip: Floats, way: Floats, low: Floats, high: Floats
) -> Floats:
    """Return the joint velocities [N, 7], rad/s, that move hands straight, pointing down, within their bounds.

    Args:
        arm: Their kinematics.
        posture: [N, 7] rad.
        tip: [N, 3] m, middles of the fingertips.
        way: [N, 3] m, wanted in this control step.
        low: [3] or [N, 3] m, lower bounds of fingertips.
        high: [3] or [N, 3] m, upper bounds.
    """
    way = np.minimum(np.maximum(tip + way, low), high) - tip
    goal = tip + np.minimum(np.maximum(way, -STRIDE), STRIDE)
    velocities: Floats = (arm.posture(goal) - posture) * PHYSICS.control_hz
    velocities /= np.maximum.reduce(np.abs(velocities) / arm.speed, axis=1, keepdims=True, initial=1.0)
    return velocities


def _bounded_velocities(
    arm: ArmKinematics, posture: Floats, tip: Floats, velocities: Floats, low: Floats, high: Floats
) -> Floats:
    """Return the wanted joint velocities [N, 7], rad/s, or 0 where they take a fingertip out of bounds, or further out.

    Args:
        arm: Their kinematics.
        posture: [N, 7] rad.
        tip: [N, 3] m, middles of the fingertips.
        velocities: [N, 7] rad/s, the ones wanted.
        low: [3] or [N, 3] m, lower bounds of fingertips.
        high: [3] or [N, 3] m, upper bounds.
    """
    goal = posture + velocities / PHYSICS.control_hz
    goal = np.minimum(np.maximum(goal, arm.low), arm.high)
    after = arm.tip(goal)
    out = np.maximum(low - after, after - high).max(axis=1)
    now = np.maximum(low - tip, tip - high).max(axis=1)
    velocities = (goal - posture) * PHYSICS.control_hz
    velocities[out > np.maximum(now, 0.0)] = 0.0
    return velocities
