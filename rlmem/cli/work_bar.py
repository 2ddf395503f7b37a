"""How far some work is that lasts more than two seconds: a bar with the time left, or a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 2.0
"""Seconds before the bar appears, or the first line."""
_LINE_EVERY = 30.0
"""Seconds between lines where there is no terminal."""

Tell = Callable[[float, str], object]
"""Called with the share of the work that is done, from 0 to 1, and with what is being done."""


@contextmanager
def work_bar(what: str) -> Iterator[Tell]:
    """Show on standard error how far some work is; the bar is removed at the end.

    Args:
        what: What is being done, until the work says so itself.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task, started = bar.add_task(what, total=1.0), time.monotonic()
    next_line = _PATIENCE

    def tell(share: float, doing: str = "") -> None:
        nonlocal what, next_line
        what, passed = doing or what, time.monotonic() - started
        bar.update(task, completed=min(share, 1.0), description=what)
        if bar.console.is_terminal:
            if not bar.live.is_started and passed > _PATIENCE:
                bar.start()
        elif passed > next_line:
            next_line = passed + _LINE_EVERY
            print(f"{what}: {min(share, 1.0):.0%} after {passed:.0f} s", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if bar.live.is_started:  # else it would print an empty line
            bar.stop()


@contextmanager
def recording_bar(episodes: int, steps: int = 100) -> Iterator[Callable[[int, int], None]]:
    """Show how far a recording is; gives what :func:`rlmem.figures.recording.record` takes as ``progress``.

    Args:
        episodes: How many will be recorded.
        steps: Control steps that an episode probably takes; corrected by the episodes that are done.
    """
    before = [0, 0]  # episode, steps of the episodes before it
    done = 0

    with work_bar("recording") as tell:

        def told(episode: int, step: int) -> None:
            nonlocal done
            if episode > before[0]:
                before[:] = episode, done
            done = before[1] + step + 1
            each = before[1] / episode if episode else max(steps, 1.2 * step)
            tell(done / max(episodes * each, done), f"recording episode {episode + 1} of {episodes}")

        yield told
