"""Make the pages of suites from tables in ``benchmarks/results``: ``docs/suite.md``, ``working.md``, ``walkers.md``.

The first has the results of every task. Its three tables hold the runs of agents (``rlmem benchmark tasks``), the
adversaries of ``rlmem audit`` and the speed of the environments. With ``--run`` what is missing in them is measured
first. The others, of ``rlmem benchmark working`` and ``walkers``, have one table each.

    python scripts/suite_page.py --run                           # measure what is missing: a day on two cores
    python scripts/suite_page.py --merge benchmark/tasks         # take over what a benchmark has found
    python scripts/suite_page.py --audit RememberColor-v0        # only these audits
    python scripts/suite_page.py --suite working                 # docs/working.md, from working.csv; or walkers
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import gymnasium
import numpy as np
import tyro
from suite_rows import Reached, link, number, table, take_over
from walkers_page import walkers_page
from working_page import working_page

from rlmem.benchmark.job import machine
from rlmem.benchmark.local import Local
from rlmem.benchmark.overview import solved
from rlmem.benchmark.runner import run_benchmark
from rlmem.benchmark.suite import read_suite
from rlmem.benchmark.summary import Row, runs_of
from rlmem.benchmark.table import read_rows
from rlmem.environments import task_spec
from rlmem.envs.audit import THOROUGH, audit
from rlmem.files import write_text
from rlmem.registry import TASKS, canonical_id
from rlmem.runs.progress import Progress
from rlmem.spec import TaskSpec

EKF = "EKF, taught by the expert"
SOLVED = 0.9
"""Memory score from which on a task counts as learnt."""
_NUM_ENVS, _BLOCK, _BLOCKS = 16, 400, 5
"""Environments, control steps of a measurement of speed, measurements."""

_MADE = """\
Every task of the package at its default knobs but the walkers, which have [a page of their own](walkers.md), and what
agents reach on 200 held-out seeds. `recurrent_ppo` has its tuned settings and at most 2,000,000 env steps (KeyToDoor
600,000), and stops when validation reaches a memory score of 0.98. `ppo` and `frame_stack_ppo` have no memory and
200,000 env steps. `ekf` is taught by the expert.

Made by `python scripts/suite_page.py` from [`tasks.csv`](../benchmarks/results/tasks.csv) (`rlmem benchmark tasks`),
[`audits.csv`](../benchmarks/results/audits.csv) (`rlmem audit TASK`) and
[`task_speed.csv`](../benchmarks/results/task_speed.csv), which hold every run; with `--run` it measures what is
missing."""
_LEGEND = """\
**How to read the numbers.** Interquartile mean over runs, in brackets its 95 % bootstrap interval; of one run the
interval over its episodes. The memory score is 0 at the ceiling without memory and 1 at the oracle. State zeroed:
success with the hidden state zeroed as the query begins; an agent that remembers falls to the ceiling. Env steps and
CPU seconds are medians. An empty cell was not run."""
_REACHED = """\
## What is reached

Success, or the score that the task counts. Without memory no agent exceeds the ceiling; with it all of the success up
to the oracle is memory, and is lost when the hidden state is zeroed."""
_EASY = """\
## What untrained memory reaches

`recurrent_ppo` with cells that stay as they are initialized: only what reads them is trained (`--agent.frozen-cells`,
measured by `python scripts/untrained_memory.py`). Where it reaches the oracle, a task asks for retention only: it shows
how far a memory reaches, not that anything was learnt about what to keep. Tasks that are
missing were not measured, or what needs no memory was not learnt in 300,000 env steps (MazeRecall, Concentration)."""
_COST = """\
## What it costs

`ekf` has 30,000 env steps. The last column is the speed of the environment under random actions, 16 side by side,
resets counted in."""
_GUARD = """\
## What keeps agents without memory at the ceiling

The adversary is the best of scripts and searched policies that see one or four observations, with the lower end of its
99 % interval: it must not exceed the ceiling."""
_TRIED = """\
## Where `recurrent_ppo` does not get there

- **DelayedReach**: 0.92, 0.00 and 1.00. The run at 0.00 never answers: it hovers, and returns -0.6, the cost of the
  time. Its earlier settings, without entropy, end so in two of three runs, though in none of four with seeds 100 to
  103, which the entropy was chosen on; of ten runs with seeds 100 to 109 all are right. At its preset `hard`, with
  labels and a critic that sees the full state, 3 of 3 are ([working.md](working.md)).
- **RememberSequence**: 0.91 in one run, a memory score of 0.897. Two more with these settings were not run; three
  with earlier settings and version 0.1.0 reached 0.93, 0.93 and 0.98, and one with version 0.2.0 0.61.
