"""``rlmem train``: train an agent on a task."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rlmem.cli.options import Parsed, parse
from rlmem.errors import UserError
from rlmem.registry import task_class
from rlmem.runs.folder import RunSettings
from rlmem.runs.training import Stopped, train
from rlmem.runs.tuned import tuned_settings

_LINE_EVERY = 10.0
_STEPS = 200_000
_SUCCESS, _RETURN = ("success", "rollout/success_rate"), ("return", "rollout/ep_rew_mean")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an agent on a task, or go on with the run in the folder RUN.

    Settings start from those found by tuning, where there are any for the agent on the task; --agent.X sets single
    ones. Ctrl-C stops after the rollout at hand with everything saved.

    Args:
        steps: Control steps over all environments, 200,000 if not given; more than before lets a run go on longer.
        seed: Of the run: weights, exploration and training episodes follow from it.
        envs: Environments side by side.
        workers: Processes to spread them over; 0 keeps them in one process.
        out: Folder of all runs; this one goes to OUT/ENV/AGENT/SEED.
        eval_every: Control steps between evaluations on validation seeds.
        eval_episodes: Episodes in such an evaluation.
        eval_length: Memory length (or credit length) of evaluations, where training draws from a range.
        stop_at: Stop when an evaluation reaches this memory score, or where a task has none, this success or score.
        keep: Last checkpoints to keep in the folder ``checkpoints``, beside best and last; 1 if not given: none.
        defaults: Leave out settings found by tuning.
        resume: Go on with the run that lies there; as naming its folder.
        checkpoint: Go on from a checkpoint that was kept, named by its control steps, and forget what came after it.
    """

    steps: int | None = None
    seed: int = 0
    envs: int = 16
    workers: int = 0
    out: Path = Path("runs")
    eval_every: int = 20_000
    eval_episodes: int = 50
    eval_length: int | None = None
    stop_at: float | None = None
    keep: int | None = None
    defaults: bool = False
    resume: bool = False
    checkpoint: str | None = None


def run(argv: Sequence[str]) -> int:
    """Train and say where the results are."""
    parsed = parse(Train, argv, name="train", agent="recurrent_ppo", run=True, tuned="--defaults" not in argv)
    options: Train = parsed.verb
    settings = _settings(parsed)
    folder = settings.folder(options.out) if parsed.run is None else parsed.run
    resume = options.resume or parsed.run is not None
    if options.checkpoint is not None and not resume:
        raise UserError("--checkpoint says where to go on with a run: name its folder, or add --resume")
    print(f"{settings.agent} on {settings.env}, seed {settings.seed}, into {folder}")
    if parsed.run is None:
        print(_where_from(parsed))
    task = task_class(settings.env)
    metric = task.spec(task.make_settings(settings.knobs)).metric
    bar = Bar(settings.steps, metric)
    try:
        with bar:
            train(
                settings,
                folder=folder,
                resume=resume,
                checkpoint=options.checkpoint,
                report=bar.report,
                say=print,
                plan=print,
            )
    except Stopped:
        print(f"stopped; all is saved in {folder}\nresume with: rlmem train {folder}")
        return 130
    print(f"done: {folder}\nnext: rlmem evaluate {folder}   rlmem render {folder}")
    return 0


def _settings(parsed: Parsed) -> RunSettings:
    """Return the settings of a new run, or those of the run named, with more steps if asked for."""
    options: Train = parsed.verb
    if parsed.run_settings is not None:
        before = parsed.run_settings
        return replace(before, steps=max(before.steps, options.steps or 0), keep=options.keep or before.keep)
    run: dict[str, Any] = parsed.tuned.run(parsed.knobs) if parsed.tuned else {"knobs": parsed.knobs, "eval_knobs": {}}
    run["agent_settings"] = parsed.agent_settings
    if options.eval_length is not None:
        length = "memory_length" if "memory_length" in parsed.knobs else "credit_length"
        run["eval_knobs"] |= {length: options.eval_length}
    return RunSettings(
        env=parsed.env,
        agent=parsed.agent or "",
        seed=options.seed,
        steps=options.steps or _STEPS,
        envs=options.envs,
        workers=options.workers,
        eval_every=options.eval_every,
        eval_episodes=options.eval_episodes,
        stop_at=options.stop_at,
        keep=options.keep or 1,
        **run,
    )


def _where_from(parsed: Parsed) -> str:
    """Say in one line where the settings come from."""
    tuned = parsed.tuned
    if tuned is not None:
        return f"settings tuned for this task: {tuned.summary(parsed.knobs)}   (--defaults leaves them out)"
    known = tuned_settings(parsed.agent or "", parsed.env)
    if known is None or parsed.verb.defaults:
        return "settings: the agent's defaults"
    return f"settings: the agent's defaults, since those tuned for this task are for {known.lengths}"


class Bar:
    """A progress bar on a terminal, a line now and then elsewhere.

    Args:
        steps: Control steps in all.
        metric: What the task is judged by: "success" shows the share of episodes that succeed, another their return.
    """

    def __init__(self, steps: int, metric: str = "success") -> None:
        self._name, self._column = _SUCCESS if metric == "success" else _RETURN
        self._steps, self._started, self._first = steps, time.monotonic(), -1
        self._printed = self._started
        self._bar: Progress | None = None
        if sys.stdout.isatty():
            columns = (
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[said]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console())
            self._task = self._bar.add_task("", total=steps, rate="", said="")

    def __enter__(self) -> Bar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, env_steps: int, metrics: dict[str, float]) -> None:
        """Show progress. See :data:`rlmem.runs.training.Report`."""
        if self._first < 0:
            self._first = env_steps
        now = time.monotonic()
        rate = (env_steps - self._first) / max(now - self._started, 1e-9)
        value = metrics.get(self._column)
        said = "" if value is None else f"{self._name} {value:.2f}"
        if self._bar is not None:
            shown = f"{rate:,.0f}/s" if rate else ""
            self._bar.update(self._task, completed=min(env_steps, self._steps), rate=shown, said=said)
        elif now - self._printed >= _LINE_EVERY or env_steps >= self._steps:
            self._printed = now
            left = max(self._steps - env_steps, 0) / rate if rate else 0.0
            steps = f"{env_steps:>10,}/{self._steps:,} steps"
            pace = f"{rate:,.0f}/s  {left:,.0f} s left" if rate else ""
            print("  ".join(filter(None, (steps, pace, said))), flush=True)
