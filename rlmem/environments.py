"""Environments by id, of this package or any other that Gymnasium knows: their knobs and their vector form."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, make_dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from rlmem.csv_table import read_rows
from rlmem.errors import UserError
from rlmem.field_checks import check_fields
from rlmem.first_steps import CheckSteps
from rlmem.privileged import actor_part, actor_space, privileged_space
from rlmem.registry import canonical_id, gymnasium_spec, is_task, task_class
from rlmem.spec import Ceiling, TaskSpec
from rlmem.suggest import unknown

LENGTH_KNOBS = ("memory_length", "credit_length")
"""Knobs that are control steps to remember or to wait for a reward, of the tasks that have them."""
UNTRAINED = Path(__file__).with_name("untrained.csv")
"""What untrained memory reaches on each task, as ``scripts/untrained_memory.py`` has measured it."""


def knobs_class(env_id: str) -> type[Any]:
    """Return a dataclass of an environment's knobs.

    Of a task of this package they are its settings; of another environment those arguments of its constructor that
    have a number, a word or true or false as their default.

    Raises:
        UserError: If there is no such environment.
    """
    if is_task(env_id):
        settings: type[Any] = task_class(env_id).Settings
        return settings
    spec = gymnasium_spec(env_id)
    plain = {**_defaults(spec), **spec.kwargs}
    known = [(name, type(value), field(default=value)) for name, value in plain.items() if _is_plain(name, value)]
    return make_dataclass("Knobs", known, frozen=True, kw_only=True)


def with_preset(settings: type[Any], knobs: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return knobs with ``"preset"``, if it is among them, replaced by the preset's knobs, which the others override.

    Args:
        settings: Dataclass of a task's knobs; ``PRESETS`` holds its named sets of knobs.
        knobs: Names and values.
        owner: Name of the task, for messages.

    Raises:
        UserError: If there is no such preset.
    """
    given = {name: value for name, value in knobs.items() if name != "preset"}
    if "preset" not in knobs:
        return given
    presets: Mapping[str, Mapping[str, Any]] = getattr(settings, "PRESETS", {})
    if not presets:
        raise UserError(f"{owner} has no presets, got {knobs['preset']!r}: set its knobs one by one")
    if knobs["preset"] not in presets:
        raise UserError(unknown(f"preset of {owner}", str(knobs["preset"]), presets))
    return {**presets[knobs["preset"]], **given}


def by_preset(env_id: str, knobs: Mapping[str, Any], besides: Sequence[str] = ()) -> dict[str, Any]:
    """Return knobs with those of a preset, where all of them are there, under its name.

    Args:
        env_id: Of the environment.
        knobs: Names and values.
        besides: Knobs that may differ from the preset's.

    Raises:
        UserError: If there is no such environment.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(knobs_class(env_id), "PRESETS", {})
    for preset, values in presets.items():
        if all(knobs.get(name) == value for name, value in values.items() if name not in besides):
            return {"preset": preset} | {name: value for name, value in knobs.items() if name not in values}
    return dict(knobs)


def complete_knobs(env_id: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all knobs of an environment, with their defaults where none are given.

    Raises:
        UserError: If there is no such environment or knob, or a knob has a value that it cannot have.
    """
    if is_task(env_id):
        return asdict(task_class(env_id).make_settings(knobs))
    cls = knobs_class(env_id)
    check_fields(cls, knobs, f"knob of {env_id}")
    return asdict(cls(**knobs))


def spec_at(env_id: str, knobs: Mapping[str, Any]) -> TaskSpec | None:
    """Return what a task of this package asks of memory at some knobs; None for any other environment.

    What untrained memory reaches was measured at the default knobs, and is told at these only.
    """
    return task_spec(env_id, knobs) if is_task(env_id) else None


def task_spec(env_id: str, knobs: Mapping[str, Any]) -> TaskSpec:
    """Return the same of an environment that is a task of this package.

    Raises:
        UserError: If it is not, or a knob is wrong.
    """
    task = task_class(env_id)
    settings = task.make_settings(knobs)
    spec: TaskSpec = task.spec(settings)
    measured = untrained_memory(env_id) if settings == task.make_settings({}) else None
    return spec if measured is None else replace(spec, untrained=measured)


def untrained_memory(env_id: str) -> Ceiling | None:
    """Return what untrained memory reaches on a task at its default knobs; None where it was not measured."""
    name = canonical_id(env_id).rpartition(":")[2]
    row = next((row for row in _untrained_rows() if row["env"] == name), None)
    if row is None:
        return None
    runs = f"{row['seeds']} run{'s' * (row['seeds'] != '1')} of at most {int(row['steps']):,} env steps"
    interval = f"95 % interval {float(row['low']):.3g} to {float(row['high']):.3g}"
    return Ceiling(float(row["value"]), f"measured: recurrent_ppo with frozen cells, {runs}, {interval}")


