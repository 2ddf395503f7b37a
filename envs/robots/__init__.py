"""Robots, one file for each, with one Bullet call to write and one to read in each control step."""

from __future__ import annotations

from rlmem.envs.robots.arm import Arm
from rlmem.envs.robots.base import Robot, Twist
from rlmem.envs.robots.diff_drive import DiffDrive
from rlmem.envs.robots.kuka import Kuka
from rlmem.envs.robots.panda import Panda
from rlmem.envs.robots.planar import Planar

MOBILE_ROBOTS: dict[str, type[Robot]] = {"diff_drive": DiffDrive, "planar": Planar}
ARMS: dict[str, type[Arm]] = {"panda": Panda, "kuka": Kuka}

__all__ = ["ARMS", "MOBILE_ROBOTS", "Arm", "DiffDrive", "Kuka", "Panda", "Planar", "Robot", "Twist"]
