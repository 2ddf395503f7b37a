"""The table of a benchmark: one CSV file, written anew at once whenever a run is finished, by one process at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from rlmem.csv_table import read_rows as read_table
from rlmem.csv_table import text_row, write_rows
from rlmem.errors import UserError
from rlmem.files import delete_temporary_files, locked

RESULTS = "results.csv"
_LOCK = ".lock"
_FINITE = ("value", "low", "high")
"""Columns without which a row says nothing."""
_NUMBERS = (
    *("memoryless", "oracle", "memory_score", "work", "lesioned", "lesioned_low", "lesioned_high"),
    *("env_steps", "cpu_seconds", "wall_seconds"),
)
"""Columns that may be empty, or not a number where an environment has no ceilings or no memory score."""


class ResultsTable:
    """Rows of finished runs. A context manager, which holds a lock so that no second benchmark writes there.

    Args:
        folder: Of the benchmark; the table is ``results.csv`` in it.

    Raises:
        UserError: On entering, if another benchmark holds the lock, or nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        self.rows: list[dict[str, str]] = read_rows(self.path)
        self._lock = ExitStack()

    def __enter__(self) -> ResultsTable:
        where = self.path.parent
        try:
            where.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(locked(where / _LOCK))
        except BlockingIOError as error:
            raise UserError(f"another benchmark is running in {where}: wait, or choose another --out") from error
        except OSError as error:
            raise UserError(f"cannot write into {where}: {error.strerror}; choose another --out") from error
        delete_temporary_files(where)
        self.rows = read_rows(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add all rows of a run, in place of those it has already, or, if the process is killed, none."""
        new = {row["cell"] for row in rows}
        self.rows = [row for row in self.rows if row["cell"] not in new]
        self.rows += [text_row(row) for row in rows]
        write_rows(self.path, self.rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none if there is no such file.

    Raises:
        UserError: If the file is not the table of a benchmark, or a row holds what is no number.
    """
    rows = read_table(path)
    for number, row in enumerate(rows, start=1):
        if "cell" not in row:
            raise UserError(f"{path} is not the table of a benchmark: it has no column 'cell'")
        wrong = [name for name in _FINITE if not math.isfinite(_number(row.get(name, "")))]
        wrong += [name for name in _NUMBERS if row.get(name) and math.isinf(_number(row[name]))]
        if wrong:
            found = f"{wrong[0]} must be a finite number, got {row.get(wrong[0], '')!r} in row {number}"
            raise UserError(f"{path} is damaged: {found}; delete the row, and its run is made again")
    return rows


def _number(text: str) -> float:
    """Return the number that a text is, infinity where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.inf


def merge_tables(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Return the rows of several tables; of a run that is in several, those of the last.

    Raises:
        UserError: If a file is not the table of a benchmark.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for path in paths:
        here: dict[str, list[dict[str, str]]] = {}
        for row in read_rows(path):
            here.setdefault(row["cell"], []).append(row)
        found |= here
    return [row for rows in found.values() for row in rows]
