"""How fast the environments are: control steps per CPU-second against a naive environment and Bullet's own floor.

    python benchmarks/environments.py [--quick] [--out benchmarks/results/environments.md]

All contenders run in one process tree, block by block in turn, and what is compared are ratios of the medians, so that
a busy machine blurs all alike. CPU seconds are those of this process and of all its workers. The floor is the same
world and robot with nothing around it: one motor write with prepared arguments, one ``stepSimulation``, the reads.
The naive environment loads its world anew at each reset, as Bullet's own environments do; "Dummy, kept" does not.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import rlmem
from rlmem.envs.corridor import scenery
from rlmem.envs.robots import MOBILE_ROBOTS, Robot
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.runs.settings import processor

NAIVE_ID = "NaiveTMaze-v0"
NUM_ENVS = (1, 8, 32)
LENGTHS = (20, 100, 400, 1_000)
"""Memory lengths, control steps, at which the guarded T-maze is measured."""
WORKERS = 2
TURNING = 8
"""Control steps at full steering that turn a robot by a quarter."""
DRAWN = 256
"""Control steps for which actions are drawn beforehand; they go round."""
BARS = {"planar": (20_000, 4.0, 8.0), "diff_drive": (6_000, 2.0, 4.0)}
"""Least steps per CPU-second, times Dummy, times Subproc, at 32 environments without a guard."""
FLOOR_BAR, RESET_BAR = 0.70, 60.0
"""Least part of Bullet's floor; most microseconds for a reset."""
SINGLE_BAR = 2.0
"""Least times a naive environment, for a single one as ``gymnasium.make`` returns it, at its default guard."""

OURS, OURS_GUARDED, OURS_WORKERS = "ours", "ours, guarded", "ours, workers"
DUMMY, DUMMY_KEPT, SUBPROC, FLOOR = "naive, Dummy", "naive, Dummy, kept", "naive, Subproc", "Bullet's floor"
NAIVE, NAIVE_KEPT = "naive", "naive, kept"


@dataclass(frozen=True)
class Contender:
    """Something that runs control steps of N environments."""

    step: Callable[[int], Any]
    """Runs one control step of all environments; given the number of the step."""
    close: Callable[[], Any]


