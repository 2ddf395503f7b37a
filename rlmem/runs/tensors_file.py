"""Checkpoints that are safe to load: safetensors with JSON and a checksum in the header. Loading executes nothing.

A file is written beside its name and renamed, so a killed process leaves the old file or the new one, never half. The
checksum is the SHA-256 of the whole file with zeros in its own place. Under a name that ends in ".zip", as callbacks of
stable-baselines3 give it, the file is a zip archive that holds the safetensors file.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

from rlmem.errors import UserError
from rlmem.files import write_bytes

FORMAT = "rlmem checkpoint 2"
_KEY, _CHECKSUM = "rlmem", "sha256"
_ZEROS = "0" * 64
_MEMBER = "rlmem.safetensors"
"""The file's name in a zip archive."""
_SUFFIXES = (".zip", ".safetensors")
_ZIP = b"PK\x03\x04"
"""How a zip archive begins. A safetensors file begins with the length of its header: with PK where that is 19,280."""
_LARGEST = 4 * 2**30
"""Bytes of the largest file that is read."""
_DEEPEST = 64
"""Levels of the most deeply nested header that is read."""


class Checkpoint(NamedTuple):
    """What a file holds."""

    tensors: dict[str, NDArray[Any]]
    meta: dict[str, Any]
    """Plain JSON values."""


class CheckpointError(UserError):
    """A file is not a checkpoint, is damaged, or does not fit."""


def find_file(path: str | Path) -> Path:
    """Return the file that is meant by a name with the suffix of another kind, or without."""
    path = Path(path)
    base = path.with_suffix("") if path.suffix in _SUFFIXES else path
    names = [path, *(base.with_name(base.name + suffix) for suffix in _SUFFIXES)]
    return next((name for name in names if name.is_file()), with_suffix(path))


def with_suffix(path: str | Path) -> Path:
    """Add ".zip" to a name without suffix, as stable-baselines3 does."""
    path = Path(path)
    return path if path.suffix else path.with_suffix(".zip")


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
    header = json.dumps({"format": FORMAT, "meta": dict(meta)})
    data = bytearray(safetensors_save(arrays, metadata={_KEY: header, _CHECKSUM: _ZEROS}))
    place = data.index(f'"{_CHECKSUM}":"{_ZEROS}"'.encode()) + len(_CHECKSUM) + 4
    data[place : place + len(_ZEROS)] = hashlib.sha256(data).hexdigest().encode()
    write_bytes(path, _zipped(bytes(data)) if Path(path).suffix == ".zip" else bytes(data))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: If there is no such file.
        CheckpointError: If the file is something else, or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {path}")
    if path.stat().st_size > _LARGEST:
        raise CheckpointError(f"{path} is larger than any checkpoint of rlmem, {_LARGEST >> 30} GiB")
    data = path.read_bytes()
    try:
        data = _unzipped(data, path) if data.startswith(_ZIP) else data
        metadata = _header(data).get("__metadata__", {})
        if _KEY not in metadata:
            raise CheckpointError(f"{path} holds tensors, but was not written by rlmem")
        header = json.loads(metadata[_KEY])
        if header["format"] != FORMAT:
            raise CheckpointError(f"{path} has format {header['format']!r}; this version of rlmem reads {FORMAT!r}")
        if not _is_intact(data, metadata[_CHECKSUM]):
            raise CheckpointError(f"{path} is not a checkpoint of rlmem, or is damaged: its checksum is wrong")
        if not isinstance(header["meta"], dict) or _depth(header["meta"]) > _DEEPEST:
            raise ValueError("its header is not a table, or is nested too deeply")
        return Checkpoint(safetensors_load(data), header["meta"])
    except CheckpointError:
        raise
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        why = str(error).partition("\n")[0][:200]
        raise CheckpointError(f"{path} is not a checkpoint of rlmem, or is damaged: {why}") from error


def _zipped(data: bytes) -> bytes:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo(_MEMBER), data)  # with a fixed date: equal checkpoints are equal files
    return archive.getvalue()


def _unzipped(data: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as file:
        if "policy.pth" in file.namelist():
            raise CheckpointError(
                f"{path} is a file of stable-baselines3: load it with the class that wrote it; what is an agent of "
                "sb3_contrib.RecurrentPPO then, rlmem.agents.recurrent.from_sb3_contrib.from_sb3_contrib takes over"
            )
        if file.getinfo(_MEMBER).file_size > _LARGEST:
            raise ValueError("it is too large")
        return file.read(_MEMBER)


def _header(data: bytes) -> Any:
    """Return the JSON header of a safetensors file.

    Raises:
        ValueError: If there is none.
    """
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= len(data) - 8:
        raise ValueError("it has no header")
    return json.loads(data[8 : 8 + size])


def _is_intact(data: bytes, checksum: str) -> bool:
    if not re.fullmatch("[0-9a-f]{64}", checksum):
        return False
    zeroed = data.replace(f'"{_CHECKSUM}":"{checksum}"'.encode(), f'"{_CHECKSUM}":"{_ZEROS}"'.encode(), 1)
    return hashlib.sha256(zeroed).hexdigest() == checksum


def _depth(value: Any) -> int:
    """Return how deeply dictionaries and lists are nested, without recursion."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, (dict, list))]:
        depth += 1
        level = [inner for part in level for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def _as_array(value: Any) -> NDArray[Any]:
    """Return a numpy array of an array or a torch tensor, wherever that lies."""
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