- **MazeRecall**: with the settings tuned before (reward alone, 16 environments, rollouts of 512, 8 rows, entropy
  0.001; `rlmem train --env MazeRecall-v0 --defaults --seed 100 --steps 2000000 --eval-every 200000 --eval-episodes 64
  --agent.n-steps 512 --agent.seq-len 256 --agent.rows 8 --agent.memory-length 100 --agent.gamma 0.98 --agent.ent-coef
  0.001 --agent.learning-rate 0.001 --agent.lr-schedule linear`, 567 CPU seconds), 9.6 pillars on 200 held-out mazes
  (95 % interval 9.1 to 10.1); the same with the memoryless cell and seed 0 8.5 (8.0 to 9.1). With the state frozen
  from the first step 3.7 (validation), zeroed once in the middle 9.6: what it remembers is short. Two more runs were
  stopped on the way, at 6.3 and 8.4. At constant rates of 1e-3 (rollouts of 256) and 5e-4 (of 512) 7.1 and 8.5 in
  validation; before each beam told whether it hits the named pillar, 1.8 after 600,000 steps (with it 5.8). With
  labels for the memory, a critic that sees the full state and means drawn back into their bounds (2,000,000 steps of
  `rlmem train --env MazeRecall-v0 --seed 100 --envs 32 --eval-every 131072 --agent.n-steps 256 --agent.seq-len 256
  --agent.rows 4 --agent.ent-coef 0.01 --agent.bounds-coef 0.03 --agent.critic-observation privileged --agent.auxiliary
  path_direction bearings`, 599 CPU seconds) 10.0 (9.3 to 10.6), and with seed 0 9.4 (8.8 to 10.0; it is in the zoo);
  without memory 8.4 (7.8 to 9.0). A label of its place seen from the start, 128 units and less entropy (0.003;
  3,000,000 steps asked for, stopped at 1,600,000): 7.9 in validation. In 5x5 (2,500,000 steps, 750 CPU seconds) 15.4
  (14.3 to 16.5); without memory 14.9 (13.8 to 16.0), which is the ceiling there now: 8.7, what scripts reach, stood in
  its place."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Page of a suite.

    Args:
        suite: "tasks": every task at its default knobs; "working": tasks in which the robot works while it remembers;
            "walkers": walking robots with half of their state hidden.
        run: Measure what is missing in the tables first.
        merge: Folders or tables of benchmarks whose rows are taken over first.
        audit: Tasks to audit first, where that was not done.
        speed: Measure the speed of tasks where that was not done.
        processes: Runs side by side.
        tables: Folder of the tables: tasks.csv, audits.csv and task_speed.csv, or SUITE.csv.
        out: The page, if not docs/suite.md or docs/SUITE.md.
    """

    suite: Literal["tasks", "working", "walkers"] = "tasks"
    run: bool = False
    merge: tuple[Path, ...] = ()
    audit: tuple[str, ...] = ()
    speed: bool = False
    processes: int = 2
    tables: Path = Path("benchmarks/results")
    out: Path | None = None


def main(options: Options) -> None:
    """Fill the tables, write the page."""
    suite = read_suite(options.suite)
    agents = options.tables / f"{options.suite}.csv"
    merge = list(options.merge)
    if options.run:
        folder = Path("benchmark") / options.suite
        run_benchmark(suite, folder, Local(options.processes))
        merge.append(folder)
    take_over(agents, merge)
    rows = read_rows(agents)
    if options.suite == "tasks":
        out, text = Path("docs/suite.md"), page(rows, *_audits_and_speeds(options))
    else:
        make = working_page if options.suite == "working" else walkers_page
        out, text = Path(f"docs/{options.suite}.md"), make(rows, suite)
    write_text(options.out or out, text)
    print(options.out or out)


def _audits_and_speeds(options: Options) -> tuple[dict[str, Row], dict[str, Row]]:
    """Fill the tables of audits and speeds, and return their rows."""
    audits = Progress(options.tables / "audits.csv")
    for name in TASKS if options.run else options.audit:
        fill(audits, canonical_id(name), partial(adversary, name))
    speeds = Progress(options.tables / "task_speed.csv")
    for name in TASKS if options.run or options.speed else ():
        fill(speeds, canonical_id(name), partial(speed, name))
    return by_task(audits.rows), by_task(speeds.rows)


def fill(table: Progress, name: str, measure: Callable[[], Mapping[str, float | str]]) -> None:
    """Add a task's row to a table that has none of it."""
    if name not in by_task(table.rows):
        table.add({"task": name, **measure()})
        print(", ".join(f"{key} {value}" for key, value in table.rows[-1].items()), flush=True)


def by_task(rows: Iterable[Row]) -> dict[str, Row]:
    """Return the row of each task."""
    return {row["task"]: row for row in rows}


