"""The Franka Panda with its gripper closed. Model: pybullet_data, Apache 2.0, by Franka Emika."""

from __future__ import annotations

from typing import ClassVar

from rlmem.envs.robots.arm import Arm
from rlmem.envs.robots.arm_urdf import ArmModel


class Panda(Arm):
    """The arm. See :class:`rlmem.envs.robots.arm.Arm`."""

    MODEL: ClassVar[ArmModel] = ArmModel(
        path="franka_panda/panda.urdf",
        hand="panda_hand",
        tip=(0.0, 0.0, 0.100),
        rest=(0.0, 0.4, 0.0, -2.4, 0.0, 2.8, -0.785398163397),
    )
