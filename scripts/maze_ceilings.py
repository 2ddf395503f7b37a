"""Measure the ceilings of ``MazeRecall-v0``: uniform actions, memoryless scripts and the expert, for each size.

python scripts/maze_ceilings.py --episodes 400 --sizes 5x5 7x7

Prints mean scores with their standard errors. The numbers in ``rlmem/envs/ground/maze_recall.py`` come from here,
but for the agent without memory that was trained in 7x7: see the docstring of the task.
"""

from __future__ import annotations

import argparse

import numpy as np

from rlmem.envs.audit.bench import Act, Bench
from rlmem.envs.ground.exploiters.maze_recall import exploiters
from rlmem.envs.ground.maze_recall import MazeRecall
from rlmem.envs.ground.maze_settings import SIZES

_FIRST_SEED = 7_000_000
_WORLDS = 25


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--robot", choices=["planar", "diff_drive"], default="planar")
    options = parser.parse_args()
    for size in options.sizes:
        with Bench(MazeRecall(MazeRecall.make_settings({"size": size, "robot": options.robot}), _WORLDS)) as bench:
            for name, act, frames in policies(bench):
                score = bench.play(act, _FIRST_SEED + np.arange(options.episodes), frames=frames).score
                error = score.std(ddof=1) / np.sqrt(len(score))
                print(f"{size:<6} {name:<34} {score.mean():7.3f} +- {error:.3f}", flush=True)


def policies(bench: Bench) -> list[tuple[str, Act, int]]:
    """Return who plays: name, policy, and how many observations it sees."""
    rng, task = np.random.default_rng(0), bench.task

    def uniform(*_: object) -> np.ndarray:
        return rng.uniform(-1.0, 1.0, (task.num_envs, 2))

    scripts: list[tuple[str, Act, int]] = [
        (script.name, lambda stack, _, script=script: script.act(stack), script.frames)
        for script in exploiters(bench.names)
    ]
    return [("uniform actions", uniform, 1), *scripts, ("expert", lambda *_: task.expert_action(), 1)]


if __name__ == "__main__":
    main()
