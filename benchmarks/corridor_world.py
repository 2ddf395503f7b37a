"""How fast a corridor with work is: control steps per CPU-second against Bullet's own floor.

    python benchmarks/corridor_world.py [--quick] [--out benchmarks/results/corridor_world.md]

As in :mod:`table_world`: both contenders run in one process, block by block in turn, and medians are compared. The
floor is the same robots and walls with nothing around them: one motor write with prepared arguments, one
``stepSimulation`` and the reading of pose and velocity a control step, world by world to and fro as in the task.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from environments import DRAWN, machine

from rlmem.envs.simulation import pybullet

NUM_ENVS = 32
FLOOR_BAR = 0.85
KNOBS: dict[str, Any] = {"guard": "dock", "memory_length": 1_000, "dock_every": 100, "distractors": 0.1}
WORK: dict[str, dict[str, Any]] = {"gates": {"gates": 4}, "gates and obstacles": {"gates": 4, "obstacles": 2}}


def floor(task: Any, robot: str) -> Callable[[int], None]:
    """Return Bullet's bare control step of all robots of a task, given the number of the step."""
    joints = [0, 1, 2] if robot == "planar" else [0, 1]
    wanted = np.random.default_rng(1).uniform(-1.0, 1.0, (DRAWN, NUM_ENVS, len(joints))).tolist()
    robots = [(one._body, one._forces, world.client) for one, world in zip(task._robots, task.worlds, strict=True)]

    def step(number: int) -> None:
        onward = 1 - 2 * (number % 2)
        for (body, forces, client), velocities in zip(robots[::onward], wanted[number % DRAWN], strict=True):
            pybullet.setJointMotorControlArray(
                body,
                joints,
                pybullet.VELOCITY_CONTROL,
                targetVelocities=velocities,
                forces=forces,
                physicsClientId=client,
            )
            pybullet.stepSimulation(physicsClientId=client)
            if robot == "planar":
                pybullet.getJointStates(body, joints, physicsClientId=client)
            else:
                pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
                pybullet.getBaseVelocity(body, physicsClientId=client)

    return step


def rates(robot: str, work: dict[str, Any], *, repeats: int, steps: int) -> tuple[float, float]:
    """Return environment steps per CPU-second, with physics at every step: of the task, and of the floor."""
    env, bare = (gymnasium.make_vec("rlmem/TMaze-v0", NUM_ENVS, robot=robot, **KNOBS, **work) for _ in range(2))
    for made in (env, bare):
        made.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, *env.action_space.shape)).astype(np.float32)
    for number in range(4):  # the cue, in which the robot is held
        env.step(actions[number])
    contenders = (lambda number: env.step(actions[number % DRAWN]), floor(bare.unwrapped.task, robot))
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
