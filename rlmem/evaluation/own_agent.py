"""Agents from outside: anything that acts with a memory, behind the one method ``predict`` that evaluations call.

Axes: N environments, D observation.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from rlmem.errors import UserError
from rlmem.evaluation.episodes import PolicyPredictor
from rlmem.registry import import_named


class FunctionPolicy:
    """A plain function as a policy.

    Args:
        act: Maps observations [N, ...], the state (None at first) and, where it takes a third argument, episode starts
            [N] to actions and the next state. A fourth argument is whether to take the mode of the actions.
    """

    def __init__(self, act: Callable[..., tuple[Any, Any]]) -> None:
        self._act, self._arguments = act, len(_arguments(act))

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Act. See :class:`rlmem.evaluation.episodes.PolicyPredictor`."""
        return self._act(*(observation, state, episode_start, deterministic)[: self._arguments])


class CleanRLPolicy:
    """A torch module with the methods of CleanRL's ``ppo_atari_lstm.py``.

    It has ``get_states(x, (h, c), done)`` and ``get_action_and_value(x, (h, c), done)``, an ``lstm``, and ``actor``
    (logits) or ``actor_mean`` for its most likely action. Source: Huang et al., "CleanRL: High-quality Single-file
    Implementations of Deep Reinforcement Learning Algorithms", JMLR 23, 2022.

    Args:
        module: The agent.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Act. See :class:`rlmem.evaluation.episodes.PolicyPredictor`."""
        import torch

        with torch.no_grad():
            module, x = self.module, torch.as_tensor(np.asarray(observation))
            device = next(module.parameters()).device
            x = x.to(device, torch.float32)
            starts = np.zeros(len(x)) if episode_start is None else np.asarray(episode_start)
            done = torch.as_tensor(starts, dtype=torch.float32, device=device)
            if state is None:
                zeros = x.new_zeros(module.lstm.num_layers, len(x), module.lstm.hidden_size)
                state = (zeros, zeros)
            if deterministic:
                hidden, state = module.get_states(x, state, done)
                mean = getattr(module, "actor_mean", None)
                actions = mean(hidden) if mean is not None else module.actor(hidden).argmax(-1)
            else:
                actions, _, _, _, state = module.get_action_and_value(x, state, done)
        return actions.cpu().numpy(), state


def as_policy(agent: Any) -> PolicyPredictor:
    """Return an agent of any of these kinds as one that can be evaluated.

    - whatever has stable-baselines3's ``predict(observation, state, episode_start, deterministic)``: its models,
      sb3-contrib's, this package's, your own;
    - a torch module with CleanRL's ``get_states`` and ``get_action_and_value``;
    - a function of observation and state (and episode starts, and whether to be deterministic) that returns actions
      and the next state.

    Raises:
        TypeError: If it is none of these.
    """
    if isinstance(agent, type):
        raise TypeError(f"{agent.__name__} is a class: give an agent made from it, or a function that makes one")
    if callable(getattr(agent, "predict", None)):
        policy: PolicyPredictor = agent
        return policy
    if callable(getattr(agent, "get_action_and_value", None)) and callable(getattr(agent, "get_states", None)):
        return CleanRLPolicy(agent)
    if callable(agent) and len(_arguments(agent)) >= 2:
        return FunctionPolicy(agent)
    raise TypeError(
        "an agent must have a method predict(observation, state, episode_start, deterministic), or CleanRL's "
        f"get_states and get_action_and_value, or be a function of observation and state; got {type(agent).__name__}"
    )


def load_policy(name: str, env: Any) -> PolicyPredictor:
    """Load what ``module:name`` or ``path/to/file.py:name`` names, as the command line does with ``--policy``.

    A class, a function that can be called without arguments, and one whose only or first argument is ``env``, is called
    first: it makes the agent. This runs the module's code: name only modules that you trust.

    Args:
        name: Modules are looked for in the working directory too.
        env: A vector environment of the task.

    Raises:
        UserError: If there is no such module or name, or it is no agent.
    """
    where, _, attribute = name.rpartition(":")
    if not where or not attribute:
        raise UserError(f"--policy wants module:function or path/to/file.py:function, got {name!r}")
    found = _module(where)
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = ", ".join(sorted(key for key in vars(found) if not key.startswith("_"))) or "nothing"
            raise UserError(f"{where} has no {attribute!r}; it has: {known}")
        found = getattr(found, part)
    if _makes_agents(found):
        found = found(env) if _takes_env(found) else found()
    try:
        return as_policy(found)
    except TypeError as error:
        raise UserError(f"{name}: {error}") from error


def check_policy(name: str) -> None:
    """Raise a UserError unless there is the file or the module of ``module:name``; its own code is not run."""
    where = name.rpartition(":")[0]
    if where.endswith(".py"):
        if not Path(where).is_file():
            raise UserError(f"there is no file {where!r}")
        return
    _search(Path.cwd())
    try:
        found = util.find_spec(where)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise UserError(f"policy {name!r}: there is no module {where!r} here or installed")


def _module(where: str) -> Any:
    if where.endswith(".py"):
        path = Path(where).resolve()
        if not path.is_file():
            raise UserError(f"there is no file {where!r}")
        _search(path.parent)
        spec = util.spec_from_file_location(f"_own_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[spec.name] = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return import_named(where)


def _search(folder: Path) -> None:
    """Let modules be found in a folder, as Python does for a script's own."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _makes_agents(found: Any) -> bool:
    if isinstance(found, type):
        return True
    if hasattr(found, "predict") or hasattr(found, "get_action_and_value") or not callable(found):
        return False
    needed = [argument for argument in _arguments(found) if argument.default is inspect.Parameter.empty]
    return not needed or _takes_env(found)


def _takes_env(found: Any) -> bool:
    arguments = _arguments(found)
    needed = [argument for argument in arguments if argument.default is inspect.Parameter.empty]
    return bool(arguments) and (arguments[0].name.startswith("env") or len(arguments) == len(needed) == 1)


def _arguments(function: Any) -> list[inspect.Parameter]:
    """Return what a function or class takes by position, four at most."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in parameters if parameter.kind in kinds][:4]
