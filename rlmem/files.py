"""Files written whole or not at all, locks that end with their process, and values as JSON."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEMPORARY = ".tmp-"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, which is renamed to ``path`` at the end, or deleted after an error.

    A process that is killed meanwhile leaves the old file, or none, and never half of the new one. Folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file, see :func:`replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a file as UTF-8, see :func:`replacing`."""
    write_bytes(path, text.encode())


def delete_temporary_files(folder: Path) -> None:
    """Delete what killed processes left of files that they were writing in a folder; none may be writing there now."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is made; the system releases it when the process ends, however it ends.

    Child processes do not inherit it.

    Args:
        path: The file, in a folder that exists.
        wait: Whether to wait while somebody else holds it.

    Raises:
        BlockingIOError: If somebody else holds it, and ``wait`` is false.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _held.add(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"another process holds {path}") from error
        yield
    finally:
        _held.discard(handle)
        os.close(handle)


_held: set[int] = set()


def _close_held() -> None:
    """Close the locks of the parent in a forked child, which would hold them beyond the parent's end."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_held)


def json_text(value: Any, **options: Any) -> str:
    """Return a value as JSON text; see :func:`json_values` and :func:`json.dumps` for the options."""
    return json.dumps(json_values(value), allow_nan=False, **options)


def json_values(value: Any, digits: int | None = None) -> Any:
    """Return a value as JSON has it: tuples are lists, keys are strings, numbers that are not finite are None.

    Args:
        value: Numbers, strings, dictionaries, lists and tuples of these.
        digits: Significant digits to keep of each float; None keeps all.
    """
    if isinstance(value, dict):
        return {str(key): json_values(part, digits) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(part, digits) for part in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return value
