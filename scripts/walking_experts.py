"""Find the experts of the walking tasks: policies linear in the full state, by augmented random search.

    python scripts/walking_experts.py --robots hopper ant --steps 2000000     # finds weights, goes on from those there
    python scripts/walking_experts.py --measure                               # prints what they and chance reach

Source: Mania, Guy and Recht, "Simple random search of static linear policies is competitive for reinforcement
learning", NeurIPS 2018, algorithm V1-t (Bullet's states are scaled already). It begins from the best of random postures
that the joints are held in, since a robot that falls at once learns little. Weights go to
``envs/locomotion/experts``; the best of the search is kept, judged on episodes of its own.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from rlmem.envs.audit.bench import Bench
from rlmem.envs.locomotion.walkers import AntPosition, HalfCheetahPosition, HopperPosition, Walker2DPosition
from rlmem.envs.locomotion.walking import Walking, load_expert
from rlmem.envs.memory_task import OVER, Floats

TASKS: dict[str, type[Walking]] = {
    cls.robot: cls for cls in (HopperPosition, Walker2DPosition, HalfCheetahPosition, AntPosition)
}
FOLDER = Path(__file__).parent.parent / "envs" / "locomotion" / "experts"
DIRECTIONS, BEST = 16, 8
_POSTURE_ROUNDS = 3
_ALWAYS_ONE = 2
"""Component of the state: the cosine of the direction to the target, which is nearly 1 for a robot that walks there."""
_JUDGE_EVERY = 100_000
"""Control steps."""
JUDGE_SEED, MEASURE_SEED = 5_000_000, 6_000_000


def main() -> None:
    """Search, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--steps", type=int, default=2_000_000, help="control steps of the search, a robot each")
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--rate", type=float, default=0.04)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--episodes", type=int, default=100)
    options = parser.parse_args()
    for robot in options.robots:
        if options.measure:
            measure(robot, options.episodes)
        else:
            search(robot, options.steps, options.noise, options.rate, options.seed)


def search(robot: str, steps: int, noise: float, rate: float, seed: int) -> None:
    """Search for the weights of one robot and write the best."""
    cls = TASKS[robot]
    task = cls(cls.Settings(observation="full"), 2 * DIRECTIONS)
    rng = np.random.default_rng(seed)
    actions, size = task.action_space.shape[0], task.state.shape[1]
    path = FOLDER / f"{robot}.safetensors"
    best, judged, mean, scale = -np.inf, -1, np.zeros(size), np.ones(size)
    if path.exists():
        weights, mean, scale = (load_file(path)[name].astype(float) for name in ("weights", "mean", "scale"))
    else:
        weights = best_posture(task, rng)
    taken, started, iteration = 0, time.process_time(), 0
    while True:
        if taken // _JUDGE_EVERY > judged or taken >= steps:
            judged = taken // _JUDGE_EVERY
            value, played = judge(task, weights, mean, scale)
            taken += played
            if value > best:
                best = value
                write(path, weights, mean, scale)
            seconds = time.process_time() - started
            print(
                f"{robot} {iteration:4d} {taken:9,d} steps {seconds:6.0f} s  {value:8.1f} best {best:8.1f}", flush=True
            )
        if taken >= steps:
            break
        iteration += 1
        deltas = rng.normal(size=(DIRECTIONS, actions, size))
        candidates = weights + noise * np.concatenate((deltas, -deltas))
        seeds = np.tile(rng.integers(0, 1_000_000, DIRECTIONS), 2)
        returns, states = rollout(task, candidates, mean, scale, seeds)
        taken += len(states)
        plus, minus = returns[:DIRECTIONS], returns[DIRECTIONS:]
        order = np.argsort(-np.maximum(plus, minus))[:BEST]
        spread = max(float(np.concatenate((plus[order], minus[order])).std()), 1e-6)
        weights = weights + rate / (BEST * spread) * np.einsum("k,kas->as", (plus - minus)[order], deltas[order])
    task.close()


def best_posture(task: Walking, rng: np.random.Generator) -> Floats:
    """Return the weights [J, S] that hold the joints in the posture, of many random ones, with the best return."""
    actions, size = task.action_space.shape[0], task.state.shape[1]
    found: list[tuple[float, Floats]] = []
    for _ in range(_POSTURE_ROUNDS):
        candidates = np.zeros((task.num_envs, actions, size))
        stiffness, damping = rng.uniform(0.3, 4.0, (task.num_envs, 1)), rng.uniform(0.0, 2.0, (task.num_envs, 1))
        joints = np.arange(actions)
        candidates[:, joints, 8 + 2 * joints] = -stiffness
        candidates[:, joints, 9 + 2 * joints] = -damping
        candidates[:, :, _ALWAYS_ONE] = stiffness * rng.uniform(-0.6, 0.6, (task.num_envs, actions))
        seeds = rng.integers(0, 1_000_000, task.num_envs)
        returns, _ = rollout(task, candidates, np.zeros(size), np.ones(size), seeds)
        found.append((float(returns.max()), candidates[returns.argmax()]))
    return max(found, key=lambda pair: pair[0])[1]


def write(path: Path, weights: Floats, mean: Floats, scale: Floats) -> None:
    """Write an expert, readable for everyone."""
    path.parent.mkdir(exist_ok=True)
    arrays = {"weights": weights, "mean": mean, "scale": scale}
    save_file({name: array.astype(np.float32) for name, array in arrays.items()}, path)
    path.chmod(0o644)


def rollout(
    task: Walking, weights: Floats, mean: Floats, scale: Floats, seeds: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Play one episode a candidate; return [C] returns and [.., S] states seen.

    Args:
        task: Of C worlds.
        weights: [C, J, S].
        mean: [S].
        scale: [S].
        seeds: [C].
    """
    task.reset(seeds=seeds.tolist())
    states = []
    while (task.phase != OVER).any():
        running = task.phase != OVER
        states.append(task.state[running].copy())
        actions = np.einsum("cjs,cs->cj", weights, (task.state - mean) / scale)
        step = task.step_checked(np.clip(actions, -1.0, 1.0))
        task.enter(running & (step.terminated | step.truncated), OVER)
    return task.score.copy(), np.concatenate(states)


def judge(task: Walking, weights: Floats, mean: Floats, scale: Floats) -> tuple[float, int]:
    """Return the mean return on the judges' episodes, and the control steps that it took to tell."""
    everyone = np.broadcast_to(weights, (task.num_envs, *weights.shape))
    returns, states = rollout(task, everyone, mean, scale, JUDGE_SEED + np.arange(task.num_envs))
    return float(returns.mean()), len(states)


def measure(robot: str, episodes: int) -> None:
    """Print the mean returns of uniform actions and of the expert."""
    cls = TASKS[robot]
    with Bench(cls(cls.Settings(observation="full"), 20)) as bench:
        task, rng = bench.task, np.random.default_rng(0)
        expert = load_expert(robot)
        players = {
            "uniform actions": lambda *_: rng.uniform(-1.0, 1.0, (task.num_envs, *task.action_space.shape)),
            "expert": lambda *_: expert(task.state),
        }
        for name, act in players.items():
            score = bench.play(act, MEASURE_SEED + np.arange(episodes)).score
            error = score.std(ddof=1) / np.sqrt(episodes)
            print(f"{robot:<14} {name:<16} {score.mean():9.2f} +- {error:.2f}", flush=True)


if __name__ == "__main__":
    main()
