"""Output paths, tried before the work: an hour of measuring must not end at a folder that cannot be written to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rlmem.errors import UserError


def writable_file(path: Path, option: str, endings: tuple[str, ...] = ()) -> Path:
    """Return the path of a file after a look whether it can be written; folders are made.

    Args:
        path: The file.
        option: Names it in messages, such as ``"--out"``.
        endings: One of which it must have; none if any will do.

    Raises:
        UserError: If it has another ending, is a folder, or cannot be written.
    """
    if endings and path.suffix.lower() not in endings:
        raise UserError(f"{option} must end in {' or '.join(endings)}, got {path}")
    if path.is_dir():
        raise UserError(f"{option} must be a file, and {path} is a folder")
    writable_folder(path.parent, option)
    return path


def writable_folder(path: Path, option: str) -> Path:
    """Return the path of a folder, which is made, after a look whether files can be written there.

    Raises:
        UserError: If they cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(f"{option}: cannot write into {path}: {error.strerror}; choose another") from error
