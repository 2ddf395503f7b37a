"""The T-maze written the straightforward way, to compare speeds with: one class, one world, one environment.

Same bodies, walls, physics settings, observations, rewards and ends as ``rlmem/TMaze-v0`` with ``guard="none"``. What
differs is how Bullet is called: through ``BulletClient``, a motor and a joint at a time, five physics steps a control
step, and one ``rayTest`` a ray; and the world is loaded anew at each reset (a knob turns that off).
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.corridor import scenery
from rlmem.envs.robots import MOBILE_ROBOTS
from rlmem.envs.simulation import Physics, pybullet, quiet

from pybullet_utils.bullet_client import BulletClient  # isort: skip  # after pybullet, which rlmem imports quietly

CONTROL_HZ, SUBSTEPS, SOLVER_ITERATIONS = 20.0, 5, 10
STEP_LENGTH = 1.0 / CONTROL_HZ
MAX_TURN_RATE, WHEEL_RADIUS, TRACK = 4.0, 0.05, 0.29
MAX_RANGE = 2.0
RAY_ANGLES = np.deg2rad([90.0, 45.0, 0.0, -45.0, -90.0])
CUE_STEPS, QUERY_STEPS, COMMIT_DISTANCE = 3, 60, 0.2
FORCES = {"planar": (60.0, 60.0, 2.0), "diff_drive": (3.0, 3.0)}


class NaiveTMaze(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """The T-maze with two arms and no guard.

    Args:
        robot: ``"planar"`` or ``"diff_drive"``.
        memory_length: Control steps that the corridor takes at full speed.
        reload: Empty the world and build it again at each reset, as Bullet's own environments do, instead of putting
            the robot back by hand.
    """

    def __init__(self, robot: str, memory_length: int = 20, *, reload: bool = True) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (12,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.robot, self.memory_length = robot, memory_length
        self.corridor_length = memory_length * STEP_LENGTH
        self.reload, self.loaded = reload, False
        with quiet():
            self.bullet = BulletClient(connection_mode=pybullet.DIRECT)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        if self.reload or not self.loaded:
            self._load()
        self.cue = int(self.np_random.integers(2))
        sideways, heading = self.np_random.uniform(-1.0, 1.0, 2) * (0.05, 0.10)
        if self.robot == "planar":
            for joint, value in enumerate((-self.corridor_length, sideways, heading)):
                self.bullet.resetJointState(self.body, joint, value, 0.0)
        else:
            turn = self.bullet.getQuaternionFromEuler([0.0, 0.0, heading])
            position = [-self.corridor_length, sideways, self.rest_height]
            self.bullet.resetBasePositionAndOrientation(self.body, position, turn)
            self.bullet.resetBaseVelocity(self.body, [0, 0, 0], [0, 0, 0])
            for wheel in range(2):
                self.bullet.resetJointState(self.body, wheel, 0.0, 0.0)
        self.phase, self.clock, self.progress = "cue", 0, 0.0
        self._read()
        return self._observe(), {"phase": self.phase}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Run one control step."""
        action = np.clip(action, -1.0, 1.0)
        before = self.x
        self._drive(float(action[0]), float(action[1]))
        for _ in range(SUBSTEPS):
            self.bullet.stepSimulation()
        self._read()
        self.clock += 1
        reward, terminated, truncated, info = 0.0, False, False, {}
        if self.phase == "cue":
            if self.clock >= CUE_STEPS:
                self.phase, self.clock = "delay", 0
        elif self.phase == "delay":
            reward += 0.1 * (self.x - before) / self.corridor_length
            if self.x >= 0.0:
                self.phase, self.clock = "query", 0
            else:
                truncated = self.clock >= 3 * self.memory_length + QUERY_STEPS
        else:
            furthest = abs(self.y)
            progress = float(np.clip(furthest / COMMIT_DISTANCE, 0.0, 1.0))
            reward += 0.1 * (progress - self.progress) - 0.01
            self.progress = progress
            if furthest >= COMMIT_DISTANCE:
                terminated = True
                right = (self.y > 0.0) == (self.cue == 0)
                reward += 1.0 if right else -1.0
                info["is_success"] = right
            else:
                truncated = self.clock >= QUERY_STEPS
        info["phase"] = self.phase
        return self._observe(), reward, terminated, truncated, info

    def close(self) -> None:
        """Disconnect."""
        self.bullet.disconnect()

    def _load(self) -> None:
        self.bullet.resetSimulation()
        client = self.bullet._client
        physics = Physics(control_hz=CONTROL_HZ * SUBSTEPS, substeps=1, solver_iterations=SOLVER_ITERATIONS)
        self.bullet.setTimeStep(1.0 / physics.control_hz)
        self.bullet.setPhysicsEngineParameter(numSolverIterations=SOLVER_ITERATIONS, deterministicOverlappingPairs=1)
        scenery.build_walls(client, 2, self.corridor_length + 4.0, visuals=False)
        back_wall = scenery.build_back_wall(client, visuals=False)
        scenery.move_back_wall(client, back_wall, min(-self.corridor_length - 0.45, -1.25 * MAX_RANGE))
        self.body = MOBILE_ROBOTS[self.robot](client, physics, visuals=False)._body  # type: ignore[attr-defined]
        if self.robot == "diff_drive":
            self.rest_height = self.bullet.getBasePositionAndOrientation(self.body)[0][2]
        self.loaded = True

    def _drive(self, throttle: float, steering: float) -> None:
        turn_rate = steering * MAX_TURN_RATE
        if self.robot == "planar":
            targets = [throttle * np.cos(self.yaw), throttle * np.sin(self.yaw), turn_rate]
        else:
            turn = turn_rate * TRACK / 2
            targets = [(throttle - turn) / WHEEL_RADIUS, (throttle + turn) / WHEEL_RADIUS]
        for joint, (target, force) in enumerate(zip(targets, FORCES[self.robot], strict=True)):
            self.bullet.setJointMotorControl2(
                self.body, joint, pybullet.VELOCITY_CONTROL, targetVelocity=target, force=force
            )

    def _read(self) -> None:
        if self.robot == "planar":
            (self.x, vx), (self.y, vy), (yaw, self.turn_rate) = (
                self.bullet.getJointState(self.body, joint)[:2] for joint in range(3)
            )
        else:
            (self.x, self.y, _), turn = self.bullet.getBasePositionAndOrientation(self.body)
            (vx, vy, _), (_, _, self.turn_rate) = self.bullet.getBaseVelocity(self.body)
            yaw = self.bullet.getEulerFromQuaternion(turn)[2]
        self.yaw = math.remainder(yaw, math.tau)
        self.speed = vx * np.cos(self.yaw) + vy * np.sin(self.yaw)

    def _observe(self) -> NDArray[np.float32]:
        lamps = np.zeros(3)
        if self.phase == "cue":
            lamps[self.cue] = 1.0
        lamps[2] = self.phase == "query"
        ranges = []
        for angle in self.yaw + RAY_ANGLES:
            start = [self.x, self.y, 0.18]  # above the robot's own body
            end = [self.x + MAX_RANGE * np.cos(angle), self.y + MAX_RANGE * np.sin(angle), 0.18]
            ranges.append(self.bullet.rayTest(start, end)[0][2])
        body = [*ranges, np.cos(self.yaw), np.sin(self.yaw), self.speed, self.turn_rate / MAX_TURN_RATE]
        return np.concatenate((lamps, body)).clip(-1.0, 1.0).astype(np.float32)
