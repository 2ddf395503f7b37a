"""Draw how far back agents remember, to 10,000 control steps: success against memory length.

rlmem benchmark benchmarks/horizon.toml --out benchmark/horizon
python scripts/horizon_figure.py --merge benchmark/horizon
python scripts/horizon_figure.py                             # the figure anew, from the table in the repository
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlmem.benchmark.summary import Row, horizon_groups, run_interval
from rlmem.benchmark.table import RESULTS, merge_tables, read_rows, write_rows
from rlmem.evaluation.horizon import stretches, stretches_in_words
from rlmem.figures.style import Curve, draw_curve, length_axis, level_line, plain, save

_RIGHT = 0.9


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
    """Merge, draw, print where agents succeed."""
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
        name, reach = _words(agent, at)
        print(f"{name}: {reach}")
        value, low, high = zip(*(run_interval(runs, "value") for runs in at.values()), strict=True)
        draw_curve(axes, Curve(list(at), value, low, high), 0, "")
        axes.axvline(_trained(at), color="0.35", linestyle="-.", linewidth=1.0)
        level_line(axes, 0.5, "without memory")
        level_line(axes, 1.0, "", ":")
        length_axis(axes, lengths)
        axes.tick_params(labelsize=8)
        axes.set_ylim(-0.03, 1.05)
        axes.set_xlabel("")
        axes.set_title(f"{name}\n{reach}", fontsize=9)
        plain(axes)
    for axes in grid.ravel()[len(curves) :]:
        axes.set_visible(False)
    figure.supxlabel("memory length in the test (control steps); vertical line: the longest in training", fontsize=9)
    figure.supylabel("success rate on held-out seeds", fontsize=9)
    save(figure, options.out)
    print(f"written to {options.out}")


def _words(agent: str, at: Mapping[int, list[Row]]) -> tuple[str, str]:
    """Return agent with lengths of training and number of runs, and at which lengths it succeeds."""
    runs = min(map(len, at.values()))
    right = [run_interval(rows, "value").value >= _RIGHT for rows in at.values()]
    words = stretches_in_words(stretches(list(at), right)) or "no length"
    return f"{agent}, trained on 5 to {_trained(at):,} ({runs} run{'s' * (runs > 1)})", f"success above 0.9 at {words}"


def _trained(at: Mapping[int, list[Row]]) -> int:
    """Return the longest memory length of training."""
    return int(max(json.loads(next(iter(at.values()))[0]["knobs"])["memory_length"]))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
