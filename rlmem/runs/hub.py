"""Runs on the Hugging Face hub: ``rlmem push RUN owner/name``, and ``hub:owner/name`` wherever a run is taken.

A repository holds safetensors, TOML, JSON, a model card and a video. Nothing of it is executed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rlmem import __version__
from rlmem.errors import UserError
from rlmem.runs.named import HUB
from rlmem.runs.publish import FILES
from rlmem.runs.settings import SETTINGS
from rlmem.runs.toml import read_toml

VIDEO = "replay.mp4"
"""The name under which the hub shows an agent's video."""


def check_upload(name: str) -> None:
    """Raise a UserError unless a repository may have this name, and the hub answers and knows the user.

    Args:
        name: ``owner/name``.
    """
    check_name(name)
    hub = _library()
    try:
        hub.HfApi(library_name="rlmem", library_version=__version__).whoami()
    except _refusals(hub) as error:
        raise UserError(f"cannot upload to {HUB}{name}: {_first_line(error)}") from error


def upload(folder: Path, name: str, *, private: bool = False) -> str:
    """Upload a published run, and return the address of its page.

    Args:
        folder: What :func:`rlmem.runs.publish.publish` wrote, and the video.
        name: ``owner/name``; made if there is no such repository.
        private: Whether a new repository is private.

    Raises:
        UserError: If huggingface_hub is not installed, the name is none, the hub refuses, or there is no connection.
    """
    hub = _library()
    api = hub.HfApi(library_name="rlmem", library_version=__version__)
    try:
        page = api.create_repo(check_name(name), private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=[*FILES, VIDEO], commit_message=f"rlmem {__version__}"
        )
    except _refusals(hub) as error:
        raise UserError(f"cannot upload to {HUB}{name}: {_first_line(error)}") from error
    return str(page)


def download(name: str) -> Path:
    """Download a run, or find it in the cache, and return its folder.

    Args:
        name: ``owner/name``, or ``owner/name@REVISION``.

    Raises:
        UserError: If huggingface_hub is not installed, there is no such run, or it names code of its own.
    """
    hub = _library()
    repository, _, revision = name.partition("@")
    try:
        folder = Path(
            hub.snapshot_download(
                check_name(repository),
                revision=revision or None,
                allow_patterns=list(FILES),
                library_name="rlmem",
                library_version=__version__,
            )
        )
    except hub.errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{HUB}{name}: there is no such repository, or it is private (log in by `hf auth login`)"
        ) from error
    except _refusals(hub) as error:
        raise UserError(f"{HUB}{name} cannot be downloaded: {_first_line(error)}") from error
    if not (folder / SETTINGS).is_file():
        raise UserError(f"{HUB}{name} is not a run of rlmem: it has no {SETTINGS}")
    values = read_toml(folder / SETTINGS)
    named = [values.get("env"), values.get("agent"), *dict(values.get("agent_settings", {})).values()]
    if own := [entry for entry in named if isinstance(entry, str) and ":" in entry]:
        raise UserError(f"{HUB}{name} names code of its own, {', '.join(own)}: refused")
    return folder


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise UserError("the hub needs huggingface_hub: pip install 'rlmem[hub]'") from error
    return huggingface_hub


def _refusals(hub: Any) -> tuple[type[Exception], ...]:
    """Return the errors of a hub that refuses or cannot be reached: those of the HTTP client, whichever it is."""
    return (*hub.errors.HfHubHTTPError.__bases__, hub.errors.LocalTokenNotFoundError, OSError)


def check_name(name: str) -> str:
    """Return the name of a repository, or raise a UserError if it is not ``owner/name``."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise UserError(f"a repository on the hub is owner/name, got {name!r}")
    return name


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
