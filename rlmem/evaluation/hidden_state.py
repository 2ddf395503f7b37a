"""The state that any agent's ``predict`` hands on, taken apart into arrays and put together again.

A state is an array, a torch tensor, or a tuple, list or dictionary of states. Each array has an axis of N environments:
the first axis, or where that has another length (as the layers of torch's LSTM) the first one that has length N.

Axes: N environments, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError

Array = NDArray[Any]


def split_state(state: Any, num_envs: int) -> list[Array]:
    """Return copies of a state's arrays [N, ...], environments first.

    Raises:
        UserError: If a part is no array, or has no axis of N environments.
    """
    if state is None:
        return []
    if isinstance(state, Mapping):
        return [array for part in state.values() for array in split_state(part, num_envs)]
    if isinstance(state, (tuple, list)):
        return [array for part in state for array in split_state(part, num_envs)]
    array = _as_array(state)
    return [np.array(np.moveaxis(array, _env_axis(array, num_envs), 0))]


def join_state(like: Any, num_envs: int, arrays: list[Array]) -> Any:
    """Return a state of the form of another from arrays [N, ...], in the order of :func:`split_state`."""
    joined, rest = _join(like, num_envs, arrays)
    assert not rest
    return joined


def state_features(state: Any, num_envs: int) -> NDArray[np.float32]:
    """Return all numbers of a state as one row an environment, [N, F]."""
    arrays = split_state(state, num_envs)
    real = [part for array in arrays for part in ((array.real, array.imag) if np.iscomplexobj(array) else (array,))]
    rows = [part.reshape(num_envs, -1).astype(np.float32) for part in real]
    return np.concatenate(rows, axis=1) if rows else np.zeros((num_envs, 0), dtype=np.float32)


def _join(like: Any, num_envs: int, arrays: list[Array]) -> tuple[Any, list[Array]]:
    if like is None:
        return None, arrays
    if isinstance(like, (Mapping, tuple, list)):
        parts = []
        for part in like.values() if isinstance(like, Mapping) else like:
            joined, arrays = _join(part, num_envs, arrays)
            parts.append(joined)
        if isinstance(like, Mapping):
            return dict(zip(like, parts, strict=True)), arrays
        return (like._make(parts) if hasattr(like, "_make") else type(like)(parts)), arrays
    old = _as_array(like)
    new = np.ascontiguousarray(np.moveaxis(arrays[0], 0, _env_axis(old, num_envs)), dtype=old.dtype)
    return (like.new_tensor(new) if hasattr(like, "new_tensor") else new), arrays[1:]


def _as_array(part: Any) -> Array:
    array = part.detach().cpu().numpy() if hasattr(part, "detach") else np.asarray(part)
    if array.dtype.kind not in "biufc":
        raise UserError(
            f"the agent's state must be numbers: arrays or tensors, or tuples of them, got {type(part).__name__}"
        )
    return array


def _env_axis(array: Array, num_envs: int) -> int:
    if num_envs not in array.shape:
        raise UserError(
            f"each array of the agent's state must have an axis of {num_envs} environments, got shape {array.shape}"
        )
    return array.shape.index(num_envs)
