"""Files of recurrent agents: settings and state as JSON and tensors. Loading executes nothing.

Axes: N environments.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import asdict
from io import BufferedIOBase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from rlmem.agents.plain_data import pack_schedule, pack_tree, unpack_schedule, unpack_tree
from rlmem.errors import UserError
from rlmem.field_checks import SCHEDULES
from rlmem.runs.tensors_file import Checkpoint, find_file, load_checkpoint, save_checkpoint, with_suffix

EXTRACTORS = ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
"""Features extractors that follow from the kind of policy."""
_COUNTERS = ("num_timesteps", "_total_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")
"""Attributes of stable-baselines3 that count."""
DAMAGE = (KeyError, TypeError, AttributeError, IndexError, RuntimeError, AssertionError, OverflowError, MemoryError)
"""What reading a damaged file may raise beside a ValueError."""


File = str | Path | BufferedIOBase


def write(path: File, header: Mapping[str, Any], settings: Any, state: Mapping[str, Any]) -> None:
    """Write a file.

    Args:
        path: Where to; ".zip" is added to a name without suffix, as stable-baselines3 does, and makes it a zip archive.
            Or an open binary file.
        header: JSON values.
        settings: A dataclass.
        state: Nested plain values, arrays and tensors; those under "policy" are named by it and their own name.

    Raises:
        UserError: If something is no plain data.
    """
    tensors: dict[str, Any] = {}
    packed = {part: pack_tree(value, part, tensors) for part, value in state.items()}
    values = {key: pack_schedule(key, value) if key in SCHEDULES else value for key, value in asdict(settings).items()}
    meta = {**header, "settings": values, "state": packed}
    if not isinstance(path, BufferedIOBase):
        save_checkpoint(with_suffix(path), tensors, meta)
        return
    with TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "agent", tensors, meta)
        path.write((Path(folder) / "agent").read_bytes())


def read(path: File) -> Checkpoint:
    """Read a file; where there is none of this name, one with the other suffix of ".zip" and ".safetensors".

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is no checkpoint, or damaged.
        UserError: If it is neither a path nor a file.
    """
    if isinstance(path, (str, Path)):
        return load_checkpoint(find_file(path))
    if not isinstance(path, BufferedIOBase):
        raise UserError(f"a file to load must be a path or an open file of bytes, got {path!r}")
    path.seek(0)
    with TemporaryDirectory() as folder:
        (Path(folder) / "agent").write_bytes(path.read())
        return load_checkpoint(Path(folder) / "agent")


def read_settings(kind: type[Any], header: Mapping[str, Any], replaced: Mapping[str, Any]) -> Any:
    """Return the settings in a header; schedules that were functions of the user's own must be in ``replaced``.

    Raises:
        UserError: If a setting is out of range, or the cell is one of the user's own that has not been imported.
    """
    check_imported(header["settings"])
    values = {
        key: unpack_schedule(key, value) if key in SCHEDULES and key not in replaced else value
        for key, value in header["settings"].items()
    }
    return kind(**values | {key: value for key, value in replaced.items() if key in SCHEDULES})


def check_imported(settings: Mapping[str, Any]) -> None:
    """Raise a UserError if settings of a file name a cell of a module that is not imported: loading imports nothing."""
    cell = str(settings["cell"])
    module = cell.partition(":")[0]
    if module != cell and module not in sys.modules:
        raise UserError(f"the agent's cell is {cell}: import {module} first, since loading a file imports nothing")


def read_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the state that :func:`write` was given; tensors come back as arrays."""
    return {part: unpack_tree(value, checkpoint.tensors) for part, value in checkpoint.meta["state"].items()}


def check_sizes(settings: Any, checkpoint: Checkpoint) -> None:
    """Refuse a network that is larger than the file, before memory is taken for it."""
    largest = max((max(tensor.shape, default=1) for tensor in checkpoint.tensors.values()), default=1)
    for size in (settings.hidden_size, *settings.net_arch, *(settings.critic_arch or ())):
        if not 1 <= size <= largest:
            raise UserError(f"the file describes a layer of {size}, but holds no tensor longer than {largest}")
    if not 1 <= settings.n_layers <= len(checkpoint.tensors):
        raise UserError(f"the file describes {settings.n_layers} layers, but holds fewer tensors")


