"""The Kuka LBR iiwa with a stylus. Model: pybullet_data, BSD 2-clause, by Robert Krug and Todor Stoyanov."""

from __future__ import annotations

from typing import ClassVar

from rlmem.envs.robots import parts
from rlmem.envs.robots.arm import Arm
from rlmem.envs.robots.arm_urdf import ArmModel


class Kuka(Arm):
    """The arm. See :class:`rlmem.envs.robots.arm.Arm`."""

    MODEL: ClassVar[ArmModel] = ArmModel(
        path="kuka_iiwa/model.urdf",
        hand="lbr_iiwa_link_7",
        tip=(0.0, 0.0, 0.16),
        rest=(0.0, 0.8, 0.0, -1.8, 0.0, 0.5, 0.0),
        base=(-0.08, 0.0, 0.0),
        stylus=parts.CYAN,
    )
