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
from pathlib import Path
from typing import Any

from rlmem.benchmark.job import Job
from rlmem.benchmark.suite_checks import check_cell_size, check_tests
from rlmem.benchmark.suite_parts import SuiteAgent, SuiteTask, longest
from rlmem.environments import by_preset, spec_at
from rlmem.errors import UserError
from rlmem.evaluation.seeds import MAX_EPISODES, MAX_RUN_SEED
from rlmem.field_checks import check_fields
from rlmem.registry import short_id
from rlmem.runs.labels import check_labels
from rlmem.runs.settings import RunSettings
from rlmem.runs.toml import read_toml
from rlmem.runs.tuned import tuned_settings
from rlmem.suggest import unknown

_PRESETS = ("quick", "walkers", "working", "tasks", "standard", "full")


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
        UserError: If a value is out of bounds, there is no task or agent, two agents have the same label, an agent
            is to learn from parts of the full state that a task does not have, its cell cannot have its size, or it is
            tested where observations or actions have other shapes.
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
        for task, training, agents in self._places():
            if any(agent.learns for agent in agents):
                check_tests(task.env, training, task.tests(training))
            for agent in agents:
                settings = self._job(task, training, agent, 0).settings
                if agent.learns:
                    check_cell_size(settings.agent_settings)
                if agent.settings.keys() & {"auxiliary", "critic_observation"}:
                    check_labels(settings)

    def jobs(self) -> list[Job]:
        """Return all runs, the first seed of everything before the second, so that a part of the table says much."""
        jobs = [
            self._job(task, training, agent, seed)
            for seed in range(max(self.seeds, *(agent.seeds or 1 for agent in self.agent)))
            for task, training, agents in self._places()
            for agent in agents
            if seed < self._runs(agent)
        ]
        return list({job.key: job for job in jobs}.values())

    def _places(self) -> Iterator[tuple[SuiteTask, dict[str, Any], list[SuiteAgent]]]:
        """Yield each task with the knobs of training and the agents that run on it."""
        for task in self.task:
            agents = [one for one in self.agent if not task.agents or one.label in task.agents]
            yield from ((task, training, agents) for training in task.trainings())

    def _runs(self, agent: SuiteAgent) -> int:
        return (agent.seeds or self.seeds) if agent.learns else 1

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
            curriculum=tuple(task.curriculum or run["curriculum"]) if agent.learns else (),
            agent_settings=run["agent_settings"] | agent.settings,
        )
        return Job(
            task=_words(short_id(task.env), by_preset(task.env, knobs)),
            label=agent.label,
            policy=agent.policy,
            settings=settings,
            tests=tuple(knobs | test for test in task.tests(knobs)),
            test_names=tuple(_words("", test) for test in task.tests(knobs)),
            episodes=task.episodes or self.episodes,
            lesion=self.lesion,
        )


def _measures_memory(env: str, knobs: Mapping[str, Any]) -> bool:
    spec = spec_at(env, knobs)
    return spec is not None and spec.measures_memory


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


def _words(name: str, knobs: Mapping[str, Any]) -> str:
    """Return a task in words: its name, and its knobs where they are given."""
    given = [f"{knob} {_value(value)}" for knob, value in knobs.items()]
    return ", ".join([name, *given] if name else given)


def _value(value: Any) -> str:
    return f"{value[0]} to {value[1]}" if isinstance(value, (list, tuple)) else str(value)
