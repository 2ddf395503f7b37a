"""What tuning chooses from, and what a choice costs: the parts of ``scripts/tune.py`` that need no optimizer."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple, get_type_hints

from rlmem.errors import UserError
from rlmem.field_checks import fits
from rlmem.files import json_values
from rlmem.registry import agent_class, canonical_id, short_id, task_class
from rlmem.runs.progress import read_progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train
from rlmem.runs.tuned import Tuned
from rlmem.spec import TaskSpec
from rlmem.suggest import unknown


class Log(NamedTuple):
    """Numbers with two digits, log-uniform."""

    low: float
    high: float


SPACE: dict[str, Log | tuple[Any, ...]] = {
    "learning_rate": Log(3e-4, 5e-3),
    "memory_length": (None, 5, 10, 20),
    "n_steps": (None, 32, 64, 128, 256, 512, 1_024),
    "seq_len": (None, 64, 128, 256),
    "rows": (1, 2, 4, 8, 16),
    "batch_size": (None, 256, 512, 1024, 2048),
    "n_epochs": (3, 4, 6, 8, 10),
    "gamma": (0.95, 0.97, 0.98, 0.99, 0.995),
    "gae_lambda": (0.7, 0.8, 0.9, 0.95, 0.98, 1.0),
    "ent_coef": (0.0, 0.003, 0.01, 0.03),
    "hidden_size": (32, 64, 128),
    "shared": (False, True),
}
"""What is tried of each hyperparameter, for every agent that has it."""
_AROUND = 4.0
"""How far about its default a number is tried, for agents whose default lies outside the space."""
KNOBS: dict[str, dict[str, tuple[Any, ...]]] = {
    "TMaze-v0": {"shortest": (5,)},
    "TMazeActive-v0": {"shortest": (1, 5)},
    "TMazeEndless-v0": {"shortest": (1, 5)},
    "KeyToDoor-v0": {"shortest": (1, 5), "query_steps": (300, 1_000)},
}
"""What is tried of knobs while training, beside the task's own; ``shortest`` as in :class:`rlmem.runs.tuned.Tuned`."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What runs may take, and what they are for.

    Args:
        seeds: Runs with each choice.
        objective: What is to be least.
        steps: Control steps at most.
        goal: Part of the way from what is reached without memory (or, where that is the oracle's, at random) to the
            oracle.
        eval_every: Control steps between evaluations on validation seeds.
        eval_episodes: Episodes in one.

    Raises:
        UserError: If the goal is out of bounds.
    """

    seeds: int = 3
    objective: Literal["cpu_seconds", "env_steps"] = "cpu_seconds"
    steps: int = 100_000
    goal: float = 0.9
    eval_every: int = 4_096
    eval_episodes: int = 50

    def __post_init__(self) -> None:
        if not 0.0 < self.goal <= 1.0:
            raise UserError(f"goal must be above 0 and at most 1, got {self.goal}")


class TuningRun(NamedTuple):
    """What a run took."""

    env_steps: float
    cpu_seconds: float
    reached: float
    """Part of the goal, 1 where it was reached."""


class Problem:
    """An agent on a task with knobs: what can be chosen, and what runs with a choice take.

    Args:
        env: Id of the task.
        agent: Name of the agent.
        effort: What a run may take.
        knobs: The task's; evaluations keep them.
        agent_settings: Hyperparameters; those that are not the defaults are fixed.
        only: Names to choose values for; none for all.

    Raises:
        UserError: If there is nothing of a name in ``only`` to choose.
    """

    def __init__(
        self,
        env: str,
        agent: str,
        effort: Effort,
        knobs: Mapping[str, Any],
        agent_settings: Mapping[str, Any],
        only: Sequence[str] = (),
    ) -> None:
        settings, task = agent_class(agent).Settings, task_class(env)
        self.env, self.agent, self.effort = canonical_id(env), agent, effort
        self.knobs = asdict(task.make_settings(knobs))
        plain, hints = asdict(settings()), get_type_hints(settings)
        self.fixed = {name: value for name, value in agent_settings.items() if value != plain[name]}
        free = [name for name in SPACE if name in hints and name not in self.fixed]
        self.plain = {name: plain[name] for name in free}
        self.space = {name: _fitting(SPACE[name], plain[name], hints[name]) for name in free}
        for name, values in KNOBS.get(short_id(self.env), {}).items():
            self.plain[name] = self.knobs.get(name)
            self.space[name] = (self.plain[name], *values)
        for name in only:
            if name not in self.space:
                raise UserError(unknown(f"name to tune of {agent}", name, self.space))
        if only:
            self.space = {name: values for name, values in self.space.items() if name in only}
            self.plain = {name: self.plain[name] for name in self.space}
        spec: TaskSpec = task.spec(task.make_settings(self.knobs))
        counts_memory = spec.measures_memory
        self.floor = spec.memoryless.value if counts_memory else spec.random.value
        self.target = self.floor + self.effort.goal * (spec.oracle.value - self.floor)
        self.stop_at = self.effort.goal if counts_memory else self.target
        """The target as evaluations state it: a memory score, or where there is none the task's metric."""

    def tuned(self, chosen: Mapping[str, Any], found: Mapping[str, Any] | None = None) -> Tuned:
        """Return what differs from the plain settings, and what was found with it."""
        changed = {name: value for name, value in chosen.items() if value != self.plain[name]}
        plain = asdict(task_class(self.env).make_settings({}))
        agent = self.fixed | {name: value for name, value in changed.items() if name in SPACE}
        if agent.get("n_steps") and agent.get("seq_len"):
            agent["seq_len"] = math.gcd(agent["n_steps"], agent["seq_len"])  # a rollout is cut into whole sequences
        return Tuned(
            env=self.env,
            agent=agent,
            shortest=changed.get("shortest"),
            training={name: value for name, value in changed.items() if name not in SPACE and name in self.knobs},
            knobs={name: value for name, value in self.knobs.items() if value != plain[name]},
            found=dict(found or {}),
        )

    def again(self, tuned: Tuned) -> Tuned:
        """Return settings that were found before as they would be run here: whole, chosen from or not."""
        return replace(self.tuned(self.plain), agent=tuned.agent, shortest=tuned.shortest, training=tuned.training)

    def choice(self, tuned: Tuned) -> dict[str, Any]:
        """Return the choice that is nearest to some settings: what cannot be chosen here is the plain value."""
        wanted = {**tuned.agent, **tuned.training, "shortest": tuned.shortest}
        near = {name: wanted.get(name, plain) for name, plain in self.plain.items()}
        return {name: value if _offers(self.space[name], value) else self.plain[name] for name, value in near.items()}

    def run(self, tuned: Tuned, seed: int) -> TuningRun:
        """Train with settings until the target is reached or the steps are used up."""
        effort = self.effort
        settings = RunSettings(
            env=self.env,
            agent=self.agent,
            seed=seed,
            steps=effort.steps,
            eval_every=effort.eval_every,
            eval_episodes=effort.eval_episodes,
            stop_at=self.stop_at,
            **tuned.run(self.knobs),
        )
        with tempfile.TemporaryDirectory() as scratch:
            progress = read_progress(train(settings, Path(scratch)))
        reached = (float(progress["eval/value"].max()) - self.floor) / (self.target - self.floor)
        whole = 1.0 if reached > 1.0 - 1e-9 else max(reached, 0.0)
        return TuningRun(float(progress["env_steps"][-1]), float(progress["cpu_seconds"][-1]), whole)

    def cost(self, runs: Sequence[TuningRun]) -> float:
        """Return the mean of what runs took; one that did not reach the goal counts two to ten times."""
        counts = (1.0 if run.reached >= 1.0 else 10.0 - 8.0 * run.reached for run in runs)
        taken = (float(getattr(run, self.effort.objective)) for run in runs)
        return mean(cost * count for cost, count in zip(taken, counts, strict=True))

    def conditions(self) -> dict[str, Any]:
        """Return what all trials of a study must share, as JSON values."""
        effort = {field.name: getattr(self.effort, field.name) for field in fields(Effort)}
        shared = {"knobs": self.knobs, "fixed": self.fixed, "names": sorted(self.space), **effort}
        return {name: json_values(value) for name, value in shared.items()}


def _fitting(values: Log | tuple[Any, ...], plain: Any, hint: Any) -> Log | tuple[Any, ...]:
    """Return what is tried of a hyperparameter, with its default, without what is not of its type."""
    if isinstance(values, Log):
        if values.low <= plain <= values.high:
            return values
        return Log(plain / _AROUND, plain * _AROUND)
    return tuple(dict.fromkeys([plain, *(value for value in values if fits(value, hint))]))


def _offers(values: Log | tuple[Any, ...], value: Any) -> bool:
    return values.low <= value <= values.high if isinstance(values, Log) else value in values
