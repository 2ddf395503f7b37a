"""Checkpoints that are safe to load: safetensors with JSON in the header. Loading executes nothing.

A file is written beside its name and renamed, so a killed process leaves the old file or the new one, never half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save as safetensors_save

from rlmem.errors import UserError
from rlmem.files import write_bytes

FORMAT = "rlmem checkpoint 1"
_KEY = "rlmem"


class Checkpoint(NamedTuple):
    """What a file holds."""

    tensors: dict[str, NDArray[Any]]
    meta: dict[str, Any]
    """Plain JSON values."""


class CheckpointError(UserError):
    """A file is not a checkpoint, is damaged, or does not fit."""


def save_checkpoint(path: str | Path, tensors: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: Where to; folders are made, an older file is replaced at once.
        tensors: Arrays or torch tensors by name.
        meta: JSON values.

    Raises:
        TypeError: If ``meta`` holds something else than JSON values.
    """
    arrays = {name: np.asarray(_as_array(value), order="C") for name, value in tensors.items()}
    header = json.dumps({"format": FORMAT, "meta": dict(meta)}, allow_nan=True)
    data = safetensors_save(arrays, metadata={_KEY: header})
    write_bytes(Path(path), data)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: If there is no such file.
        CheckpointError: If the file is something else, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of rlmem, or is damaged: {error}") from error
    if not isinstance(header, dict) or "format" not in header:
        raise CheckpointError(f"{path} holds tensors, but was not written by rlmem")
    if header["format"] != FORMAT or not isinstance(header.get("meta"), dict):
        raise CheckpointError(f"{path} has format {header['format']!r}; this version of rlmem reads {FORMAT!r}")
    return Checkpoint(tensors, header["meta"])


def _as_array(value: Any) -> NDArray[Any]:
    """Return a numpy array of an array or a torch tensor, wherever that lies."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
