"""Runs by name: a folder, ``zoo:TMaze-v0`` for an agent of the package, ``hub:owner/name`` for one on the hub."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from rlmem.errors import UserError
from rlmem.runs.settings import SETTINGS
from rlmem.suggest import unknown

ZOO, HUB = "zoo:", "hub:"


def run_folder(name: str | Path) -> Path:
    """Return the folder of a run.

    Args:
        name: The folder, or ``zoo:`` and the name of a trained agent, or ``hub:`` and the owner and name of a
            repository on the Hugging Face hub, which is downloaded.

    Raises:
        UserError: If the zoo has no such agent, or the hub no such repository.
    """
    if str(name).startswith(HUB):
        from rlmem.runs.hub import download

        return download(str(name).removeprefix(HUB))
    if not is_named(name):
        return Path(name)
    wanted, known = str(name).removeprefix(ZOO), zoo()
    for full in (wanted, f"{wanted}-v0"):
        if full in known:
            return known[full]
    raise UserError(f"{unknown('trained agent', wanted, known)}; `rlmem zoo` lists them")


def is_named(name: str | Path) -> bool:
    """Return whether a run is named and not a folder of the user's, so that nothing may be written into its folder."""
    return str(name).startswith((ZOO, HUB))


def file_name(name: str) -> str:
    """Return a run's name as files about it begin: ``zoo:TMaze`` is "TMaze-v0", ``hub:me/t-maze`` "me-t-maze"."""
    if name.startswith(ZOO):
        return run_folder(name).name
    return re.sub(r"[^\w.@-]+", "-", name.removeprefix(HUB))


def zoo() -> dict[str, Path]:
    """Return the folders of the trained agents that come with the package, by name."""
    folder = Path(str(files("rlmem.zoo")))
    return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{SETTINGS}"))}
