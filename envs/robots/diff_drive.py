"""A differential-drive base: two driven wheels that roll on the floor by friction, and two casters.

Measured choices: wheels touch the floor as spheres (one contact each; cylinders need five times the solver iterations
before they roll straight) and are drawn as wheels; with the casters level with them, 10 iterations at 100 Hz drift by
1e-4 rad in 100 s of driving open loop.
"""

from __future__ import annotations

import math

from rlmem.envs.robots import parts
from rlmem.envs.robots.base import Robot, Twist
from rlmem.envs.simulation import Physics, pybullet

_WHEEL_RADIUS = 0.05
_TRACK = 0.29
"""m between the wheels."""
_CASTER_RADIUS = 0.02
_HEIGHT = 0.08
"""m, of the body's middle above the floor."""
_TORQUE = 3.0
"""N m for each wheel; the wheels slip before they reach it."""
_WHEELS = [0, 1]
_CASTERS = [2, 3]
_SETTLING_STEPS = 20


class DiffDrive(Robot):
    """The wheeled base. See :class:`rlmem.envs.robots.base.Robot`."""

    def __init__(self, client: int, physics: Physics, *, visuals: bool) -> None:
        self._client = client
        pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
        plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=client)
        floor = pybullet.createMultiBody(0, plane, parts.nothing(client) if visuals else -1, physicsClientId=client)
        pybullet.changeDynamics(floor, -1, lateralFriction=1.0, physicsClientId=client)
        self._body = _build(client, visuals=visuals)
        self._forces = [_TORQUE / physics.substeps] * 2
        self._write([0.0, 0.0])
        for _ in range(_SETTLING_STEPS):
            pybullet.stepSimulation(physicsClientId=client)
        self._rest_height = pybullet.getBasePositionAndOrientation(self._body, physicsClientId=client)[0][2]

    def place(self, x: float, y: float, yaw: float) -> None:
        """Put the robot somewhere, at rest on its wheels. See :meth:`Robot.place`."""
        client, body = self._client, self._body
        turn = [0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)]
        pybullet.resetBasePositionAndOrientation(body, [x, y, self._rest_height], turn, physicsClientId=client)
        pybullet.resetBaseVelocity(body, [0, 0, 0], [0, 0, 0], physicsClientId=client)
        for wheel in _WHEELS:
            pybullet.resetJointState(body, wheel, 0.0, 0.0, physicsClientId=client)
        self._write([0.0, 0.0])

    def step(self, throttle: float, steering: float) -> Twist:
        """Run one control step. See :meth:`Robot.step`."""
        client, body = self._client, self._body
        speed, turn = throttle * self.MAX_SPEED, steering * self.MAX_TURN_RATE * _TRACK / 2
        self._write([(speed - turn) / _WHEEL_RADIUS, (speed + turn) / _WHEEL_RADIUS])
        pybullet.stepSimulation(physicsClientId=client)
        (x, y, _), (_, _, z, w) = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
        (vx, vy, _), (_, _, turn_rate) = pybullet.getBaseVelocity(body, physicsClientId=client)
        yaw = math.remainder(2.0 * math.atan2(z, w), math.tau)
        return Twist(x, y, yaw, vx * math.cos(yaw) + vy * math.sin(yaw), turn_rate)

    def _write(self, velocities: list[float]) -> None:
        pybullet.setJointMotorControlArray(
            self._body,
            _WHEELS,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=velocities,
            forces=self._forces,
            physicsClientId=self._client,
        )


def _build(client: int, *, visuals: bool) -> int:
    """Put the body together and return its Bullet id."""
    base = pybullet.createCollisionShape(pybullet.GEOM_CYLINDER, radius=0.13, height=0.06, physicsClientId=client)
    wheel = pybullet.createCollisionShape(pybullet.GEOM_SPHERE, radius=_WHEEL_RADIUS, physicsClientId=client)
    caster = pybullet.createCollisionShape(pybullet.GEOM_SPHERE, radius=_CASTER_RADIUS, physicsClientId=client)
    looks = [-1] * 5
    if visuals:
        tyre = [
            parts.cylinder(_WHEEL_RADIUS, 0.024, parts.RUBBER),
            parts.cylinder(0.030, 0.027, parts.WHITE),
            parts.box((0.026, 0.006, 0.0145), parts.CYAN),
        ]
        ball = [parts.sphere(_CASTER_RADIUS, parts.GRAPHITE)]
        looks = [parts.visual(client, shape) for shape in (parts.mobile_base(parts.CYAN), tyre, tyre, ball, ball)]
    wheel_height, caster_height = _WHEEL_RADIUS - _HEIGHT, _CASTER_RADIUS - _HEIGHT
    upright, lying = [0, 0, 0, 1], [-math.sqrt(0.5), 0, 0, math.sqrt(0.5)]
    body = pybullet.createMultiBody(
        baseMass=4.0,
        baseCollisionShapeIndex=base,
        baseVisualShapeIndex=looks[0],
        basePosition=[0, 0, _HEIGHT],
        baseInertialFramePosition=[0, 0, -0.02],
        linkMasses=[0.3, 0.3, 0.05, 0.05],
        linkCollisionShapeIndices=[wheel, wheel, caster, caster],
        linkVisualShapeIndices=looks[1:],
        linkPositions=[
            [0, _TRACK / 2, wheel_height],
            [0, -_TRACK / 2, wheel_height],
            [-0.11, 0, caster_height],
            [0.11, 0, caster_height],
        ],
        linkOrientations=[lying, lying, upright, upright],
        linkInertialFramePositions=[[0, 0, 0]] * 4,
        linkInertialFrameOrientations=[upright] * 4,
        linkParentIndices=[0] * 4,
        linkJointTypes=[pybullet.JOINT_REVOLUTE] * 2 + [pybullet.JOINT_FIXED] * 2,
        linkJointAxis=[[0, 0, 1]] * 4,
        physicsClientId=client,
    )
    for link, friction in [(-1, 0.0), *((wheel, 1.0) for wheel in _WHEELS), *((caster, 0.0) for caster in _CASTERS)]:
        pybullet.changeDynamics(
            body,
            link,
            lateralFriction=friction,
            jointDamping=0.0,
            linearDamping=0.0,
            angularDamping=0.0,
            physicsClientId=client,
        )
    return int(body)
