"""Files of recurrent agents: everything a resumed run needs, as tensors and JSON. Loading executes nothing.

A run that is saved between two calls of ``learn`` and resumed equals the uninterrupted one bit for bit, when the
environment can give and take its state (methods ``get_state`` and ``set_state``); otherwise it starts new episodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_normalize

from rlmem.agents.plain_data import (
    pack_schedule,
    pack_space,
    pack_tree,
    unpack_schedule,
    unpack_space,
    unpack_tree,
)
from rlmem.errors import UserError
from rlmem.runs.tensors_file import Checkpoint, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from stable_baselines3.common.type_aliases import GymEnv

    from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy

Agent = TypeVar("Agent", bound="RecurrentOnPolicy")

_COUNTERS = (
    "num_timesteps",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_n_updates",
    "_episode_num",
    "_current_progress_remaining",
)
_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
_DAMAGE = (KeyError, TypeError, AttributeError, IndexError, RuntimeError, AssertionError, OverflowError, MemoryError)


def save(agent: RecurrentOnPolicy, path: str | Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write an agent to a file.

    Args:
        agent: Any recurrent on-policy agent.
        path: Where to; ".safetensors" is added to a name without suffix.
        extra: More JSON values for the header.

    Raises:
        UserError: If an argument of the agent cannot be written as plain data.
    """
    tensors: dict[str, Any] = {f"policy/{name}": value for name, value in agent.policy.state_dict().items()}
    for number, state in agent.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["torch_rng"] = torch.get_rng_state()
    arguments = {
        key: pack_schedule(key, value) if key in _SCHEDULES else value for key, value in agent._arguments().items()
    }
    values = {
        "actor": agent._actor_state,
        "critic": agent.critic_state(),
        "observations": agent._last_obs,
        "episode_start": agent._last_episode_starts,
        "numpy_rng": agent.rng.bit_generator.state,
        "global_numpy_rng": np.random.get_state(),  # noqa: NPY002 - stable-baselines3 seeds it, environments may use it
        "episodes": None if agent.ep_info_buffer is None else list(agent.ep_info_buffer),
        "successes": None if agent.ep_success_buffer is None else list(agent.ep_success_buffer),
        "normalization": _normalization(agent._vec_normalize_env),
        "env": agent.env.get_state() if agent.env is not None and hasattr(agent.env, "get_state") else None,
    }
    meta = {
        "agent": type(agent).__name__,
        "arguments": arguments,
        "policy": next((name for name, kind in agent.policy_aliases.items() if kind is agent.policy_class), ""),
        "network": asdict(agent.policy.network.settings),
        "extractor": {
            "class": type(agent.policy.features_extractor).__name__,
            "kwargs": agent.policy.features_extractor_kwargs,
            "normalize_images": agent.policy.normalize_images,
        },
        "observation_space": pack_space(agent.observation_space),
        "action_space": pack_space(agent.action_space),
        "n_envs": agent.n_envs,
        "seed": agent.seed,
        "counters": {name: getattr(agent, name) for name in _COUNTERS},
        "state": pack_tree(values, "state", tensors),
    }
    save_checkpoint(_with_suffix(path), tensors, meta | dict(extra or {}))


