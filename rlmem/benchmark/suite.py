"""A suite file says what a benchmark is: tasks x knobs x agents x seeds x budget, as TOML.

::

    name = "mine"
    steps = 100_000                # control steps of training; a task may have its own
    seeds = 5                      # runs of each agent on each task

    [[task]]
    env = "TMaze-v0"
    knobs = { robot = "planar" }                          # of training and test
    grid = { memory_length = [[5, 50], [5, 100]] }        # each value in turn; [5, 50] is a range
    test = { memory_length = [50, 100, 200] }             # each run is tested at each of these

    [[agent]]
    agent = "recurrent_ppo"
    label = "recurrent_ppo, GRU"
    settings = { cell = "gru" }

An agent of your own is named by ``policy = "module:name"`` or ``"path/to/file.py:name"`` instead of ``agent``. Its code
is run: take suites that name a policy from people whom you trust only.

Presets lie in the folder ``suites`` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from rlmem.benchmark.job import Job
from rlmem.environments import complete_knobs, with_preset
from rlmem.errors import UserError
from rlmem.evaluation.seeds import MAX_EPISODES, MAX_RUN_SEED
from rlmem.field_checks import check_fields
from rlmem.registry import agent_class, canonical_id, short_id, task_class
from rlmem.runs.curriculum import check_curriculum
from rlmem.runs.settings import RunSettings
from rlmem.runs.toml import read_toml
from rlmem.runs.tuned import tuned_settings
from rlmem.spec import TaskSpec
from rlmem.suggest import unknown

_PRESETS = ("quick", "walkers", "working", "tasks", "standard", "full")
_LENGTHS = ("memory_length", "credit_length")


@dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """A ``[[task]]`` of a suite.

    Args:
        env: Id of the task.
        knobs: Of training and test, where not the task's defaults.
        grid: Knob -> values, each of which makes a task of its own; their product where there are several.
        test: Knob -> values at which each trained agent is tested, their product where there are several. Empty: as
            trained; where training draws from a range of lengths: at the longest.
        steps: Control steps of training, instead of the suite's.
        eval_every: Control steps between evaluations, instead of the suite's: long episodes make them dear.
        episodes: Test episodes of each run, instead of the suite's, likewise.
        curriculum: Longest memory lengths, rising, to train on first: see :mod:`rlmem.runs.curriculum`.
        agents: Labels of the agents that run on it; empty: all.

    Raises:
        UserError: If the task or a knob does not exist, a knob cannot have a value, or a number is less than 1.
    """

    env: str
    knobs: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    test: dict[str, list[Any]] = field(default_factory=dict)
    steps: int | None = None
    eval_every: int | None = None
    episodes: int | None = None
    curriculum: list[int] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("steps", "eval_every", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} of a task must be at least 1, got {value}")
        object.__setattr__(self, "env", canonical_id(self.env))
        for part in ("grid", "test"):
            for knob, values in getattr(self, part).items():
                if not isinstance(values, list) or not values or [] in values:
                    raise UserError(f"{part} must give a list of values for {knob}, got {values!r}")
        object.__setattr__(self, "knobs", with_preset(task_class(self.env).Settings, self.knobs, self.env))
        for training in self.trainings():
            check_curriculum(self.curriculum, self.env, complete_knobs(self.env, training))
            for test in ({}, *self.tests(training)):
                task_class(self.env).make_settings(training | test)

    def trainings(self) -> Iterator[dict[str, Any]]:
        """Yield the knobs of training, one for each place in the grid."""
        for place in _product(self.grid):
            yield self.knobs | place

    def tests(self, training: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the knobs that tests have instead of those of training."""
        if self.test:
            return list(_product(self.test))
        return [longest(training)]


