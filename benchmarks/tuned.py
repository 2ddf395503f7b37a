"""What tuning changes: each task learnt with an agent's tuned settings and with its defaults, tested on held-out seeds.

Training stops when an evaluation on validation seeds reaches the goal; the best weights are then evaluated on 200 test
seeds, at the task's own knobs. CPU seconds are those of training, without evaluations. Rows go to a CSV file as runs
end; runs in it are not run again. Prints, and writes beside it, a Markdown table.

    python benchmarks/tuned.py --out benchmarks/results/tuned.csv
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro

from rlmem.evaluation.episodes import bootstrap_mean, evaluate
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import write_text
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings, processor
from rlmem.runs.training import load_agent, make_env, train
from rlmem.runs.tuned import tuned_settings
from rlmem.runs.tuning import Effort, Problem

COLUMNS = ("agent", "env", "settings", "seed")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to compare.

    Args:
        out: CSV file of results; the table goes beside it as .md.
        agent: Name of the agent.
        envs: Tasks, at their default knobs.
        seeds: Runs of each.
        steps: Control steps at most.
        goal: Part of the way to the oracle at which training stops; see :class:`rlmem.runs.tuning.Effort`.
        episodes: Test episodes.
    """

    out: Path = Path("benchmarks/results/tuned.csv")
    agent: str = "recurrent_ppo"
    envs: tuple[str, ...] = ("TMaze-v0", "TMazeActive-v0", "TMazeEndless-v0", "KeyToDoor-v0")
    seeds: int = 5
    steps: int = 300_000
    goal: float = 0.95
    episodes: int = 200


def one(options: Options, env_id: str, which: str, seed: int) -> dict[str, float | str]:
    """Train, test, and return a row."""
    problem = Problem(env_id, options.agent, Effort(goal=options.goal), {}, {})
    tuned = tuned_settings(options.agent, env_id) if which == "tuned" else None
    settings = RunSettings(
        env=env_id,
        agent=options.agent,
        seed=seed,
        steps=options.steps,
        eval_every=4_096,
        stop_at=problem.stop_at,
        **(tuned.run() if tuned else {}),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = train(settings, Path(scratch))
        progress = Progress(folder / "progress.csv")
        env = make_env(settings, 50, "disabled")
        try:
            result = evaluate(load_agent(folder, env, "best"), env, test_seeds(options.episodes))
        finally:
            env.close()
    best = max(float(row["eval/value"]) for row in progress.rows)
    low, high = result.interval
    assert result.spec is not None
    return {
        **dict(zip(COLUMNS, (options.agent, env_id, which, str(seed)), strict=True)),
        "validated": int(best >= problem.target - 1e-9),
        "env_steps": progress.last("env_steps", 0.0),
        "cpu_seconds": round(progress.last("cpu_seconds", 0.0), 1),
        "metric": result.spec.metric,
        "test_value": result.value,
        "low": round(low, 4),
        "high": round(high, 4),
        "oracle": result.spec.oracle.value,
    }


def todo(options: Options, table: Progress) -> Iterator[tuple[str, str, int]]:
    """Yield the runs that the CSV file does not hold yet; tuned and default ones take turns."""
    done = {tuple(row[name] for name in COLUMNS) for row in table.rows}
    for env_id, seed, which in product(options.envs, range(options.seeds), ("tuned", "defaults")):
        if (options.agent, env_id, which, str(seed)) not in done:
            yield env_id, which, seed


def markdown(rows: list[dict[str, str]]) -> Iterator[str]:
    """Yield the lines of a table, one a task and kind of settings."""
    yield "| task | settings | reached the goal | test value (95 % interval) | least | oracle | env steps | CPU s |"
    yield "|---|---|---|---|---|---|---|---|"
    for key in dict.fromkeys((row["agent"], row["env"], row["settings"]) for row in rows):
        runs = [row for row in rows if (row["agent"], row["env"], row["settings"]) == key]

        def column(name: str, runs: list[dict[str, str]] = runs) -> list[float]:
            return [float(row[name]) for row in runs]

        values = column("test_value")
        low, high = bootstrap_mean(values)
        cells: tuple[Any, ...] = (
            f"`{key[1]}`",
            f"{key[0]}, {key[2]}",
            f"{int(sum(column('validated')))} of {len(runs)}",
            f"{sum(values) / len(values):.3f} ({low:.3f} to {high:.3f}) {runs[0]['metric']}",
            f"{min(values):.3f}",
            f"{column('oracle')[0]:g}",
            f"{median(column('env_steps')):,.0f} (most {max(column('env_steps')):,.0f})",
            f"{median(column('cpu_seconds')):.1f} (most {max(column('cpu_seconds')):.1f})",
        )
        yield "| " + " | ".join(cells) + " |"


def main(options: Options) -> None:
    """Run what is missing, print each row and the table."""
    torch.set_num_threads(1)
    table = Progress(options.out)
    for env_id, which, seed in todo(options, table):
        row = one(options, env_id, which, seed)
        table.add(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    text = "\n".join(
        [
            "# Tuned settings and defaults",
            "",
            f"Made by `{shlex.join(['python', 'benchmarks/tuned.py', *sys.argv[1:]])}` on {processor()}, one thread.",
            "",
            f"Runs stop when 50 validation episodes reach {options.goal:g} of the way to the oracle, or after "
            f"{options.steps:,} control steps. Test values: {options.episodes} held-out episodes a run, mean over runs "
            "with a bootstrap interval over runs; env steps and CPU seconds: median. Rows of single runs, with exact "
            f"intervals: `{options.out.name}`.",
            "",
            *markdown(table.rows),
        ]
    )
    write_text(options.out.with_suffix(".md"), text + "\n")
    print(f"\n{text}")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
