"""What a step of each derivative costs in CPU time, against the number of parameters and beside the theory.

One stream, float32, one thread: a step of a network and the gradient of a loss by its outputs. ``bptt`` is the cost of
a step of a whole sequence, ``tbptt`` that of a gradient at every step through a window of 20. Prints Markdown tables;
with ``--figure``, draws a picture too.

    python benchmarks/derivatives.py [--quick] [--figure derivatives.png]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.figures.style import COLORS
from rlmem.learning.derivatives import Derivative, make_derivative
from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS

D, Q, WINDOW, LENGTH = 8, 2, 20, 100
SIZES = (8, 16, 32, 64, 128)
COMPARED = ("elman", "lstm", "rtu", "elstm")
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bptt": ("bptt", {}),
    "tbptt": ("tbptt", {"window": WINDOW}),
    "rtrl": ("rtrl", {}),
    "rtrl, generic": ("rtrl", {"path": "generic"}),
    "snap1": ("snap1", {}),
}
EXACT_BY_UNITS = ("rtu", "elstm")
PARTS = {"elman": 1, "lstm": 2, "rtu": 2, "elstm": 1}
"""M, the numbers of state of a unit."""

TITLES = {
    "elman": "Elman",
    "lstm": "LSTM",
    "rtu": "RTU (snap1 is exact, the same as rtrl)",
    "elstm": "eLSTM (snap1 is exact, the same as rtrl)",
}


class Row(NamedTuple):
    """One measurement."""

    cell: str
    size: int
    parameters: int
    derivative: str
    microseconds: float
    multiplications: float


def theory(cell: str, size: int, parameters: int, derivative: str) -> float:
    """Return about how many multiplications a step needs: the leading term, with P parameters of the cell.

    A forward pass is P, a backward pass 2 P; traces of units M^2 P and as much to read them; RTRL by dense traces
    M K^2 P; by the generic path S R P with S numbers of state and R rows.
    """
    parts = PARTS[cell]
    state = size if cell == "rtu" else parts * size
    rows = state if cell in ("elman", "lstm") else state + size
    dense = state * rows if derivative == "rtrl, generic" else parts * size**2
    by_units = parts**2 + parts + 1
    exact = by_units if cell in EXACT_BY_UNITS and derivative == "rtrl" else dense
    factor = {"bptt": 3, "tbptt": 3 * WINDOW + 1, "snap1": by_units}.get(derivative, exact)
    return float(factor * parameters)


def median_microseconds(run: Callable[[], object], seconds: float) -> float:
    """Return the median CPU time of a call, of as many as fit into some seconds, at least 3."""
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e6


def one_step(derivative: Derivative, dtype: torch.dtype, *, learn: bool = False) -> Callable[[], None]:
    """Return a function that takes an input and the gradient of a loss, and with ``learn`` a step down it."""
    x, target = torch.randn(1, D, dtype=dtype), torch.randn(1, Q, dtype=dtype)
    never, carry = torch.zeros(1, dtype=torch.bool), derivative.start(1)

    def run() -> None:
        nonlocal carry
        y, carry = derivative.step(x, never, carry)
        gradient = derivative.gradient(carry, y - target)
        if learn:
            derivative.network.theta.sub_(gradient, alpha=1e-6)  # type: ignore[attr-defined]

    for _ in range(WINDOW):
        run()
    return run


def whole_sequence(derivative: Derivative) -> Callable[[], object]:
    """Return a function that takes the gradient over a sequence."""
    xs, by = torch.randn(LENGTH, 1, D), torch.randn(LENGTH, 1, Q)
    starts = torch.zeros(LENGTH, 1, dtype=torch.bool)
    return lambda: derivative.sequence(xs, starts, lambda t, _: by[t])


def measure(sizes: tuple[int, ...], seconds: float) -> list[Row]:
    """Measure all cells, sizes and derivatives."""
    rows = []
    for cell in COMPARED:
        for size in sizes:
            network = Network(CELLS[cell](D, size), Q)
            parameters = sum(parameter.numel() for parameter in network.cell.parameters())
            for label, (name, settings) in SETTINGS.items():
                if label == "snap1" and cell in EXACT_BY_UNITS:
                    continue  # the same as rtrl
                derivative = make_derivative(name, network, **settings)
                if label == "bptt":
                    cost = median_microseconds(whole_sequence(derivative), seconds) / LENGTH
                else:
                    cost = median_microseconds(one_step(derivative, torch.float32), seconds)
                rows.append(Row(cell, size, parameters, label, cost, theory(cell, size, parameters, label)))
    return rows


def print_costs(rows: list[Row]) -> None:
    """Print a table: one line a cell and size, one column a derivative."""
    print(f"Microseconds of CPU time for each step (thousands of multiplications in theory): one stream, {D} inputs,")
    print(f"{Q} outputs, float32, one thread, PyTorch {torch.__version__}, medians. tbptt: window {WINDOW}, a gradient")
    print(f"at every step. bptt: a sequence of {LENGTH} steps, for each step. Parameters: of the cell.\n")
    print("| cell | n | parameters | " + " | ".join(SETTINGS) + " |")
    print("|---|---|---|" + "---|" * len(SETTINGS))
    for cell, size, parameters in dict.fromkeys((row.cell, row.size, row.parameters) for row in rows):
        found = {row.derivative: row for row in rows if (row.cell, row.size) == (cell, size)}
        costs = [
            f"{found[label].microseconds:,.0f} ({found[label].multiplications / 1e3:,.0f})" if label in found else "="
            for label in SETTINGS
        ]
        print(f"| {cell} | {size} | {parameters:,} | " + " | ".join(costs) + " |")


def print_updates(seconds: float) -> None:
    """Print how often a second a network of 32 units steps, takes an exact gradient, and moves its parameters."""
    print(
        "\nOnline updates a second of CPU time: a step of RTRL, the gradient, and a step down it; n = 32, one stream.\n"
    )
    print("| cell | float32 | float64 | snap1, float32 |\n|---|---|---|---|")
    for cell in CELLS:
        rates = []
        for name, dtype in (("rtrl", torch.float32), ("rtrl", torch.float64), ("snap1", torch.float32)):
            derivative = make_derivative(name, Network(CELLS[cell](D, 32), Q).to(dtype))
            rates.append(1e6 / median_microseconds(one_step(derivative, dtype, learn=True), seconds))
        print(f"| {cell} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |")


def draw(rows: list[Row], path: Path) -> None:
    """Draw one panel a cell: measured lines, and dotted what the theory makes of the largest size."""
    figure = Figure(figsize=(11.0, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flatten()
    for panel, cell in zip(panels, COMPARED, strict=True):
        for color, label in zip(COLORS, SETTINGS, strict=False):
            line = [row for row in rows if row.cell == cell and row.derivative == label]
            if not line:
                continue
            across = [row.parameters for row in line]
            panel.plot(across, [row.microseconds for row in line], "o-", color=color, label=label, markersize=4)
            scale = line[-1].microseconds / line[-1].multiplications
            panel.plot(across, [row.multiplications * scale for row in line], ":", color=color, linewidth=1.2)
        panel.set(xscale="log", yscale="log", title=TITLES[cell])
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_ylim(5.0, 2 * max(row.microseconds for row in rows))
    for panel in panels[2:]:
        panel.set_xlabel("parameters of the cell")
    for panel in panels[::2]:
        panel.set_ylabel("CPU time of a step (µs)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False,
        title="bptt: whole sequences; tbptt: a gradient at every step; dotted: operations in theory, from largest n",
    )  # fmt: skip
    sizes = sorted({row.size for row in rows})
    figure.suptitle(f"Cost of derivatives: one stream, n = {sizes[0]} to {sizes[-1]} units", fontweight="bold")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small networks, few repeats")
    parser.add_argument("--figure", type=Path, help="*.png to draw")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = measure(SIZES[:3] if options.quick else SIZES, 0.05 if options.quick else 0.5)
    print_costs(rows)
    print_updates(0.1 if options.quick else 1.0)
    if options.figure is not None:
        draw(rows, options.figure)


if __name__ == "__main__":
    main()
