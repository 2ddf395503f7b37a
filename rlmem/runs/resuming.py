"""The folder of a run that is trained: one process at a time, begun or resumed, finished or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rlmem.errors import UserError
from rlmem.files import delete_temporary_files, locked
from rlmem.runs.checkpoints import BEST, HISTORY, LAST, checkpoints, read_checkpoint, rewind
from rlmem.runs.progress import Progress
from rlmem.runs.settings import SETTINGS, RunSettings, difference, read_settings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.validation import goal

_LOCK = ".lock"


def is_finished(folder: Path, settings: RunSettings) -> bool:
    """Return whether a run came to its end, by its steps or by its score, and was saved there.

    Raises:
        UserError: If there is no last checkpoint.
        CheckpointError: If it cannot be read.
    """
    meta = read_checkpoint(folder / LAST, settings).meta
    evaluation = meta.get("evaluation")
    if evaluation is None:
        return False
    last = evaluation.get("stage", 0) == len(settings.curriculum)
    enough = last and settings.stop_at is not None and goal(evaluation) >= settings.stop_at
    return enough or int(meta["env_steps"]) >= settings.steps


def check_folder(folder: Path, settings: RunSettings, *, resume: bool) -> None:
    """Raise UserError if there is a run already that is not to be resumed, or another one than these settings make.

    Also where a folder lies in the place of a file that training writes, or a file in that of a folder.
    """
    for name in (LAST, BEST, SETTINGS, "versions.toml", "progress.csv", _LOCK):
        if (folder / name).is_dir():
            raise UserError(f"{folder / name} is a folder, and training writes a file there: move it away")
    if settings.keep > 1 and (folder / HISTORY).exists() and not (folder / HISTORY).is_dir():
        raise UserError(f"{folder / HISTORY} is a file, and --keep {settings.keep} needs a folder there: move it away")
    present = (folder / SETTINGS).exists() or bool(checkpoints(folder))
    if present and not resume:
        raise UserError(
            f"there is a run in {folder} already: go on with it by `rlmem train {folder}`, or choose another --name "
            "or --out (in Python: train(..., resume=True), or another out)"
        )
    if resume and not present:
        raise UserError(f"there is nothing to resume in {folder}: it has no {SETTINGS}")
    if resume and (found := difference(read_settings(folder).fixed(), settings.fixed())):
        raise UserError(f"{folder} was trained with {found}: resume with the same, or begin a run under another --name")


def rewind_run(folder: Path, settings: RunSettings, which: str | None, say: Callable[[str], object]) -> bool:
    """Bring a run's folder back to a checkpoint; return whether there is one, and not a run that is to begin anew."""
    progress = Progress(folder / "progress.csv")
    # killed before the first checkpoint, an evaluation may have been written; more of them had a checkpoint each
    begun = which is not None or bool(checkpoints(folder)) or len(progress.rows) > 1
    progress.rewind(rewind(folder, settings, which, say) if begun else 0)
    if not begun:
        say(f"{folder} has no checkpoint yet: the run begins anew")
    return begun


def best_lost(folder: Path, settings: RunSettings) -> str:
    """Return why the best weights of a run that was evaluated cannot be read, "" if they can, or there are none yet.

    Raises:
        UserError: If there is no last checkpoint.
        CheckpointError: If it cannot be read.
    """
    last = read_checkpoint(folder / LAST, settings).meta
    if last.get("evaluation") is None and last["env_steps"] < settings.eval_every:
        return ""
    try:
        read_checkpoint(folder / BEST, settings)
    except UserError as error:
        return str(error)
    return ""


def go_on_without(folder: Path, settings: RunSettings, say: Callable[[str], object]) -> None:
    """Say what of a run that goes on was lost, a line each; damaged best weights are kept under another name."""
    steps, table = trained_steps(folder), Progress(folder / "progress.csv")
    if table.last("env_steps", 0.0) < steps // settings.eval_every * settings.eval_every:
        lost = f"ends after {table.last('env_steps', 0.0):,.0f} control steps" if table.rows else "is gone"
        say(
            f"{folder / 'progress.csv'} {lost}: the learning curve {'goes on' if table.rows else 'begins'} at {steps:,}"
        )
    if lost := best_lost(folder, settings):
        best, aside = folder / BEST, folder / f"{BEST}.damaged-{steps}"
        kept = f", and the file is now {aside.name}" if best.is_file() else ""
        say(f"{lost}; the next evaluation counts as the best{kept}")
        if kept:
            best.replace(aside)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make a run's folder and hold it, so that no other process trains there; delete what killed writes left in it.

    A folder that is new and in which nothing was written goes again, with those above it that were made for it.

    Raises:
        UserError: If another process holds it.
    """
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if made:
            stack.callback(_delete_if_empty, made)
        try:
            stack.enter_context(locked(folder / _LOCK))
        except BlockingIOError as error:
            raise UserError(
                f"another process is training in {folder}: wait until it ends, or choose another --name or --out"
            ) from error
        delete_temporary_files(folder)
        delete_temporary_files(folder / HISTORY)
        yield


def _delete_if_empty(folders: Sequence[Path]) -> None:
    """Delete a run's folder that holds nothing but the lock, and each above it that is empty then.

    Args:
        folders: The run's folder, then the one that it lies in, and so on.
    """
    if folders[0].is_dir() and [path.name for path in folders[0].iterdir()] == [_LOCK]:
        (folders[0] / _LOCK).unlink()
        with suppress(OSError):  # another run lies there by now
            for folder in folders:
                folder.rmdir()


@contextmanager
def nothing_left_of_a_false_start(folder: Path) -> Iterator[None]:
    """Delete what a new run wrote if it fails before its first evaluation: it could only begin anew."""
    try:
        yield
    except Exception:
        if not checkpoints(folder) and not (folder / "progress.csv").exists():
            for path in (folder / SETTINGS, folder / "versions.toml", *folder.glob("events.out.tfevents.*")):
                path.unlink(missing_ok=True)
        raise


def trained_steps(folder: Path) -> int:
    """Return the control steps that a run's last checkpoint has learnt from."""
    return int(load_checkpoint(folder / LAST).meta["env_steps"])
