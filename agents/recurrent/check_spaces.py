"""Refuse spaces that recurrent agents cannot see or act in, and say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError


def check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse spaces of other kinds than agents know.

    Raises:
        UserError: If observations are something else than Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these,
            or actions something else than a bounded Box, Discrete, or MultiDiscrete or MultiBinary of one axis.
    """
    flat = isinstance(action_space, (spaces.Box, spaces.Discrete)) or (
        isinstance(action_space, (spaces.MultiDiscrete, spaces.MultiBinary)) and len(action_space.shape) == 1
    )
    if not flat:
        raise UserError(
            "the action space must be Box, Discrete, or MultiDiscrete or MultiBinary of one axis, got "
            f"{_shown(action_space)}: join its parts into one of these in a gymnasium.ActionWrapper"
        )
    if isinstance(action_space, spaces.Box) and not action_space.is_bounded():
        raise UserError(
            f"actions must have finite bounds, got {_shown(action_space)}: gymnasium.wrappers.RescaleAction"
        )
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
    for name, part in parts.items():
        what = f"the observation {name!r}" if name else "the observation"
        if not isinstance(part, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise UserError(
                f"{what} must be Box, Discrete, MultiDiscrete, MultiBinary or one Dict of these, got {_shown(part)}: "
                "wrap the environment in gymnasium.wrappers.FlattenObservation, or make a Box of it in an "
                "ObservationWrapper"
            )
        if np.any(getattr(part, "start", 0)):
            raise UserError(f"{what} must count from 0, got {part}: subtract its start in an ObservationWrapper")


def check_exploration(use_sde: bool, action_space: spaces.Space[Any]) -> None:
    """Raise a UserError if there is to be state-dependent exploration of actions that are not continuous."""
    if use_sde and not isinstance(action_space, spaces.Box):
        raise UserError(f"use_sde is for continuous actions, got {_shown(action_space)}: leave it off")


def _shown(space: spaces.Space[Any]) -> str:
    return str(space).replace("\n", "")[:80]
