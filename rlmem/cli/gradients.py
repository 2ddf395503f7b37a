"""``rlmem gradients``: draw how the gradient decays over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlmem.cli.arguments import check_least
from rlmem.cli.help import cli
from rlmem.cli.outputs import result_path, writable_file
from rlmem.cli.work_bar import Tell, work_bar
from rlmem.errors import UserError
from rlmem.field_checks import check_widths
from rlmem.runs.named import run_folder
from rlmem.runs.settings import read_settings
from rlmem.suggest import unknown

if TYPE_CHECKING:
    from rlmem.figures.gradients import Reach
    from rlmem.networks.cell import AnyCell

STARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "elman": ("elman", {}),
    "lstm-torch": ("lstm", {"init": "torch"}),
    "lstm": ("lstm", {}),
    "lstm-chrono": ("lstm", {"init": "chrono"}),
    "gru-torch": ("gru", {"init": "torch"}),
    "gru": ("gru", {}),
    "rtu": ("rtu", {}),
    "lru": ("lru", {}),
    "min_gru": ("min_gru", {}),
    "elstm": ("elstm", {}),
}
"""Name -> cell and how it starts; "-torch" is torch's own initialization."""


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Draw the gradient |dL_T / dh_t| against the lag T - t, relative to lag 1.

    It is measured for untrained cells, or for the actor of RUN before and after training. Where it is below about 1e-7,
    events that long ago cannot be learnt in single precision.

    Args:
        cells: Names of cells; "-torch" and "-chrono" name other initializations than the default.
        max_lag: Largest lag, in control steps.
        memory_length: Control steps over which the initialized cells remember.
        hidden_size: Units of a cell.
        input_size: Size of an input.
        seeds: Number of cells drawn of each kind; the median is shown.
        out: PNG file to write; gradients.png if not given, and NAME-gradients.png for zoo:NAME.

    Examples:
        rlmem gradients --cells lstm lstm-torch gru
        rlmem gradients runs/TMaze-v0/recurrent_ppo/0 --out reach.png
    """

    cells: tuple[str, ...] = tuple(STARTS)
    max_lag: int = 200
    memory_length: float = 200.0
    hidden_size: int = 32
    input_size: int = 8
    seeds: int = 10
    out: Path | None = None

    def __post_init__(self) -> None:
        check_least(self, max_lag=1, memory_length=2, hidden_size=2, input_size=1, seeds=1)
        check_widths(hidden_size=self.hidden_size, input_size=self.input_size)
        for name in self.cells:
            if name not in STARTS:
                raise UserError(unknown("cell", name, STARTS))


def run(argv: Sequence[str]) -> int:
    """Measure, print a table and draw."""
    rest = list(argv)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else ""
    folder = run_folder(name) if name else None
    options: Gradients = cli(Gradients, rest, "rlmem gradients", "[RUN]")
    if folder is not None:
        read_settings(folder)
    out = writable_file(options.out or result_path(Path(), name, "gradients.png"), "--out", (".png",))
    from rlmem.evaluation.gradient import lags_up_to
    from rlmem.figures.gradients import plot_gradient_reach

    lags = [lag for lag in lags_up_to(options.max_lag) if lag]
    with work_bar("measuring") as tell:
        reaches = of_run(folder, lags) if folder else of_cells(options, lags, tell)
    wide = max(len(reach.label) for reach in reaches) + 2
    print("|dL_T / dh_t| relative to lag 1\n" + "lag".ljust(wide) + "".join(f"{lag:>9}" for lag in lags))
    for reach in reaches:
        print(reach.label.ljust(wide) + "".join(f"{value:>9.1e}" for value in reach.norms))
    seeds = f"{options.hidden_size} units, memory length {options.memory_length:g}, median of {options.seeds} seeds"
    title = f"How far back gradients reach: {folder or seeds}"
    plot_gradient_reach(reaches, out, title=title)
    print(f"picture: {out}")
    return 0


def of_cells(options: Gradients, lags: Sequence[int], tell: Tell) -> list[Reach]:
    """Return the decay of the gradient in untrained cells, the median over seeds."""
    import numpy as np
    import torch

    from rlmem.figures.gradients import Reach
    from rlmem.networks.cells import CELLS

    found = []
    for number, name in enumerate(options.cells):
        kind, settings = STARTS[name]
        measured = []
        for seed in range(options.seeds):
            tell((number + seed / options.seeds) / len(options.cells), f"measuring {name}")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                make: Any = CELLS[kind]
                cell = make(options.input_size, options.hidden_size, memory_length=options.memory_length, **settings)
            measured.append(relative(cell, lags, seed))
        found.append(Reach(name, list(lags), np.median(measured, axis=0)))
    return found


def of_run(folder: Path, lags: Sequence[int]) -> list[Reach]:
    """Return the reach of a run's actor before and after training.

    Raises:
        UserError: If there is no such run, or if its agent has no memory cells.
    """
    from rlmem.evaluation.episodes import make_test_env
    from rlmem.evaluation.gradient import trained_cell
    from rlmem.figures.gradients import Reach
    from rlmem.runs.checkpoints import BEST
    from rlmem.runs.training import load_agent, make_agent

    settings = read_settings(folder)
    env = make_test_env(settings.env, 1, settings.knobs)
    try:
        fresh, trained = make_agent(settings, env), load_agent(folder, env, BEST)
    finally:
        env.close()
    agents = {"before training": fresh, "after training": trained}
    return [Reach(name, list(lags), relative(trained_cell(agent), lags, 0)) for name, agent in agents.items()]


def relative(cell: AnyCell, lags: Sequence[int], seed: int) -> Any:
    """Return |dL_T / dh_t| at the lags, relative to lag 1, on inputs of normal noise."""
    from rlmem.evaluation.gradient import gradient_vs_lag

    norms = gradient_vs_lag(cell, [1, *lags], seed=seed)
    return norms[1:] / norms[0]
