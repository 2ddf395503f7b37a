"""A Gymnasium vector environment as stable-baselines3's ``VecEnv``.

Axes: N environments, D observation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlmem.agents.base import Array
from rlmem.errors import UserError


class GymnasiumVecEnv(VecEnv):
    """Hands a vector environment with same-step autoreset to stable-baselines3.

    ``infos`` hold the observation before a reset as ``terminal_observation``, ``TimeLimit.truncated``, and the
    episode's return, length and success as a ``Monitor`` wrapper gives them.

    Args:
        env: The vector environment.

    Raises:
        UserError: If the environment does not reset in the same step.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise UserError(
                "stable-baselines3 needs autoreset_mode='same_step', "
                f"this environment has {env.metadata.get('autoreset_mode')}"
            )
        self.env = env
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self._actions: Array = np.zeros(0)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)
        self._nothing: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        self._steps = 0
        self._started = time.monotonic()

    def reset(self) -> VecEnvObs:
        """Start episodes everywhere; uses and forgets the seeds of :meth:`seed`."""
        reset: Any = self.env.reset  # Gymnasium's signature has no list of seeds, its vector environments do
        observation, _ = reset(seed=self._seeds if any(seed is not None for seed in self._seeds) else None)
        self._reset_seeds()
        self._returns[:], self._lengths[:] = 0.0, 0
        return np.array(observation)

    def step_async(self, actions: Array) -> None:
        """Take actions [N, ...]."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Run one control step; see stable-baselines3."""
        observation, reward, terminated, truncated, infos = self.env.step(self._actions)
        self._steps += 1
        self._check_finite("reward", reward)
        self._check_finite("observation", observation)
        done = terminated | truncated
        self._returns += reward
        self._lengths += 1
        reports = self._nothing
        if done.any():
            reports = list(self._nothing)
            final_obs, final_info = infos["final_obs"], infos["final_info"]
            success = final_info.get("is_success")
            for index in np.flatnonzero(done).tolist():
                report: dict[str, Any] = {
                    "terminal_observation": final_obs[index],
                    "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                    "episode": {
                        "r": float(self._returns[index]),
                        "l": int(self._lengths[index]),
                        "t": time.monotonic() - self._started,
                    },
                }
                if success is not None:
                    report["is_success"] = bool(success[index])
                reports[index] = report
            self._returns[done], self._lengths[done] = 0.0, 0
        return np.array(observation), reward.astype(np.float32), done, reports

    def _check_finite(self, what: str, values: Array) -> None:
        """Raise a UserError that names the environment and the control step if a value is not finite."""
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            index = int(np.argwhere(~np.isfinite(values))[0][0])
            raise UserError(f"the {what} of environment {index} at control step {self._steps} holds NaN or infinity")

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

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the vector environment, once for each index."""
        return [getattr(self.env, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of the vector environment; it has no single environments."""
        if len(self._indices(indices)) != self.num_envs:
            raise ValueError("attributes belong to all environments at once: leave indices out")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector environment and return its rows."""
        result = getattr(self.env.unwrapped, method_name)(*args, **kwargs)
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
        """Return None for each environment: there is nothing to look up."""
        return [None] * self.num_envs
