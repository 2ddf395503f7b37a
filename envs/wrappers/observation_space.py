"""Observation spaces of wrapped environments.

Axes: D observation.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError

Env = gymnasium.Env[Any, Any]


def dtype_of(space: spaces.Box) -> Any:
    """Return the dtype of a Box, which NumPy's annotations take for optional."""
    return space.dtype


def vector_space(space: spaces.Space[Any], wrapper: type) -> spaces.Box:
    """Return the space, checked to be a vector [D].

    Raises:
        UserError: If it is not; the message names the wrapper.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise UserError(
            f"{wrapper.__name__} needs a vector or a dictionary as observation, got {space}; "
            "gymnasium.wrappers.FlattenObservation makes a vector of it"
        )
    return space


def with_zero(space: spaces.Space[Any], wrapper: type) -> spaces.Space[Any]:
    """Return the space, with bounds widened so that it contains zeros.

    Raises:
        UserError: If it is neither a Box nor a dictionary of them; the message names the wrapper.
    """
    if isinstance(space, spaces.Box):
        return spaces.Box(np.minimum(space.low, 0), np.maximum(space.high, 0), dtype=dtype_of(space))
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: with_zero(part, wrapper) for key, part in space.spaces.items()})
    raise UserError(f"{wrapper.__name__} can zero Box observations and dictionaries of them only, got {space}")
