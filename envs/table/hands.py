"""How hands are moved: the joint velocities of a control step that keep fingertips within their bounds.

Axes: N arms, 7 joints.
"""

from __future__ import annotations

import numpy as np

from rlmem.envs.memory_task import Floats
from rlmem.envs.robots.arm_kinematics import ArmKinematics
from rlmem.envs.table.workspace import PHYSICS, STRIDE


def led(arm: ArmKinematics, posture: Floats, tip: Floats, way: Floats, low: Floats, high: Floats) -> Floats:
    """Return the joint velocities [N, 7], rad/s, that take hands along a straight way, pointing down.

    Args:
        arm: Kinematics of all of them.
        posture: [N, 7] rad.
        tip: [N, 3] m, middles of the fingertips.
        way: [N, 3] m, to go in this control step.
        low: [3] or [N, 3] m, of the box that fingertips stay in.
        high: Likewise.
    """
    way = np.minimum(np.maximum(tip + way, low), high) - tip
    goal = tip + np.minimum(np.maximum(way, -STRIDE), STRIDE)
    velocities: Floats = (arm.posture(goal) - posture) * PHYSICS.control_hz
    velocities /= np.maximum.reduce(np.abs(velocities) / arm.speed, axis=1, keepdims=True, initial=1.0)
    return velocities


def turned(arm: ArmKinematics, posture: Floats, tip: Floats, velocities: Floats, low: Floats, high: Floats) -> Floats:
    """Return joint velocities [N, 7], rad/s, 0 where they would take a fingertip out of its bounds, or further out.

    Args:
        arm: Kinematics of all of them.
        posture: [N, 7] rad.
        tip: [N, 3] m, middles of the fingertips.
        velocities: [N, 7] rad/s, that are wanted.
        low: [3] or [N, 3] m, of the box that fingertips stay in.
        high: Likewise.
    """
    goal = posture + velocities / PHYSICS.control_hz
    goal = np.minimum(np.maximum(goal, arm.low), arm.high)
    after = arm.tip(goal)
    out = np.maximum(low - after, after - high).max(axis=1)
    now = np.maximum(low - tip, tip - high).max(axis=1)
    velocities = (goal - posture) * PHYSICS.control_hz
    velocities[out > np.maximum(now, 0.0)] = 0.0
    return velocities
