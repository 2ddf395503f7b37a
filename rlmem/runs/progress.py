"""Tables that grow while something runs, such as ``progress.csv``: one row an evaluation of a training run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlmem.csv_table import read_rows, text_row, write_rows
from rlmem.errors import UserError


class Progress:
    """A CSV file of rows, such as ``progress.csv``, written anew at once for each row, so it is never cut short.

    Args:
        path: The file; what it holds already is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = read_rows(path)

    def last(self, column: str, default: float) -> float:
        """Return the last number of a column, the default where there is none.

        Raises:
            UserError: If it is not a number.
        """
        return self._number(self.rows[-1], column, default) if self.rows else default

    def columns(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return the columns, each [rows], not a number where a value is missing.

        Raises:
            UserError: If a value is not a number.
        """
        names = self.rows[0].keys() if self.rows else ()
        return {name: np.array([self._number(row, name, math.nan) for row in self.rows]) for name in names}

    def _number(self, row: Mapping[str, str], column: str, default: float) -> float:
        try:
            return float(row.get(column) or default)
        except ValueError as error:
            raise UserError(f"{self._path} is damaged: {column} is {row[column][:40]!r}, not a number") from error

    def rewind(self, env_steps: int) -> None:
        """Drop the rows of evaluations after so many control steps, which a resumed run makes again."""
        kept = [row for row in self.rows if self._number(row, "env_steps", math.inf) <= env_steps]
        if len(kept) < len(self.rows):
            self.rows = kept
            write_rows(self._path, kept)

    def add(self, row: Mapping[str, float | str]) -> None:
        """Add a row; new columns are empty in older rows."""
        self.rows.append(text_row(row))
        columns = dict.fromkeys((key for entry in self.rows for key in entry), "")
        self.rows = [columns | entry for entry in self.rows]
        write_rows(self._path, self.rows)


def read_progress(folder: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the columns of a run's ``progress.csv``, each [rows], not a number where a value is missing.

    Raises:
        UserError: If there is none.
    """
    path = folder / "progress.csv"
    if not path.is_file():
        raise UserError(f"{folder} has no progress.csv: was it trained?")
    return Progress(path).columns()
