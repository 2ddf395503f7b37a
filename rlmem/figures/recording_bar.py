"""Progress bar of a recording, with the time left; silent where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rlmem.figures.recording import Progress as Told


@contextmanager
def recording_bar(episodes: int, steps: int = 100) -> Iterator[Told]:
    """Show how far a recording is.

    Args:
        episodes: How many will be recorded.
        steps: Control steps that an episode probably takes; corrected by the episodes that are done.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        bar.disable = not bar.console.is_terminal
        task = bar.add_task("recording", total=episodes * steps)
        before = [0, 0]  # episode, steps of the episodes before it

        def tell(episode: int, step: int) -> None:
            if episode > before[0]:
                before[:] = episode, int(bar.tasks[0].completed)
            each = before[1] / episode if episode else max(steps, 1.2 * step)
            bar.update(
                task,
                completed=before[1] + step + 1,
                total=max(episodes * each, before[1] + step + 1),
                description=f"recording episode {episode + 1} of {episodes}",
            )

        yield tell
