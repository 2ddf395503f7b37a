"""Tables of text that fit the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest


def table(rows: Sequence[Sequence[str]], flexible: int, right: Sequence[int] = ()) -> list[str]:
    """Return the lines of a table that fits the terminal; the text of one column is wrapped for that, between words."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    others = sum(width + 2 for column, width in enumerate(widths) if column != flexible)
    longest = max(len(word) for row in rows for word in [*row[flexible].split(), ""])
    widths[flexible] = max(12, longest, min(widths[flexible], text_width() - others))
    lines = []
    for number, row in enumerate(rows):
        wrapped = [
            textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(row, widths, strict=True)
        ]
        for cells in zip_longest(*wrapped, fillvalue=""):
            padded = (
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("-" * min(text_width(), sum(widths) + 2 * len(widths) - 2))
    return lines


def filled(text: str, less: int = 0) -> list[str]:
    """Return a text as lines that fit the terminal, or what is left of it with ``less`` characters used already."""
    return textwrap.wrap(text, text_width() - less, break_long_words=False, break_on_hyphens=False)


def text_width() -> int:
    """Return how many characters a line has: those of the terminal, at most 120."""
    return min(shutil.get_terminal_size().columns, 120)
