"""``rlmem benchmark``: a suite of tasks, agents and seeds, run in parallel, resumable, in one table."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rlmem.benchmark.figures import write_figures
from rlmem.benchmark.local import Engine, Local, Outcome
from rlmem.benchmark.on_ray import RayCluster
from rlmem.benchmark.runner import Done, Status, not_in, other_versions, run_benchmark
from rlmem.benchmark.suite import Suite, presets, read_suite
from rlmem.benchmark.summary import summary
from rlmem.benchmark.table import RESULTS, read_rows
from rlmem.errors import UserError
from rlmem.files import write_text
from rlmem.signals import Interrupted

_SAY_EVERY = 60.0
"""Seconds between lines on how far it is, where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Run a suite of tasks, agents and seeds: all that is not in its table yet. Killed or stopped, it goes on there.

    Args:
        out: Folder of the table, the summary, the figures and the training runs; benchmark/NAME if not given.
        processes: Runs at a time on this machine, each on one core; all cores if not given.
        ray: Run on a Ray cluster instead: its address, such as auto or ray://host:10001; local starts one here.
        table: Print the summary of what the table holds, and run nothing.
        list: Say what there is to run, and run nothing.
    """

    out: Path | None = None
    processes: int | None = None
    ray: str | None = None
    table: bool = False
    list: bool = False


def run(argv: Sequence[str]) -> int:
    """Run what is missing, print the table, leave it as CSV, as Markdown and as figures."""
    arguments = [*argv]
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    options: Benchmark = tyro.cli(
        Benchmark, args=arguments, prog="rlmem benchmark", description=_description(), use_underscores=False
    )
    if name is None:
        raise UserError(
            f"name a suite: {', '.join(presets())}, or a TOML file of your own, as in rlmem benchmark quick"
        )
    suite = read_suite(name)
    out = options.out or Path("benchmark") / suite.name
    processes = (os.cpu_count() or 1) if options.processes is None else options.processes
    if processes < 1:
        raise UserError(f"processes must be at least 1, got {processes}")
    if options.list:
        return _list(suite, out)
    if options.table:
        return _show(suite, name, out, read_rows(out / RESULTS))
    engine: Engine = RayCluster(options.ray) if options.ray else Local(processes)
    where = f"on Ray at {options.ray}" if options.ray else f"{processes} at a time"
    with _Screen(f"benchmark {suite.name}, {where}, into {out}") as screen:
        try:
            done = run_benchmark(suite, out, engine, finished=screen.finished, progress=screen.progress)
        except Interrupted as error:
            screen.say(f"\nstopped; finished runs are in {out / RESULTS}, and the same command goes on there")
            return error.status
    return _end(suite, name, out, done)


def _end(suite: Suite, name: str, out: Path, done: Done) -> int:
    if done.rows:
        _show(suite, name, out, done.rows)
    for outcome in done.failed:
        print(f"failed: {outcome.job.name}: {outcome.error}", file=sys.stderr)
    if done.failed:
        print(f"{len(done.failed)} runs failed; the same command tries them again", file=sys.stderr)
    return 1 if done.failed else 0


def _show(suite: Suite, name: str, out: Path, rows: Sequence[dict[str, str]]) -> int:
    """Print the summary, and write it and the figures."""
    if not rows:
        raise UserError(f"there are no results in {out} yet: run `rlmem benchmark {name}` first")
    jobs = suite.jobs()
    order = [job.key for job in jobs]
    mine = sorted((row for row in rows if row["cell"] in order), key=lambda row: order.index(row["cell"]))
    if not mine:
        raise UserError(f"{out / RESULTS} holds {len(rows)} rows, none of them of this suite as it is now")
    text = summary(mine, f"Benchmark {suite.name}")
    write_text(out / "summary.md", text)
    figures = write_figures(mine, out)
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        print(text)
    missing = not_in(jobs, mine)
    if missing:
        print(f"{len(missing)} of {len(order)} runs are still missing")
    if len(mine) < len(rows):
        print(f"{len(rows) - len(mine)} rows of {out / RESULTS} are of another suite, or of this one before a change")
    others = other_versions(mine)
    if others:
        print(f"some rows were made by other versions of the code: {', '.join(others)}")
    print(f"table {out / RESULTS}   summary {out / 'summary.md'}   figures {' '.join(map(str, figures)) or 'none'}")
    return 0


def _list(suite: Suite, out: Path) -> int:
    """Say what there is to run."""
    jobs = suite.jobs()
    missing = {job.key for job in not_in(jobs, read_rows(out / RESULTS))}
    for job in jobs:
        mark = "    " if job.key in missing else "done"
        budget = f"{job.settings.steps:,} steps" if job.learns else "test only"
        print(f"{mark}  {job.name}: {budget}, tests {len(job.tests)}")
    learning = [job for job in jobs if job.learns and job.key in missing]
    print(
        f"{suite.name}: {len(jobs)} runs, {len(jobs) - len(missing)} of them finished; at most "
        f"{sum(job.settings.steps for job in learning):,} control steps of training to go"
    )
    return 0


def _description() -> str:
    lines = [f"{Benchmark.__doc__ or ''}".partition("\n\n")[0], "", "usage: rlmem benchmark SUITE [options]", ""]
    lines += ["SUITE is a TOML file of your own, or one of:"]
    for name in presets():
        suite = read_suite(name)
        lines.append(f"  {name}: {suite.description} ({len(suite.jobs())} runs)")
    return "\n".join(lines)


class _Screen:
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

    def __enter__(self) -> _Screen:
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

    def finished(self, outcome: Outcome, status: Status) -> None:
        """Say how a run ended."""
        job, width = outcome.job, len(str(status.of))
        said = f"failed: {outcome.error}"
        if outcome.rows:
            row = outcome.rows[0]
            measure = "success" if row["metric"] == "success" else "score"
            cost = f", {row['env_steps']:,} steps, {row['cpu_seconds']:.1f} CPU s" if job.learns else ""
            at = f" at {row['test']}" if row["test"] else ""
            said = f"{measure} {row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f}){at}{cost}"
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
