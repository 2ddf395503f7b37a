"""One run of a benchmark: train an agent, test its best weights on held-out seeds, return rows of the table.

A job is plain data, so that it can be run in this process, in another, or on another machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import rlmem
from rlmem.environments import complete_knobs
from rlmem.errors import UserError
from rlmem.evaluation.episodes import Evaluation, evaluate_on, make_test_env
from rlmem.evaluation.lesion import Lesion, lesion_test
from rlmem.evaluation.own_agent import load_policy
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import json_text
from rlmem.registry import agent_class, short_id
from rlmem.runs.checkpoints import BEST, LAST
from rlmem.runs.progress import Progress
from rlmem.runs.resuming import best_lost, is_finished
from rlmem.runs.settings import RunSettings, processor, read_settings
from rlmem.runs.tensors_file import CheckpointError
from rlmem.runs.training import agent_for, load_agent, train

Row = dict[str, Any]

_ENVS = 25
"""Test environments side by side: each is a world of some 25 MB, and several runs share a machine."""
TIMES = ("cpu_seconds", "wall_seconds", "finished")
"""Columns that differ when a run is repeated on the same machine."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run.

    Args:
        task: What is trained on, in words.
        label: Of the agent, in tables.
        settings: Of training; of an agent that does not learn, the task and the agent.
        policy: An agent of your own instead, see :func:`rlmem.evaluation.own_agent.load_policy`.
        tests: Knobs of each test, the others as in training.
        test_names: What is tested, in words, one a test.
        episodes: Test episodes.
        lesion: Test with the hidden state zeroed at the query too.
    """

    task: str
    label: str
    settings: RunSettings
    policy: str = ""
    tests: tuple[dict[str, Any], ...] = field(default=({},))
    test_names: tuple[str, ...] = ("",)
    episodes: int = 200
    lesion: bool = True

    @property
    def learns(self) -> bool:
        """Whether there is something to train."""
        return not self.policy and bool(agent_class(self.settings.agent).learns)

    @property
    def name(self) -> str:
        """Agent, task and seed in words."""
        return f"{self.label} on {self.task}, seed {self.settings.seed}"

    @cached_property
    def key(self) -> str:
        """Name of all that makes the run: two jobs with the same key give the same rows, but for times.

        Values that are defaults are left out, so that a knob or hyperparameter that is new changes no name.
        """
        settings = self.settings
        made_of: dict[str, Any] = {}
        if self.learns:
            training = ("steps", "envs", "eval_every", "eval_episodes", "stop_at", "eval_knobs")
            made_of = {name: getattr(settings, name) for name in training}
            made_of |= {"curriculum": settings.curriculum} if settings.curriculum else {}
            usual = asdict(agent_class(settings.agent).Settings())
            made_of |= {"agent_settings": _other_than(usual, settings.agent_settings)}
        usual = complete_knobs(settings.env, {})
        made_of |= {name: getattr(settings, name) for name in ("env", "agent", "seed")}
        made_of |= {"knobs": _other_than(usual, settings.knobs)}
        made_of |= {"tests": [_other_than(usual, complete_knobs(settings.env, knobs)) for knobs in self.tests]}
        made_of |= {"label": self.label, "policy": self.policy, "episodes": self.episodes, "lesion": self.lesion}
        return hashlib.sha256(_sorted_json(made_of).encode()).hexdigest()[:12]

    def made(self, row: Mapping[str, str]) -> bool:
        """Return whether a row of a table is of this run: its key, and what has become another default since."""
        if row["cell"] != self.key:
            return False
        try:
            knobs, agent_settings = json.loads(row["knobs"]), json.loads(row["settings"])
            then = replace(self.settings, knobs=knobs, agent_settings=agent_settings)
        except (KeyError, ValueError):  # a table of something else, or settings that are no longer there
            return False
        return _sorted_json(asdict(then)) == _sorted_json(asdict(self.settings))

    @property
    def folder(self) -> Path:
        """Where the training run lies, below the benchmark's folder."""
        return Path("runs") / short_id(self.settings.env) / self.settings.agent / self.key


def run_job(job: Job, out: Path, report: Callable[[int], object] = int) -> list[Row]:
    """Train, test, and return a row for each test.

    A run that was killed goes on from its last checkpoint where the agent resumes bit for bit, and starts anew
    elsewhere, so that the rows are the same either way.

    Args:
        job: What to run.
        out: The benchmark's folder; the training run is kept in :attr:`Job.folder` below it.
        report: Told the control steps trained so far.

    Raises:
        UserError: If the agent does not fit the task.
    """
    started, folder = time.monotonic(), out / job.folder
    cost: Row = {"env_steps": 0, "cpu_seconds": ""}
    if job.learns:
        _train(job, folder, report)
        progress = Progress(folder / "progress.csv")
        cost = {"env_steps": int(progress.last("env_steps", 0.0)), "cpu_seconds": progress.last("cpu_seconds", 0.0)}
    rows = [_row(job, number, _agent(job, folder, knobs), cost) for number, knobs in enumerate(job.tests)]
    finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
    wall = round(time.monotonic() - started, 1)
    return [row | {"wall_seconds": wall, "finished": finished} for row in rows]


