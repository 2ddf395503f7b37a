"""Which memory for which task: every cell on eight tasks, with equal parameters and equal CPU time.

Each run is recurrent PPO with the defaults of its class, but for the number of environments, the entropy bonus (0) and
the cell, whose width, at most 512 units, gives each trunk about as many parameters as an LSTM of 64 units has. It ends
when all 50 validation episodes succeed or its CPU seconds are used up; its best weights are then tested on 200 test
seeds. Rows go to ``benchmarks/results/cells.csv`` as runs end, and a page beside it. What is finished is not run again,
and what was stopped goes on.

    OMP_NUM_THREADS=1 python scripts/cells_study.py [--seeds 3] [--seconds 60] [--cells lstm attention]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import gymnasium
import tyro
from equal_cpu import train_for

from rlmem import load_run
from rlmem.csv_table import read_rows, text_row, write_rows
from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import replacing
from rlmem.networks.actor_critic import Trunk
from rlmem.networks.cells import CELLS
from rlmem.networks.settings import NetworkSettings
from rlmem.registry import canonical_id
from rlmem.runs.settings import RunSettings

ENVS, EVERY, EPISODES, WIDTH = 32, 16_384, 200, 64
WIDTHS = range(4, 513, 4)
"""Numbers of units that are looked at."""


class Task(NamedTuple):
    """A task, and the lengths it is trained and tested at."""

    env: str
    knobs: Mapping[str, Any]
    shortest: int | None = None
    """Of training; the longest is that of the knobs. None: one length."""


TASKS: Mapping[str, Task] = {
    "retention": Task("TMaze-v0", {"robot": "planar", "memory_length": 500}, 5),
    "capacity": Task("RememberSet-v0", {}),
    "sliding window": Task("RepeatPrevious-v0", {}),
    "binding": Task("RememberSequence-v0", {}),
    "tracking": Task("ShellGame-v0", {}),
    "counting": Task("CountPress-v0", {}),
    "working delay": Task("TMaze-v0", {"robot": "planar", "memory_length": 40, "guard": "dock", "gates": 4}, 5),
    "maze": Task("MazeRecall-v0", {"size": "5x5"}),
}
"""What is asked of memory -> the task."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Args:
        tasks: What is asked of memory; all if there are none.
        cells: Names of cells; all if there are none.
        seeds: Runs of each.
        first_seed: Of the first run.
        seconds: CPU seconds of a run.
        out: Folder of the training runs.
        table: Where the rows go.
    """

    tasks: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    seeds: int = 3
    first_seed: int = 0
    seconds: float = 60.0
    out: Path = Path("benchmark/cells")
    table: Path = Path("benchmarks/results/cells.csv")


def main(options: Options) -> None:
    """Train and test what is not in the table."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed, task, cell in product(seeds, options.tasks or TASKS, options.cells or CELLS):
        rows = read_rows(options.table)
        if (task, cell, str(seed)) not in {(row["task"], row["cell"], row["seed"]) for row in rows}:
            row = measure(options, task, cell, seed)
            rows = [*read_rows(options.table), text_row(row)]
            write_rows(options.table, rows)
            print(row, flush=True)
    with replacing(options.table.with_suffix(".md")) as path:
        path.write_text(summary(read_rows(options.table)), encoding="utf-8")


