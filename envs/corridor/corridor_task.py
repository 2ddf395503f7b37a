"""Base class of corridor tasks: worlds, robots, their observation, and cameras.

The action is (throttle, steering), both in [-1, 1]. The robot observes of its own state: five ranges (left to right, as
fractions of 2 m), cosine and sine of its heading, and speed and turn rate as fractions of their maxima.

Axes: N environments, R rays.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.camera import agent_picture, join, photograph
from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.floor_plan import MAX_RANGE, RAY_ANGLES, RangeSensor, wall_segments
from rlmem.envs.memory_task import Bools, Floats, MemoryTask
from rlmem.envs.pixels import SIZE
from rlmem.envs.robots import MOBILE_ROBOTS, Robot
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.task_settings import TaskSettings, check_choice, check_whole
from rlmem.errors import UserError

STEP_LENGTH = Robot.MAX_SPEED / PHYSICS.control_hz
"""m, distance of one control step at full speed."""
_BODY_NAMES = (
    *(f"range at {round(math.degrees(angle)):+d} degrees (of {MAX_RANGE:g} m)" for angle in RAY_ANGLES),
    "cosine of heading",
    "sine of heading",
    "speed (of 1 m/s)",
    "turn rate (of 4 rad/s)",
)
_DIRECTIONS = np.concatenate(([0.0], RAY_ANGLES))
"""[R + 1] rad from the robot's heading: straight ahead, then the rays."""
_BEHIND_START = 0.45
"""m, from the start to the wall behind it."""