def code_version() -> str:
    """Return the version of this package, with the commit where it runs from a checkout."""
    root = Path(rlmem.__file__).resolve().parent.parent
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return rlmem.__version__
    command = [git, "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no input of users
    return f"{rlmem.__version__}+{said.stdout.strip()}" if said.returncode == 0 else rlmem.__version__


def machine() -> str:
    """Return processor, cores and system in words."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.system()}"


def _train(job: Job, folder: Path, report: Callable[[int], object]) -> None:
    """Train, unless that is done; go on only where that gives what an undisturbed run gives."""

    def told(steps: int, _: dict[str, float]) -> None:
        report(steps)

    try:
        begun = _is_of(job, folder) and (folder / LAST).is_file() and not best_lost(folder, job.settings)
        if begun and is_finished(folder, job.settings):
            return
        if begun and bool(getattr(agent_class(job.settings.agent), "resumes_exactly", False)):
            train(job.settings, folder=folder, resume=True, report=told, say=str)
            return
    except CheckpointError:  # damaged: begin anew
        pass
    if folder.exists():
        shutil.rmtree(folder)
    train(job.settings, folder=folder, report=told)


def _is_of(job: Job, folder: Path) -> bool:
    """Return whether the training in a folder has these settings; it may be older than a default."""
    try:
        return _sorted_json(asdict(read_settings(folder))) == _sorted_json(asdict(job.settings))
    except UserError:
        return False


def _agent(job: Job, folder: Path, knobs: dict[str, Any]) -> Any:
    """Return the trained agent, or the one that needs no training."""
    env = make_test_env(job.settings.env, 1, knobs)
    try:
        if job.policy:
            return load_policy(job.policy, env)
        if job.learns:
            return load_agent(folder, env, BEST)
        cls = agent_class(job.settings.agent)
        return agent_for(cls, cls.Settings(**job.settings.agent_settings), env, job.settings.seed)
    finally:
        env.close()


def _row(job: Job, number: int, agent: Any, cost: Row) -> Row:
    settings, knobs, seeds = job.settings, job.tests[number], test_seeds(job.episodes)
    env = make_test_env(settings.env, min(_ENVS, job.episodes), knobs)
    try:
        result = evaluate_on(agent, env, seeds=seeds)
        lesioned = _lesioned(agent, env, seeds, result) if job.lesion else None
    finally:
        env.close()
    spec = result.spec
    said = result.as_dict()
    names = ("metric", "value", "low", "high", "success_rate", "memory_score", "mean_return", "mean_length")
    lesion = (lesioned.value, *lesioned.interval) if lesioned is not None else ("", "", "")
    return {
        "task": job.task,
        "test": job.test_names[number],
        "agent": job.label,
        "seed": settings.seed,
        **{name: said[name] for name in names},
        "work": said.get("work", ""),
        **dict(zip(("lesioned", "lesioned_low", "lesioned_high"), lesion, strict=True)),
        "memoryless": spec.memoryless.value if spec else math.nan,
        "oracle": spec.oracle.value if spec else math.nan,
        "memory_length": spec.memory_length[1] if spec else 0,
        "credit_length": spec.credit_length[1] if spec else 0,
        "n_bits": spec.n_bits if spec else 0.0,
        "context": getattr(agent, "context", "its own"),
        "information": getattr(agent, "information", "its own"),
        "episodes": job.episodes,
        **cost,
        "steps": settings.steps if job.learns else 0,
        "env": settings.env,
        "name": job.policy or settings.agent,
        "settings": _sorted_json(settings.agent_settings),
        "knobs": _sorted_json(settings.knobs),
        "test_knobs": _sorted_json(knobs),
        "version": code_version(),
        "machine": machine(),
        "cell": job.key,
    }


def _lesioned(agent: Any, env: Any, seeds: range, intact: Evaluation) -> Evaluation | None:
    """Return the evaluation with the hidden state zeroed at the query; None where there is no state or no query."""
    if intact.spec is None or not intact.spec.n_bits > 0:
        return None
    try:
        return lesion_test(agent, env, Lesion(), seeds=seeds, intact=intact).lesioned
    except UserError:
        return None


def _other_than(usual: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if _sorted_json(value) != _sorted_json(usual.get(name))}


def _sorted_json(values: Any) -> str:
    return json_text(values, sort_keys=True)
