"""Robots: one file a body, one write call and one read call a control step."""

from __future__ import annotations

from rlmem.envs.robots.base import Robot, Twist
from rlmem.envs.robots.diff_drive import DiffDrive
from rlmem.envs.robots.planar import Planar

MOBILE_ROBOTS: dict[str, type[Robot]] = {"diff_drive": DiffDrive, "planar": Planar}

__all__ = ["MOBILE_ROBOTS", "DiffDrive", "Planar", "Robot", "Twist"]