def cpu_seconds() -> float:
    """Return the CPU time used so far by this process and its living workers."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def ours(robot: str, num_envs: int, actions: Any, **knobs: Any) -> Contender:
    """The T-maze of this package in its vector environment."""
    env = gymnasium.make_vec("rlmem/TMaze-v0", num_envs, robot=robot, **knobs)
    env.reset(seed=0)
    return Contender(lambda number: env.step(actions[number % DRAWN]), env.close)


def naive(
    robot: str,
    num_envs: int,
    actions: Any,
    kind: type[DummyVecEnv | SubprocVecEnv],
    *,
    reload: bool = True,
    **arguments: Any,
) -> Contender:
    """The naive T-maze in a vector environment of Stable-Baselines3."""
    env = kind([partial(gymnasium.make, NAIVE_ID, robot=robot, reload=reload)] * num_envs, **arguments)
    env.reset()
    return Contender(lambda number: env.step(actions[number % DRAWN]), env.close)


def single(env_id: str, actions: Any, *, expert: bool = False, **knobs: Any) -> Contender:
    """One environment as ``gymnasium.make`` returns it, reset where an episode ends.

    Args:
        env_id: Of the environment.
        actions: [DRAWN, 1, 2].
        expert: Drive along the corridor and into the left arm, about as a trained agent does, instead of at random.
        knobs: Of the environment.
    """
    env = gymnasium.make(env_id, **knobs)
    ahead, turn = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)
    phase, asked = env.reset(seed=0)[1]["phase"], 0

    def step(number: int) -> None:
        nonlocal phase, asked
        asked = asked + 1 if phase == "query" else 0
        action = (turn if 0 < asked <= TURNING else ahead) if expert else actions[number % DRAWN, 0]
        _, _, terminated, truncated, info = env.step(action)
        phase = env.reset()[1]["phase"] if terminated or truncated else info["phase"]

    return Contender(step, env.close)


def floor(robot: str, num_envs: int, actions: Any) -> Contender:
    """Bullet alone: robots in the corridor that are driven by the same actions."""
    worlds: list[World] = []
    calls: list[Callable[[int], Any]] = []
    for index in range(num_envs):
        robots: list[Robot] = []

        def build(client: int, robots: list[Robot] = robots) -> None:
            scenery.build_walls(client, 2, 5.0, visuals=False)
            back_wall = scenery.build_back_wall(client, visuals=False)
            scenery.move_back_wall(client, back_wall, -2.5)
            robots.append(MOBILE_ROBOTS[robot](client, PHYSICS, visuals=False))

        worlds.append(World(build, PHYSICS))
        worlds[-1].restore()
        robots[0].place(-1.0, 0.0, 0.0)
        calls.append(bare_step(robot, robots[0], worlds[-1].client, actions[:, index]))

    def step(number: int) -> None:
        for call in calls:
            call(number % DRAWN)

    def close() -> None:
        for world in worlds:
            world.close()

    return Contender(step, close)


def bare_step(robot: str, body: Any, client: int, actions: Any) -> Callable[[int], Any]:
    """Return a call that writes, steps and reads one world with arguments prepared from actions [DRAWN, 2]."""
    unique, forces = body._body, body._forces
    throttle, steering = actions.astype(float).T
    if robot == "planar":
        joints = [0, 1, 2]
        yaw = np.cumsum(0.2 * steering)
        targets = np.stack((throttle * np.cos(yaw), throttle * np.sin(yaw), 4.0 * steering), axis=-1).tolist()
    else:
        joints = [0, 1]
        turn = 4.0 * steering * 0.29 / 2
        targets = (np.stack((throttle - turn, throttle + turn), axis=-1) / 0.05).tolist()

    def call(number: int) -> Any:
        pybullet.setJointMotorControlArray(
            unique,
            joints,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=targets[number],
            forces=forces,
            physicsClientId=client,
        )
        pybullet.stepSimulation(physicsClientId=client)
        if robot == "planar":
            return pybullet.getJointStates(unique, joints, physicsClientId=client)
        return (
            pybullet.getBasePositionAndOrientation(unique, physicsClientId=client),
            pybullet.getBaseVelocity(unique, physicsClientId=client),
        )

    return call


def contenders(robot: str, num_envs: int) -> dict[str, Contender]:
    """Make all that are compared for a robot and a number of environments."""
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, num_envs, 2)).astype(np.float32)
    return {
        OURS: ours(robot, num_envs, actions, guard="none"),
        OURS_GUARDED: ours(robot, num_envs, actions, guard="delay"),
        OURS_WORKERS: ours(robot, num_envs, actions, guard="none", workers=min(WORKERS, num_envs)),
        DUMMY: naive(robot, num_envs, actions, DummyVecEnv, reload=True),
        DUMMY_KEPT: naive(robot, num_envs, actions, DummyVecEnv, reload=False),
        SUBPROC: naive(robot, num_envs, actions, SubprocVecEnv, reload=True, start_method="fork"),
        FLOOR: floor(robot, num_envs, actions),
    }


def single_contenders(robot: str, *, expert: bool) -> dict[str, Contender]:
    """Make the single environments that are compared for a robot, driven at random or as by a trained agent."""
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, 1, 2)).astype(np.float32)
    ids = {"robot": robot, "expert": expert}
    return {
        OURS: single("rlmem/TMaze-v0", actions, guard="none", **ids),
        OURS_GUARDED: single("rlmem/TMaze-v0", actions, **ids),
        NAIVE: single(NAIVE_ID, actions, reload=True, **ids),
        NAIVE_KEPT: single(NAIVE_ID, actions, reload=False, **ids),
        FLOOR: floor(robot, 1, actions),
    }


def rates(running: dict[str, Contender], num_envs: int, *, repeats: int, seconds: float) -> dict[str, float]:
    """Return the medians of environment steps per CPU-second, and close the contenders."""
    steps = {}
    for name, contender in running.items():
        started, count = cpu_seconds(), 0
        while cpu_seconds() - started < max(0.1, seconds / 4):
            for number in range(50):
                contender.step(number)
            count += 50
        steps[name] = math.ceil(count * seconds / (cpu_seconds() - started))
    measured: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(repeats):
        for name, contender in running.items():
            started = cpu_seconds()
            for number in range(steps[name]):
                contender.step(number)
            measured[name].append(steps[name] * num_envs / (cpu_seconds() - started))
    for contender in running.values():
        contender.close()
    return {name: statistics.median(values) for name, values in measured.items()}


def guarded_rates(robot: str, *, repeats: int) -> list[float]:
    """Return the medians of environment steps per CPU-second with the default guard, one for each of ``LENGTHS``."""
    found = []
    for length in LENGTHS:
        actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, 32, 2)).astype(np.float32)
        contender = ours(robot, 32, actions, memory_length=length)
        steps, measured = max(300, 2 * (length + 63)), []
        for _ in range(repeats):
            started = cpu_seconds()
            for number in range(steps):
                contender.step(number)
            measured.append(steps * 32 / (cpu_seconds() - started))
        contender.close()
        found.append(statistics.median(measured))
    return found


def reset_microseconds(robot: str, *, resets: int) -> float:
    """Return the median CPU time of a reset in a vector environment of 32, an environment, without a guard."""
    env = gymnasium.make_vec("rlmem/TMaze-v0", 32, robot=robot, guard="none")
    env.reset(seed=0)
    times = []
    for _ in range(resets):
        started = time.process_time()
        env.reset()
        times.append((time.process_time() - started) / 32 * 1e6)
    env.close()
    return statistics.median(times)


def machine() -> str:
    """Say what was measured on, in one line."""
    versions = {
        "Python": platform.python_version(),
        "PyBullet": version("pybullet"),
        "NumPy": np.__version__,
        "Gymnasium": gymnasium.__version__,
        "Stable-Baselines3": stable_baselines3.__version__,
        "rlmem": rlmem.__version__,
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores; {named}"


def measured_on() -> list[str]:
    """Return the lines that say what was measured, and where."""
    return [
        f"Machine: {machine()}. Control steps per CPU-second with random actions; medians.",
        "",
        'All columns but "ours, guarded" simulate every control step (`guard="none"`) and are compared with each',
        'other. "Ours, guarded" is the default `guard="delay"`, which skips the physics while the robot is on rails:',
        'what training gets, and no measure of the simulation. "Naive" loads its world anew at each reset, as',
        'Bullet\'s own environments do; "kept" puts the robot back by hand.',
    ]


def report(
    results: dict[str, dict[int, dict[str, float]]],
    singles: dict[tuple[str, str], dict[str, float]],
    resets: dict[str, float],
    guarded: dict[str, list[float]],
) -> str:
    """Return the results as Markdown."""
    names = (OURS, OURS_WORKERS, OURS_GUARDED, DUMMY, DUMMY_KEPT, SUBPROC, FLOOR)
    lines = [
        "# Speed of the environments",
        "",
        *measured_on(),
        "",
        f"| robot | N | {' | '.join(names)} | ours / floor | ours / Dummy | ours / Subproc |",
        f"|---|---|{'---|' * (len(names) + 3)}",
    ]
    for robot, by_number in results.items():
        for number, rate in by_number.items():
            ratios = (f"{rate[OURS] / rate[name]:.2f}" for name in (FLOOR, DUMMY, SUBPROC))
            cells = (robot, str(number), *(f"{rate[name]:,.0f}" for name in names), *ratios)
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        *single_report(singles),
        "",
        "| bar, at the largest N | " + " | ".join(results) + " |",
        f"|---|{'---|' * len(results)}",
    ]
    for label, reached in bars(results, resets).items():
        lines.append(f"| {label} | {' | '.join(reached)} |")
    lines += ["", "| guarded, N = 32, memory length | " + " | ".join(f"{length:,}" for length in LENGTHS) + " |"]
    lines.append(f"|---|{'---|' * len(LENGTHS)}")
    for robot, found in guarded.items():
        lines.append(f"| {robot} | " + " | ".join(f"{rate:,.0f}" for rate in found) + " |")
    return "\n".join(lines) + "\n"


def single_report(singles: dict[tuple[str, str], dict[str, float]]) -> list[str]:
    """Return the lines of the table of single environments."""
    names = (OURS, OURS_GUARDED, NAIVE, NAIVE_KEPT, FLOOR)
    lines = [
        f"A single environment, as `gymnasium.make` returns it. Bar: {SINGLE_BAR:g} times naive, guarded.",
        "",
        f"| robot | driven | {' | '.join(names)} | ours / naive | ours, guarded / naive | floor / naive |",
        f"|---|---|{'---|' * (len(names) + 3)}",
    ]
    for (robot, driven), rate in singles.items():
        ratios = [rate[name] / rate[NAIVE] for name in (OURS, OURS_GUARDED, FLOOR)]
        reached = "reached" if ratios[1] >= SINGLE_BAR else "missed"
        cells = (robot, driven, *(f"{rate[name]:,.0f}" for name in names), f"{ratios[0]:.2f}")
        lines.append(f"| {' | '.join(cells)} | {ratios[1]:.2f} ({reached}) | {ratios[2]:.2f} |")
    return lines


def bars(results: dict[str, dict[int, dict[str, float]]], resets: dict[str, float]) -> dict[str, list[str]]:
    """Return what was asked for and whether it was reached, a cell a robot."""

    def cell(value: float, bar: float, text: str, *, most: bool = False) -> str:
        reached = value <= bar if most else value >= bar
        return f"{text} ({'reached' if reached else 'missed'}: {bar:,g})"

    def versus(rate: dict[str, float], other: str, bar: float) -> str:
        times, most = rate[OURS] / rate[other], rate[FLOOR] / rate[other]
        return cell(times, bar, f"{times:.1f} (floor {most:.1f})")

    table: dict[str, list[str]] = {}
    for robot, by_number in results.items():
        rate = by_number[max(by_number)]
        least, dummy, subproc = BARS[robot]
        cells = {
            "steps per CPU-second": cell(rate[OURS], least, f"{rate[OURS]:,.0f}"),
            "part of Bullet's floor": cell(rate[OURS] / rate[FLOOR], FLOOR_BAR, f"{rate[OURS] / rate[FLOOR]:.2f}"),
            "times naive, Dummy": versus(rate, DUMMY, dummy),
            "times naive, Subproc": versus(rate, SUBPROC, subproc),
            "microseconds a reset, at most": cell(resets[robot], RESET_BAR, f"{resets[robot]:.0f}", most=True),
        }
        for label, text in cells.items():
            table.setdefault(label, []).append(text)
    return table


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Measure the speed of the environments.")
    parser.add_argument("--quick", action="store_true", help="one short repeat: to see that it works")
    parser.add_argument("--single", action="store_true", help="measure single environments only")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    arguments = parser.parse_args()
    repeats, seconds = (1, 0.2) if arguments.quick else (5, 0.6)
    gymnasium.register(NAIVE_ID, entry_point="naive_t_maze:NaiveTMaze")
    singles = {
        (robot, driven): rates(
            single_contenders(robot, expert=driven == "to the end"), 1, repeats=repeats, seconds=seconds
        )
        for robot in BARS
        for driven in ("at random", "to the end")
    }
    if arguments.single:
        text = "\n".join(("# Speed of single environments", "", *measured_on(), "", *single_report(singles))) + "\n"
    else:
        results = {
            robot: {
                number: rates(contenders(robot, number), number, repeats=repeats, seconds=seconds)
                for number in NUM_ENVS
            }
            for robot in BARS
        }
        resets = {robot: reset_microseconds(robot, resets=20 if arguments.quick else 200) for robot in BARS}
        guarded = {robot: guarded_rates(robot, repeats=1 if arguments.quick else 5) for robot in BARS}
        text = report(results, singles, resets, guarded)
    sys.stdout.write(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
