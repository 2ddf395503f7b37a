"""Checks of what agents and environments hand over while they are evaluated, so that a mistake is one clear line.

Axes: N environments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError


def check_actions(actions: Any, space: spaces.Space[Any], step: int) -> None:
    """Refuse actions that the environments cannot take.

    Args:
        actions: [N, ...], what the policy returned.
        space: Of the vector environment.
        step: Control steps since the evaluation began, for the message.

    Raises:
        UserError: If the actions of a box of numbers have another shape, are no numbers, or are not finite.
    """
    if not isinstance(space, spaces.Box):
        return
    try:
        numbers = np.asarray(actions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"the agent must return actions that are numbers, got {actions!r}") from error
    if numbers.shape != space.shape:
        raise UserError(f"the agent must return actions of shape {space.shape}, got {numbers.shape}")
    if not np.isfinite(numbers).all():
        row = int(np.argwhere(~np.isfinite(numbers))[0, 0])
        raise UserError(
            f"the agent must return finite actions, got {numbers[row].tolist()} for environment {row} in control step "
            f"{step} of the evaluation"
        )


def check_observations(observation: Any, space: spaces.Space[Any], name: str = "") -> None:
    """Refuse observations of real numbers outside the space that the environment declares.

    Args:
        observation: [N, ...], or a dictionary of such.
        space: Of the vector environment.
        name: Of the part of a dictionary.

    Raises:
        UserError: If a number is not a number, or beyond its bounds.
    """
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            check_observations(observation[key], part, f" {key!r}")
        return
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        return
    values = np.asarray(observation)
    if values.shape != space.shape:
        raise UserError(
            f"the environment's observation{name} must have shape {space.shape}, as it declares, got {values.shape}"
        )
    inside = (values >= space.low) & (values <= space.high)
    if not inside.all():
        place = tuple(np.argwhere(~inside)[0].tolist())
        where = ", ".join(map(str, place[1:])) or "0"
        raise UserError(
            f"the environment's observation{name} is outside its observation_space: component {where} is "
            f"{values[place]:g}, and must be from {space.low[place]:g} to {space.high[place]:g}"
        )
