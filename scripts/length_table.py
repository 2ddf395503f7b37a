"""Print the results of ``scripts/length_study.py`` as a Markdown table.

python scripts/length_table.py --results benchmarks/results/t_maze_lengths.csv
python scripts/length_table.py --results benchmarks/results/t_maze_cells.csv --by-cell
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

SOLVED = 0.95


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the results are.

    Args:
        results: CSV file of ``scripts/length_study.py``.
        by_cell: One row for each cell, one column for each length and robot.
    """

    results: Path = Path("benchmarks/results/t_maze_lengths.csv")
    by_cell: bool = False


def by_cell(rows: list[dict[str, str]]) -> str:
    """Return a table of cells against lengths and robots: runs solved, and medians of env steps and CPU seconds."""
    cells = dict.fromkeys(row["cell"] for row in rows)
    columns = sorted({(int(row["memory_length"]), row["robot"] != "planar", row["robot"]) for row in rows})
    lines = ["| cell | " + " | ".join(f"{length:,}, {robot}" for length, _, robot in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for cell in cells:
        shown = [cell]
        for length, _, robot in columns:
            own = [r for r in rows if (r["cell"], int(r["memory_length"]), r["robot"]) == (cell, length, robot)]
            solved = sum(float(row["test_success"]) >= SOLVED for row in own)
            steps, cpu = (
                median(float(row[name]) for row in own) if own else 0 for name in ("env_steps", "cpu_seconds")
            )
            shown.append(f"{solved} of {len(own)}: {steps / 1e3:,.0f}k, {cpu:.1f} s" if own else "")
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def by_length(rows: list[dict[str, str]]) -> str:
    """Return a table with one row for each agent, cell, robot, kind of training and length."""
    groups = defaultdict(list)
    for row in rows:
        key = (*(row[name] for name in ("agent", "cell", "init", "training")), int(row["memory_length"]))
        groups[(*key, row["robot"], row.get("batch") or "")].append(row)
    lines = ["| agent | cell | init | trained on | memory length | robot | solved | test success | env steps | CPU s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for (agent, cell, init, training, length, robot, batch), own in sorted(groups.items()):
        successes = [float(row["test_success"]) for row in own]
        solved = sum(value >= SOLVED for value in successes)
        steps, cpu = ([float(row[name]) for row in own] for name in ("env_steps", "cpu_seconds"))
        trained = (f"5 to {length}" if training == "range" else str(length)) + f", {batch} batch" * bool(batch)
        lines.append(
            f"| {agent} | {cell} | {init} | {trained} | {length} | {robot} | {solved} of {len(own)} "
            f"| {sum(successes) / len(own):.3f} (least {min(successes):.3f}) "
            f"| {median(steps):,.0f} (most {max(steps):,.0f}) | {median(cpu):.1f} (most {max(cpu):.1f}) |"
        )
    return "\n".join(lines)


def main(options: Options) -> None:
    """Print the table."""
    with options.results.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print(by_cell(rows) if options.by_cell else by_length(rows))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
