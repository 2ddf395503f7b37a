"""How fast the table world is: control steps per CPU-second against Bullet's own floor, and what a delay costs.

    python benchmarks/table_world.py [--quick] [--out benchmarks/results/table_world.md]

Both contenders run in one process, block by block in turn, and what is compared are medians. The floor is the same
arms, tables and boxes with nothing around them: one motor write with prepared arguments, one ``stepSimulation``, one
read of the joints a control step, world by world to and fro as in the task; its joints turn as fast as those of the
task do under random actions. A delay has a floor too: that a step in it is asked for and answered, with checked actions
and new arrays of what is always the same.
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

from rlmem.envs.memory_task import PHASE_NAMES, check_actions
from rlmem.envs.simulation import pybullet
from rlmem.envs.table.table_task import TableTask

TASKS = ("RememberColor-v0", "DelayedReach-v0")
DELAYED = {
    **{(name, robot): {"robot": robot} for name in TASKS for robot in ("panda", "kuka")},
    ("FlashedGoal-v0", "puck"): {},
}
"""Whose delays are priced, and with which knobs."""
ROBOTS = ("panda", "kuka")
ARMS: dict[str, dict[str, Any]] = {
    "free": {"guard": "none"},
    "working": {"guard": "dock", "pads": 4, "distractors": 0.5, "memory_length": 10_000},
}
"""What the arm does, and with which knobs."""
NUM_ENVS = 32
LENGTHS = (50, 1_000)
"""Memory lengths, control steps, at which episodes are priced."""
FLOOR_BAR, DELAY_BAR = 0.85, 2.0
"""Least part of Bullet's floor; most times the CPU of a short delay's episode that a long delay's may cost."""
_JOINTS = list(range(7))


def make(name: str, **knobs: Any) -> Any:
    """Make a vector environment and start it."""
    env = gymnasium.make_vec(f"rlmem/{name}", NUM_ENVS, **knobs)
    env.reset(seed=0)
    return env


def floor(task: TableTask[Any]) -> Callable[[int], None]:
    """Return Bullet's bare control step of all arms of a task, given the number of the step."""
    rng = np.random.default_rng(1)
    velocities = rng.uniform(-0.6, 0.6, (DRAWN, NUM_ENVS, 7)).tolist()
    arms = [(arm._body, arm._torques, world.client) for arm, world in zip(task._arms, task.worlds, strict=True)]

    def step(number: int) -> None:
        onward = 1 - 2 * (number % 2)
        for (body, torques, client), wanted in zip(arms[::onward], velocities[number % DRAWN], strict=True):
            pybullet.setJointMotorControlArray(
                body,
                _JOINTS,
                pybullet.VELOCITY_CONTROL,
                targetVelocities=wanted,
                forces=torques,
                physicsClientId=client,
            )
            pybullet.stepSimulation(physicsClientId=client)
            pybullet.getJointStates(body, _JOINTS, physicsClientId=client)

    return step


def rates(name: str, robot: str, *, repeats: int, steps: int, **knobs: Any) -> tuple[float, float]:
    """Return environment steps per CPU-second with physics at every step: of the task, and of the floor."""
    env, bare = make(name, robot=robot, **knobs), make(name, robot=robot, guard="none")
    for _ in range(3):  # of the cue, in which no arm moves that a guard holds
        env.step(np.zeros(env.action_space.shape, dtype=np.float32))
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, *env.action_space.shape)).astype(np.float32)
    contenders = (lambda number: env.step(actions[number % DRAWN]), floor(bare.task))
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


def episode_milliseconds(name: str, length: int, *, episodes: int, expert: bool, **knobs: Any) -> float:
    """Return CPU milliseconds an episode with the default guard, of random actions or of the expert's.

    What the expert itself costs is not counted, nor the clock that is read around it.
    """
    env = make(name, memory_length=length, **knobs)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (DRAWN, *env.action_space.shape)).astype(np.float32)
    clock = clock_seconds()
    ended, number, thinking, started = 0, 0, 0.0, time.process_time()
    while ended < episodes:
        before = time.process_time()
        chosen = env.expert_action() if expert else actions[number % DRAWN]
        thinking += time.process_time() - before
        _, _, terminated, truncated, _ = env.step(chosen)
        ended, number = ended + int((terminated | truncated).sum()), number + 1
    seconds = time.process_time() - started - thinking - number * clock  # of its two readings one is in ``thinking``
    env.close()
    return 1_000.0 * seconds / ended


