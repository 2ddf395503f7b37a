"""What a suite file has tables of: tasks, each with its knobs, and agents, each with its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from rlmem.environments import LENGTH_KNOBS, complete_knobs, knobs_class, with_preset
from rlmem.errors import UserError
from rlmem.evaluation.own_agent import check_policy
from rlmem.field_checks import check_fields
from rlmem.registry import agent_class, canonical_id
from rlmem.runs.curriculum import check_curriculum


@dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """A ``[[task]]`` of a suite.

    Args:
        env: Id of the task, or of any environment that Gymnasium knows; ``module:Name-v0`` imports the module first.
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
        object.__setattr__(self, "knobs", with_preset(knobs_class(self.env), self.knobs, self.env))
        for training in self.trainings():
            check_curriculum(self.curriculum, self.env, complete_knobs(self.env, training))
            for test in ({}, *self.tests(training)):
                complete_knobs(self.env, training | test)

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
        UserError: If not exactly one of agent and policy is named, a hyperparameter does not exist, or there is no such
            module or file.
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
        if self.policy:
            check_policy(self.policy)
        if self.agent:
            object.__setattr__(self, "agent", self.agent.replace("-", "_"))
            settings = agent_class(self.agent).Settings
            check_fields(settings, self.settings, f"setting of agent {self.agent}")
            settings(**self.settings)
        object.__setattr__(self, "label", self.label or self.agent or self.policy)

    @property
    def learns(self) -> bool:
        """Whether there is something to train."""
        return bool(self.agent) and bool(agent_class(self.agent).learns)


def longest(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return each length that is drawn from a range at its longest."""
    ranges = {name: knobs[name] for name in LENGTH_KNOBS if isinstance(knobs.get(name), (list, tuple)) and knobs[name]}
    return {name: values[-1] for name, values in ranges.items()}


def _product(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))
