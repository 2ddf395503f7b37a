"""Every task's id and where its class is: strings only, so that importing rlmem stays fast."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium

from rlmem.errors import UserError
from rlmem.suggest import unknown

NAMESPACE = "rlmem"

TASKS: dict[str, str] = {
    "TMaze-v0": "rlmem.envs.corridor.t_maze:TMaze",
    "TMazeActive-v0": "rlmem.envs.corridor.t_maze_active:TMazeActive",
    "TMazeEndless-v0": "rlmem.envs.corridor.t_maze_endless:TMazeEndless",
    "KeyToDoor-v0": "rlmem.envs.corridor.key_to_door:KeyToDoor",
    "RememberColor-v0": "rlmem.envs.table.remember_color:RememberColor",
    "RememberShape-v0": "rlmem.envs.table.remember_shape:RememberShape",
    "DelayedReach-v0": "rlmem.envs.table.delayed_reach:DelayedReach",
    "CountPress-v0": "rlmem.envs.table.count_press:CountPress",
    "TimedPress-v0": "rlmem.envs.table.timed_press:TimedPress",
    "PlaceBack-v0": "rlmem.envs.table.place_back:PlaceBack",
    "Intercept-v0": "rlmem.envs.table.intercept:Intercept",
    "RememberSet-v0": "rlmem.envs.table.remember_set:RememberSet",
    "ShellGame-v0": "rlmem.envs.table.shell_game:ShellGame",
    "RememberSequence-v0": "rlmem.envs.table.remember_sequence:RememberSequence",
    "RepeatPrevious-v0": "rlmem.envs.table.repeat_previous:RepeatPrevious",
    "MazeRecall-v0": "rlmem.envs.ground.maze_recall:MazeRecall",
    "HopperPosition-v0": "rlmem.envs.locomotion.walkers:HopperPosition",
    "HopperVelocity-v0": "rlmem.envs.locomotion.walkers:HopperVelocity",
    "Walker2DPosition-v0": "rlmem.envs.locomotion.walkers:Walker2DPosition",
    "Walker2DVelocity-v0": "rlmem.envs.locomotion.walkers:Walker2DVelocity",
    "HalfCheetahPosition-v0": "rlmem.envs.locomotion.walkers:HalfCheetahPosition",
    "HalfCheetahVelocity-v0": "rlmem.envs.locomotion.walkers:HalfCheetahVelocity",
    "AntPosition-v0": "rlmem.envs.locomotion.walkers:AntPosition",
    "AntVelocity-v0": "rlmem.envs.locomotion.walkers:AntVelocity",
    "HiddenPayload-v0": "rlmem.envs.table.hidden_payload:HiddenPayload",
    "HiddenPolarity-v0": "rlmem.envs.corridor.hidden_polarity:HiddenPolarity",
    "FlashedGoal-v0": "rlmem.envs.control.flashed_goal:FlashedGoal",
    "DrawerSearch-v0": "rlmem.envs.table.drawer_search:DrawerSearch",
    "Concentration-v0": "rlmem.envs.table.concentration:Concentration",
    "HiddenPath-v0": "rlmem.envs.ground.hidden_path:HiddenPath",
}
"""Name of a task (without the namespace) -> ``module:class``."""


class AgentEntry(NamedTuple):
    """Where an agent is, and what it is in one line; importing this must not import torch."""

    entry: str
    """``module:class``, a :class:`rlmem.agents.base.Agent`."""
    summary: str
    settings: str | None = None
    """``module:class`` of its hyperparameters where that module needs no torch, which makes ``--help`` fast."""


_RECURRENT = "rlmem.agents.recurrent"
_ONLINE = "rlmem.agents.online"
_SB3 = "rlmem.agents.sb3"
AGENTS: dict[str, AgentEntry] = {
    "random": AgentEntry("rlmem.agents.baselines:Random", "Actions drawn uniformly from the action space"),
    "expert": AgentEntry("rlmem.agents.baselines:Expert", "The task's scripted expert, which reads privileged state"),
    "ppo": AgentEntry(f"{_SB3}.memoryless:MemorylessPPO", "stable-baselines3's PPO on the current observation only"),
    "frame_stack_ppo": AgentEntry(
        f"{_SB3}.frame_stack:FrameStackPPO", "stable-baselines3's PPO on the last few observations"
    ),
    "recurrent_ppo": AgentEntry(
        f"{_RECURRENT}.agent:RecurrentPPOAgent",
        "PPO with a memory cell in actor and critic",
        f"{_RECURRENT}.settings:RecurrentPPOSettings",
    ),
    "recurrent_a2c": AgentEntry(
        f"{_RECURRENT}.agent:RecurrentA2CAgent",
        "A2C with a memory cell in actor and critic",
        f"{_RECURRENT}.settings:RecurrentA2CSettings",
    ),
    "recurrent_sac": AgentEntry(
        "rlmem.agents.sac.agent:RecurrentSACAgent",
        "SAC with a memory cell in actor and critics, for continuous actions",
        "rlmem.agents.sac.settings:RecurrentSACSettings",
    ),
    "ekf": AgentEntry(
        f"{_ONLINE}.ekf_controller:EKFController", "Recurrent controller trained by a Kalman filter on expert labels"
    ),
    "adam_dagger": AgentEntry(
        f"{_ONLINE}.adam_dagger:AdamDAgger", "Recurrent controller trained by Adam on expert labels (DAgger)"
    ),
    "kalman_actor_critic": AgentEntry(
        f"{_ONLINE}.kalman_actor_critic:KalmanActorCritic", "Recurrent actor-critic trained by Kalman filters"
    ),
    "model_controller": AgentEntry(
        f"{_ONLINE}.model_controller:ModelController", "Recurrent controller trained through a learned forward model"
    ),
    "rtrl_actor_critic": AgentEntry(
        f"{_ONLINE}.rtrl_actor_critic:RTRLActorCritic", "Recurrent actor-critic trained online by RTRL"
    ),
    "stream_actor_critic": AgentEntry(
        f"{_ONLINE}.stream_actor_critic:StreamActorCritic",
        "Stream AC(lambda) with a memory cell: learns online by RTRL, with bounded steps",
    ),
    "sb3_recurrent_ppo": AgentEntry(f"{_SB3}.sb3_contrib:SB3RecurrentPPO", "sb3-contrib's RecurrentPPO, with an LSTM"),
}
"""Agents by name. Add an agent: one file and one line here."""

EXPORTED = ("recurrent_ppo", "recurrent_a2c", "recurrent_sac")
"""Agents whose policies `rlmem export` writes."""


def register_tasks() -> None:
    """Register every task with Gymnasium, once."""
    for name, entry in TASKS.items():
        _register_with_gymnasium(name, entry)


def register_task(name: str, entry: str) -> None:
    """Add a task of one's own: to Gymnasium as ``rlmem/NAME``, to the command line, and to all that lists tasks.

    On the command line the task's module is named too, so that it is imported: ``--env my_module:MyTask-v0``.

    Args:
        name: Such as ``"MyTask-v0"``.
        entry: ``module:class`` of the task, a :class:`rlmem.envs.memory_task.MemoryTask`; imported when it is used.

    Raises:
        UserError: If the name has no version, or belongs to another task.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*-v[0-9]+", name):
        raise UserError(f"a task's name is letters, digits and a version, such as 'MyTask-v0', got {name!r}")
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", entry):
        raise UserError(f"a task's entry is 'module:class', such as 'my_module:MyTask', got {entry!r}")
    if TASKS.get(name, entry) != entry:
        raise UserError(f"{name} is a task already: {TASKS[name]}")
    TASKS[name] = entry
    _register_with_gymnasium(name, entry)


