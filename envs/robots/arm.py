"""A 7-joint arm: set a posture, command joint velocities, read joint angles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rlmem.envs.robots.arm_kinematics import ArmKinematics, kinematics
from rlmem.envs.robots.arm_urdf import ArmModel
from rlmem.envs.simulation import Physics, pybullet

_JOINTS = list(range(7))
_AT_REST = [(0.0,)] * 7
_HAND = _JOINTS[-1]
"""The link behind the last joint: all that moves with the hand."""
_G = 9.81
"""m/s^2."""
_STRENGTH = 3.0
"""Factor on the torques of the file, whose inertias are too large: with it joints reach a commanded speed within two
control steps, as on the real arms."""


class Arm:
    """A 7-joint arm in one Bullet client. Velocity motors move it.

    Args:
        client: The Bullet client to build the body in.
        physics: Steps of the world; motor torques are divided by its ``substeps``.
        visuals: Give the body its looks. A body without looks moves the same, bit for bit.
        plain: Simple looks that are quick to draw; see :meth:`ArmModel.load`.
    """

    MODEL: ClassVar[ArmModel]

    def __init__(self, client: int, physics: Physics, *, visuals: bool, plain: bool = False) -> None:
        self._client = client
        self._body = self.MODEL.load(client, visuals=visuals, plain=plain)
        self._substeps = physics.substeps
        self._own_mass, self._own_inertia = self._hand()
        self._weight = 0.0
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
        pybullet.resetJointStatesMultiDof(
            self._body, _JOINTS, [(angle,) for angle in posture], _AT_REST, physicsClientId=self._client
        )
        pybullet.setJointMotorControlArray(
            self._body,
            _JOINTS,
            pybullet.VELOCITY_CONTROL,
            forces=self._torques,
            physicsClientId=self._client,
        )

    def carry(self, mass: float, torque: float | None = None) -> None:
        """Hold a payload from now on, as a mass added at the middle of the hand.

        It adds to the inertia, and its weight pulls at the arm, whose own weight is compensated.

        Args:
            mass: kg; 0 lets go.
            torque: N m, limit of the strongest joint; those of the others are scaled alike. None for full torque.
        """
        limits = self.kinematics().torque
        scale = _STRENGTH if torque is None else torque / float(limits.max())
        self._torques = (scale / self._substeps * limits).tolist()
        self._weight = mass * _G
        pybullet.changeDynamics(
            self._body,
            _HAND,
            mass=self._own_mass + mass,
            localInertiaDiagonal=self._own_inertia,
            physicsClientId=self._client,
        )

    def step(self, velocities: list[float]) -> list[float]:
        """Run one control step.

        Args:
            velocities: [7] rad/s of the joints.

        Returns:
            [7] rad, the joints after the step.
        """
        client, body = self._client, self._body
        pybullet.setJointMotorControlArray(
            body,
            _JOINTS,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=velocities,
            forces=self._torques,
            physicsClientId=client,
        )
        if self._weight:
            self._pull()
        pybullet.stepSimulation(physicsClientId=client)
        return [state[0] for state in pybullet.getJointStates(body, _JOINTS, physicsClientId=client)]

    def _hand(self) -> tuple[float, list[float]]:
        """Return mass (kg) and principal inertias [3] (kg m^2) of the last link."""
        info = pybullet.getDynamicsInfo(self._body, _HAND, physicsClientId=self._client)
        return float(info[0]), list(info[2])

    def _pull(self) -> None:
        """Apply the payload's weight in the next step."""
        client, body = self._client, self._body
        middle = pybullet.getLinkState(body, _HAND, 0, 1, physicsClientId=client)[0]
        pybullet.applyExternalForce(
            body, _HAND, [0.0, 0.0, -self._weight], middle, pybullet.WORLD_FRAME, physicsClientId=client
        )
