"""``rlmem compare``: training algorithms on the same cell, data and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from rlmem.files import write_text
from rlmem.learning.comparison.figure import draw
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import PROBLEMS
from rlmem.learning.comparison.run import Budget
from rlmem.learning.comparison.study import Study, markdown, run_study


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare BPTT, truncated BPTT, RTRL, SnAp-1, GEKF and NDEKF: sequences and CPU seconds to a fixed error.

    Each method first chooses its learning rate (or p0) on seeds of its own. Rows go to a CSV file; runs that are in it
    are not run again.

    Args:
        problems: Kinds of sequences: recall, adding, control.
        cells: Memory cells.
        methods: Training algorithms.
        hidden_size: Units of a cell.
        seeds: Runs of each.
        sequences: At most in a run.
        seconds: CPU seconds at most in a run.
        processes: Runs side by side.
        out: Folder for compare.csv, compare.md and compare.png.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    cells: tuple[str, ...] = ("lstm", "rtu")
    methods: tuple[str, ...] = tuple(METHODS)
    hidden_size: int = 16
    seeds: int = 5
    sequences: int = 4_000
    seconds: float = 30.0
    processes: int = 2
    out: Path = Path("comparison")


def run(argv: Sequence[str]) -> int:
    """Run what is missing, print the table and draw."""
    options = tyro.cli(Compare, args=list(argv), prog="rlmem compare", description=Compare.__doc__)
    study = Study(
        problems=options.problems,
        cells=options.cells,
        methods=options.methods,
        hidden_size=options.hidden_size,
        seeds=options.seeds,
        budget=Budget(sequences=options.sequences, seconds=options.seconds),
        processes=options.processes,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    rows = run_study(study, options.out / "compare.csv", lambda line: print(line, flush=True))
    table = markdown(rows)
    print(f"\n{table}")
    write_text(options.out / "compare.md", table)
    draw(rows, options.out / "compare.png")
    print(f"table and picture: {options.out}/compare.md, {options.out}/compare.png")
    return 0
