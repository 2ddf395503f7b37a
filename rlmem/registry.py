"""Every task's id and where its class is: strings only, so that importing rlmem stays fast."""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
}
"""Name of a task (without the namespace) -> ``module:class``."""

AGENTS: dict[str, str] = {
    "random": "rlmem.agents.baselines:Random",
    "expert": "rlmem.agents.baselines:Expert",
    "ppo": "rlmem.agents.sb3.memoryless:MemorylessPPO",
    "frame_stack_ppo": "rlmem.agents.sb3.frame_stack:FrameStackPPO",
    "recurrent_ppo": "rlmem.agents.recurrent.agent:RecurrentPPOAgent",
    "recurrent_a2c": "rlmem.agents.recurrent.agent:RecurrentA2CAgent",
    "ekf": "rlmem.agents.online.ekf_controller:EKFController",
    "adam_dagger": "rlmem.agents.online.adam_dagger:AdamDAgger",
    "kalman_actor_critic": "rlmem.agents.online.kalman_actor_critic:KalmanActorCritic",
    "model_controller": "rlmem.agents.online.model_controller:ModelController",
    "rtrl_actor_critic": "rlmem.agents.online.rtrl_actor_critic:RTRLActorCritic",
    "sb3_recurrent_ppo": "rlmem.agents.sb3.sb3_contrib:SB3RecurrentPPO",
}
"""Name of an agent -> ``module:class``."""


def register_tasks() -> None:
    """Register every task with Gymnasium, once."""
    for name, entry in TASKS.items():
        env_id = f"{NAMESPACE}/{name}"
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="rlmem.envs.single:MemoryEnv",
                vector_entry_point="rlmem.envs.vector:make_vector",
                kwargs={"task": entry},
            )


def canonical_id(name: str) -> str:
    """Complete and check a task's name: ``TMaze-v0``, ``rlmem/TMaze-v0`` and ``TMaze`` name the same task.

    Raises:
        UserError: If no task has the name; the message names the nearest.
    """
    short = name.removeprefix(f"{NAMESPACE}:").removeprefix(f"{NAMESPACE}/")
    if short not in TASKS and f"{short}-v0" in TASKS:
        short = f"{short}-v0"
    if short not in TASKS:
        raise UserError(unknown("environment", name, (f"{NAMESPACE}/{task}" for task in TASKS)))
    return f"{NAMESPACE}/{short}"


def load_object(entry: str) -> Any:
    """Import what a ``module:name`` string of this package's registries names."""
    module, name = entry.split(":")
    return getattr(import_module(module), name)


def task_class(env_id: str) -> Any:
    """Return the task's class, a :class:`rlmem.envs.memory_task.MemoryTask`.

    Raises:
        UserError: If no task has the id.
    """
    return load_object(TASKS[canonical_id(env_id).removeprefix(f"{NAMESPACE}/")])


def agent_class(name: str) -> Any:
    """Return an agent's class, a :class:`rlmem.agents.base.Agent`.

    Raises:
        UserError: If no agent has the name; the message names the nearest.
    """
    key = name.replace("-", "_")
    if key not in AGENTS:
        raise UserError(unknown("agent", name, AGENTS))
    return load_object(AGENTS[key])
