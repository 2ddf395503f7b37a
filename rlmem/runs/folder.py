"""The folder of a training run: settings, versions, progress, models.

``runs/ENV/AGENT/SEED/`` holds ``settings.toml`` (all that made the run), ``versions.toml``, ``progress.csv`` (one row
an evaluation), TensorBoard events, and checkpoints: see :mod:`rlmem.runs.checkpoints`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from rlmem import __version__
from rlmem.csv_table import read_rows, text_row, write_rows
from rlmem.errors import UserError
from rlmem.registry import NAMESPACE, agent_class, canonical_id, task_class
from rlmem.runs.checkpoints import BEST as BEST
from rlmem.runs.checkpoints import LAST as LAST
from rlmem.runs.toml import read_toml, write_toml
from rlmem.suggest import unknown

_LIBRARIES = ("gymnasium", "numpy", "pybullet", "stable-baselines3", "sb3-contrib", "torch")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that makes a training run.

    Args:
        env: Id of the task.
        agent: Name of the agent.
        seed: Of the run: weights, exploration and training episodes follow from it.
        steps: Control steps over all environments.
        envs: Environments side by side.
        workers: Processes to spread them over; 0 keeps them in this one.
        eval_every: Control steps between evaluations on validation seeds.
        eval_episodes: Episodes in such an evaluation.
        stop_at: Stop when an evaluation reaches this memory score, where there is one, or metric (None: never).
        keep: Last checkpoints to keep, beside the best: above 1, those before the last lie in ``checkpoints/``.
        eval_knobs: Knobs that evaluations have instead, such as one length out of a range.
        knobs: The task's knobs.
        agent_settings: The agent's hyperparameters.

    Raises:
        UserError: If the task or the agent is unknown, or a value is out of bounds.
    """

    env: str
    agent: str
    seed: int = 0
    steps: int = 200_000
    envs: int = 16
    workers: int = 0
    eval_every: int = 20_000
    eval_episodes: int = 50
    stop_at: float | None = None
    keep: int = 1
    eval_knobs: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", canonical_id(self.env))
        object.__setattr__(self, "agent", self.agent.replace("-", "_"))
        for name in ("steps", "envs", "eval_every", "eval_episodes", "keep"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.workers <= self.envs:
            raise UserError(f"workers must be from 0 to envs = {self.envs}, got {self.workers}")
        task = task_class(self.env)
        object.__setattr__(self, "knobs", asdict(task.make_settings(self.knobs)))
        judged = asdict(task.make_settings(self.knobs | self.eval_knobs))
        object.__setattr__(self, "eval_knobs", {name: judged[name] for name in self.eval_knobs})
        object.__setattr__(self, "agent_settings", asdict(self.make_agent_settings()))

    def make_agent_settings(self) -> Any:
        """Return the agent's settings.

        Raises:
            UserError: If the agent has no such hyperparameter, or a value is out of bounds.
        """
        cls = agent_class(self.agent).Settings
        for name in self.agent_settings:
            if name not in cls.__dataclass_fields__:
                raise UserError(unknown(f"setting of agent {self.agent}", name, cls.__dataclass_fields__))
        return cls(**self.agent_settings)

    def folder(self, out: Path) -> Path:
        """Return where the run lies below ``out``."""
        return out / self.env.removeprefix(f"{NAMESPACE}/") / self.agent / str(self.seed)


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write ``settings.toml`` and ``versions.toml``."""
    write_toml(folder / "settings.toml", asdict(settings))
    libraries = {name: _version(name) for name in _LIBRARIES}
    machine = {"system": platform.platform(), "processor": processor()}
    write_toml(
        folder / "versions.toml",
        {"rlmem": __version__, "python": sys.version.split()[0], "libraries": libraries, "machine": machine},
    )


def read_settings(folder: Path) -> RunSettings:
    """Read ``settings.toml``.

    Raises:
        UserError: If the folder is not a run, or if the file does not hold a run's settings.
    """
    path = folder / "settings.toml"
    if not path.is_file():
        raise UserError(f"{folder} is not a training run: it has no settings.toml")
    values = read_toml(path)
    if "env" not in values or "agent" not in values:
        raise UserError(f"{path} names no env and agent")
    known = RunSettings.__dataclass_fields__
    for name in values:
        if name not in known:
            raise UserError(f"{path}: {unknown('setting', name, known)}")
    return RunSettings(**values)


class Progress:
    """A CSV file of rows, such as ``progress.csv``, written anew at once for each row, so it is never cut short.

    Args:
        path: The file; what it holds already is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = read_rows(path)

    def last(self, column: str, default: float) -> float:
        """Return the last number of a column."""
        return float(self.rows[-1].get(column) or default) if self.rows else default

    def rewind(self, env_steps: int) -> None:
        """Drop the rows of evaluations after so many control steps, which a resumed run makes again."""
        kept = [row for row in self.rows if float(row["env_steps"]) <= env_steps]
        if len(kept) < len(self.rows):
            self.rows = kept
            write_rows(self._path, kept)

    def add(self, row: Mapping[str, float | str]) -> None:
        """Add a row; new columns are empty in older rows."""
        self.rows.append(text_row(row))
        columns = dict.fromkeys((key for entry in self.rows for key in entry), "")
        self.rows = [columns | entry for entry in self.rows]
        write_rows(self._path, self.rows)


def read_progress(folder: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the columns of a run's ``progress.csv``, each [rows], not a number where a value is missing.

    Raises:
        UserError: If there is none.
    """
    path = folder / "progress.csv"
    if not path.is_file():
        raise UserError(f"{folder} has no progress.csv: was it trained?")
    rows = Progress(path).rows
    columns = rows[0].keys() if rows else ()
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}


def processor() -> str:
    """Return the processor's name where the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"
