"""A puck on an air rail or an air table: a mass moved by forces, without friction.

One physics step is one control step. Bullet then integrates ``v' = v + dt F / m``, ``x' = x + dt v'`` (semi-implicit
Euler). If the force depends on x alone, both are shears of the plane (x, v), which preserve area. A ceiling of
:class:`rlmem.envs.control.flashed_goal.FlashedGoal` rests on this.

Axes: N environments, A axes of motion.
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
"""m, height of the puck's center above the table."""
_DIRECTIONS = [[1, 0, 0], [0, 1, 0]]


class Puck:
    """The puck of one world.

    Args:
        client: The Bullet client to build the body in.
        axes: 1: it slides along x; 2: along x and y.
        visuals: Create visual shapes. The motion is the same without them, bit for bit.
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
            # By default Bullet brakes every joint with a motor.
            pybullet.setJointMotorControl2(
                self._body, joint, pybullet.VELOCITY_CONTROL, force=0.0, physicsClientId=client
            )

    def place(self, position: Sequence[float], velocity: Sequence[float]) -> None:
        """Set the puck's position and velocity.

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
            For each axis, the joint state of Bullet after the step: position (m), velocity (m/s), and more.
        """
        body, joints, client = self._body, self._joints, self._client
        pybullet.setJointMotorControlArray(body, joints, pybullet.TORQUE_CONTROL, forces=force, physicsClientId=client)
        pybullet.stepSimulation(physicsClientId=client)
        states: tuple[tuple[float, ...], ...] = pybullet.getJointStates(body, joints, physicsClientId=client)
        return states


def stop_at(miss: Floats, velocity: Floats) -> Floats:
    """Return actions that move a puck to a target quickly and stop it there.

    Args:
        miss: [N, A] m, from the puck to the target.
        velocity: [N, A] m/s.
    """
    accelerate = FORCE / MASS
    wanted = np.sign(miss) * np.minimum(5.0 * np.abs(miss), np.sqrt(1.2 * accelerate * np.abs(miss)))
    actions: Floats = ((wanted - velocity) * (PUCK_PHYSICS.control_hz / accelerate)).clip(-1.0, 1.0)
    return actions


def _looks() -> list[parts.Part]:
    """Return the visual shapes: a disc with a handle."""
    return [
        *disc(RADIUS, 0.015, parts.ORANGE),
        *disc(RADIUS * 0.78, 0.003, parts.GRAPHITE, 0.018),
        parts.cylinder(0.020, 0.030, parts.WHITE, (0.0, 0.0, 0.030)),
        parts.sphere(0.024, parts.WHITE, (0.0, 0.0, 0.050)),
    ]