def set_weights(module: nn.Module, weights: Mapping[str, Any]) -> None:
    """Give a module its weights.

    Raises:
        UserError: If one is not finite.
    """
    tensors = {name: torch.as_tensor(value) for name, value in weights.items()}
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise UserError(f"the weights {name} hold NaN or infinity")
    module.load_state_dict(tensors)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state of each parameter by its number."""
    return {str(number): dict(state) for number, state in optimizer.state_dict()["state"].items()}


def set_optimizer_state(optimizer: torch.optim.Optimizer, saved: Mapping[str, Mapping[str, Any]]) -> None:
    """Give an optimizer what :func:`optimizer_state` returned.

    Raises:
        UserError: If it does not fit the parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for number, values in saved.items():
        state[int(number)] = {name: torch.as_tensor(value) for name, value in values.items()}
        for name, value in state[int(number)].items():
            if value.numel() != 1 and value.shape != parameters[int(number)].shape:
                raise UserError(f"the optimizer's {name} of shape {tuple(value.shape)} does not fit the network")
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def progress_state(agent: Any) -> dict[str, Any]:
    """Return how far an agent is: its counters, its random numbers, and what it logs of the last episodes."""
    return {
        "counters": {name: getattr(agent, name) for name in _COUNTERS},
        "rng": [agent.rng.bit_generator.state, agent.policy.rng.bit_generator.state],
        "held_noise": agent.policy.held_noise.state(),
        "episodes": None if agent.ep_info_buffer is None else list(agent.ep_info_buffer),
        "successes": None if agent.ep_success_buffer is None else list(agent.ep_success_buffer),
    }


def set_progress_state(agent: Any, saved: Mapping[str, Any]) -> None:
    """Give an agent what :func:`progress_state` returned."""
    for name in _COUNTERS:
        setattr(agent, name, saved["counters"][name])
    agent.rng.bit_generator.state, agent.policy.rng.bit_generator.state = saved["rng"]
    if "held_noise" in saved:  # files of version 0.2.0 have none
        agent.policy.held_noise.set_state(saved["held_noise"])
    if saved["episodes"] is not None:
        agent.ep_info_buffer = deque(saved["episodes"], maxlen=agent._stats_window_size)
        agent.ep_success_buffer = deque(saved["successes"], maxlen=agent._stats_window_size)


def normalization_state(env: VecNormalize | None) -> dict[str, Any] | None:
    """Return the statistics of a VecNormalize."""
    if env is None:
        return None
    values = {name: {"mean": rms.mean, "var": rms.var, "count": rms.count} for name, rms in _statistics(env).items()}
    return {"statistics": values, "discounted": env.returns}


def set_normalization_state(env: VecNormalize, saved: Mapping[str, Any]) -> None:
    """Give a VecNormalize its statistics, and its discounted returns [N] where it has as many environments."""
    for name, rms in _statistics(env).items():
        if values := saved["statistics"].get(name):
            rms.mean, rms.var, rms.count = np.asarray(values["mean"]), np.asarray(values["var"]), values["count"]
    if len(saved["discounted"]) == env.num_envs:
        env.returns = np.asarray(saved["discounted"])


def reward_scale_state(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state of an agent's scale of rewards; up to version 0.2.0 it was that of a VecNormalize."""
    if "reward_scale" in state:
        own: dict[str, Any] = state["reward_scale"]
        return own
    if state["normalization"] is None:
        return None
    returns = state["normalization"]["statistics"]["returns"]
    values = {"mean": [returns["mean"]], "variance": [returns["var"]], "count": returns["count"]}
    return {"returns": values, "discounted": state["normalization"]["discounted"]}


def normalized(env: VecNormalize | None) -> set[str]:
    """Return what an environment normalizes: "rewards", "observations", both or neither."""
    return set() if env is None else {"rewards", "observations"} if env.norm_obs else {"rewards"}


def normalized_in(saved: Mapping[str, Any] | None) -> set[str]:
    """Return the same of a saved :func:`normalization_state`."""
    return {"rewards" if name == "returns" else "observations" for name in (saved or {"statistics": {}})["statistics"]}


def warn_of_other_scale(trained: Set[str], present: Set[str]) -> None:
    """Warn if an agent sees or earns numbers of another scale than it was trained with; see :func:`normalized`."""
    if other := trained ^ present:
        before, after = ("under", "without") if other & trained else ("without", "under")
        warnings.warn(
            f"the agent was trained {before} VecNormalize and is now {after} it, so that its "
            f"{' and '.join(sorted(other))} have another scale. Give it an environment wrapped as in training; "
            "load(path, env=VecNormalize(env)) takes the statistics from the file",
            stacklevel=4,
        )


def _statistics(env: VecNormalize) -> dict[str, Any]:
    """Return the running statistics of returns, and of observations where these are normalized, by name."""
    running: dict[str, Any] = {"returns": env.ret_rms}
    if env.norm_obs and isinstance(env.observation_space, spaces.Dict):
        return running | {f"obs/{key}": rms for key, rms in dict(env.obs_rms).items()}
    return running | {"obs/": env.obs_rms} if env.norm_obs else running
