"""A puck on an air rail or an air table: a mass that forces push and nothing brakes.

One physics step is one control step. Bullet then integrates ``v' = v + dt F / m``, ``x' = x + dt v'`` (semi-implicit
Euler), two shears of the plane (x, v): a force that depends on x alone moves the states about and squeezes none of
them together. A ceiling of :class:`rlmem.envs.control.flashed_goal.FlashedGoal` rests on it.

Axes: N environments, A of motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlmem.envs.control.scenery import disc
from rlmem.envs.memory_task import Floats
from rlmem.envs.robots import parts
from rlmem.envs.simulation import Physics, pybullet

PUCK_PHYSICS = Physics(control_hz=20.0, substeps=1, solver_iterations=1)
MASS = 1.0
"""kg."""
FORCE = 3.0
"""N along each axis at full action."""
RADIUS = 0.06
"""m."""
HEIGHT = 0.02
"""m, of the puck's middle above the table."""
_DIRECTIONS = [[1, 0, 0], [0, 1, 0]]


class Puck:
    """The puck of one world.

    Args:
        client: The Bullet client to build the body in.
        axes: 1: it slides along x; 2: along x and y.
        visuals: Give the body its looks. A body without looks moves the same, bit for bit.
    """

    def __init__(self, client: int, axes: int, *, visuals: bool) -> None:
        self._client, self._joints = client, list(range(axes))
        looks = parts.visual(client, _looks()) if visuals else -1
        hidden = parts.nothing(client) if visuals else -1
        self._body = pybullet.createMultiBody(
            baseMass=0,
            baseVisualShapeIndex=hidden,
            basePosition=[0, 0, HEIGHT],
            linkMasses=[0.0] * (axes - 1) + [MASS],
            linkCollisionShapeIndices=[-1] * axes,
            linkVisualShapeIndices=[hidden] * (axes - 1) + [looks],
            linkPositions=[[0, 0, 0]] * axes,
            linkOrientations=[[0, 0, 0, 1]] * axes,
            linkInertialFramePositions=[[0, 0, 0]] * axes,
            linkInertialFrameOrientations=[[0, 0, 0, 1]] * axes,
            linkParentIndices=self._joints,
            linkJointTypes=[pybullet.JOINT_PRISMATIC] * axes,
            linkJointAxis=_DIRECTIONS[:axes],
            physicsClientId=client,
        )
        for joint in self._joints:
            pybullet.changeDynamics(
                self._body, joint, jointDamping=0.0, linearDamping=0.0, angularDamping=0.0, physicsClientId=client
            )
            # Bullet brakes every joint with a motor until told otherwise.
            pybullet.setJointMotorControl2(
                self._body, joint, pybullet.VELOCITY_CONTROL, force=0.0, physicsClientId=client
            )

    def place(self, position: Sequence[float], velocity: Sequence[float]) -> None:
        """Put the puck somewhere in motion.

        Args:
            position: [A] m.
            velocity: [A] m/s.
        """
        for joint, x, v in zip(self._joints, position, velocity, strict=True):
            pybullet.resetJointState(self._body, joint, x, v, physicsClientId=self._client)

    def step(self, force: Sequence[float]) -> tuple[tuple[float, ...], ...]:
        """Run one control step.

        Args:
            force: [A] N.

        Returns:
            Position (m) and velocity (m/s) after the step, and what else Bullet tells, for each axis.
        """
        body, joints, client = self._body, self._joints, self._client
        pybullet.setJointMotorControlArray(body, joints, pybullet.TORQUE_CONTROL, forces=force, physicsClientId=client)
        pybullet.stepSimulation(physicsClientId=client)
        states: tuple[tuple[float, ...], ...] = pybullet.getJointStates(body, joints, physicsClientId=client)
        return states


def stop_at(miss: Floats, velocity: Floats) -> Floats:
    """Return actions that take a puck where it should be and stop it there, fast.

    Args:
        miss: [N, A] m, from the puck to there.
        velocity: [N, A] m/s.
    """
    accelerate = FORCE / MASS
    wanted = np.sign(miss) * np.minimum(5.0 * np.abs(miss), np.sqrt(1.2 * accelerate * np.abs(miss)))
    actions: Floats = ((wanted - velocity) * (PUCK_PHYSICS.control_hz / accelerate)).clip(-1.0, 1.0)
    return actions


def _looks() -> list[parts.Part]:
    """Return a puck with a knob."""
    return [
        *disc(RADIUS, 0.015, parts.ORANGE),
        *disc(RADIUS * 0.78, 0.003, parts.GRAPHITE, 0.018),
        parts.cylinder(0.020, 0.030, parts.WHITE, (0.0, 0.0, 0.030)),
        parts.sphere(0.024, parts.WHITE, (0.0, 0.0, 0.050)),
    ]
