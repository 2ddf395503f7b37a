"""Saving and loading of recurrent agents: state out, state in.

A run that is saved between two calls of ``learn`` and resumed equals the uninterrupted one bit for bit, when the
environment can give and take its state (methods ``get_state`` and ``set_state``); otherwise it starts new episodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Set
from io import BufferedIOBase
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import check_for_correct_spaces, get_system_info
from stable_baselines3.common.vec_env import unwrap_vec_normalize

from rlmem.agents.plain_data import pack_space, unpack_space
from rlmem.agents.recurrent import checkpoint
from rlmem.agents.recurrent.policy import map_observations
from rlmem.agents.recurrent.reward_scale import RewardScale
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.numpy_steps import ArrayState, reset_where
from rlmem.runs.tensors_file import Checkpoint

_AUXILIARY, _CRITIC = "auxiliary.", ("network.critic", "critic_")
"""Beginnings of the names of weights that only training needs."""


class Resumable(BaseAlgorithm):
    """An algorithm of stable-baselines3 with memory, in files that hold no code."""

    Settings: ClassVar[type[Any]]
    settings: Any
    own_classes: dict[str, Any]
    """Policy arguments that are no settings: features extractor and optimizer."""
    policy: Any
    rollout_buffer: Any
    reward_scale: RewardScale
    """Of training, where ``norm_reward`` is set."""
    rng: np.random.Generator
    _actor_state: ArrayState | None = None
    _critic_state: ArrayState | None = None
    """Before the rollout: the critic runs after it."""
    _rollout_position = 0
    trained_under: Set[str] = frozenset()
    """What a VecNormalize normalized in the training of a loaded agent: "rewards" and "observations"."""

    def critic_state(self) -> ArrayState | None:
        """Return the critic's state before the last observations, also in the middle of a rollout."""
        state, rollout = self._critic_state, self.rollout_buffer
        if state is None or self._rollout_position == 0:
            return state
        critic = self.policy.network.critic
        step, fresh = critic.numpy_step(), array_state(critic.initial_state(1))
        for t in range(self._rollout_position):
            features = self.policy.critic_encode(map_observations(itemgetter(t), rollout.observations))
            _, state = step(features, reset_where(state, fresh, rollout.episode_start[t]))
        return state

    def state(self) -> dict[str, Any]:
        """Return all that training changes, as nested plain values, arrays and tensors."""
        env, policy = self.env, getattr(self.policy, "_orig_mod", self.policy)  # the latter under torch.compile
        return {
            "policy": dict(policy.state_dict()),
            "optimizer": checkpoint.optimizer_state(self.policy.optimizer),
            **checkpoint.progress_state(self),
            "reward_scale": self.reward_scale.state(),
            "normalization": checkpoint.normalization_state(self._vec_normalize_env),
            "place": {
                "env": env.get_state() if env is not None and hasattr(env, "get_state") else None,
                "actor": self._actor_state,
                "critic": self.critic_state(),
                "observations": self._last_obs,
                "episode_start": self._last_episode_starts,
            },
        }

    def restore(self, state: Mapping[str, Any], *, force_reset: bool = False) -> None:
        """Take back what :meth:`state` returned.

        Args:
            state: Of an agent with the same settings and spaces.
            force_reset: Start new episodes even if the environment could go on where it was.

        Raises:
            UserError: If it does not fit.
        """
        checkpoint.set_weights(self.policy, state["policy"])
        checkpoint.set_optimizer_state(self.policy.optimizer, state["optimizer"])
        checkpoint.set_progress_state(self, state)
        if scale := checkpoint.reward_scale_state(state):
            self.reward_scale.set_state(scale)
        if self._vec_normalize_env is not None and state["normalization"] is not None:
            checkpoint.set_normalization_state(self._vec_normalize_env, state["normalization"])
        by_agent = {"rewards"} if self.settings.norm_reward and "reward_scale" not in state else set()
        self.trained_under = checkpoint.normalized_in(state["normalization"]) - by_agent
        self._warn_of_other_scale(self.trained_under)
        place, env = state["place"], self.env
        if force_reset or place["env"] is None or env is None or not hasattr(env, "set_state"):
            return
        if len(place["episode_start"]) == env.num_envs:
            env.set_state(place["env"])
            self._actor_state, self._critic_state = place["actor"], place["critic"]
            self._last_obs, self._last_episode_starts = place["observations"], place["episode_start"]

    def _warn_of_other_scale(self, trained: Set[str]) -> None:
        """Warn if there is another normalization now; without an environment, that of rewards does not matter."""
        present = checkpoint.normalized(self._vec_normalize_env)
        if self.num_timesteps:
            checkpoint.warn_of_other_scale(trained, present | ({"rewards"} & trained if self.env is None else set()))

    def save(
        self,
        path: str | Path | BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> None:
        """Write everything a resumed run needs to one file.

        Args:
            path: Where to; ".zip" is added to a name without suffix, as stable-baselines3 does, and makes it a zip
                archive. Or an open binary file.
            exclude: Must be None.
            include: Must be None.
            header: More JSON values.

        Raises:
            UserError: If something is to be excluded or included.
        """
        if exclude or include:
            raise UserError("a recurrent agent is saved as a whole: exclude and include must be None")
        extractor = {
            "class": type(self.policy.features_extractor).__name__,
            "kwargs": self.policy.features_extractor_kwargs,
            "normalize_images": self.policy.normalize_images,
            "shared": self.policy.critic_extractor is None,
        }
        optimizer = self.own_classes.get("optimizer_class")
        own = {
            "agent": type(self).__name__,
            "policy": next((name for name, kind in self.policy_aliases.items() if kind is self.policy_class), ""),
            "extractor": extractor,
            "optimizer": None if optimizer is None else optimizer.__name__,
            "optimizer_kwargs": self.own_classes.get("optimizer_kwargs"),
            "observation_space": pack_space(self.observation_space),
            "action_space": pack_space(self.action_space),
            "n_envs": self.n_envs,
            "seed": self.seed,
        }
        checkpoint.write(path, {**(header or {}), **own}, self.settings, self.state())

    @classmethod
    def load(
        cls,
        path: str | Path | BufferedIOBase,
        env: GymEnv | None = None,
        device: torch.device | str = "cpu",
        custom_objects: Mapping[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = False,
        **arguments: Any,
    ) -> Self:
        """Build an agent from a file. The global random number generators are left as they are.

        Args:
            path: What :meth:`save` wrote.
            env: The environment to go on with; None to predict only.
            device: Where the network runs.
            custom_objects: Hyperparameters that replace those in the file, as ``arguments`` do; others have no effect.
            print_system_info: Print the system and the versions of packages.
            force_reset: Start new episodes even if the environment could go on where it was.
            arguments: Constructor arguments that replace those in the file; needed for schedules that are functions of
                your own, and in ``policy_kwargs`` for a features extractor or an optimizer of your own.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file is not one of ours, is damaged, or does not fit ``env``.
        """
        if print_system_info:
            get_system_info()
        replaced = {name: value for name, value in (custom_objects or {}).items() if name in _replaceable(cls.Settings)}
        arguments = replaced | arguments
        file = checkpoint.read(path)
        try:
            return cls._from_file(file, env, device, arguments, force_reset=force_reset)
        except checkpoint.DAMAGE as error:
            raise UserError(f"{path} does not hold a complete {cls.__name__}: {error!r}") from error

    @classmethod
    def _from_file(
        cls, file: Checkpoint, env: GymEnv | None, device: Any, arguments: dict[str, Any], *, force_reset: bool
    ) -> Self:
        meta = file.meta
        if meta["agent"] != cls.__name__:
            raise UserError(f"the file holds a {meta['agent']!r}, not a {cls.__name__}: load it with that class")
        settings = checkpoint.read_settings(cls.Settings, meta, arguments)
        checkpoint.check_sizes(settings, file)
        arguments = {"policy": meta["policy"], **arguments}
        policy_kwargs = _policy_arguments(meta) | arguments.pop("policy_kwargs", {})
        if meta["extractor"]["class"] not in checkpoint.EXTRACTORS and "features_extractor_class" not in policy_kwargs:
            raise _absent("features_extractor_class", meta["extractor"]["class"])
        if meta["optimizer"] is not None and "optimizer_class" not in policy_kwargs:
            raise _absent("optimizer_class", meta["optimizer"])
        own: dict[str, Any] = {"settings": settings, "policy_kwargs": policy_kwargs, "device": device}
        agent = cls(arguments.pop("policy"), None, _init_setup_model=False, **own, **arguments)  # type: ignore[call-arg]
        agent.observation_space = unpack_space(meta["observation_space"])
        agent.action_space, agent.n_envs = unpack_space(meta["action_space"]), meta["n_envs"]
        if env is not None:
            wrapped = agent._wrap_env(env, agent.verbose)
            check_for_correct_spaces(wrapped, agent.observation_space, agent.action_space)
            agent.env, agent.n_envs = wrapped, wrapped.num_envs
            agent._vec_normalize_env = unwrap_vec_normalize(wrapped)
        with torch.random.fork_rng(devices=[]):
            agent._setup_model()  # without a seed yet, which would restart the environment's random numbers
        agent.seed = arguments.get("seed", meta["seed"])
        agent.restore(checkpoint.read_state(file), force_reset=force_reset)
        return agent

    def init_from(self, path: str | Path | BufferedIOBase) -> None:
        """Take the weights from a file of :meth:`save`, and the statistics of ``norm_obs``; all else stays new.

        A critic of other shapes, as one has that sees another full state, stays new too, with a warning.

        Args:
            path: Of a recurrent agent whose actor has the same shapes.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file is not one of a recurrent agent, is damaged, or its network is another.
        """
        file = checkpoint.read(path)
        if not {"extractor", "state"} <= file.meta.keys():
            raise UserError(f"{path} holds no recurrent agent, but {file.meta.get('agent', 'none')!r}")
        try:
            saved = checkpoint.read_state(file)["policy"]
            weights = _weights_from(saved, self.policy.state_dict(), path)
            checkpoint.set_weights(self.policy, weights)
        except checkpoint.DAMAGE as error:
            raise UserError(f"{path} does not hold complete weights: {error!r}") from error

    def set_parameters(
        self,
        load_path_or_dict: str | dict[str, Any],
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """Take weights and optimizer from a dictionary as of :meth:`get_parameters`, or from a file of ours.

        Raises:
            UserError: If the file or the dictionary does not fit.
        """
        if isinstance(load_path_or_dict, dict):
            super().set_parameters(load_path_or_dict, exact_match, device)
            return
        try:
            state = checkpoint.read_state(checkpoint.read(load_path_or_dict))
            checkpoint.set_weights(self.policy, state["policy"])
            checkpoint.set_optimizer_state(self.policy.optimizer, state["optimizer"])
        except checkpoint.DAMAGE as error:
            raise UserError(f"the weights in {load_path_or_dict} do not fit this agent: {error}") from error


def _weights_from(saved: Mapping[str, Any], own: Mapping[str, Any], path: Any) -> dict[str, Any]:
    """Return saved weights, and one's own of what only training needs and has another shape or purpose here."""

    def shape(name: str, part: Mapping[str, Any]) -> Any:
        return tuple(np.shape(part[name])) if name in part else "absent"

    names = sorted(name for name in own.keys() | saved.keys() if not name.startswith(_AUXILIARY))
    differ = [name for name in names if shape(name, own) != shape(name, saved)]
    for name in differ:
        if not name.startswith(_CRITIC):
            here, there = shape(name, own), shape(name, saved)
            raise UserError(f"{path} does not fit: its {name} is {there}, and {here} is needed here")
    if differ:
        warnings.warn(f"the critic of {path} has another shape: the critic here starts anew", stacklevel=3)
    anew = (_AUXILIARY, *(_CRITIC if differ else ()))
    kept = {name: value for name, value in saved.items() if not name.startswith(anew)}
    return kept | {name: value for name, value in own.items() if name.startswith(anew)}


def _replaceable(settings: type[Any]) -> set[str]:
    return {*settings.__dataclass_fields__, "policy_kwargs", "seed", "tensorboard_log", "verbose"}


def _policy_arguments(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy arguments in a header that are no settings."""
    saved = meta["extractor"]
    arguments: dict[str, Any] = {
        "features_extractor_kwargs": dict(saved["kwargs"]),
        "normalize_images": bool(saved["normalize_images"]),
    }
    if not saved.get("shared", True):
        arguments["share_features_extractor"] = False
    return arguments | ({"optimizer_kwargs": meta["optimizer_kwargs"]} if meta["optimizer_kwargs"] else {})


def _absent(name: str, value: str) -> UserError:
    return UserError(f"the agent has {value!r}, and a file holds no code: pass policy_kwargs={{{name!r}: ...}}")
