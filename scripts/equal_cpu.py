"""Training for so many CPU seconds, in pieces that resume. For studies that compare agents at equal CPU time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rlmem.runs.checkpoints import LAST
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.training import train


class Spent(NamedTuple):
    """What a run took so far."""

    cpu_seconds: float
    env_steps: int
    solved: bool
    """Whether its last validation reached ``stop_at``."""


def train_for(settings: RunSettings, folder: Path, seconds: float) -> Spent:
    """Train until validation is good enough or the time is used up, from one evaluation to the next.

    Args:
        settings: The run; ``steps`` are not looked at.
        folder: Where it lies. What is there goes on.
        seconds: Of CPU; the evaluation that reaches them is the last.
    """
    spent = _spent(folder, settings) if (folder / LAST).is_file() else Spent(0.0, 0, False)
    while not spent.solved and spent.cpu_seconds < seconds:
        piece = replace(settings, steps=spent.env_steps + settings.eval_every)
        train(piece, folder=folder, resume=(folder / LAST).is_file())
        spent = _spent(folder, settings)
    return spent


def _spent(folder: Path, settings: RunSettings) -> Spent:
    meta = load_checkpoint(folder / LAST).meta
    reached = Progress(folder / "progress.csv").last("eval/memory_score", 0.0)
    solved = settings.stop_at is not None and reached >= settings.stop_at
    return Spent(meta["cpu_seconds"], meta["env_steps"], solved)
