"""Progress bar with the time left, for work that lasts more than two seconds; nothing where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE = 2.0
"""Seconds before the bar appears."""

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

    def tell(share: float, doing: str = "") -> None:
        bar.update(task, completed=min(share, 1.0), description=doing or None)
        if not bar.live.is_started and bar.console.is_terminal and time.monotonic() - started > _PATIENCE:
            bar.start()

    try:
        yield tell
    finally:
        if bar.live.is_started:  # else it would print an empty line
            bar.stop()
