"""All that makes a training run, and the files ``settings.toml`` and ``versions.toml`` of its folder."""

from __future__ import annotations

import math
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rlmem import __version__
from rlmem.environments import complete_knobs, knobs_class, with_preset
from rlmem.errors import UserError
from rlmem.evaluation.seeds import training_seed
from rlmem.field_checks import check_fields
from rlmem.files import json_values
from rlmem.registry import agent_name, agent_settings_class, canonical_id, short_id
from rlmem.runs.curriculum import check_curriculum
from rlmem.runs.toml import read_toml, write_toml
from rlmem.suggest import one_of
from rlmem.versions import installed_version

SETTINGS = "settings.toml"
_MOST = {"steps": 10**12, "envs": 10_000, "eval_every": 10**12, "eval_episodes": 100_000, "keep": 10_000}
_KEPT = ("eval_every", "eval_episodes", "eval_knobs", "curriculum")
_LIBRARIES = ("gymnasium", "numpy", "pybullet", "stable-baselines3", "sb3-contrib", "torch")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that makes a training run.

    Args:
        env: Id of the task.
        agent: Name of the agent.
        seed: Of the run: weights, exploration and training episodes follow from it.
        steps: Control steps over all environments; training ends with the rollout that reaches them.
        envs: Environments side by side.
        workers: Processes to spread them over; 0 keeps them in this one.
        eval_every: Control steps between evaluations on validation seeds.
        eval_episodes: Episodes in such an evaluation.
        stop_at: Stop when an evaluation reaches this memory score, where there is one, or metric (None: never).
        init_from: A run, whose best weights this one starts from: its folder, or a name as of
            :func:`rlmem.runs.named.run_folder`; "" for fresh weights.
        curriculum: Longest memory lengths, rising, to train on before those of ``knobs``: each until an evaluation at
            it reaches ``stop_at``, or 0.95 where that is None. See :mod:`rlmem.runs.curriculum`.
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
    init_from: str = ""
    curriculum: tuple[int, ...] = ()
    keep: int = 1
    eval_knobs: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    agent_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(RunSettings, {name: getattr(self, name) for name in RunSettings.__dataclass_fields__}, "setting")
        object.__setattr__(self, "env", canonical_id(self.env))
        object.__setattr__(self, "agent", agent_name(self.agent))
        for name, most in _MOST.items():
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
            if getattr(self, name) > most:
                raise UserError(f"{name} must be at most {most:,}, got {getattr(self, name)}")
        if not 0 <= self.workers <= self.envs:
            raise UserError(f"workers must be from 0 to envs = {self.envs}, got {self.workers}")
        if self.stop_at is not None and not math.isfinite(self.stop_at):
            raise UserError(f"stop_at must be a finite number, got {self.stop_at}")
        training_seed(self.seed)
        for name in ("knobs", "eval_knobs"):
            knobs = with_preset(knobs_class(self.env), getattr(self, name), self.env)
            check_fields(knobs_class(self.env), knobs, f"knob of {self.env}")
            object.__setattr__(self, name, knobs)
        object.__setattr__(self, "knobs", complete_knobs(self.env, self.knobs))
        object.__setattr__(self, "curriculum", tuple(self.curriculum))
        check_curriculum(self.curriculum, self.env, self.knobs)
        evaluated = complete_knobs(self.env, self.knobs | self.eval_knobs)
        object.__setattr__(self, "eval_knobs", {name: evaluated[name] for name in self.eval_knobs})
        object.__setattr__(self, "agent_settings", asdict(self.make_agent_settings()))

    def make_agent_settings(self) -> Any:
        """Return the agent's settings.

        Raises:
            UserError: If the agent has no such hyperparameter, or a value is out of bounds.
        """
        cls = agent_settings_class(self.agent)
        check_fields(cls, self.agent_settings, f"setting of agent {self.agent}")
        return cls(**self.agent_settings)

    def folder(self, out: Path, name: str = "") -> Path:
        """Return where the run lies below ``out``: ENV/AGENT/SEED, or ENV/AGENT/NAME/SEED.

        Raises:
            UserError: If the name could be another folder.
        """
        if name and not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise UserError(f"a run's name has letters, digits, '-', '_' and '.' only, got {name!r}")
        return out / short_id(self.env) / self.agent.rpartition(":")[2] / name / str(self.seed)

    def origin(self) -> dict[str, Any]:
        """Return what a checkpoint of this run must have been trained with."""
        names = ("env", "agent", "seed", "envs", "init_from", "knobs", "agent_settings")
        return {name: getattr(self, name) for name in names}

    def fixed(self) -> dict[str, Any]:
        """Return what stays as it is when the run is resumed."""
        return self.origin() | {name: getattr(self, name) for name in _KEPT}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the first value that differs, as in ``"seed 1, not 2"``, "" if none does; names must be in both.

    Knobs come first: tuned settings follow from them.
    """
    for name in sorted(before.keys() & now.keys(), key=lambda name: name != "knobs"):
        one, other = before[name], now[name]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if found := difference(one, other):
                return found
        elif json_values(one) != json_values(other):
            empty: tuple[Any, ...] = ("", (), [])
            return f"{f'no {name}' if one in empty else f'{name} {one}'}, not {'none' if other in empty else other}"
    return ""


def require_run(folder: Path) -> None:
    """Raise a UserError unless there is a folder, such as that of a run."""
    if not folder.exists():
        raise UserError(f"there is no run {folder}: name its folder, runs/ENV/AGENT/SEED, or zoo:NAME")


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write ``settings.toml`` and ``versions.toml``."""
    write_toml(folder / SETTINGS, asdict(settings))
    libraries = {name: installed_version(name) or "not installed" for name in _LIBRARIES}
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
    path = folder / SETTINGS
    require_run(folder)
    if not path.is_file():
        found = (path for depth in range(1, 5) for path in folder.glob(f"{'*/' * depth}{SETTINGS}"))
        inside = sorted(str(run.parent) for run in found)[:4]
        hint = f"; {one_of(inside)} is one" if inside else ""
        raise UserError(f"{folder} is not a training run: it has no {SETTINGS}{hint}")
    values = read_toml(path)
    if not values:
        raise UserError(f"{path} is empty: without it the run cannot be read, so begin it anew under another --name")
    try:
        for name in ("env", "agent", "seed", "knobs", "agent_settings"):
            if name not in values:
                raise UserError(f"{name!r} is missing")
        check_fields(RunSettings, values, "setting")
        settings = RunSettings(**values)
        if not values["knobs"] and settings.knobs:
            raise UserError("'knobs' is empty, so it does not say what was trained on")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return settings


def processor() -> str:
    """Return the processor's name where the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