@cache
def _untrained_rows() -> list[dict[str, str]]:
    """Return the table that ``scripts/untrained_memory.py`` writes, a row for each task."""
    return read_rows(UNTRAINED)


def make_vector(
    env_id: str,
    num_envs: int,
    knobs: Mapping[str, Any],
    *,
    autoreset_mode: str,
    workers: int = 0,
    privileged: bool = False,
    **arguments: Any,
) -> VectorEnv[Any, Any, Any]:
    """Make a vector environment.

    Args:
        env_id: Of a task, or any id that Gymnasium knows; ``module:Name-v0`` imports the module first.
        num_envs: N.
        knobs: Of the environment.
        autoreset_mode: ``"same_step"`` for training, ``"disabled"`` for evaluation.
        workers: Processes to spread the environments over; 0 for none. Environments of other packages have a process
            each or none.
        privileged: Keep the part of the observation that only a critic may see, see :mod:`rlmem.privileged`.
        arguments: More for the constructor.

    Raises:
        UserError: If there is no such environment, a knob is wrong, a package that it needs is missing, or there is no
            privileged part to keep.
    """
    env_id = canonical_id(env_id)
    if is_task(env_id):
        arguments |= {"privileged": True} if privileged else {}
        return gymnasium.make_vec(
            env_id, num_envs=num_envs, autoreset_mode=autoreset_mode, workers=workers, **knobs, **arguments
        )
    try:
        env = gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="async" if workers else "sync",
            vector_kwargs={"autoreset_mode": AutoresetMode[autoreset_mode.upper()]},
            wrappers=[partial(CheckSteps, in_worker=workers > 0), *([] if privileged else [flat_observations])],  # type: ignore[list-item]
            disable_env_checker=True,  # it would stop with an AssertionError first
            **knobs,
            **arguments,
        )
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{env_id} cannot be made: {error}") from error
    if privileged:
        try:
            privileged_space(env.single_observation_space, "critic_observation='privileged', like auxiliary,")
        except UserError:
            env.close()
            raise
    return env


def make_single(env_id: str, knobs: Mapping[str, Any], **arguments: Any) -> gymnasium.Env[Any, Any]:
    """Make a single environment whose observations are those of :func:`make_vector`.

    Args:
        env_id: Of a task, or any id that Gymnasium knows.
        knobs: Of the environment.
        arguments: More for the constructor, such as ``render_mode``.

    Raises:
        UserError: If there is no such environment, a knob is wrong, a package that it needs is missing, or pictures are
            asked for and it draws none.
    """
    env_id = canonical_id(env_id)
    if "render_mode" in {**knobs, **arguments} and not draws_pictures(env_id):
        raise UserError(
            f"{env_id} draws no pictures: give it a render_mode argument, and metadata['render_modes'] with "
            '"rgb_array" in it'
        )
    try:
        unchecked = {} if is_task(env_id) else {"disable_env_checker": True}  # as in make_vector
        made: gymnasium.Env[Any, Any] = gymnasium.make(env_id, **unchecked, **knobs, **arguments)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{env_id} cannot be made: {error}") from error
    return made if is_task(env_id) else flat_observations(CheckSteps(made))


def draws_pictures(env_id: str) -> bool:
    """Return whether an environment can be made with ``render_mode="rgb_array"``, as far as it tells.

    Raises:
        UserError: If there is no such environment, or a package that it needs is missing.
    """
    if is_task(env_id):
        return True
    creator = _creator(gymnasium_spec(env_id))
    arguments = inspect.signature(creator).parameters.values()
    takes = any(one.name == "render_mode" or one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments)
    known = getattr(creator, "metadata", None)  # a function that makes environments does not tell
    return takes and (known is None or "rgb_array" in known.get("render_modes", ()))


def flat_observations(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Make observations that any agent may see, without a privileged part.

    Those that are tuples, or that hold more than a Dict of arrays and choices, become one vector.
    """
    space = actor_space(env.observation_space)
    if space is not env.observation_space:
        env = gymnasium.wrappers.TransformObservation(env, actor_part, space)
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else (space,)
    nested = (spaces.Tuple, spaces.Dict, spaces.Text, spaces.OneOf)
    if any(isinstance(part, nested) for part in parts) and space.is_np_flattenable:
        return gymnasium.wrappers.FlattenObservation(env)
    return env


def _defaults(spec: EnvSpec) -> dict[str, Any]:
    """Return the arguments of an environment's constructor that have a default, as far as it tells."""
    arguments = inspect.signature(_creator(spec)).parameters.values()
    return {one.name: one.default for one in arguments if one.default is not inspect.Parameter.empty}


def _creator(spec: EnvSpec) -> Any:
    """Return the class or function that makes an environment."""
    creator: Any = spec.entry_point
    try:
        return load_env_creator(creator) if isinstance(creator, str) else creator
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        raise UserError(f"{spec.id} cannot be made: {error}") from error


def _is_plain(name: str, value: Any) -> bool:
    return name != "render_mode" and isinstance(value, (bool, int, float, str))
