"""Checks of output paths, made before the work: an hour of measuring must not end at a folder that is read-only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rlmem.errors import UserError
from rlmem.runs.named import file_name, is_named
from rlmem.suggest import one_of

VIDEO_ENDINGS = (".mp4", ".gif", ".webp")


def result_path(folder: Path, run_name: str, file: str) -> Path:
    """Return where a file about a run is written if ``--out`` does not say.

    Args:
        folder: Where the user's own runs have it: their folder, or the working directory.
        run_name: How the run is named on the command line, "" if none is. One that came by a name, such as
            ``"zoo:TMaze-v0"``, has its file in the working directory, and its name before the file's.
        file: Name of the file.
    """
    return Path(f"{file_name(run_name)}-{file}") if is_named(run_name) else folder / file


def writable_file(path: Path, option: str, endings: tuple[str, ...] = ()) -> Path:
    """Check that a file can be written, make its folder, and return its path.

    Args:
        path: The file.
        option: Names it in messages, such as ``"--out"``.
        endings: One of which it must have; none if any will do.

    Raises:
        UserError: If it has another ending, is a folder, or cannot be written.
    """
    if endings and path.suffix.lower() not in endings:
        raise UserError(f"{option} must end in {one_of(endings)}, got {path}")
    if path.is_dir():
        raise UserError(f"{option} must be a file, and {path} is a folder")
    writable_folder(path.parent, option)
    return path


def writable_folder(path: Path, option: str) -> Path:
    """Make a folder, check that files can be written there, and return its path.

    Raises:
        UserError: If they cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option}: cannot write into {path}: {error.strerror}; choose another") from error
    check_writable(path, option)
    return path


def check_writable(path: Path, option: str) -> None:
    """Raise a UserError if files cannot be written into a folder, or it cannot be made; it is not made here."""
    there = next(part for part in (path, *path.absolute().parents) if part.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(f"{option}: cannot write into {path}: {error.strerror}; choose another") from error