def clock_seconds(readings: int = 10_000) -> float:
    """Return what it costs to read the clock."""
    started = time.process_time()
    for _ in range(readings):
        time.process_time()
    return (time.process_time() - started) / readings


def answer_milliseconds(name: str, *, steps: int, **knobs: Any) -> float:
    """Return CPU milliseconds an environment of answering as many steps as a long delay has more than a short one."""
    env = make(name, **knobs)
    actions, observation = np.zeros(env.action_space.shape, dtype=np.float32), env.reset()[0]
    phase, answers = env.task.phase, [()] * 2
    started = time.process_time()
    for number in range(steps):
        check_actions(actions, NUM_ENVS, env.single_action_space)
        reward, nobody = np.zeros(NUM_ENVS), np.zeros(NUM_ENVS, dtype=np.bool_)
        infos = {"phase": PHASE_NAMES[phase], "_phase": np.ones(NUM_ENVS, dtype=np.bool_)}
        answers[number % 2] = (observation.copy(), reward, nobody, nobody.copy(), infos)
    seconds = time.process_time() - started
    env.close()
    return 1_000.0 * seconds / steps / NUM_ENVS * (LENGTHS[1] - LENGTHS[0])


def reset_microseconds(name: str, robot: str, *, resets: int, **knobs: Any) -> float:
    """Return the median CPU time of a reset of one environment."""
    env, times = make(name, robot=robot, **knobs), []
    for _ in range(resets):
        started = time.process_time()
        env.reset()
        times.append((time.process_time() - started) / NUM_ENVS * 1e6)
    env.close()
    return statistics.median(times)


def report(*, quick: bool) -> str:
    """Measure and return the results as Markdown."""
    repeats, steps, episodes = (1, 10, 32) if quick else (7, 75, 96)
    lines = [
        "# Speed of the table world",
        "",
        f"Machine: {machine()}. N = {NUM_ENVS}, one process; medians.",
        "",
        'Control steps per CPU-second with physics at every step (random actions; free: `guard="none"`; working: with '
        '`guard="dock"`, four pads and distractors, in the delay):',
        "",
        "| task | robot | arm | steps / CPU s | Bullet's floor | part of it | microseconds a reset |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [(name, robot, arm) for name in TASKS for robot in ROBOTS for arm in ARMS]
    for name, robot, arm in rows:
        ours, bare = rates(name, robot, repeats=repeats, steps=steps, **ARMS[arm])
        mark = "reached" if ours / bare >= FLOOR_BAR else "missed"
        reset = reset_microseconds(name, robot, resets=20 if quick else 100, **ARMS[arm])
        lines.append(
            f"| {name} | {robot} | {arm} | {ours:,.0f} | {bare:,.0f} | {ours / bare:.2f} ({mark}: {FLOOR_BAR:g}) "
            f"| {reset:.0f} |"
        )
    lines += [
        "",
        "CPU milliseconds an episode with the default guard, whose delay needs no physics:",
        "",
        f"| task | robot | actions | {LENGTHS[0]} steps of delay | {LENGTHS[1]:,} steps | times "
        f"| to answer {LENGTHS[1] - LENGTHS[0]} steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, robot), knobs in DELAYED.items():
        bare = answer_milliseconds(name, steps=100 if quick else 5_000, **knobs)
        for expert in (False, True):
            measured = [
                [episode_milliseconds(name, length, episodes=episodes, expert=expert, **knobs) for length in LENGTHS]
                for _ in range(1 if quick else 3)
            ]
            short, long = (statistics.median(values) for values in zip(*measured, strict=True))
            mark = "reached" if long / short <= DELAY_BAR else "missed"
            acting = "expert" if expert else "random"
            times = f"{long / short:.2f} ({mark}: {DELAY_BAR:g})"
            lines.append(f"| {name} | {robot} | {acting} | {short:.2f} | {long:.2f} | {times} | {bare:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description="Measure the speed of the table world.")
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