@dataclass(frozen=True, kw_only=True)
class SuiteAgent:
    """An ``[[agent]]`` of a suite: one of this package, or one of your own.

    Args:
        agent: Name of an agent of this package.
        policy: An agent of your own, ``module:name`` as for ``rlmem evaluate --policy``; it is tested, not trained.
            Its code is run: take suites that name a policy from people whom you trust only.
        label: Its name in tables; the agent's or policy's own if not given.
        settings: Hyperparameters that are not the agent's defaults.
        tuned: Start from the settings found by tuning, where there are any that fit.
        steps: Control steps of training, instead of the task's or the suite's.
        seeds: Runs, instead of the suite's.
        envs: Environments side by side in training, instead of the suite's.

    Raises:
        UserError: If not exactly one of agent and policy is named, or a hyperparameter does not exist.
    """

    agent: str = ""
    policy: str = ""
    label: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    tuned: bool = False
    steps: int | None = None
    seeds: int | None = None
    envs: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "seeds", "envs"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UserError(f"{name} of an agent must be at least 1, got {number}")
        if bool(self.agent) == bool(self.policy):
            raise UserError("each [[agent]] names an agent of this package, agent = ..., or policy = 'module:name'")
        if self.policy and not all(self.policy.rpartition(":")):
            raise UserError(f"policy must be 'module:name' or 'path/to/file.py:name', got {self.policy!r}")
        if self.policy and (self.settings or self.tuned):
            raise UserError(f"policy {self.policy!r} has no settings here: it is tested as it is")
        if self.agent:
            object.__setattr__(self, "agent", self.agent.replace("-", "_"))
            settings = agent_class(self.agent).Settings
            check_fields(settings, self.settings, f"setting of agent {self.agent}")
            settings(**self.settings)
        object.__setattr__(self, "label", self.label or self.agent or self.policy)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A benchmark.

    Args:
        name: Of the suite; its results go to a folder of this name.
        description: A line or two on what it is for.
        steps: Control steps of training.
        seeds: Runs of each agent that learns on each task, numbered from 0; others are run once.
        episodes: Test episodes of each run.
        envs: Environments side by side in training.
        eval_every: Control steps between evaluations on validation seeds, by which the best weights are chosen.
        eval_episodes: Episodes in such an evaluation.
        stop_at: Stop training when an evaluation reaches this memory score; leave out to train to the end, as on tasks
            that have no such score.
        lesion: Test each agent with its hidden state zeroed at the query too.
        task: The tasks.
        agent: The agents.

    Raises:
        UserError: If a value is out of bounds, there is no task or agent, or two agents have the same label.
    """

    name: str
    description: str = ""
    steps: int = 200_000
    seeds: int = 5
    episodes: int = 200
    envs: int = 16
    eval_every: int = 20_000
    eval_episodes: int = 50
    stop_at: float | None = None
    lesion: bool = True
    task: list[SuiteTask] = field(default_factory=list)
    agent: list[SuiteAgent] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("steps", "seeds", "episodes", "envs", "eval_every", "eval_episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        for seeds in (self.seeds, *(agent.seeds or 1 for agent in self.agent)):
            if seeds > MAX_RUN_SEED + 1:
                raise UserError(f"seeds must be at most {MAX_RUN_SEED + 1:,}, got {seeds:,}")
        for episodes in (self.episodes, *(task.episodes or 1 for task in self.task)):
            if episodes > MAX_EPISODES:
                raise UserError(f"episodes must be at most {MAX_EPISODES:,}, got {episodes:,}")
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise UserError(f"name must be a word of letters, digits, - and _, got {self.name!r}")
        if not self.task or not self.agent:
            raise UserError("a suite needs at least one [[task]] and one [[agent]]")
        labels = [agent.label for agent in self.agent]
        for label in labels:
            if labels.count(label) > 1:
                raise UserError(f"two agents have the label {label!r}: give each its own")
        for task in self.task:
            for label in task.agents:
                if label not in labels:
                    raise UserError(unknown(f"agent of task {task.env}", label, labels))

    def jobs(self) -> list[Job]:
        """Return all runs, the first seed of everything before the second, so that a part of the table says much."""
        jobs = [
            self._job(task, training, agent, seed)
            for seed in range(max(self.seeds, *(agent.seeds or 1 for agent in self.agent)))
            for task in self.task
            for training in task.trainings()
            for agent in self.agent
            if (not task.agents or agent.label in task.agents) and seed < self._runs(agent)
        ]
        return list({job.key: job for job in jobs}.values())

    def _runs(self, agent: SuiteAgent) -> int:
        return (agent.seeds or self.seeds) if _learns(agent) else 1

    def _job(self, task: SuiteTask, knobs: dict[str, Any], agent: SuiteAgent, seed: int) -> Job:
        found = tuned_settings(agent.agent, task.env) if agent.tuned else None
        found = found.fitting(knobs) if found is not None else None
        run: dict[str, Any] = {"agent_settings": {}, "knobs": knobs, "eval_knobs": {}, "curriculum": ()}
        run |= found.run(knobs) if found else {}
        settings = RunSettings(
            env=task.env,
            agent=agent.agent or "random",
            seed=seed,
            steps=agent.steps or task.steps or self.steps,
            envs=agent.envs or self.envs,
            eval_every=task.eval_every or self.eval_every,
            eval_episodes=self.eval_episodes,
            stop_at=self.stop_at if _measures_memory(task.env, knobs) else None,
            knobs=run["knobs"],
            eval_knobs=longest(run["knobs"]) | run["eval_knobs"],
            curriculum=tuple(task.curriculum or run["curriculum"]) if _learns(agent) else (),
            agent_settings=run["agent_settings"] | agent.settings,
        )
        return Job(
            task=_words(short_id(task.env), _by_preset(task.env, knobs)),
            label=agent.label,
            policy=agent.policy,
            settings=settings,
            tests=tuple(knobs | test for test in task.tests(knobs)),
            test_names=tuple(_words("", test) for test in task.tests(knobs)),
            episodes=task.episodes or self.episodes,
            lesion=self.lesion,
        )


def _measures_memory(env: str, knobs: Mapping[str, Any]) -> bool:
    task = task_class(env)
    spec: TaskSpec = task.spec(task.make_settings(knobs))
    return spec.measures_memory


def presets() -> dict[str, Path]:
    """Return the suites that come with the package, by name, those of few runs first."""
    folder = Path(str(files("rlmem.benchmark"))) / "suites"
    return {name: folder / f"{name}.toml" for name in _PRESETS}


def read_suite(name: str) -> Suite:
    """Read a suite.

    Args:
        name: Of a preset, or the path of a TOML file.

    Raises:
        UserError: If there is no such preset, or the file has a mistake; the message says where and what would be
            right, or if there is no such file.
    """
    if name in presets():
        path = presets()[name]
    elif name.endswith(".toml"):
        path = Path(name)
    else:
        file = f"{name}.toml" if Path(f"{name}.toml").is_file() else "a file of your own that ends in .toml"
        raise UserError(unknown("suite", name, presets()) + f"; or name {file}")
    try:
        return suite_from(read_toml(path))
    except UserError as error:
        raise UserError(f"{error}" if str(path) in str(error) else f"{path}: {error}") from error


def suite_from(values: Mapping[str, Any]) -> Suite:
    """Make a suite from what a TOML file says.

    Raises:
        UserError: If there is a mistake.
    """
    tasks = [_part(SuiteTask, task, "a [[task]]") for task in _tables(values, "task")]
    agents = [_part(SuiteAgent, agent, "an [[agent]]") for agent in _tables(values, "agent")]
    rest = {name: value for name, value in values.items() if name not in ("task", "agent")}
    suite: Suite = _part(Suite, {**rest, "task": tasks, "agent": agents}, "a suite")
    return suite


def longest(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return each length that is drawn from a range at its longest."""
    ranges = {name: knobs[name] for name in _LENGTHS if isinstance(knobs.get(name), (list, tuple)) and knobs[name]}
    return {name: values[-1] for name, values in ranges.items()}


