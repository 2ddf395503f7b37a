"""How fast a corridor with work is: control steps per CPU-second against Bullet's own floor.

    python benchmarks/corridor_world.py [--quick] [--out benchmarks/results/corridor_world.md]

Both contenders run in one process, block by block in turn, and medians are compared. The floor is that of
``environments.py``: the same robots between walls, driven by the same actions with nothing around them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from environments import DRAWN, floor, machine

NUM_ENVS = 32
FLOOR_BAR = 0.85
KNOBS: dict[str, Any] = {"guard": "dock", "memory_length": 1_000, "dock_every": 100, "distractors": 0.1}
WORK: dict[str, dict[str, Any]] = {"gates": {"gates": 4}, "gates and obstacles": {"gates": 4, "obstacles": 2}}


def rates(robot: str, work: dict[str, Any], *, repeats: int, steps: int) -> tuple[float, float]:
    """Return environment steps per CPU-second, with physics at every step: of the task, and of the floor."""
    env = gymnasium.make_vec("rlmem/TMaze-v0", NUM_ENVS, robot=robot, **KNOBS, **work)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, *env.action_space.shape)).astype(np.float32)
    bare = floor(robot, NUM_ENVS, actions)
    for number in range(4):  # the cue, in which the robot is held
        env.step(actions[number])
    contenders = (lambda number: env.step(actions[number % DRAWN]), bare.step)
    measured: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for contender, values in zip(contenders, measured, strict=True):
            started = time.process_time()
            for number in range(steps):
                contender(number)
            if repeat:
                values.append(steps * NUM_ENVS / (time.process_time() - started))
    env.close()
    bare.close()
    return statistics.median(measured[0]), statistics.median(measured[1])


def report(*, quick: bool) -> str:
    """Measure and return the results as Markdown."""
    lines = [
        "# Speed of a corridor with work",
        "",
        f"Machine: {machine()}. N = {NUM_ENVS}, one process; medians. TMaze-v0 in the delay, random actions; knobs "
        + ", ".join(f"`{name}={value!r}`" for name, value in KNOBS.items())
        + ".",
        "",
        "| work | robot | steps / CPU s | Bullet's floor | part of it |",
        "|---|---|---|---|---|",
    ]
    for name, work in WORK.items():
        for robot in ("planar", "diff_drive"):
            ours, bare = rates(robot, work, repeats=1 if quick else 15, steps=10 if quick else 40)
            mark = "reached" if ours / bare >= FLOOR_BAR else "missed"
            part = f"{ours / bare:.2f} ({mark}: {FLOOR_BAR:g})"
            lines.append(f"| {name} | {robot} | {ours:,.0f} | {bare:,.0f} | {part} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Measure the speed of a corridor with work.")
    parser.add_argument("--quick", action="store_true", help="one short repeat: to see that it works")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    arguments = parser.parse_args()
    text = report(quick=arguments.quick)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
