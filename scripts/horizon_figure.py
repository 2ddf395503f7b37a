"""Draw how far back agents remember, to 10,000 control steps: success against memory length, and L50 and L90.

rlmem benchmark benchmarks/horizon.toml --out benchmark/horizon
python scripts/horizon_figure.py --merge benchmark/horizon
python scripts/horizon_figure.py                             # the figure anew, from the table in the repository
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.benchmark.summary import Row, horizon_groups, run_interval, runs_of
from rlmem.benchmark.table import RESULTS, merge_tables, read_rows, write_rows
from rlmem.evaluation.horizon import length_at, length_in_words
from rlmem.figures.style import Curve, draw_curve, length_axis, level_line, plain, save


@dataclass(frozen=True, kw_only=True)
class Options:
    """Figure of horizon curves.

    Args:
        table: Table of the benchmark.
        merge: Folders of benchmarks whose rows are put into the table first.
        out: The figure.
    """

    table: Path = Path("benchmarks/results/horizon.csv")
    merge: tuple[Path, ...] = ()
    out: Path = Path("docs/horizon.png")


def main(options: Options) -> None:
    """Merge, draw, print L50 and L90."""
    if options.merge:
        write_rows(options.table, merge_tables([options.table, *(folder / RESULTS for folder in options.merge)]))
    rows = read_rows(options.table)
    if not rows:
        raise SystemExit(f"{options.table} has no rows: run `rlmem benchmark benchmarks/horizon.toml` first")
    curves = [one for agents in horizon_groups(rows).values() for one in agents.items()]
    figure = Figure(figsize=(0.7 + 3.3 * min(2, len(curves)), 0.6 + 2.7 * -(-len(curves) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(-(-len(curves) // 2), min(2, len(curves)), squeeze=False, sharex=True, sharey=True)
    lengths = sorted({length for _, at in curves for length in at})
    for axes, (agent, at) in zip(grid.ravel(), curves, strict=False):
        name, ends = _words(agent, at)
        print(f"{name}: {', '.join(ends)}")
        value, low, high = zip(*(run_interval(runs, "value") for runs in at.values()), strict=True)
        draw_curve(axes, Curve(list(at), value, low, high), 0, "")
        axes.axvline(_trained(at), color="0.35", linestyle="-.", linewidth=1.0)
        level_line(axes, 0.5, "without memory")
        level_line(axes, 1.0, "", ":")
        length_axis(axes, lengths)
        axes.tick_params(labelsize=8)
        axes.set_ylim(-0.03, 1.05)
        axes.set_xlabel("")
        axes.set_title("\n".join((name, *ends)), fontsize=9)
        plain(axes)
    for axes in grid.ravel()[len(curves) :]:
        axes.set_visible(False)
    figure.supxlabel("memory length in the test (control steps); vertical line: the longest in training", fontsize=9)
    figure.supylabel("success rate on held-out seeds", fontsize=9)
    save(figure, options.out)
    print(f"written to {options.out}")


def _words(agent: str, at: Mapping[int, list[Row]]) -> tuple[str, tuple[str, str]]:
    """Return agent with lengths of training and number of runs, and L50 and L90."""
    runs, lengths = min(map(len, at.values())), list(at)
    scores = np.array([runs_of(rows, "memory_score")[:runs] for rows in at.values()])
    l50, l90 = (length_in_words(length_at(lengths, scores, level), lengths) for level in (0.5, 0.9))
    return f"{agent}, trained on 5 to {_trained(at):,} ({runs} run{'s' * (runs > 1)})", (f"L50 {l50}", f"L90 {l90}")


def _trained(at: Mapping[int, list[Row]]) -> int:
    """Return the longest memory length of training."""
    return int(max(json.loads(next(iter(at.values()))[0]["knobs"])["memory_length"]))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
