"""The checkpoints of a training run: the last, the best on validation seeds, and a few before the last.

``last.safetensors`` and ``best.safetensors`` lie in the run's folder; with ``keep`` above 1 the last ``keep`` lie in
``checkpoints/`` too, named by the control steps that they have learnt from. Each is written under another name and
renamed, and the last of all is written last, so a run that is killed at any moment has a complete one to resume from.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlmem.errors import UserError
from rlmem.files import replacing
from rlmem.runs.settings import RunSettings, difference, require_run
from rlmem.runs.tensors_file import Checkpoint, CheckpointError, load_checkpoint

_SUFFIX = ".safetensors"
LAST, BEST = f"last{_SUFFIX}", f"best{_SUFFIX}"
HISTORY = "checkpoints"


def checkpoint_path(folder: Path, which: str) -> Path:
    """Return where a checkpoint of a run lies.

    Args:
        folder: The run.
        which: ``"last"``, ``"best"``, or the control steps of one that was kept, such as ``"40960"``; with or without
            ``.safetensors``.

    Raises:
        UserError: If there is none; the message names those that there are.
    """
    require_run(folder)
    name = f"{which.removesuffix(_SUFFIX)}{_SUFFIX}"
    path = folder / name if name in (LAST, BEST) else folder / HISTORY / name
    if name in (LAST, BEST, *(f"{steps}{_SUFFIX}" for steps in kept_steps(folder))) and path.is_file():
        return path
    there = checkpoints(folder)
    if name == BEST and there:
        raise UserError(f"{folder} has no best weights: take --which last, or train on to the next evaluation")
    raise UserError(f"{folder} has no checkpoint {which!r}; it has: {', '.join(there) or 'none'}")


def checkpoints(folder: Path) -> list[str]:
    """Return the names of a run's checkpoints: the control steps of those kept, oldest first, then best and last."""
    named = [path.stem for path in (folder / BEST, folder / LAST) if path.is_file()]
    return [str(steps) for steps in kept_steps(folder)] + named


def kept_steps(folder: Path) -> list[int]:
    """Return the control steps of the checkpoints in ``checkpoints/``, rising."""
    names = (path.stem for path in (folder / HISTORY).glob(f"*{_SUFFIX}"))
    return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def save(folder: Path, settings: RunSettings, agent: Any, *, best: bool = False, **meta: Any) -> None:
    """Write a run's checkpoint, unless it could not be resumed from.

    Args:
        folder: The run.
        settings: Its settings; with ``keep`` above 1, as many are kept in ``checkpoints/``.
        agent: An agent that learns; its ``env_steps`` give the name.
        best: Whether it is the best so far.
        meta: More JSON values for the header.

    Raises:
        CheckpointError: If a weight is not finite; the checkpoint before stays the last.
        OSError: If it cannot be written, or the folder is gone.
    """
    require_folder(folder)
    with replacing(folder / LAST) as new:
        agent.save(new, run=settings.origin(), **meta)
        try:
            read_checkpoint(new, settings)
        except CheckpointError as error:
            why = str(error).removeprefix(f"{new} ")
            raise CheckpointError(f"the agent is not saved after {agent.env_steps:,} steps: it {why}") from error
        if best:
            copy(new, folder / BEST)
        if settings.keep > 1:
            copy(new, _kept(folder, agent.env_steps))
        # the last is renamed last: whatever is not written when a process is killed is written again after a resume
    for steps in kept_steps(folder)[: -settings.keep] if settings.keep > 1 else kept_steps(folder):
        _kept(folder, steps).unlink()


