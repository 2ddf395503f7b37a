"""How far a training run is and its last evaluation: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rlmem.cli.evaluate import lengths_in_words
from rlmem.environments import spec_at
from rlmem.runs.progress import Progress as ProgressTable
from rlmem.runs.settings import RunSettings

_LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""


class TrainingProgress:
    """Shows steps, pace, success in training, and each evaluation with its interval.

    Args:
        settings: The run.
        folder: Where it lies; evaluations are read from its progress.csv.
    """

    def __init__(self, settings: RunSettings, folder: Path) -> None:
        spec = spec_at(settings.env, settings.knobs)
        by_success = spec is not None and spec.metric == "success"
        self._name, self._column = ("success", "success_rate") if by_success else ("return", "ep_rew_mean")
        self._evaluated = "success" if by_success else "return" if spec is None else "score"
        self._knobs, self._curriculum = settings.knobs | settings.eval_knobs, settings.curriculum
        self._steps, self._started, self._first = settings.steps, time.monotonic(), -1
        self._table, self._table_changed = folder / "progress.csv", 0
        self._evaluation: Mapping[str, str] = {}
        self._printed = self._started
        self._bar: Progress | None = None
        self._console = Console(highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            columns = (
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
            )
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=settings.steps, rate="", said="")

    def __enter__(self) -> TrainingProgress:
        self._read_evaluation()
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._read_evaluation():
            self._console.print(self.evaluation, markup=False)

    @property
    def evaluation(self) -> str:
        """The last evaluation in words, with the 95 % interval and the memory length; "" before the first."""
        row = self._evaluation
        if not row:
            return ""
        value, low, high = (float(row[f"eval/{column}"]) for column in ("value", "low", "high"))
        shorter = {"memory_length": self._curriculum[stage]} if (stage := self._stage(row)) is not None else {}
        at = f"evaluation at {float(row['env_steps']):,.0f} steps{lengths_in_words(self._knobs | shorter)}"
        work = f", work done {float(row['eval/work']):.2f}" if row.get("eval/work") else ""
        return f"{at}: {self._evaluated} {value:.2f} ({low:.2f} to {high:.2f}){work}"

    def _stage(self, row: Mapping[str, str]) -> int | None:
        """Return the stage of a curriculum in which an evaluation was made; None in the last, and without one."""
        stage = int(float(row.get("eval/stage") or len(self._curriculum)))
        return stage if stage < len(self._curriculum) else None

    def report(self, env_steps: int, metrics: Mapping[str, float]) -> None:
        """Show progress. See :data:`rlmem.runs.validation.Report`."""
        if self._first < 0:
            self._first = env_steps
        if self._read_evaluation():
            self._console.print(self.evaluation, markup=False)
        now = time.monotonic()
        rate = (env_steps - self._first) / max(now - self._started, 1e-9)
        value = metrics.get(f"rollout/{self._column}")
        said = "" if value is None else f"{self._name} in training {value:.2f}"
        if self._bar is not None:
            shown = f"{rate:,.0f}/s" if rate else ""
            self._bar.update(self._task, completed=min(env_steps, self._steps), rate=shown, said=said)
        elif now - self._printed >= _LINE_EVERY or env_steps >= self._steps:
            self._printed = now
            left = max(self._steps - env_steps, 0) / rate if rate else 0.0
            steps = f"{env_steps:>10,}/{self._steps:,} steps"
            pace = f"{rate:,.0f}/s  {left:,.0f} s left" if rate else ""
            print("  ".join(filter(None, (steps, pace, said))), flush=True)

    def _read_evaluation(self) -> bool:
        """Read the last evaluation; return whether it is a new one."""
        changed = self._table.stat().st_mtime_ns if self._table.is_file() else 0
        if changed == self._table_changed:
            return False
        self._table_changed, rows = changed, ProgressTable(self._table).rows
        self._evaluation = rows[-1] if rows else {}
        return bool(rows)
