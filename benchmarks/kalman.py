"""What a Kalman update costs: milliseconds of CPU time against parameters, beside the work and memory it should take.

    OMP_NUM_THREADS=1 python benchmarks/kalman.py [--quick] [--out benchmarks/results/kalman.md]

GEKF, NDEKF in groups of one size, and NDEKF by the nodes of an LSTM with 8 inputs and 2 outputs; one row (one stream of
one output) and eight; both forms. All is one thread in one process, medians over many updates. "Floor" is what the two
products with P cost alone, H P and P - W W^T, as PyTorch does them on a dense P: where P is large, ours does less.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import rlmem
from rlmem.learning.kalman import KalmanFilter, KalmanPlan, KalmanSettings, plan
from rlmem.learning.kalman.settings import Form
from rlmem.learning.network import Network
from rlmem.networks.cells import LSTM
from rlmem.runs.settings import processor

PARAMETERS = (100, 500, 1_000, 2_000, 3_000, 10_000, 50_000)
LARGEST_GEKF = 10_000
ROWS = (1, 8)
GROUP = 50
"""Parameters of a group, in the groups of one size."""
BARS = {500: (0.2, 0.6), 2_000: (4.5, 0.8), 10_000: (95.0, 4.2), 50_000: (None, 131.0)}
"""Most milliseconds of a GEKF's and an NDEKF's update with one row."""


NODES = "NDEKF by node"


class Case(NamedTuple):
    """A filter to measure."""

    kind: str
    wanted: int
    """Parameters that it should have about."""
    name: str
    parameters: int
    groups: list[Tensor] | None

    def sizes(self) -> list[int]:
        """Return the sizes of its groups."""
        return [self.parameters] if self.groups is None else [len(group) for group in self.groups]


def cases(parameters: tuple[int, ...]) -> Iterator[Case]:
    """Yield the filters."""
    for p in parameters:
        if p <= LARGEST_GEKF:
            yield Case("GEKF", p, "GEKF", p, None)
        yield Case("NDEKF", p, f"NDEKF, groups of {GROUP}", p, list(torch.arange(p).split(GROUP)))
        units = min(range(1, 200), key=lambda size: abs(network_size(size) - p))
        if units > 1:
            network = Network(LSTM(8, units), 2)
            groups = list(network.groups("node").values())
            yield Case(NODES, p, f"NDEKF, LSTM of {units} units by node", network.num_parameters, groups)


def network_size(units: int) -> int:
    """Return the parameters of an LSTM with 8 inputs, 2 outputs and their readout."""
    return 4 * units * (units + 8 + 1) + 2 * (units + 1 + 8)


def median(call: Callable[[], object], seconds: float) -> float:
    """Return the median CPU time of a call in milliseconds."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 5_000):
        started = time.process_time_ns()
        call()
        times.append((time.process_time_ns() - started) * 1e-6)
    return statistics.median(times)


def update_ms(case: Case, rows: int, form: Form, seconds: float) -> float:
    """Return the milliseconds of an update."""
    kf = KalmanFilter(case.parameters, KalmanSettings(form=form), groups=case.groups)
    generator = torch.Generator().manual_seed(0)
    H = torch.randn(rows, 1, case.parameters, dtype=torch.float64, generator=generator) / case.parameters**0.5
    error = torch.randn(rows, 1, dtype=torch.float64, generator=generator)
    theta, state = torch.zeros(case.parameters, dtype=torch.float64), kf.initial_state()

    def update() -> None:
        nonlocal theta, state
        theta, state, _ = kf.update(theta, state, H, error, 1.0)

    return median(update, seconds)


def floor_ms(case: Case, rows: int, seconds: float) -> float | None:
    """Return the milliseconds of the two products with a dense P, where all groups have one size."""
    sizes = set(case.sizes())
    if len(sizes) > 1:
        return None
    (size,) = sizes
    count = case.parameters // size
    P, H = torch.eye(size, dtype=torch.float64).repeat(count, 1, 1), torch.ones(count, rows, size, dtype=torch.float64)
    W = H * 1e-6

    def products() -> None:
        torch.bmm(H, P)
        P.baddbmm_(W.mT, W, alpha=-1.0)

    return median(products, seconds)


def machine() -> str:
    """Say what was measured on, in one line."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{processor()}, one thread of {cores} cores; Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"rlmem {rlmem.__version__}"
    )


def short(value: float) -> str:
    """Return a number with three digits, without an exponent."""
    return f"{value:.3g}" if value < 1_000 else f"{value:,.0f}"


def line(case: Case, seconds: float) -> tuple[str, dict[int, float]]:
    """Measure a case; return its line of the table and the milliseconds of the covariance form by rows."""
    cells = [case.name, f"{case.parameters:,}"]
    found: dict[int, float] = {}
    planned: KalmanPlan = plan(case.sizes())
    cells.append(short(planned.memory / 1e6))
    for rows in ROWS:
        planned = plan(case.sizes(), rows=rows)
        found[rows] = update_ms(case, rows, "covariance", seconds)
        floor = floor_ms(case, rows, seconds)
        cells.append(short(planned.flops / 1e6))
        cells.append(f"**{short(found[rows])}**")
        cells.append("" if floor is None else short(floor))
        cells.append(short(planned.milliseconds))
    large = case.parameters > LARGEST_GEKF or (case.groups is None and case.parameters == LARGEST_GEKF)
    cells.append("" if large else short(update_ms(case, ROWS[-1], "square_root", seconds)))
    return "| " + " | ".join(cells) + " |", found


def bar_lines(found: dict[tuple[str, int], float]) -> Iterator[str]:
    """Yield the table of the bars, at one row; the NDEKF by node has about so many parameters."""
    yield "| p | GEKF, ms | at most | NDEKF by node, ms | at most |"
    yield "|---|---|---|---|---|"
    for p, asked in BARS.items():
        cells = [f"{p:,}"]
        for kind, bar in zip(("GEKF", NODES), asked, strict=True):
            value = found.get((kind, p))
            cells.append("" if value is None else short(value))
            met = "" if value is None or bar is None else " (met)" if value <= bar else " (missed)"
            cells.append("out" if bar is None else f"{bar:g}{met}")
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="up to 2,000 parameters, short: to see that it works")
    parser.add_argument("--out", type=Path, help="write the tables to this file too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parameters, seconds = (tuple(p for p in PARAMETERS if p <= 2_000), 0.1) if arguments.quick else (PARAMETERS, 1.5)

    lines = [
        "# What a Kalman update costs",
        "",
        f"Machine: {machine()}. Milliseconds of CPU time, medians; float64.",
        "",
        "Mflop and MB are what the equations take. The floor is the two products with a dense P alone, where all",
        "groups have one size; a large P is kept as its upper half and takes less. Planned is what the filter",
        "foretells.",
        "",
        "| filter | p | P, MB | "
        + " | ".join(f"Mflop, {rows} rows | ms | floor | planned" for rows in ROWS).replace(" 1 rows", " 1 row")
        + f" | square root, {ROWS[-1]} rows, ms |",
        "|---|" + "---|" * (3 + 4 * len(ROWS)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    found: dict[tuple[str, int], float] = {}
    for case in cases(parameters):
        text, measured = line(case, seconds)
        found[case.kind, case.wanted] = measured[1]
        lines.append(text)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    closing = ["", "One row, against the most it may take on one thread:", "", *bar_lines(found)]
    sys.stdout.write("\n".join(closing) + "\n")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("\n".join([*lines, *closing]) + "\n")


if __name__ == "__main__":
    main()
