"""A Gymnasium vector environment as stable-baselines3's ``VecEnv``.

Axes: N environments, D observation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlmem.agents.base import Array
from rlmem.errors import UserError


class GymnasiumVecEnv(VecEnv):
    """Hands a vector environment with same-step autoreset to stable-baselines3.

    Each environment has an info of its own at every step. Where an episode ended it is that of its last step, with the
    observation before the reset as ``terminal_observation``, ``TimeLimit.truncated``, and return and length as a
    ``Monitor`` wrapper gives them; the info of the reset is in ``reset_infos``.

    Args:
        env: The vector environment.
        convert: The actions that come are those of an algorithm of stable-baselines3, see :func:`to_space`.

    Raises:
        UserError: If the environment does not reset in the same step.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], *, convert: bool = False) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise UserError(
                f"stable-baselines3 needs autoreset_mode='same_step', {env} has {env.metadata.get('autoreset_mode')}: "
                "gymnasium.make_vec takes it, of environments that are not rlmem's as "
                "vectorization_mode='sync', vector_kwargs={'autoreset_mode': 'SameStep'}"
            )
        self.env, self._convert = env, convert
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: Array = np.zeros(0)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)
        self._steps = 0
        self._started = time.monotonic()

    def reset(self) -> VecEnvObs:
        """Start episodes everywhere; uses and forgets seeds and options that were set before."""
        if any(options != self._options[0] for options in self._options):
            raise UserError(f"a vector environment takes one set of options for all environments, got {self._options}")
        reset: Any = self.env.reset  # Gymnasium's signature has no list of seeds, its vector environments do
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        observation, infos = reset(seed=seeds, options=self._options[0] or None)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = split_infos(infos, self.num_envs)
        self._returns[:], self._lengths[:] = 0.0, 0
        self._check_observations(observation, "from reset()")
        return _copied(observation)

    def step_async(self, actions: Array) -> None:
        """Take actions [N, ...]."""
        self._actions = to_space(actions, self.action_space) if self._convert else actions

    def step_wait(self) -> VecEnvStepReturn:
        """Run one control step; see stable-baselines3."""
        observation, reward, terminated, truncated, infos = self.env.step(self._actions)
        self._steps += 1
        self._check_finite("reward", reward, f"at control step {self._steps}")
        self._check_observations(observation, f"at control step {self._steps}")
        done = terminated | truncated
        self._returns += reward
        self._lengths += 1
        final = ("final_obs", "_final_obs", "final_info", "_final_info")
        reports = split_infos({key: value for key, value in infos.items() if key not in final}, self.num_envs)
        if done.any():
            last = split_infos(infos.get("final_info", {}), self.num_envs)
            for index in np.flatnonzero(done).tolist():
                self.reset_infos[index] = reports[index]
                episode = {
                    "r": float(self._returns[index]),
                    "l": int(self._lengths[index]),
                    "t": time.monotonic() - self._started,
                }
                ended = {
                    "terminal_observation": infos["final_obs"][index],
                    "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                }
                reports[index] = {"episode": episode} | last[index] | ended
                self._check_last(index, ended["terminal_observation"])
            self._returns[done], self._lengths[done] = 0.0, 0
        return _copied(observation), reward.astype(np.float32), done, reports

    def _check_observations(self, observation: Any, when: str) -> None:
        for key, part in observation.items() if isinstance(observation, dict) else [("", observation)]:
            self._check_finite(f"observation {key}".strip(), part, when)

    def _check_last(self, index: int, observation: Any) -> None:
        parts = observation.values() if isinstance(observation, dict) else [observation]
        if any(part.dtype.kind == "f" and not np.isfinite(part).all() for part in map(np.asarray, parts)):
            raise UserError(
                f"the last observation of an episode of environment {index}, after its control step {self._steps}, "
                "holds NaN or infinity: check the environment"
            )

    def _check_finite(self, what: str, values: Array, when: str) -> None:
        """Raise a UserError that names the environment and when it was if a value is not finite."""
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            index = int(np.argwhere(~np.isfinite(values))[0][0])
            raise UserError(f"the {what} of environment {index} {when} holds NaN or infinity")

    def get_state(self) -> dict[str, Any] | None:
        """Return where the environments are, None where they cannot say."""
        if not hasattr(self.env.unwrapped, "get_state"):
            return None
        return {"envs": self.env.unwrapped.get_state(), "returns": self._returns, "lengths": self._lengths}

    def set_state(self, state: dict[str, Any]) -> None:
        """Bring the environments to where :meth:`get_state` found them."""
        self.env.unwrapped.set_state(state["envs"])  # type: ignore[attr-defined]
        self._returns[:], self._lengths[:] = state["returns"], state["lengths"]

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def has_attr(self, attr_name: str) -> bool:
        """Return whether the vector environment has an attribute, or else each of its environments."""
        return hasattr(self.env, attr_name) or in_each(self.env, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the vector environment, or else of each of its environments, once for each index."""
        if not hasattr(self.env, attr_name) and in_each(self.env, attr_name):
            values = list(self.env.get_attr(attr_name))  # type: ignore[attr-defined]
        else:
            values = [getattr(self.env, attr_name)] * self.num_envs
        return [values[index] for index in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the vector environment; it has no single environments."""
        if len(self._indices(indices)) != self.num_envs:
            raise ValueError("attributes belong to all environments at once: leave indices out")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector environment, or else of each of its environments, and return its rows."""
        method = find_method(self.env, method_name)
        if method is None:
            raise AttributeError(f"{self.env} has no method {method_name!r}")
        result = method(*args, **kwargs)
        return [result[index] for index in self._indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Return false: a batch of worlds holds no wrapped environments."""
        return [False] * len(self._indices(indices))

    def get_images(self) -> Sequence[Array | None]:
        """Return a picture of each environment."""
        frames: Any = self.env.render()
        return frames or [None] * self.num_envs

    def _indices(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))


def to_space(actions: Array, space: spaces.Space[Any]) -> Array:
    """Return actions [N, ...] of stable-baselines3, choices from 0 and fractions, in the form of their space."""
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return actions + space.start
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer):
        return np.rint(actions).astype(space.dtype)
    return actions