def adversary(name: str) -> dict[str, float | str]:
    """Return what the best adversary of an audit reaches, and whether the task passed."""
    certificate = audit(name, {}, budget=THOROUGH)
    tried = [found for found in certificate.findings if found.check.startswith(("search", "exploiter"))]
    best = max((found for found in tried if found.value is not None), key=lambda one: one.value or 0.0, default=None)
    return {
        "passed": str(certificate.passed),
        "adversary": best.check if best else "",
        "value": math.nan if best is None or best.value is None else best.value,
        "low": math.nan if best is None or best.lower is None else best.lower,
        "env_steps": certificate.env_steps,
        "cpu_seconds": round(certificate.cpu_seconds, 1),
    }


def speed(name: str) -> dict[str, float | str]:
    """Return control steps per CPU-second under random actions, resets counted in: the median of some blocks."""
    env = gymnasium.make_vec(canonical_id(name), _NUM_ENVS)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    rates = []
    for _ in range(_BLOCKS):
        started = time.process_time()
        for step in range(_BLOCK):
            env.step(actions[step % len(actions)])
        rates.append(_NUM_ENVS * _BLOCK / (time.process_time() - started))
    env.close()
    return {"steps_per_cpu_second": round(median(rates)), "machine": machine()}


def page(rows: Sequence[Row], audits: Mapping[str, Row], speeds: Mapping[str, Row]) -> str:
    """Return the page in Markdown."""
    specs = {task: task_spec(task, {}) for task in TASKS}
    of = {task: Reached([row for row in rows if row["env"] == canonical_id(task)]) for task in TASKS}
    others = [task for task in TASKS if specs[task].memoryless.known]
    tried = [task for task in TASKS if runs_of(of[task].runs("recurrent_ppo"), "memory_score")]
    learnt = [task for task in tried if solved(of[task].runs("recurrent_ppo"), SOLVED)]
    machines = "; ".join(sorted({row["machine"] for row in (*rows, *speeds.values()) if row.get("machine")}))
    found = (
        f"**`recurrent_ppo` reaches a memory score of at least {SOLVED} on {len(learnt)} of the {len(tried)} tasks "
        f"on which it was run and that have one**{': ' * bool(learnt)}"
        f"{', '.join(task.removesuffix('-v0') for task in learnt)}. "
        "[At the end](#where-recurrent_ppo-does-not-get-there): where it does not."
    )
    reached = [["task", "memory", "ceiling without memory", "`ppo`", "`recurrent_ppo`", "state zeroed"]]
    cost = [["task", "memory score", "env steps", "CPU s", "`ekf`", "steps a CPU-second"]]
    easy = [["task", "ceiling without memory", "untrained memory", "oracle"]]
    guard = [["task", "ceiling without memory", "best adversary", "`frame_stack_ppo`", "expert", "oracle"]]
    for task in others:
        ours, spec, name = of[task].runs("recurrent_ppo"), specs[task], link(task)
        ceiling = number(spec.memoryless.value)
        zeroed = runs_of(ours, "lesioned")
        values = of[task].value("ppo"), of[task].value("recurrent_ppo")
        reached.append([name, _memory(spec), ceiling, *values, number(float(np.mean(zeroed))) if zeroed else ""])
        if spec.untrained is not None:
            words = number(spec.untrained.value) + ", retention only" * spec.retention_only
            easy.append([name, ceiling, words, number(spec.oracle.value)])
        costs = (of[task].cost("recurrent_ppo", column) for column in ("env_steps", "cpu_seconds"))
        cost.append(
            [name, of[task].score("recurrent_ppo"), *costs, of[task].value(EKF), _speed(speeds.get(canonical_id(task)))]
        )
        adversary = _adversary(audits.get(canonical_id(task)))
        values = of[task].value("frame_stack_ppo"), of[task].value("expert")
        guard.append([name, ceiling, adversary, *values, number(spec.oracle.value)])
    parts = ["# Every task, and what is reached on it", found, _MADE, _LEGEND, _REACHED, table(reached)]
    parts += [_EASY, table(easy), _COST, table(cost), _GUARD, table(guard), _TRIED]
    return "\n\n".join([*parts, f"Machine: {machines}; one thread a run."]) + "\n"


def _speed(row: Row | None) -> str:
    return f"{float(row['steps_per_cpu_second']):,.0f}" if row else ""


def _memory(spec: TaskSpec) -> str:
    bits = f", {spec.bits_in_words}" if spec.n_bits else ""
    return spec.memory + bits


def _adversary(row: Row | None) -> str:
    if row is None:
        return ""
    passed = "" if row["passed"] == "True" else ", refused"
    return f"{number(float(row['value']))} (at least {number(float(row['low']))}){passed}"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
