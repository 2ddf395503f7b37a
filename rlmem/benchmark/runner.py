"""Run what is missing of a benchmark, add it to the table, and say how long the rest will take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rlmem.benchmark.cell import Cell, code_version
from rlmem.benchmark.local import Engine, Outcome, Running
from rlmem.benchmark.suite import Suite
from rlmem.benchmark.table import ResultsTable

_TEST_COST = 20_000
"""Control steps of training that cost about as much as a test: so that agents that do not learn count for something."""


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
    failed: list[Outcome]


def run_benchmark(
    suite: Suite,
    out: Path,
    engine: Engine,
    *,
    finished: Callable[[Outcome, Status], object] | None = None,
    progress: Callable[[Status], object] | None = None,
) -> Done:
    """Run what is not in the table yet.

    Args:
        suite: What to run.
        out: Folder of the table and of the training runs.
        engine: Where to run: :class:`rlmem.benchmark.local.Local` or :class:`rlmem.benchmark.on_ray.RayCluster`.
        finished: Told of each run that ends.
        progress: Told about once a second how far it is.

    Raises:
        ValueError: If another benchmark is running in the folder, or there is no Ray cluster.
    """
    with ResultsTable(out) as table:
        cells = suite.cells()
        missing = [cell for cell in cells if cell.key not in table.finished]
        if not missing:
            return Done(table.rows, 0, [])
        waiting, failed, count = {cell.key: cell for cell in missing}, [], len(cells) - len(missing)
        with engine:
            clock = TimeLeft(cells, table.rows, engine.slots)

            def status(running: Running) -> Status:
                names = [run.cell.name for run in running.values()]
                return Status(count, len(cells), names, clock.left(list(waiting.values()), running))

            def look(running: Running) -> None:
                if progress is not None:
                    progress(status(running))

            for outcome in engine.run(missing, out, look):
                del waiting[outcome.cell.key]
                if outcome.rows:
                    table.add(outcome.rows)
                    count += 1
                    clock.learn(outcome.cell, float(outcome.rows[0]["wall_seconds"]))
                else:
                    failed.append(outcome)
                if finished is not None:
                    finished(outcome, status({}))
        return Done(table.rows, len(missing) - len(failed), failed)


class TimeLeft:
    """Estimates how long the rest takes from what the same agents took.

    Args:
        cells: All of the suite.
        rows: Of the table: runs of this suite in it are learnt from.
        slots: Runs at a time.
    """

    def __init__(self, cells: Sequence[Cell], rows: Sequence[dict[str, str]], slots: int) -> None:
        self._slots = slots
        self._rates: dict[str, list[float]] = defaultdict(list)
        known = {row["cell"]: float(row["wall_seconds"]) for row in rows}
        for cell in cells:
            if cell.key in known:
                self.learn(cell, known[cell.key])

    def learn(self, cell: Cell, seconds: float) -> None:
        """Note how long a run took."""
        self._rates[cell.label].append(seconds / _work(cell))

    def left(self, waiting: Sequence[Cell], running: Running) -> float | None:
        """Return seconds until all are finished, None while nothing is known."""
        rates = {label: fmean(seen) for label, seen in self._rates.items()}
        for run in running.values():
            if run.cell.label not in rates and run.steps:
                rates[run.cell.label] = run.seconds / run.steps
        if not rates:
            return None
        usual = fmean(rates.values())
        need = {cell.key: rates.get(cell.label, usual) * _work(cell) for cell in waiting}
        rest = [max(need[key] - running[key].seconds, 0.0) if key in running else need[key] for key in need]
        return max(sum(rest) / self._slots, max(rest, default=0.0))


def _work(cell: Cell) -> float:
    return (cell.settings.steps if cell.learns else 0) + _TEST_COST * len(cell.tests)


def other_versions(rows: Sequence[dict[str, str]]) -> list[str]:
    """Return versions of the code other than this one that rows of a table were made by."""
    return sorted({row["version"] for row in rows} - {code_version()})