@dataclass(frozen=True, kw_only=True)
class CorridorSettings(TaskSettings):
    """Knobs of every corridor task. See also :class:`rlmem.envs.task_settings.TaskSettings`.

    Args:
        robot: ``"diff_drive"``: a base with two driven wheels; ``"planar"``: a base moved directly by three motors,
            which is several times faster to simulate.
        query_steps: Maximum number of control steps of the query.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    robot: Literal["diff_drive", "planar"] = "diff_drive"
    query_steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("robot", self.robot, tuple(MOBILE_ROBOTS))
        check_whole("query_steps", self.query_steps, least=10, most=1_000)


C = TypeVar("C", bound=CorridorSettings)


class CorridorTask(MemoryTask[C]):
    """Base class of tasks with N robots in N corridors. See :class:`rlmem.envs.memory_task.MemoryTask`."""

    action_names = ("throttle", "steering")

    def __init__(
        self,
        settings: C,
        num_envs: int = 1,
        *,
        arms: int,
        signals: tuple[str, ...],
        panels: int = 0,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        self.observation_names = (*signals, *_BODY_NAMES)
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._num_signals, self._arms = len(signals), arms
        self._built = self.longest_corridor()
        self._longest = self._built + 4.0
        self.pose = np.zeros((num_envs, 5))
        """[N, 5] x, y, yaw, speed, turn rate: :class:`rlmem.envs.robots.Twist`."""
        self.start_x = np.zeros(num_envs)
        """[N] m, where episodes start."""
        self._back_wall_x = np.zeros(num_envs)
        self._sensor = RangeSensor(wall_segments(arms, self._longest), num_envs, panels)
        self._back_walls = [-1] * num_envs
        self._robots: list[Robot] = []
        self._floors: list[scenery.Floor] = []
        for index in range(num_envs):
            self.worlds.append(World(partial(self._build, index), PHYSICS, gui=gui))

    @abstractmethod
    def longest_corridor(self) -> float:
        """Return the length, m, of the longest corridor that the knobs allow."""

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs, as far as the corridor was built. See :meth:`MemoryTask.change_knobs`."""
        before = self.settings
        super().change_knobs(knobs)
        if self.longest_corridor() > self._built:
            self.settings = before
            asked = ", ".join(f"{name}={value}" for name, value in knobs.items())
            raise UserError(
                f"{asked} needs a longer corridor than this environment was built with: make it with the longest that "
                "you will set"
            )

    @abstractmethod
    def signals(self) -> Floats:
        """Return the observation of lamps and objects: its first components."""

    def build_obstacles(self, index: int, client: int) -> None:
        """Create the bodies in the way of one robot, in a new world."""

    def build_props(self, client: int) -> None:
        """Create the bodies without collisions in a new world."""

    def start_corridor(self, index: int, length: float) -> None:
        """Set the start of one environment's corridor ``length`` m before the middle of the junction.

        The wall behind the start is never in range from the junction, where it would reveal the corridor's length.
        """
        self.start_x[index] = -length
        self._back_wall_x[index] = min(-length - self.room_behind(), -1.25 * MAX_RANGE)
        self._sensor.set_back_wall(index, self._back_wall_x[index])

    def room_behind(self) -> float:
        """Return the length, m, of corridor behind the start."""
        return _BEHIND_START

    def place(self, index: int, x: float, y: float, yaw: float) -> None:
        """Restore one world from its snapshot, with the robot at rest at a pose (m, rad)."""
        self.worlds[index].restore()
        client = self.worlds[index].client
        scenery.move_back_wall(client, self._back_walls[index], self._back_wall_x[index])
        self._robots[index].place(x, y, yaw)
        self.pose[index] = x, y, yaw, 0.0, 0.0

    def move(self, actions: Floats, free: Bools) -> None:
        """Simulate one control step where the robot is not held, ``free`` [N]."""
        moving = np.count_nonzero(free)
        if not moving:
            return
        pose, robots = self.pose, self._robots
        if moving == len(free):
            pose[:] = [robot.step(*action) for robot, action in zip(robots, actions.tolist(), strict=True)]
            return
        which = np.flatnonzero(free)
        pose[which] = [
            robots[i].step(*action) for i, action in zip(which.tolist(), actions[which].tolist(), strict=True)
        ]

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: signals, then ranges, heading, speed and turn rate, which may be masked."""
        if self.num_envs == 1:
            return self._observe_one()
        observation = np.zeros((self.num_envs, len(self.observation_names)), dtype=np.float32)
        observation[:, : self._num_signals] = self.signals()
        sensing = self.sensing()
        if sensing.any():
            x, y, yaw, speed, turn_rate = self.pose.T
            rays = len(RAY_ANGLES)
            body = np.empty((self.num_envs, rays + 4))
            body[:, :rays] = self._sensor(x, y, yaw) / MAX_RANGE
            body[:, rays] = np.cos(yaw)
            body[:, rays + 1] = np.sin(yaw)
            body[:, rays + 2] = speed / Robot.MAX_SPEED
            body[:, rays + 3] = turn_rate / Robot.MAX_TURN_RATE
            np.minimum(np.maximum(body, -1.0, out=body), 1.0, out=body)
            if not sensing.all():
                body[~sensing] = 0.0
            observation[:, self._num_signals :] = body
        return observation

    def _observe_one(self) -> NDArray[np.float32]:
        """Return the same of a single environment, [1, D], in plain numbers, which are faster than arrays of one."""
        body = [0.0] * (len(RAY_ANGLES) + 4)
        if self.sensing()[0]:
            x, y, yaw, speed, turn_rate = self.pose[0].tolist()
            angles = yaw + _DIRECTIONS
            rays = list(zip(np.cos(angles).tolist(), np.sin(angles).tolist(), strict=True))
            body = [distance / MAX_RANGE for distance in self._sensor.single(x, y, rays[1:])]
            body += [*rays[0], speed / Robot.MAX_SPEED, turn_rate / Robot.MAX_TURN_RATE]
            body = [min(max(value, -1.0), 1.0) for value in body]
        return np.array([self.signals()[0].tolist() + body], dtype=np.float32)

    def steer_to(self, heading: Floats) -> Floats:
        """Return actions [N, 2] that turn towards headings [N], rad, and drive once the error is small."""
        error = np.remainder(heading - self.pose[:, 2] + np.pi, 2 * np.pi) - np.pi
        throttle = np.where(np.abs(error) < 0.35, 1.0, 0.0)
        return np.stack((throttle, np.clip(1.5 * error, -1.0, 1.0)), axis=-1)

    def steer_along(self) -> Floats:
        """Return actions [N, 2] that follow the corridor's middle at full speed."""
        return self.steer_to(np.clip(-1.5 * self.pose[:, 1], -0.3, 0.3))

    def show_robot(self, index: int, x: float, y: float, yaw: float) -> None:
        """Move a held robot for rendering; :meth:`place` must be called before it moves again."""
        self._robots[index].place(x, y, yaw)

    def where(self, index: int) -> tuple[float, float, float]:
        """Return x, y (m) and yaw (rad) of one robot for rendering."""
        x, y, yaw = self.pose[index, :3].tolist()
        return x, y, yaw

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return an image [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"`` side by side."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        x, y, yaw = self.where(index)
        client = self.worlds[index].client
        self._floors[index].follow(x, y, yaw)
        if camera == "both":
            left = width * 3 // 5
            behind = self._view(client, "behind", x, y, left, height)
            return join(behind, self._view(client, "above", x, y, width - left, height))
        return self._view(client, camera, x, y, width, height)

    def look(self, index: int) -> NDArray[np.uint8]:
        """Return the agent's image [64, 64, 3], from a mast that is fixed to the robot's back."""
        self.draw(index)
        x, y, yaw = self.where(index)
        self._floors[index].follow(x, y, yaw)
        ahead_x, ahead_y = math.cos(yaw), math.sin(yaw)
        eye = (x - 0.55 * ahead_x, y - 0.55 * ahead_y, 0.75)
        target = (x + 0.35 * ahead_x, y + 0.35 * ahead_y, 0.10)
        return agent_picture(self.worlds[index].client, eye, target, SIZE, field_of_view=75.0)

    def show_in_window(self, index: int) -> None:
        """Update Bullet's window, with the camera behind the robot."""
        self.draw(index)
        x, y, yaw = self.where(index)
        self._floors[index].follow(x, y, yaw)
        pybullet.resetDebugVisualizerCamera(
            1.9, -90.0, -40.0, [x + 0.25, 0.5 * y, 0.0], physicsClientId=self.worlds[index].client
        )

    def _view(self, client: int, camera: str, x: float, y: float, width: int, height: int) -> NDArray[np.uint8]:
        if camera == "behind":
            return photograph(client, (x - 1.45, 0.4 * y, 1.25), (x + 0.40, 0.4 * y, 0.05), width, height)
        tall = 2.55 * max(1.0, height / width)
        center = x + 0.15
        return photograph(client, (center, 0.5 * y, tall), (center, 0.5 * y, 0.0), width, height, up=(1.0, 0.0, 0.0))

    def _build(self, index: int, client: int) -> None:
        scenery.build_walls(client, self._arms, self._longest, visuals=self.visuals)
        self._back_walls[index] = scenery.build_back_wall(client, visuals=self.visuals)
        self.build_obstacles(index, client)
        if self.visuals:
            self._floors.append(scenery.Floor(client, self._arms))
            self.build_props(client)
        self._robots.append(MOBILE_ROBOTS[self.settings.robot](client, PHYSICS, visuals=self.visuals))
