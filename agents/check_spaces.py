"""Refuse spaces that agents cannot see or act in, and say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space

from rlmem.errors import UserError

_SMALLEST_PICTURE = 36
"""Pixels of height and width that the three convolutions of stable-baselines3's NatureCNN need."""


def check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse spaces of other kinds than agents know.

    Raises:
        UserError: If observations are something else than Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these,
            or actions something else than a bounded Box, Discrete, or MultiDiscrete or MultiBinary of one axis, or one
            of them holds no number, or an observation has no axis.
    """
    flat = isinstance(action_space, (spaces.Box, spaces.Discrete)) or (
        isinstance(action_space, (spaces.MultiDiscrete, spaces.MultiBinary)) and len(action_space.shape) == 1
    )
    if not flat:
        raise UserError(
            "the action space must be Box, Discrete, or MultiDiscrete or MultiBinary of one axis, got "
            f"{shown(action_space)}: join its parts into one of these in a gymnasium.ActionWrapper"
        )
    if not np.prod(action_space.shape or ()):
        raise UserError(f"an action must hold at least one number, got {shown(action_space)}")
    if isinstance(action_space, spaces.Box) and not action_space.is_bounded():
        raise UserError(f"actions must have finite bounds, got {shown(action_space)}: gymnasium.wrappers.RescaleAction")
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
    for name, part in parts.items():
        what = f"the observation {name!r}" if name else "the observation"
        if not isinstance(part, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise UserError(
                f"{what} must be Box, Discrete, MultiDiscrete, MultiBinary or one Dict of these, got {shown(part)}: "
                "wrap the environment in gymnasium.wrappers.FlattenObservation, or make a Box of it in an "
                "ObservationWrapper"
            )
        if not np.prod(part.shape or ()):
            raise UserError(f"{what} must hold at least one number, got {shown(part)}")
        if isinstance(part, spaces.Box) and part.shape == ():
            raise UserError(
                f"{what} must have an axis, got {shown(part)}: give it shape (1,) with "
                "gymnasium.wrappers.ReshapeObservation"
            )
        if np.any(getattr(part, "start", 0)):
            raise UserError(f"{what} must count from 0, got {part}: subtract its start in an ObservationWrapper")


def check_pictures(observation_space: spaces.Space[Any]) -> None:
    """Raise a UserError for pictures that are too small for stable-baselines3's features extractor."""
    parts = observation_space.spaces.values() if isinstance(observation_space, spaces.Dict) else (observation_space,)
    for part in parts:
        if is_image_space(part) and sorted(part.shape or ())[1] < _SMALLEST_PICTURE:
            raise UserError(
                f"pictures must be {_SMALLEST_PICTURE} x {_SMALLEST_PICTURE} pixels at least, got {shown(part)}: "
                "enlarge them with gymnasium.wrappers.ResizeObservation"
            )


def check_exploration(use_sde: bool, action_space: spaces.Space[Any]) -> None:
    """Raise a UserError if there is to be state-dependent exploration of actions that are not continuous."""
    if use_sde and not isinstance(action_space, spaces.Box):
        raise UserError(f"use_sde is for continuous actions, got {shown(action_space)}: leave it off")


def shown(space: spaces.Space[Any]) -> str:
    """Return a space in words, in one short line."""
    return str(space).replace("\n", "")[:80]
