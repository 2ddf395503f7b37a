"""A planar base: three velocity motors (x, y, yaw) move a disc between walls; fast to simulate.

No floor, no gravity, no wheels to simulate: the wheels are drawn. It stops at walls like a real body.
"""

from __future__ import annotations

import math

from rlmem.envs.robots import parts
from rlmem.envs.robots.base import Robot, Twist
from rlmem.envs.simulation import Physics, pybullet

_JOINTS = [0, 1, 2]
_FORCE = 60.0
"""N; about 8 m/s^2 for the 7 kg body."""
_TORQUE = 2.0
"""N m."""
_HEIGHT = 0.08
"""m, of the body's middle above the floor."""


class Planar(Robot):
    """The planar base. See :class:`rlmem.envs.robots.base.Robot`."""

    def __init__(self, client: int, physics: Physics, *, visuals: bool) -> None:
        self._client = client
        disc = pybullet.createCollisionShape(
            pybullet.GEOM_CYLINDER, radius=self.RADIUS, height=0.06, physicsClientId=client
        )
        looks = parts.visual(client, [*parts.mobile_base(parts.ORANGE), *_wheels()]) if visuals else -1
        self._body = pybullet.createMultiBody(
            baseMass=0,
            basePosition=[0, 0, _HEIGHT],
            linkMasses=[1.0, 1.0, 5.0],
            linkCollisionShapeIndices=[-1, -1, disc],
            linkVisualShapeIndices=[-1, -1, looks],
            linkPositions=[[0, 0, 0]] * 3,
            linkOrientations=[[0, 0, 0, 1]] * 3,
            linkInertialFramePositions=[[0, 0, 0]] * 3,
            linkInertialFrameOrientations=[[0, 0, 0, 1]] * 3,
            linkParentIndices=[0, 1, 2],
            linkJointTypes=[pybullet.JOINT_PRISMATIC, pybullet.JOINT_PRISMATIC, pybullet.JOINT_REVOLUTE],
            linkJointAxis=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            physicsClientId=client,
        )
        for joint in _JOINTS:
            pybullet.changeDynamics(
                self._body,
                joint,
                jointDamping=0.0,
                linearDamping=0.0,
                angularDamping=0.0,
                lateralFriction=0.0,
                physicsClientId=client,
            )
        force, torque = _FORCE / physics.substeps, _TORQUE / physics.substeps
        self._forces = [force, force, torque]
        self._yaw = 0.0

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the robot somewhere, at rest. See :meth:`Robot.place`."""
        client = self._client
        for joint, value in zip(_JOINTS, (x, y, yaw), strict=True):
            pybullet.resetJointState(self._body, joint, value, 0.0, physicsClientId=client)
        self._yaw = yaw
        self._write([0.0, 0.0, 0.0])

    def step(self, throttle: float, steering: float) -> Twist:
        """Run one control step. See :meth:`Robot.step`."""
        speed = throttle * self.MAX_SPEED
        self._write([speed * math.cos(self._yaw), speed * math.sin(self._yaw), steering * self.MAX_TURN_RATE])
        pybullet.stepSimulation(physicsClientId=self._client)
        x, y, yaw = pybullet.getJointStates(self._body, _JOINTS, physicsClientId=self._client)
        self._yaw = heading = math.remainder(yaw[0], math.tau)
        forward = x[1] * math.cos(heading) + y[1] * math.sin(heading)
        return Twist(x[0], y[0], heading, forward, yaw[1])

    def _write(self, velocities: list[float]) -> None:
        pybullet.setJointMotorControlArray(
            self._body,
            _JOINTS,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=velocities,
            forces=self._forces,
            physicsClientId=self._client,
        )


def _wheels() -> list[parts.Part]:
    """Three omni-wheels, as a base that can slide any way has them."""
    wheels = []
    for angle in (math.pi / 3, math.pi, -math.pi / 3):
        x, y = 0.125 * math.cos(angle), 0.125 * math.sin(angle)
        half = angle / 2 + math.pi / 4
        lying = (-math.sin(half) * math.sqrt(0.5), math.cos(half) * math.sqrt(0.5), 0.0, math.sqrt(0.5))
        wheels.append(parts.Part(pybullet.GEOM_CYLINDER, (0.05, 0.03, 0.0), parts.RUBBER, (x, y, -0.03), lying))
    return wheels
