"""``rlmem compare``: training algorithms on the same cell, data and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.outputs import writable_file, writable_folder
from rlmem.cli.work_bar import work_bar
from rlmem.errors import UserError
from rlmem.field_checks import check_widths
from rlmem.files import write_text
from rlmem.networks.cells import CELLS


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare BPTT, truncated BPTT, RTRL, SnAp-1, GEKF and NDEKF: sequences and CPU seconds to a fixed error.

    Each method first chooses its learning rate (or p0) on seeds of its own. Rows go to a CSV file; runs that are in it
    are not run again. To compare agents on a task, use ``rlmem benchmark``.

    Args:
        problems: Kinds of sequences: recall, adding, control.
        cells: Memory cells; module:Class is one of your own.
        methods: Training algorithms: bptt, tbptt, rtrl, rtrl_online, snap1, gekf, ndekf, gekf_bptt; all if not given.
        hidden_size: Units of a cell.
        seeds: Number of runs of each method.
        sequences: Largest number of sequences per run.
        seconds: Largest number of CPU seconds per run.
        processes: Number of runs at a time.
        out: Folder for compare.csv, compare.md and compare.png.

    Examples:
        rlmem compare --problems recall --cells lstm --methods bptt gekf --seeds 2
    """

    problems: tuple[str, ...] = ("recall", "adding", "control")
    cells: tuple[str, ...] = field(default=("lstm", "rtu"), metadata={"names": CELLS})
    methods: tuple[str, ...] = ()
    hidden_size: int = 16
    seeds: int = 5
    sequences: int = 4_000
    seconds: float = 30.0
    processes: int = 2
    out: Path = Path("comparison")

    def __post_init__(self) -> None:
        check_least(self, hidden_size=1, seeds=1, sequences=1, seconds=0.001, processes=1)
        check_widths(hidden_size=self.hidden_size)


def run(argv: Sequence[str]) -> int:
    """Run what is missing, print the table and draw."""
    of_agents = [word for word in argv if word.startswith(("--env", "--agent"))]
    if of_agents and not {"-h", "--help"} & set(argv):
        flag = of_agents[0].partition("=")[0]
        raise UserError(f"unknown option {flag}. `rlmem benchmark SUITE.toml` compares agents on a task")
    options: Compare = cli(Compare, argv, "rlmem compare")
    from rlmem.learning.comparison.figure import draw
    from rlmem.learning.comparison.methods import METHODS
    from rlmem.learning.comparison.run import RunLimits
    from rlmem.learning.comparison.study import Study, markdown, run_study

    study = Study(
        problems=options.problems,
        cells=options.cells,
        methods=options.methods or tuple(METHODS),
        hidden_size=options.hidden_size,
        seeds=options.seeds,
        budget=RunLimits(sequences=options.sequences, seconds=options.seconds),
        processes=options.processes,
    )
    out = writable_folder(options.out, "--out")
    table_file, picture = writable_file(out / "compare.md", "--out"), writable_file(out / "compare.png", "--out")
    with work_bar("comparing") as tell:
        rows = run_study(study, out / "compare.csv", lambda line: print(line, flush=True), tell)
    table = markdown(rows)
    print(f"\n{table}")
    write_text(table_file, table)
    draw(rows, picture)
    print(f"table and picture: {table_file}, {picture}")
    return 0
