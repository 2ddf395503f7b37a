"""Print the results of ``scripts/length_study.py`` as a Markdown table.

python scripts/length_table.py --results benchmarks/results/t_maze_lengths.csv
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
    """

    results: Path = Path("benchmarks/results/t_maze_lengths.csv")


def main(options: Options) -> None:
    """Print one row for each agent, cell, robot, kind of training and length."""
    groups = defaultdict(list)
    with options.results.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["agent"], row["cell"], row["init"], row["training"], int(row["memory_length"]), row["robot"])
            groups[key].append(row)
    print("| agent | cell | init | trained on | memory length | robot | solved | test success | env steps | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (agent, cell, init, training, length, robot), rows in sorted(groups.items()):
        successes = [float(row["test_success"]) for row in rows]
        solved = sum(value >= SOLVED for value in successes)
        steps, cpu = ([float(row[name]) for row in rows] for name in ("env_steps", "cpu_seconds"))
        trained = f"5 to {length}" if training == "range" else str(length)
        print(
            f"| {agent} | {cell} | {init} | {trained} | {length} | {robot} | {solved} of {len(rows)} "
            f"| {sum(successes) / len(rows):.3f} (least {min(successes):.3f}) "
            f"| {median(steps):,.0f} (most {max(steps):,.0f}) | {median(cpu):.1f} (most {max(cpu):.1f}) |"
        )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