def load(
    kind: type[Agent],
    path: str | Path,
    env: GymEnv | None = None,
    *,
    device: torch.device | str = "cpu",
    force_reset: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> Agent:
    """Build an agent from a file.

    Args:
        kind: The class of the agent.
        path: What :func:`save` wrote.
        env: The environment to go on with; None to predict only.
        device: Where the network runs.
        force_reset: Start new episodes even if the environment could go on where it was.
        arguments: Constructor arguments that replace those in the file; needed for schedules that are functions of
            your own, and in ``policy_kwargs`` for a features extractor of your own.

    Raises:
        UserError: If there is no such file, or if the file is not one of ours, is damaged, or does not fit ``env``.
    """
    path = _with_suffix(path)
    checkpoint = load_checkpoint(path)
    try:
        return _build(kind, checkpoint, env, device, force_reset, dict(arguments or {}))
    except _DAMAGE as error:
        raise UserError(f"{path} does not hold a complete {kind.__name__}: {error!r}") from error


def load_weights(agent: RecurrentOnPolicy, path: str | Path) -> None:
    """Give an agent the weights and the optimizer's state in a file, and nothing else.

    Raises:
        UserError: If there is no such file, or if the file is not one of ours, is damaged, or does not fit the agent.
    """
    path = _with_suffix(path)
    checkpoint = load_checkpoint(path)
    try:
        _set_weights(agent, checkpoint)
    except _DAMAGE as error:
        raise UserError(f"the weights in {path} do not fit this agent: {error}") from error


def _set_weights(agent: RecurrentOnPolicy, checkpoint: Checkpoint) -> None:
    agent.policy.load_state_dict(_tensors(checkpoint, "policy/"))
    optimizer = agent.policy.optimizer
    parameters, state = optimizer.param_groups[0]["params"], dict[int, dict[str, torch.Tensor]]()
    for key, value in _tensors(checkpoint, "optimizer/").items():
        number, name = key.split("/")
        if value.numel() != 1 and value.shape != parameters[int(number)].shape:
            raise UserError(f"the optimizer's {name} has shape {tuple(value.shape)}, which does not fit the network")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _build(
    kind: type[Agent],
    checkpoint: Checkpoint,
    env: GymEnv | None,
    device: torch.device | str,
    force_reset: bool,
    replaced: dict[str, Any],
) -> Agent:
    meta = checkpoint.meta
    if meta["agent"] != kind.__name__:
        raise UserError(f"the file holds a {meta['agent']!r}, not a {kind.__name__}: load it with that class")
    observation_space, action_space = unpack_space(meta["observation_space"]), unpack_space(meta["action_space"])
    _check_sizes(meta, checkpoint)
    arguments = {
        key: unpack_schedule(key, value) if key in _SCHEDULES and key not in replaced else value
        for key, value in meta["arguments"].items()
    }
    policy_kwargs = meta["network"] | _extractor(meta["extractor"], replaced) | replaced.pop("policy_kwargs", {})
    policy = replaced.pop("policy", meta["policy"])
    arguments |= {"seed": meta["seed"]} | replaced
    agent = kind(policy, None, policy_kwargs=policy_kwargs, device=device, _init_setup_model=False, **arguments)
    agent.observation_space, agent.action_space, agent.n_envs = observation_space, action_space, meta["n_envs"]
    if env is not None:
        wrapped = agent._wrap_env(env, agent.verbose)
        check_for_correct_spaces(wrapped, observation_space, action_space)
        agent.env, agent.n_envs = wrapped, wrapped.num_envs
        agent._vec_normalize_env = unwrap_vec_normalize(wrapped)
    seeded, agent.seed = agent.seed, None  # seeding again would restart the environment's random numbers
    agent._setup_model()
    agent.seed = seeded
    _set_weights(agent, checkpoint)
    for name in _COUNTERS:
        setattr(agent, name, meta["counters"][name])
    _restore(agent, unpack_tree(meta["state"], checkpoint.tensors), meta["n_envs"], force_reset=force_reset)
    torch.set_rng_state(torch.from_numpy(checkpoint.tensors["torch_rng"].copy()))
    return agent


def _restore(agent: RecurrentOnPolicy, state: dict[str, Any], n_envs: int, *, force_reset: bool) -> None:
    """Give an agent its random numbers, statistics and, where the environment can go on, its place in the episode."""
    agent.rng.bit_generator.state = state["numpy_rng"]
    np.random.set_state(state["global_numpy_rng"])  # noqa: NPY002
    if state["episodes"] is not None:
        agent.ep_info_buffer = deque(state["episodes"], maxlen=agent._stats_window_size)
        agent.ep_success_buffer = deque(state["successes"], maxlen=agent._stats_window_size)
    if agent._vec_normalize_env is not None and state["normalization"] is not None:
        _set_normalization(agent._vec_normalize_env, state["normalization"], same_envs=agent.n_envs == n_envs)
    if agent.env is None or force_reset or agent.n_envs != n_envs:
        return
    if state["env"] is None or not hasattr(agent.env, "set_state"):
        return
    agent.env.set_state(state["env"])
    agent._actor_state, agent._critic_state = state["actor"], state["critic"]
    agent._last_obs, agent._last_episode_starts = state["observations"], state["episode_start"]


def _check_sizes(meta: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Refuse a network that is larger than the file, before memory is taken for it."""
    largest = max((max(tensor.shape, default=1) for tensor in checkpoint.tensors.values()), default=1)
    network = meta["network"]
    for size in (network["hidden_size"], *network["actor_layers"], *network["critic_layers"]):
        if not 1 <= size <= largest:
            raise UserError(f"the file describes a layer of {size}, but holds no tensor longer than {largest}")
    if not 1 <= network["n_layers"] <= len(checkpoint.tensors):
        raise UserError(f"the file describes {network['n_layers']} layers, but holds fewer tensors")


def _extractor(saved: Mapping[str, Any], replaced: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy arguments of the features extractor."""
    known = ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
    if saved["class"] not in known and "features_extractor_class" not in replaced.get("policy_kwargs", {}):
        raise UserError(
            f"the agent has a features extractor of its own, {saved['class']!r}, and a file holds no code: "
            "pass policy_kwargs={'features_extractor_class': ...}"
        )
    return {"features_extractor_kwargs": dict(saved["kwargs"]), "normalize_images": bool(saved["normalize_images"])}


def _tensors(checkpoint: Checkpoint, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(array.copy())
        for name, array in checkpoint.tensors.items()
        if name.startswith(prefix)
    }


def _with_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix else path.with_suffix(".safetensors")


def _normalization(env: VecNormalize | None) -> dict[str, Any] | None:
    """Return the statistics of a VecNormalize."""
    if env is None:
        return None
    running = {"returns": env.ret_rms}
    if env.norm_obs:
        running |= {f"obs/{key}": rms for key, rms in _observation_statistics(env).items()}
    statistics = {name: {"mean": rms.mean, "var": rms.var, "count": rms.count} for name, rms in running.items()}
    return {"statistics": statistics, "discounted": env.returns}


def _set_normalization(env: VecNormalize, saved: Mapping[str, Any], *, same_envs: bool) -> None:
    running = {"returns": env.ret_rms}
    if env.norm_obs:
        running |= {f"obs/{key}": rms for key, rms in _observation_statistics(env).items()}
    for name, rms in running.items():
        values = saved["statistics"][name]
        rms.mean, rms.var, rms.count = np.asarray(values["mean"]), np.asarray(values["var"]), values["count"]
    if same_envs:
        env.returns = np.asarray(saved["discounted"])


def _observation_statistics(env: VecNormalize) -> dict[str, Any]:
    return dict(env.obs_rms) if isinstance(env.observation_space, spaces.Dict) else {"": env.obs_rms}