def measure(options: Options, name: str, cell: str, seed: int) -> dict[str, Any]:
    """Train until validation is perfect or the time is used up, and return a row."""
    task = TASKS[name]
    longest = task.knobs.get("memory_length")
    training = {**task.knobs, **({"memory_length": (task.shortest, longest)} if task.shortest else {})}
    width, parameters = matched(task, cell)
    settings = RunSettings(
        env=task.env,
        agent="recurrent_ppo",
        seed=seed,
        envs=ENVS,
        eval_every=EVERY,
        stop_at=1.0,
        knobs=training,
        eval_knobs={"memory_length": longest} if task.shortest else {},
        agent_settings={"cell": cell, "hidden_size": width, "ent_coef": 0.0},
    )
    folder = options.out / f"{name.replace(' ', '_')}-{cell}-{seed}"
    spent = train_for(settings, folder, options.seconds)
    tested = evaluate_on(load_run(folder), task.env, knobs=dict(task.knobs), seeds=test_seeds(EPISODES))
    low, high = tested.interval
    return {
        "task": name,
        "env": task.env,
        "cell": cell,
        "seed": seed,
        "units": width,
        "parameters": parameters,
        "env_steps": spent.env_steps,
        "cpu_seconds": spent.cpu_seconds,
        "budget": options.seconds,
        "value": tested.value,
        "low": low,
        "high": high,
        "memory_score": tested.memory_score,
    }


def matched(task: Task, cell: str) -> tuple[int, int]:
    """Return the width of a cell whose trunk has about as many parameters as the LSTM's, and its parameters."""
    env = gymnasium.make(canonical_id(task.env), **task.knobs)
    space = env.observation_space
    env.close()
    assert isinstance(space, gymnasium.spaces.Box)
    features = int(space.shape[0])
    wanted = _parameters("lstm", features, WIDTH)
    assert wanted is not None
    sizes = ((width, _parameters(cell, features, width)) for width in WIDTHS)
    return min(((w, n) for w, n in sizes if n is not None), key=lambda found: abs(found[1] - wanted))


def _parameters(cell: str, features: int, width: int) -> int | None:
    """Return how many parameters a trunk has, None if the cell cannot have that width."""
    try:
        trunk = Trunk(features, NetworkSettings(cell=cell, hidden_size=width, memory_length=20))
    except UserError:
        return None
    return sum(parameter.numel() for parameter in trunk.parameters())


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a Markdown page: memory scores and CPU seconds of each cell on each task."""
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    cells = [cell for cell in CELLS if any(row["cell"] == cell for row in rows)]
    budget = sorted({float(row["budget"]) for row in rows})
    return "\n".join(
        [
            "# Which memory for which task",
            "",
            "Made by `OMP_NUM_THREADS=1 python scripts/cells_study.py`, which says what was run; a row of the table",
            f"beside is one run, with its interval. At most {', '.join(f'{s:g}' for s in budget)} CPU seconds a run,",
            f"about as many parameters as an LSTM of {WIDTH} units, the defaults of the class for every cell. Test on",
            f"{EPISODES} episodes.",
            "",
            "## Memory score",
            "",
            "0 at the ceiling without memory, 1 at the oracle. Median over runs, in brackets the worst where there are",
            "several.",
            "",
            *_table(rows, tasks, cells, lambda runs: _scores([float(run["memory_score"]) for run in runs])),
            "",
            "## CPU seconds and env steps",
            "",
            "Median over runs; those that ended before the time was used up had solved all validation episodes.",
            "",
            *_table(rows, tasks, cells, _cost),
            "",
        ]
    )


def _table(
    rows: Sequence[Mapping[str, str]],
    tasks: Sequence[str],
    cells: Sequence[str],
    say: Callable[[list[Mapping[str, str]]], str],
) -> list[str]:
    lines = ["| cell | " + " | ".join(tasks) + " |", "|---|" + "---|" * len(tasks)]
    for cell in cells:
        found = ([row for row in rows if row["cell"] == cell and row["task"] == task] for task in tasks)
        lines.append(f"| `{cell}` | " + " | ".join(say(runs) if runs else "-" for runs in found) + " |")
    return lines


def _scores(scores: list[float]) -> str:
    worst = f" ({min(scores):.2f})" if len(scores) > 1 else ""
    return f"{median(scores):.2f}{worst}"


def _cost(runs: list[Mapping[str, str]]) -> str:
    seconds, steps = (median(float(run[name]) for run in runs) for name in ("cpu_seconds", "env_steps"))
    return f"{seconds:.0f} s, {steps / 1e3:,.0f}k"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