def _part(cls: type[Any], values: Mapping[str, Any], what: str) -> Any:
    needed = [entry.name for entry in fields(cls) if entry.default is MISSING and entry.default_factory is MISSING]
    for name in needed:
        if name not in values:
            raise UserError(f"{what} must have {name} = ...")
    check_fields(cls, values, f"key of {what}")
    return cls(**values)


def _tables(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = values.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError(f"each {name} is a table of its own: write [[{name}]]")
    return found


def _learns(agent: SuiteAgent) -> bool:
    return bool(agent.agent) and bool(agent_class(agent.agent).learns)


def _product(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _by_preset(env: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return knobs with those of a preset, where all of them are there, under its name."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(task_class(env).Settings, "PRESETS", {})
    for preset, values in presets.items():
        if all(knobs.get(name) == value for name, value in values.items()):
            return {"preset": preset} | {name: value for name, value in knobs.items() if name not in values}
    return dict(knobs)


def _words(name: str, knobs: Mapping[str, Any]) -> str:
    """Return a task in words: its name, and its knobs where they are given."""
    given = [f"{knob} {_value(value)}" for knob, value in knobs.items()]
    return ", ".join([name, *given] if name else given)


def _value(value: Any) -> str:
    return f"{value[0]} to {value[1]}" if isinstance(value, (list, tuple)) else str(value)
