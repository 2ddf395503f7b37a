"""Run what is missing of a benchmark, add it to the table, and say how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rlmem.benchmark.job import Job, code_version
from rlmem.benchmark.local import Engine, JobOutcome, Running
from rlmem.benchmark.suite import Suite
from rlmem.benchmark.table import ResultsTable
from rlmem.benchmark.time_left import TimeLeft


class Status(NamedTuple):
    """How far a benchmark is."""

    finished: int
    of: int
    running: list[str]
    """Agents, tasks and seeds."""
    seconds_left: float | None
    """None while that is not known."""


class Done(NamedTuple):
    """What came of a benchmark."""

    rows: list[dict[str, str]]
    """Of the whole table."""
    ran: int
    """Runs that were made now."""
    failed: list[JobOutcome]


def run_benchmark(
    suite: Suite,
    out: Path,
    engine: Engine,
    *,
    jobs: Sequence[Job] | None = None,
    finished: Callable[[JobOutcome, Status], object] | None = None,
    progress: Callable[[Status], object] | None = None,
) -> Done:
    """Run what is not in the table yet.

    Args:
        suite: What to run.
        out: Folder of the table and of the training runs.
        engine: Where to run: :class:`rlmem.benchmark.local.Local` or :class:`rlmem.benchmark.on_ray.RayCluster`.
        jobs: Runs of the suite; all if not given.
        finished: Told of each run that ends.
        progress: Told about once a second how far it is.

    Raises:
        UserError: If another benchmark is running in the folder, or there is no Ray cluster.
    """
    with ResultsTable(out) as table:
        jobs = suite.jobs() if jobs is None else jobs
        missing = not_in(jobs, table.rows)
        if not missing:
            return Done(table.rows, 0, [])
        waiting, failed, count = {job.key: job for job in missing}, [], len(jobs) - len(missing)
        with engine:
            clock = TimeLeft(jobs, table.rows, engine.slots)
            seen: Running = {}

            def status(running: Running) -> Status:
                names = [run.job.name for run in running.values()]
                return Status(count, len(jobs), names, clock.left(list(waiting.values()), running))

            def look(running: Running) -> None:
                nonlocal seen
                seen = running
                if progress is not None:
                    progress(status(running))

            for outcome in engine.run(missing, out, look):
                del waiting[outcome.job.key]
                if outcome.rows:
                    table.add(outcome.rows)
                    count += 1
                    clock.learn(outcome.job, outcome.rows[0])
                else:
                    failed.append(outcome)
                if finished is not None:
                    finished(outcome, status({key: run for key, run in seen.items() if key in waiting}))
        return Done(table.rows, len(missing) - len(failed), failed)


def not_in(jobs: Sequence[Job], rows: Sequence[dict[str, str]]) -> list[Job]:
    """Return the runs that are not among rows of a table, or are there with settings that were defaults then."""
    of = {row["cell"]: row for row in rows}
    return [job for job in jobs if job.key not in of or not job.made(of[job.key])]


def other_versions(rows: Sequence[dict[str, str]]) -> list[str]:
    """Return versions of the code other than this one that rows of a table were made by."""
    return sorted({row["version"] for row in rows} - {code_version()})