def _register_with_gymnasium(name: str, entry: str) -> None:
    env_id = f"{NAMESPACE}/{name}"
    if env_id not in gymnasium.registry:
        gymnasium.register(
            env_id,
            entry_point="rlmem.envs.single:MemoryEnv",
            vector_entry_point="rlmem.envs.vector:make_vector",
            kwargs={"task": entry},
        )


def _find_task(name: str) -> tuple[str, str] | None:
    """Return the module that a task's id names (or "") and its name in ``TASKS``; None if it is no task's.

    The module is imported: it may register the task.
    """
    module = name.rpartition(":")[0]
    module = "" if module == NAMESPACE else module
    if module:
        import_named(module)
    short = short_id(name)
    found = next((task for task in (short, f"{short}-v0") if task in TASKS), None)
    return None if found is None else (module, found)


def is_task(name: str) -> bool:
    """Return whether an id is that of a task of this package or a registered one, whole or in short."""
    return _find_task(name) is not None


def is_environment(name: str) -> bool:
    """Return whether an id is a task's, as :func:`is_task` says, or one that Gymnasium has registered by now."""
    return name in gymnasium.registry or is_task(name)


def canonical_id(name: str) -> str:
    """Complete and check the id of an environment.

    ``TMaze``, ``TMaze-v0`` and ``rlmem/TMaze-v0`` name the same task. Any other id is one that Gymnasium knows;
    ``module:Name-v0`` imports the module first, which registers it.

    Raises:
        UserError: If no environment has the id; the message names the nearest.
    """
    found = _find_task(name)
    if found is None:
        gymnasium_spec(name)
        return name
    module, task = found
    return f"{module}:{NAMESPACE}/{task}" if module else f"{NAMESPACE}/{task}"


