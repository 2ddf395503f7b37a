"""Spaces, schedules and nested values as JSON and tensors, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from rlmem.errors import UserError
from rlmem.privileged import NamedBox


def pack_tree(value: Any, name: str, tensors: dict[str, Any]) -> Any:
    """Return nested values as JSON; arrays go to ``tensors`` under names that begin with ``name``.

    Takes None, bool, int, float, str, bytes, arrays and tensors, and dicts (with string keys), lists and tuples of
    these.

    Raises:
        UserError: If there is something else.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic) or (isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 0):
        return value.item()
    if isinstance(value, (np.ndarray, torch.Tensor)):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, bytes):
        tensors[name] = np.frombuffer(value, np.uint8)
        return {"bytes": name}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: pack_tree(part, f"{name}/{key}", tensors) for key, part in value.items()}}
    if isinstance(value, (list, tuple)):
        parts = [pack_tree(part, f"{name}/{i}", tensors) for i, part in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": parts}
    raise UserError(f"{name} is a {type(value).__name__}, which cannot be written as plain data")


def unpack_tree(value: Any, tensors: dict[str, NDArray[Any]]) -> Any:
    """Undo :func:`pack_tree`; tensors come back as arrays.

    Raises:
        UserError: If ``value`` does not come from :func:`pack_tree`.
    """
    if not isinstance(value, (dict, list)):
        return value
    if isinstance(value, dict) and len(value) == 1:
        kind, content = next(iter(value.items()))
        if kind in ("tensor", "bytes") and content in tensors:
            array = tensors[content].copy()
            return array if kind == "tensor" else array.tobytes()
        if kind == "dict" and isinstance(content, dict):
            return {key: unpack_tree(part, tensors) for key, part in content.items()}
        if kind in ("list", "tuple") and isinstance(content, list):
            parts = [unpack_tree(part, tensors) for part in content]
            return parts if kind == "list" else tuple(parts)
    raise UserError(f"not a packed value: {str(value)[:80]}")


def pack_schedule(name: str, value: Any) -> Any:
    """Return a number, a constant or a linear schedule as JSON; null for another function, to be given when loading."""
    while isinstance(value, FloatSchedule):
        value = value.value_schedule
    if isinstance(value, ConstantSchedule):
        return float(value.val)
    if value is None or isinstance(value, (int, float)):
        return {"none": True} if value is None else float(value)
    if isinstance(value, LinearSchedule):
        return {"linear": [float(value.start), float(value.end), float(value.end_fraction)]}
    return {"function": name}


class LostSchedule:
    """Stands for a function of the user's own, which a file does not hold: an agent that has it can act, not learn.

    Args:
        name: Of the hyperparameter.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, progress_remaining: float) -> float:
        """Raise a UserError that says what to do."""
        raise UserError(
            f"{self.name} was a function, and a file holds no code: to train on, pass {self.name}=... when loading"
        )


def unpack_schedule(name: str, value: Any) -> Any:
    """Undo :func:`pack_schedule`; a function of the user's own becomes a :class:`LostSchedule`.

    Raises:
        UserError: If ``value`` is damaged.
    """
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, dict) and value.get("none") is True:
        return None
    if isinstance(value, dict) and isinstance(value.get("linear"), list) and len(value["linear"]) == 3:
        return LinearSchedule(*(float(number) for number in value["linear"]))
    if isinstance(value, dict) and "function" in value:
        return LostSchedule(name)
    raise UserError(f"{name} is neither a number nor a schedule: {str(value)[:80]}")


def pack_space(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return a space as JSON.

    Raises:
        UserError: If it is not Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these.
    """
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: pack_space(part) for key, part in space.spaces.items()}}
    if isinstance(space, spaces.Box):
        bounds = {name: _bound(getattr(space, name)) for name in ("low", "high")}
        names = {"names": list(space.names)} if isinstance(space, NamedBox) else {}
        return {"type": "Box", "shape": list(space.shape), "dtype": np.dtype(space.dtype).name, **bounds, **names}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": list(space.n) if isinstance(space.n, tuple) else int(space.n)}
    raise UserError(f"a file can hold Box, Discrete, MultiDiscrete, MultiBinary and Dict spaces, got {space}")


def _bound(values: NDArray[Any]) -> Any:
    """Return one number if all are equal (as for images), else all."""
    same = values.size > 0 and bool((values == values.flat[0]).all())
    return values.flat[0].item() if same else values.ravel().tolist()


def unpack_space(value: dict[str, Any]) -> spaces.Space[Any]:
    """Undo :func:`pack_space`.

    Raises:
        UserError: If ``value`` does not describe a space.
    """
    kind = value["type"]
    if kind == "Dict":
        return spaces.Dict({key: unpack_space(part) for key, part in value["spaces"].items()})
    if kind == "Box":
        dtype, shape = np.dtype(value["dtype"]), tuple(int(size) for size in value["shape"])
        if dtype.kind not in "fiub":
            raise UserError(f"a Box of {dtype} is not a space of numbers")
        low, high = (
            np.broadcast_to(np.array(value[name], dtype).reshape(shape if np.ndim(value[name]) else ()), shape)
            for name in ("low", "high")
        )
        if "names" in value:
            return NamedBox(list(map(str, value["names"])), low, high)
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(int(value["n"]), start=int(value["start"]))
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete([int(n) for n in value["nvec"]], start=[int(n) for n in value["start"]])
    if kind == "MultiBinary":
        return spaces.MultiBinary(value["n"])
    raise UserError(f"unknown space {kind!r}")
