"""CPU seconds until a T-maze is solved: this package's RecurrentPPO beside sb3-contrib's, in one run.

All have an LSTM of 64 units in actor and critic with two layers of 64 units above, and stop when an evaluation on 50
validation episodes reaches 95 % success (every 2,048 env steps; evaluations are not counted). "Tuned" are the settings
that ``scripts/tune.py`` found for this package's agent on the task; the same search for sb3-contrib's agent found none
better than its defaults (``agents/settings/sb3_recurrent_ppo.toml``), and it runs with ours too. All others have the
same rollouts, epochs and learning rate. Seeds and agents take turns, one process, one thread.

    python benchmarks/time_to_solve.py --out benchmarks/results/time_to_solve.md
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import tyro

from rlmem.files import write_text
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings, processor
from rlmem.runs.training import train

_TUNED: dict[str, object] = {"learning_rate": 0.0027, "n_steps": 128, "ent_coef": 0.0}
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "rlmem RecurrentPPO, tuned": ("recurrent_ppo", {"net_arch": (64, 64), "rows": 16, **_TUNED}),
    "rlmem RecurrentPPO": ("recurrent_ppo", {"net_arch": (64, 64)}),
    "rlmem RecurrentPPO, shared LSTM": ("recurrent_ppo", {"net_arch": (64, 64), "shared": True}),
    "sb3-contrib, our forget biases, whole sequences": ("sb3_recurrent_ppo", {}),
    "sb3-contrib, the same, our tuned settings": ("sb3_recurrent_ppo", {"batch_size": 16 * 128, **_TUNED}),
    "sb3-contrib, our forget biases": ("sb3_recurrent_ppo", {"whole_sequences": False}),
    "sb3-contrib as shipped": ("sb3_recurrent_ppo", {"whole_sequences": False, "lstm_init": "torch"}),
}
SOLVED = 0.9
"""Memory score at 95 % success of two arms."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to compare.

    Args:
        out: Markdown file to write.
        lengths: Memory lengths, control steps.
        training: Train on lengths drawn from 5, or on the one length alone.
        seeds: Runs of each.
        robot: Body.
        steps: Control steps at most.
    """

    out: Path | None = None
    lengths: tuple[int, ...] = (20, 50)
    training: tuple[str, ...] = ("fixed", "range")
    seeds: int = 5
    robot: str = "planar"
    steps: int = 100_000


def solve(agent: str, own: dict[str, object], length: int, training: str, seed: int, options: Options) -> list[float]:
    """Train until solved; return CPU seconds, env steps and whether it was solved."""
    settings = RunSettings(
        env="TMaze-v0",
        agent=agent,
        seed=seed,
        steps=options.steps,
        eval_every=2_048,
        stop_at=SOLVED,
        knobs={"robot": options.robot, "memory_length": length if training == "fixed" else (5, length)},
        eval_knobs={"memory_length": length},
        agent_settings=own,
    )
    with tempfile.TemporaryDirectory() as scratch:
        progress = Progress(train(settings, Path(scratch)) / "progress.csv")
    names = ("cpu_seconds", "env_steps", "eval/memory_score")
    seconds, steps, score = (progress.last(name, 0.0) for name in names)
    return [seconds, steps, float(score >= SOLVED)]


def main(options: Options) -> None:
    """Run everything in turns and print a table."""
    lines = [
        f"Machine: {processor()}; one thread; median of {options.seeds} seeds, all in brackets; robot {options.robot}.",
        "",
        "| trained on | agent | solved | CPU s until solved | env steps | times the CPU of the first |",
        "|---|---|---|---|---|---|",
    ]
    for training in options.training:
        for length in options.lengths:
            runs: dict[str, list[list[float]]] = {name: [] for name in VARIANTS}
            for seed in range(options.seeds):
                for name, (agent, own) in VARIANTS.items():
                    runs[name].append(solve(agent, dict(own), length, training, seed, options))
                    print(training, length, seed, name, runs[name][-1], flush=True)
            base = median(run[0] for run in runs[next(iter(VARIANTS))])
            trained = str(length) if training == "fixed" else f"5 to {length}"
            for name, found in runs.items():
                seconds, steps, solved = (list(column) for column in zip(*found, strict=True))
                bound = "" if all(solved) else "at least "
                lines.append(
                    f"| {trained} | {name} | {sum(solved):.0f} of {len(solved)} "
                    f"| {bound}{median(seconds):.1f} ({', '.join(f'{value:.1f}' for value in seconds)}) "
                    f"| {median(steps):,.0f} | {bound}{median(seconds) / base:.1f} |"
                )
    text = "# Time to solve\n\n" + "\n".join(lines) + "\n"
    print(text)
    if options.out is not None:
        write_text(options.out, text)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