def short_id(name: str) -> str:
    """Return an environment's id as folders, tables and titles name it: without its module and without ``rlmem/``.

    ``my_tasks:rlmem/MyTask-v0`` becomes ``MyTask-v0``; ``ALE/Pong-v5`` stays as it is.
    """
    return name.rpartition(":")[2].removeprefix(f"{NAMESPACE}/")


def gymnasium_spec(name: str) -> gymnasium.envs.registration.EnvSpec:
    """Return what Gymnasium knows of an environment.

    Raises:
        UserError: If there is no such id, or no such module.
    """
    module, colon, env_id = name.rpartition(":")
    if colon:
        import_named(module)
    if env_id not in gymnasium.registry:
        where = f"`rlmem list` shows all tasks; one of your own is named with its module: my_module:{name}"
        tasks = [f"{NAMESPACE}/{task}" for task in TASKS]
        if module:
            own = [task for task, entry in TASKS.items() if entry.startswith((f"{module}:", f"{module}."))]
            tasks = [f"{module}:{task}" for task in own]
            tasks += [f"{module}:{other}" for other, spec in gymnasium.registry.items() if _lies_in(spec, module)]
            where = f"Known: {', '.join(tasks)}" if tasks else f"the module {module} registers none"
        raise UserError(unknown("environment", name, tasks, also=gymnasium.registry, where=where))
    return gymnasium.registry[env_id]


def _lies_in(spec: gymnasium.envs.registration.EnvSpec, module: str) -> bool:
    """Return whether an environment's class or maker is of a module."""
    entry = spec.entry_point
    name = entry if isinstance(entry, str) else getattr(entry, "__module__", "")
    return name == module or name.startswith((f"{module}:", f"{module}."))


def import_named(module: str) -> Any:
    """Import a module that a user has named; those in the working directory are found too.

    Raises:
        UserError: If there is no such module.
    """
    if not re.fullmatch(r"[A-Za-z_][\w.]*", module):
        raise UserError(f"a module is named as Python imports it, such as my_module, got {module!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"there is no module {module!r} here or installed: run this in its folder, or set PYTHONPATH to that folder"
        ) from error


def load_object(entry: str) -> Any:
    """Import what a ``module:name`` string names.

    Raises:
        UserError: If there is no such module, or it has no such name.
    """
    module, _, name = entry.partition(":")
    found = import_named(module)
    if not hasattr(found, name):
        raise UserError(f"module {module} has no {name!r}")
    return getattr(found, name)


def task_class(env_id: str) -> Any:
    """Return a task's class, a :class:`rlmem.envs.memory_task.MemoryTask`.

    Raises:
        UserError: If no task of this package has the id.
    """
    found = _find_task(canonical_id(env_id))
    if found is None:
        raise UserError(f"{env_id} is no task of rlmem, and others do not say what they ask of memory")
    cls = load_object(TASKS[found[1]])
    if missing := getattr(cls, "__abstractmethods__", None):
        raise UserError(f"{cls.__name__} must define {', '.join(sorted(missing))} (see docs/extend/add_a_task.md)")
    return cls


def agent_name(name: str) -> str:
    """Complete and check the name of an agent; ``module:Class`` names one that is not of this package.

    Raises:
        UserError: If no agent has the name; the message names the nearest.
    """
    key = name if ":" in name else name.replace("-", "_")
    if ":" not in key and key not in AGENTS:
        raise UserError(unknown("agent", name, AGENTS))
    return key


def agent_class(name: str) -> Any:
    """Return an agent's class, a :class:`rlmem.agents.base.Agent`.

    Raises:
        UserError: If no agent has the name, or what ``module:Class`` names is no agent.
    """
    key = agent_name(name)
    return _own_agent(key) if ":" in key else load_object(AGENTS[key].entry)


def _own_agent(name: str) -> Any:
    """Import an agent that is not of this package.

    Raises:
        UserError: If there is no such module or name, or it is no agent that can be made.
    """
    found = load_object(name)
    if not (isinstance(found, type) and issubclass(found, load_object("rlmem.agents.base:Agent"))):
        raise UserError(f"{name} is no agent: derive its class from rlmem.agents.base.Agent")
    if missing := getattr(found, "__abstractmethods__", None):
        raise UserError(f"{name} must define {', '.join(sorted(missing))} (see docs/extend/add_an_agent.md)")
    return found


def agent_settings_class(name: str) -> Any:
    """Return the dataclass of an agent's hyperparameters, without importing torch where that can be avoided.

    Raises:
        UserError: If no agent has the name.
    """
    entry = AGENTS.get(agent_name(name))
    return load_object(entry.settings) if entry and entry.settings else agent_class(name).Settings
