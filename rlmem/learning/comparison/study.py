"""Runs of all methods on all problems in parallel; results in a CSV file and a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from rlmem.errors import UserError
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import PROBLEMS, make_problem
from rlmem.learning.comparison.run import RunLimits, RunResult, run, tune
from rlmem.networks.cells import CELLS
from rlmem.runs.progress import Progress
from rlmem.signals import leave_signals_to_parent, undisturbed
from rlmem.suggest import unknown

_KEY = ("problem", "cell", "method", "hidden_size", "seed", "max_sequences", "max_seconds")
"""Columns that say how a row was made: one with others is of another study."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Settings of a comparison.

    Args:
        problems: Kinds of sequences: recall, adding, control.
        cells: Memory cells; module:Class is one of your own.
        methods: Training algorithms.
        hidden_size: Units of a cell.
        seeds: Runs of each, beside those that choose the learning rate or p0.
        budget: Of a run.
        processes: Side by side.

    Raises:
        UserError: If a name is unknown or a number out of bounds.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    cells: tuple[str, ...] = ("lstm", "rtu")
    methods: tuple[str, ...] = tuple(METHODS)
    hidden_size: int = 16
    seeds: int = 5
    budget: RunLimits = field(default_factory=RunLimits)
    processes: int = 2

    def __post_init__(self) -> None:
        for kind, names, known in (
            ("problem", self.problems, PROBLEMS),
            ("cell", self.cells, CELLS),
            ("method", self.methods, METHODS),
        ):
            for name in names:
                if name not in known:
                    raise UserError(unknown(kind, name, known))
        for name in ("hidden_size", "seeds", "processes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


class Case(NamedTuple):
    """All seeds of one method on one problem."""

    problem: str
    cell: str
    method: str


def rows_of(study: Study, cell: Case, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Choose the hyperparameter, run the seeds, and return a row for each."""
    torch.set_num_threads(1)
    value = tune(cell.problem, cell.method, cell.cell, study.hidden_size, study.budget)
    problem = make_problem(cell.problem)
    rows = []
    for seed in seeds:
        outcome = run(problem, cell.method, cell.cell, study.hidden_size, value, seed, study.budget)
        made = {"hidden_size": study.hidden_size, "seed": seed, **_limits(study.budget), "tuned": value}
        rows.append(cell._asdict() | made | row(outcome))
    return rows


def row(outcome: RunResult) -> dict[str, Any]:
    """Return what a CSV file keeps of a run."""
    curve = [[seen, round(seconds, 4), round(error, 6)] for seen, seconds, error in outcome.curve]
    return {
        "sequences": outcome.sequences,
        "cpu_seconds": round(outcome.cpu_seconds, 3),
        "error": outcome.error,
        "curve": json.dumps(curve),
    }


def run_study(
    study: Study,
    path: Path,
    report: Callable[[str], object],
    progress: Callable[[float, str], object] = lambda _share, _what: None,
) -> list[dict[str, str]]:
    """Run what the CSV file does not hold yet, and return all its rows of this study.

    Args:
        study: What to run.
        path: CSV file of rows; written anew at once whenever a method's seeds are through.
        report: Told in one line of each method that is through.
        progress: Called every second with the share of the methods that are through, and with that in words.
    """
    table = Progress(path)
    for number, entry in enumerate(table.rows, start=1):
        for name in (*_KEY, "tuned", "sequences", "cpu_seconds", "error"):
            if not entry.get(name):
                raise UserError(f"{path} is not a table of rlmem compare, or an old one: row {number} has no {name}")
    done = {tuple(str(entry[name]) for name in _KEY) for entry in table.rows}
    limits = _limits(study.budget)
    missing: dict[Case, list[int]] = {}
    for problem, cell, method, seed in product(study.problems, study.cells, study.methods, range(study.seeds)):
        if tuple(map(str, (problem, cell, method, study.hidden_size, seed, *limits.values()))) not in done:
            missing.setdefault(Case(problem, cell, method), []).append(seed)
    with ending_pool(study.processes) as pool:
        with undisturbed():
            jobs = {pool.submit(rows_of, study, cell, seeds): cell for cell, seeds in missing.items()}
        pending = set(jobs)
        while pending:
            ended, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for job in ended:
                for entry in job.result():
                    table.add(entry)
                through = jobs[job]
                learnt = sum(math.isfinite(entry["sequences"]) for entry in job.result())
                report(f"{', '.join(through)}: {learnt} of {len(missing[through])} learnt")
            number = len(jobs) - len(pending)
            progress(number / len(jobs), f"{number} of {len(jobs)} methods")
    wanted = set(product(study.problems, study.cells, study.methods))
    rows = [entry for entry in table.rows if (entry["problem"], entry["cell"], entry["method"]) in wanted]
    same = {"hidden_size": study.hidden_size, **limits}
    return [entry for entry in rows if all(entry[name] == str(value) for name, value in same.items())]


def _limits(budget: RunLimits) -> dict[str, str]:
    """Return the limits of a run as a row has them."""
    return {"max_sequences": str(budget.sequences), "max_seconds": f"{budget.seconds:g}"}


@contextmanager
def ending_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool whose processes end at once where the block does not come to its end, as after Ctrl-C."""
    pool = ProcessPoolExecutor(processes, initializer=leave_signals_to_parent)
    try:
        yield pool
    except BaseException:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        raise
    pool.shutdown()


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return a table: of each method how many runs reached the bar, and the median and range of what it took."""
    lines = []
    for problem in dict.fromkeys(entry["problem"] for entry in rows):
        made = make_problem(problem)
        lines += [f"**{made.title}**, learnt at {made.error_name} {made.bar:g}", ""]
        lines += ["| cell | method | learnt | sequences | CPU s | tuned |", "|---|---|---|---|---|---|"]
        of_problem = [entry for entry in rows if entry["problem"] == problem]
        for cell, method in dict.fromkeys((entry["cell"], entry["method"]) for entry in of_problem):
            own = [entry for entry in of_problem if (entry["cell"], entry["method"]) == (cell, method)]
            solved = [entry for entry in own if math.isfinite(float(entry["sequences"]))]
            label = "p0" if METHODS[method].kalman else "rate"
            lines.append(
                f"| {cell} | {METHODS[method].title} | {len(solved)} of {len(own)} | {_range(solved, 'sequences')} | "
                f"{_range(solved, 'cpu_seconds')} | {label} {float(own[0]['tuned']):g} |"
            )
        lines.append("")
    return "\n".join(lines)


def _range(rows: Sequence[dict[str, str]], column: str) -> str:
    """Return the median and the range of a column, in words."""
    if not rows:
        return "-"
    values = np.array([float(entry[column]) for entry in rows])
    low, middle, high = (f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for value in _spread(values))
    return f"{middle} ({low}..{high})"


def _spread(values: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
