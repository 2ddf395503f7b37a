"""What an arm offers to a task: stand in a posture, turn its joints, say how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rlmem.envs.robots.arm_kinematics import ArmKinematics, kinematics
from rlmem.envs.robots.arm_urdf import ArmModel
from rlmem.envs.simulation import Physics, pybullet

_JOINTS = list(range(7))
_STRENGTH = 3.0
"""Torques are so many times the file's, whose inertias are too large: with them joints take up a speed within two
control steps, as the real arms do."""


class Arm:
    """A 7-joint arm in one Bullet client. Velocity motors move it.

    Args:
        client: The Bullet client to build the body in.
        physics: Steps of the world; motor torques are divided by its ``substeps``.
        visuals: Give the body its looks. A body without looks moves the same, bit for bit.
    """

    MODEL: ClassVar[ArmModel]

    def __init__(self, client: int, physics: Physics, *, visuals: bool) -> None:
        self._client = client
        self._body = self.MODEL.load(client, visuals=visuals)
        self._torques = (_STRENGTH / physics.substeps * self.kinematics().torque).tolist()
        for joint in _JOINTS:
            pybullet.changeDynamics(
                self._body,
                joint,
                jointDamping=0.0,
                linearDamping=0.0,
                angularDamping=0.0,
                lateralFriction=0.5,
                physicsClientId=client,
            )
        self.place(self.MODEL.rest)

    @classmethod
    def kinematics(cls) -> ArmKinematics:
        """Return the arm's kinematics."""
        return kinematics(cls.MODEL)

    def place(self, posture: Sequence[float]) -> None:
        """Put the arm into a posture [7], rad, at rest, with its motors holding it."""
        for joint, angle in zip(_JOINTS, posture, strict=True):
            pybullet.resetJointState(self._body, joint, angle, 0.0, physicsClientId=self._client)
        self._write([0.0] * 7)

    def step(self, velocities: list[float]) -> list[float]:
        """Run one control step.

        Args:
            velocities: [7] rad/s of the joints.

        Returns:
            [7] rad, the joints after the step.
        """
        client, body = self._client, self._body
        self._write(velocities)
        pybullet.stepSimulation(physicsClientId=client)
        return [state[0] for state in pybullet.getJointStates(body, _JOINTS, physicsClientId=client)]

    def _write(self, velocities: list[float]) -> None:
        pybullet.setJointMotorControlArray(
            self._body,
            _JOINTS,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=velocities,
            forces=self._torques,
            physicsClientId=self._client,
        )
