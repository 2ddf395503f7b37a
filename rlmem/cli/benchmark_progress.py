"""How far a benchmark is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rlmem.benchmark.local import JobOutcome
from rlmem.benchmark.runner import Status

_SAY_EVERY = 60.0
"""Seconds between lines where there is no terminal."""


class BenchmarkProgress:
    """Shows progress: a bar and a line for each finished run; lines only where there is no terminal."""

    def __init__(self, title: str) -> None:
        self._title, self._said = title, time.monotonic()
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        if sys.stdout.isatty():
            columns = (
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} runs"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[running]}", style="dim"),
            )
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=None, left="", running="")

    def __enter__(self) -> BenchmarkProgress:
        self.say(self._title)
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, markup=False)

    def finished(self, outcome: JobOutcome, status: Status) -> None:
        """Say how a run ended."""
        job, width = outcome.job, len(str(status.of))
        said = f"failed: {outcome.error}"
        if outcome.rows:
            row = outcome.rows[0]
            measure = "success" if row["metric"] == "success" else "score"
            cost = f", {row['env_steps']:,} steps, {row['cpu_seconds']:.1f} CPU s" if job.learns else ""
            at = f" at {row['test']}" if row["test"] else ""
            work = f", work done {row['work']:.2f}" if row["work"] != "" else ""
            said = f"{measure} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}){at}{work}{cost}"
        left = f"   {_left(status)}" if self._bar is None else ""
        self.say(f"[{status.finished:>{width}}/{status.of}] {job.name}: {said}{left}")
        self._said = time.monotonic()
        self.progress(status)

    def progress(self, status: Status) -> None:
        """Show how far it is."""
        running = "; ".join(status.running[:1]) + f" and {len(status.running) - 1} more" * (len(status.running) > 1)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=status.finished, total=status.of, left=_left(status), running=running
            )
        elif time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            self.say(" " * 8 + "; ".join(part for part in (_left(status), f"running: {running}") if part))


def _left(status: Status) -> str:
    if status.seconds_left is None:
        return ""
    minutes, seconds = divmod(round(status.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {f'{hours} h {minutes} min' if hours else f'{minutes} min' if minutes else f'{seconds} s'} left"
