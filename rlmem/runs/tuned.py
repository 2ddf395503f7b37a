"""Settings found by tuning, shipped with the agents: ``settings/AGENT.toml``, a table for each task.

A task's table has up to eight parts: ``agent`` (hyperparameters that are not the defaults), ``shortest`` (train on a
range of lengths from this to the one asked for), ``curriculum`` (memory lengths to train on first), ``training`` (other
knobs while training; evaluations keep the task's own), ``knobs`` (what they were found at, where not the task's
defaults), ``budget`` (steps and environments of training, where the usual ones are too few), ``found`` (what the search
measured) and ``dock`` (a table like this one, for ``guard="dock"``, with which the robot works through the delay).
``scripts/tune.py`` writes it, ``rlmem train`` reads it; training from Python uses it only if asked::

    settings = RunSettings(env="TMaze-v0", agent="recurrent_ppo", **tuned_settings("recurrent_ppo", "TMaze-v0").run())
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from rlmem.errors import UserError
from rlmem.field_checks import check_fields
from rlmem.registry import NAMESPACE, TASKS, agent_name, agent_settings_class, canonical_id, short_id, task_class
from rlmem.runs.curriculum import check_curriculum
from rlmem.runs.toml import read_toml
from rlmem.suggest import unknown

_BUDGET = ("steps", "envs", "eval_every")


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """Settings found for an agent on a task.

    Args:
        env: Id of the task.
        agent: Hyperparameters that are not the agent's defaults.
        shortest: Least memory length (or credit length) while training, where a single one is asked for.
        curriculum: Longest memory lengths, rising, to train on first, as far as they are below the one asked for.
        training: Knobs while training.
        knobs: Knobs that they were found at, where not the task's defaults.
        budget: ``steps``, ``envs`` and ``eval_every`` of training, where the usual ones are too few: `rlmem train`
            takes from here what is not given.
        found: What the search measured.
        dock: The same for ``guard="dock"``, if others are known for it.

    Raises:
        UserError: If a knob is unknown, or of another type.
    """

    env: str
    agent: dict[str, Any] = field(default_factory=dict)
    shortest: int | None = None
    curriculum: list[int] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    knobs: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, int] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    dock: Tuned | None = None

    def __post_init__(self) -> None:
        task = task_class(self.env)
        check_fields(task.Settings, self.knobs | self.training, f"knob of {self.env}")
        task.make_settings(self.knobs | self.training)
        check_curriculum(self.curriculum, self.env, self._complete(self.knobs))
        for name, number in self.budget.items():
            if name not in _BUDGET or not isinstance(number, int) or number < 1:
                raise UserError(f"budget gives whole numbers of {', '.join(_BUDGET)}, got {name} = {number!r}")
        if self.shortest is not None and self.shortest < 1:
            raise UserError(f"shortest must be at least 1 control step, got {self.shortest}")

    def fitting(self, knobs: Mapping[str, Any]) -> Tuned | None:
        """Return these settings or those for docks, whichever fit a task with these knobs; None if neither does."""
        return next((one for one in (self, self.dock) if one is not None and one.fits(knobs)), None)

    def fits(self, knobs: Mapping[str, Any]) -> bool:
        """Return whether a task with these knobs has docks as theirs has, and asks for no longer memory or credit.

        The defaults grow with the length, and what was found at one may be too short for a longer. With docks the robot
        works through the delay, which other settings learn.
        """
        asked, known = (self._complete(some).get("guard") == "dock" for some in (knobs, self.knobs))
        longest = zip(self._longest(knobs), self._longest(self.knobs), strict=True)
        return asked == known and all(one <= other for one, other in longest)

    def run(self, knobs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return arguments for :class:`rlmem.runs.settings.RunSettings`: hyperparameters, knobs, curriculum.

        Args:
            knobs: The task's. One that is not the task's default is kept while training too.
        """
        asked, plain = (self._complete(some) for some in (knobs or {}, {}))
        free = {name: value for name, value in self.training.items() if asked[name] == plain[name]}
        length = "memory_length" if "memory_length" in asked else "credit_length"
        if self.shortest is not None and isinstance(asked.get(length), int) and asked[length] > self.shortest:
            free[length] = (self.shortest, asked[length])
        return {
            "agent_settings": dict(self.agent),
            "knobs": asked | free,
            "eval_knobs": {name: asked[name] for name in free},
            "curriculum": tuple(shorter for shorter in self.curriculum if shorter < _last(asked["memory_length"])),
        }

    def summary(self, knobs: Mapping[str, Any] | None = None) -> str:
        """Return the settings in one line, for a task with these knobs."""
        parts = [f"{name} {_in_words(value)}" for name, value in self.agent.items()]
        run = self.run(knobs)
        parts += [f"{name} {run['knobs'][name]} while training" for name in run["eval_knobs"]]
        if run["curriculum"]:
            parts.append(f"memory lengths up to {' and '.join(map(str, run['curriculum']))} first")
        return ", ".join(parts) or "the plain defaults"

    @property
    def lengths(self) -> str:
        """The longest memory and credit that they were found at, in words."""
        memory, credit = self._longest(self.knobs)
        return f"memory lengths up to {memory}" if memory else f"credit lengths up to {credit}"

    def _complete(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        return asdict(task_class(self.env).make_settings(knobs))

    def _longest(self, knobs: Mapping[str, Any]) -> tuple[int, int]:
        task = task_class(self.env)
        spec = task.spec(task.make_settings(knobs))
        return spec.memory_length[1], spec.credit_length[1]


def _in_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _last(length: Any) -> int:
    return int(length[-1]) if isinstance(length, (list, tuple)) else int(length)


def tuned_settings(agent: str, env_id: str) -> Tuned | None:
    """Return the settings found for an agent on a task, None where nobody has looked for any.

    Raises:
        UserError: If there is no such agent or task, or what the agent's file says of the task has a mistake.
    """
    path, task = tuned_file(agent), short_id(canonical_id(env_id))
    table = read_toml(path).get(task) if path.is_file() else None
    return None if table is None else _tuned(path, agent, task, table)


def tuned_file(agent: str) -> Path:
    """Return where the settings of an agent lie.

    Raises:
        UserError: If there is no such agent.
    """
    agent = agent_name(agent).rpartition(":")[2]
    return Path(str(files("rlmem.agents"))) / "settings" / f"{agent}.toml"


def read_tuned(path: Path, agent: str) -> dict[str, Tuned]:
    """Read a file of tuned settings.

    Args:
        path: A TOML file.
        agent: Whose settings they are.

    Returns:
        Settings by the task's id.

    Raises:
        UserError: If there is no such file, or if the file is not TOML, or has an unknown name or a value that cannot
            be.
    """
    return {f"{NAMESPACE}/{task}": _tuned(path, agent, task, table) for task, table in read_toml(path).items()}


def _tuned(path: Path, agent: str, task: str, table: Any) -> Tuned:
    try:
        if task not in TASKS:
            raise UserError(unknown("environment", task, TASKS, where="`rlmem list` shows all tasks"))
        if not isinstance(table, dict) or "dock" not in table:
            return _table(agent, task, table, task)
        docked = table["dock"]
        if isinstance(docked, dict) and isinstance(docked.get("knobs", {}), dict):
            docked = {**docked, "knobs": {"guard": "dock", **docked.get("knobs", {})}}
        return replace(
            _table(agent, task, {**table, "dock": None}, task), dock=_table(agent, task, docked, f"{task}.dock")
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _table(agent: str, task: str, table: Any, name: str) -> Tuned:
    if not isinstance(table, dict):
        raise UserError(f"{name} must be a table, got {table!r}")
    if "env" in table:
        raise UserError(f"{name} names its task already: leave 'env' out")
    check_fields(Tuned, table, f"part of {name}")
    tuned = Tuned(env=canonical_id(task), **table)
    settings = agent_settings_class(agent)
    check_fields(settings, tuned.agent, f"setting of agent {agent}")
    settings(**tuned.agent)
    return tuned
