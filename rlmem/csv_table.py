"""Rows of text by column as a CSV file, written whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlmem.errors import UserError
from rlmem.files import replacing


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none if there is no such file.

    Raises:
        UserError: If the file is not such a table.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_bytes().decode()
        if "\0" in text:
            raise csv.Error("it has NUL bytes")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a table, or is damaged: {error}; delete what is wrong, or the file") from error
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise UserError(
                f"{path} is damaged: row {number} has more or fewer fields than there are columns: delete it"
            )
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table; a column that a row lacks is empty there."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def text_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a row with each value as text, numbers with ten significant digits."""
    return {name: f"{value:.10g}" if isinstance(value, float) else str(value) for name, value in row.items()}