def require_folder(folder: Path) -> None:
    """Raise a FileNotFoundError if a run's folder is gone, which would otherwise be made anew."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is gone: it was moved or deleted while an agent trained in it")


def read_checkpoint(path: Path, settings: RunSettings) -> Checkpoint:
    """Read a checkpoint of a run.

    Raises:
        UserError: If there is no such file.
        CheckpointError: If it is damaged, of a run with other settings, or has weights that are not finite.
    """
    checkpoint = load_checkpoint(path)
    origin, steps = checkpoint.meta.get("run"), checkpoint.meta.get("env_steps")
    if not isinstance(origin, dict) or not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise CheckpointError(f"{path} does not say of which run it is, or after how many control steps")
    clocks = [checkpoint.meta.get(name, 0.0) for name in ("cpu_seconds", "wall_seconds")]
    if not all(isinstance(number, (int, float)) for number in (*clocks, *_numbers(checkpoint.meta.get("evaluation")))):
        raise CheckpointError(f"{path} has something else than numbers for its time or its evaluation")
    if found := difference(origin, settings.origin()):
        raise CheckpointError(f"{path} is of another run than the settings beside it: it was trained with {found}")
    for name, tensor in checkpoint.tensors.items():
        if tensor.dtype.kind == "f" and not name.startswith("state") and not np.isfinite(tensor).all():
            raise CheckpointError(f"{path} holds weights that are not finite ({name}): training has diverged")
    return checkpoint


def _numbers(evaluation: Any) -> list[Any]:
    """Return what should be numbers of an evaluation in a header: all but the name of its metric."""
    if evaluation is None:
        return []
    return [value for name, value in evaluation.items() if name != "metric"] if isinstance(evaluation, dict) else [""]


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file: two checkpoints with the same one hold the same weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy a file at once: a killed process leaves the old target or the new one, never half."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def best_evaluation(folder: Path) -> Mapping[str, Any] | None:
    """Return the evaluation in the header of a run's best checkpoint, None where there is no such, or a damaged one."""
    try:
        evaluation = load_checkpoint(folder / BEST).meta.get("evaluation")
    except UserError:
        return None
    return evaluation if isinstance(evaluation, dict) else None


def rewind(folder: Path, settings: RunSettings, which: str | None, say: Callable[[str], object]) -> int:
    """Make a run's folder what it was at one of its checkpoints, to resume there; the best checkpoint stays.

    Args:
        folder: The run.
        settings: Its settings.
        which: As for :func:`checkpoint_path`. None: the last, or the newest that can be read.
        say: Told in one line where the last checkpoint is missing or damaged.

    Returns:
        The control steps learnt from until then. ``last.safetensors`` is that checkpoint.

    Raises:
        UserError: If there is no such checkpoint.
        CheckpointError: If it cannot be read, or none can.
    """
    if which is None:
        path, steps = _newest(folder, settings, say)
    else:
        path = checkpoint_path(folder, which)
        steps = _steps(path, settings)
    if path.name != LAST:
        copy(path, folder / LAST)
    for later in kept_steps(folder):
        if later > steps:
            _kept(folder, later).unlink()
    return steps


def _newest(folder: Path, settings: RunSettings, say: Callable[[str], object]) -> tuple[Path, int]:
    """Return the newest checkpoint that can be read, and its control steps."""
    kept = [_kept(folder, steps) for steps in reversed(kept_steps(folder))]
    found = [path for path in (folder / LAST, *kept, folder / BEST) if path.is_file()]
    if not found:
        raise UserError(f"there is nothing to resume in {folder}: it has no {LAST}")
    damage: list[str] = []
    for path in found:
        try:
            steps = _steps(path, settings)
        except CheckpointError as error:
            damage.append(str(error))
            continue
        if path.name != LAST:
            lost = damage[0] if damage else f"there is no {LAST}"
            say(f"{lost}; going on from {path}, after {steps:,} control steps")
        return path, steps
    raise CheckpointError(
        f"no checkpoint in {folder} can be read: {'; '.join(damage)}: delete the folder to begin anew"
    )


def _steps(path: Path, settings: RunSettings) -> int:
    return int(read_checkpoint(path, settings).meta["env_steps"])


def _kept(folder: Path, steps: int) -> Path:
    return folder / HISTORY / f"{steps}{_SUFFIX}"
