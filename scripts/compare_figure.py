"""Draw docs/compare.png anew from the table of ``rlmem compare`` in the repository.

python scripts/compare_figure.py
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.learning.comparison.figure import draw


@dataclass(frozen=True, kw_only=True)
class Options:
    """Figure of the comparison of learning algorithms.

    Args:
        table: Written by ``rlmem compare``.
        out: The figure.
    """

    table: Path = Path("benchmarks/results/compare.csv")
    out: Path = Path("docs/compare.png")


def main(options: Options) -> None:
    """Draw all problems and cells."""
    with options.table.open(encoding="utf-8", newline="") as file:
        draw(list(csv.DictReader(file)), options.out)
    print(f"written to {options.out}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
