"""Settings as TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from rlmem.errors import UserError
from rlmem.runs.tensors_file import write_atomically


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UserError: If there is no such file, or if it is not TOML.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from error
    return values


def write_toml(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write a TOML file at once; None, which TOML does not know, is left out."""
    text = tomli_w.dumps(_plain(values))
    write_atomically(Path(path), lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