def in_each(env: VectorEnv[Any, Any, Any], name: str) -> bool:
    """Return whether each single environment of Gymnasium's own vector environments has an attribute."""
    # asking for one that is not there would end an AsyncVectorEnv
    return hasattr(env, "call") and all(env.call("has_wrapper_attr", name))


def find_method(env: Any, name: str) -> Callable[..., Any] | None:
    """Return a method of an environment or of its wrappers; of those in a vector environment, it returns N results."""
    method: Callable[..., Any] | None
    if isinstance(env, gymnasium.Env):
        return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
    if hasattr(env.unwrapped, name):
        method = getattr(env.unwrapped, name)
    else:
        method = partial(env.call, name) if in_each(env, name) else None
    return method


def _copied(observation: Any) -> Array | dict[str, Array]:
    """Return a copy of observations [N, ...], or of each part of a Dict's."""
    if isinstance(observation, dict):
        return {key: np.array(part) for key, part in observation.items()}
    return np.array(observation)


def split_infos(infos: dict[str, Any], num_envs: int) -> list[dict[str, Any]]:
    """Return the infos of N environments one by one, from Gymnasium's arrays [N, ...] and their masks.

    What has no mask belongs to all.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    for key, values in infos.items():
        if key.startswith("_") and key[1:] in infos:
            continue
        if isinstance(values, dict):
            values = split_infos(values, num_envs)
        elif not isinstance(values, (np.ndarray, list, tuple)) or len(values) != num_envs:
            values = [values] * num_envs
        elif isinstance(values, np.ndarray) and values.ndim == 1:
            values = values.tolist()
        mask = infos.get(f"_{key}")
        for index in range(num_envs) if mask is None else np.flatnonzero(mask).tolist():
            rows[index][key] = values[index]
    return rows


class SpacesOnly(VecEnv):
    """Spaces without an environment, so that a model can be built for acting only."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], num_envs: int) -> None:
        self.render_mode = None
        super().__init__(num_envs, observation_space, action_space)

    def _absent(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this agent was built without an environment: call learn with one")

    reset = step_async = step_wait = set_attr = env_method = _absent

    def close(self) -> None:
        """Nothing to close."""

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Return false for each environment."""
        return [False] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the mode of rendering, None, for each environment; there is nothing else to look up."""
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs
