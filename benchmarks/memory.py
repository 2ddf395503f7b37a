"""How much a process grows while it trains: resident memory against control steps.

    OMP_NUM_THREADS=1 python benchmarks/memory.py [--steps 1000000] [--out benchmarks/results/memory.md]

Recurrent PPO with its tuned or default settings, 16 environments, one seed. Growth is counted from 50,000 control steps
on, when every part of the program has run; what a process has before that is mostly Bullet's worlds and PyTorch.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

TASKS = {"TMaze-v0": {"robot": "planar"}, "RememberColor-v0": {}}
WARM = 50_000
POINTS = 10


def resident() -> float:
    """Return the MiB of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(task: str, steps: int) -> list[tuple[int, float]]:
    """Train, and return control steps and MiB at the first rollout after each of ``POINTS`` equal parts."""
    seen: list[tuple[int, float]] = []

    def look(env_steps: int, _: dict[str, float]) -> None:
        if env_steps >= max(WARM, len(seen) * steps / POINTS):
            seen.append((env_steps, resident()))

    settings = RunSettings(env=task, agent="recurrent_ppo", steps=steps, knobs=dict(TASKS[task]))
    with tempfile.TemporaryDirectory() as folder:
        train(settings, folder, report=look)
    return seen


def main() -> None:
    """Measure in a process for each task, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    options = parser.parse_args()
    names = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    caches = ", ".join(f"{name}={os.environ[name]}" for name in names)
    lines = [f"Resident memory while recurrent PPO trains ({caches}), MiB.", ""]
    lines += ["| task | control steps | at 50,000 | at the end | growth | on the way |", "|---|---|---|---|---|---|"]
    for task in options.tasks:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            seen = pool.submit(measure, task, options.steps).result()
        first, last = seen[0][1], seen[-1][1]
        way = ", ".join(f"{mib - first:+.0f}" for _, mib in seen[1:])
        lines.append(f"| {task} | {seen[-1][0]:,} | {first:.0f} | {last:.0f} | {last - first:+.0f} | {way} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
