"""Measure the ceilings of the walking tasks by training: full state, half of it, half of it with a stack of frames.

    python scripts/walking_ceilings.py --robots Hopper --steps 2000000 --seeds 3

Trains ``ppo`` on the full state (what could be had), ``ppo`` on each half (no memory) and ``frame_stack_ppo`` on each
half (a memory of four frames), and prints mean returns over held-out episodes. A run that is there already is not
trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rlmem.evaluation import evaluate, make_test_env
from rlmem.run_folder import BEST, RunSettings
from rlmem.seeds import test_seeds
from rlmem.training import load_agent, train

ROBOTS = ("Hopper", "Walker2D", "HalfCheetah", "Ant")
_WORLDS = 8


def main() -> None:
    """Train what is not there, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", nargs="+", choices=ROBOTS, default=ROBOTS)
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("runs/walking"))
    options = parser.parse_args()
    for robot in options.robots:
        cases = [("Position", "full", "ppo")]
        cases += [(half, "partial", agent) for half in ("Position", "Velocity") for agent in ("ppo", "frame_stack_ppo")]
        for half, observation, agent in cases:
            for seed in range(options.seeds):
                settings = RunSettings(
                    env=f"{robot}{half}-v0",
                    agent=agent,
                    seed=seed,
                    steps=options.steps,
                    eval_every=max(1, options.steps // 20),
                    eval_episodes=10,
                    knobs={"observation": observation},
                )
                value = result(settings, settings.folder(options.out / observation), options.episodes)
                print(f"{robot:<12} {half:<9} {observation:<8} {agent:<16} seed {seed}  {value:9.1f}", flush=True)


def result(settings: RunSettings, folder: Path, episodes: int) -> float:
    """Return the mean return of a run over test episodes, training it first if it is not there."""
    if not (folder / BEST).is_file():
        train(settings, folder=folder)
    env = make_test_env(settings.env, _WORLDS, settings.knobs)
    try:
        return float(evaluate(load_agent(folder, env, BEST), env, test_seeds(episodes)).value)
    finally:
        env.close()


if __name__ == "__main__":
    main()
