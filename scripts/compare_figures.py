"""Draw docs/compare.png and docs/compare-control.png anew from the table of ``rlmem compare`` in the repository.

python scripts/compare_figures.py
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.learning.comparison.figure import draw


@dataclass(frozen=True, kw_only=True)
class Options:
    """Figures of the comparison of learning algorithms.

    Args:
        table: Written by ``rlmem compare``.
        out: Folder of the figures.
    """

    table: Path = Path("benchmarks/results/compare.csv")
    out: Path = Path("docs")


def main(options: Options) -> None:
    """Draw recall and adding in one figure, control in another."""
    with options.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, chosen in (("compare", False), ("compare-control", True)):
        path = options.out / f"{name}.png"
        draw([row for row in rows if (row["problem"] == "control") == chosen], path)
        print(f"written to {path}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
