"""A trained run as a small folder that others can use: weights, settings, versions and card, and no code."""

from __future__ import annotations

import shutil
from pathlib import Path

from rlmem.errors import UserError
from rlmem.registry import agent_class
from rlmem.runs.card import Card, measure_card, write_card
from rlmem.runs.checkpoints import BEST, LAST, checkpoint_path, save
from rlmem.runs.loading import load_run
from rlmem.runs.settings import SETTINGS, read_settings
from rlmem.runs.tensors_file import load_checkpoint

VERSIONS = "versions.toml"
FILES = (BEST, SETTINGS, VERSIONS, "card.json", "README.md")
"""What a published run consists of."""


def publish(run: Path, target: Path, *, command: str, name: str, episodes: int = 200) -> Card:
    """Write a run's best weights, without the optimizer's state, with settings, versions and card; the card comes last.

    Args:
        run: The training run.
        target: Folder to write into; made if it is not there.
        command: What made the run, for the card.
        name: As commands will name the run, such as ``"zoo:TMaze-v0"``.
        episodes: Test episodes of the card.

    Raises:
        UserError: If the run's agent or environment is code of the user's own, which the folder does not hold.
    """
    settings = read_settings(run)
    if ":" in settings.env + settings.agent:
        raise UserError(
            f"{settings.agent} on {settings.env} needs code of your own, and a published run holds none: publish runs "
            "of the package's agents on registered environments"
        )
    if not agent_class(settings.agent).learns:
        raise UserError(f"agent {settings.agent!r} has no weights to publish")
    target.mkdir(parents=True, exist_ok=True)
    for file in (SETTINGS, VERSIONS):
        shutil.copyfile(run / file, target / file)
    loaded, meta = load_run(run), load_checkpoint(checkpoint_path(run, BEST)).meta
    optimizer = getattr(getattr(getattr(loaded.agent, "model", None), "policy", None), "optimizer", None)
    if optimizer is not None:
        optimizer.state.clear()  # two thirds of the file, and only to go on training
    kept = {key: meta[key] for key in ("cpu_seconds", "wall_seconds", "evaluation") if key in meta}
    save(target, loaded.settings, loaded.agent, best=True, **kept)
    (target / LAST).unlink()
    card = measure_card(target, command=command, episodes=episodes)
    write_card(target, card, name)
    return card
