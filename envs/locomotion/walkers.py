"""The eight walking tasks. Their docstrings are written by :class:`rlmem.envs.locomotion.walking.Walking`."""

# ruff: noqa: D101 - the docstrings are made with the classes

from __future__ import annotations

from rlmem.envs.locomotion.walking import Walking


class HopperPosition(Walking):
    robot, seen = "hopper", "position"


class HopperVelocity(Walking):
    robot, seen = "hopper", "velocity"


class Walker2DPosition(Walking):
    robot, seen = "walker2d", "position"


class Walker2DVelocity(Walking):
    robot, seen = "walker2d", "velocity"


class HalfCheetahPosition(Walking):
    robot, seen = "half_cheetah", "position"


class HalfCheetahVelocity(Walking):
    robot, seen = "half_cheetah", "velocity"


class AntPosition(Walking):
    robot, seen = "ant", "position"


class AntVelocity(Walking):
    robot, seen = "ant", "velocity"
