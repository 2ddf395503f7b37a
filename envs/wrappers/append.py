"""Wrappers that append the previous action or reward to the observation.

Axes: D observation.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from rlmem.envs.wrappers.observation_space import Env, dtype_of, vector_space
from rlmem.errors import UserError


class AppendPreviousAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Appends the previous action to the observation: zeros at first, one-hot if actions are discrete.

    Args:
        env: With a vector observation [D], or a dictionary, which gets the key ``"previous_action"``. Actions: Box,
            Discrete, MultiDiscrete or MultiBinary.

    Raises:
        UserError: If observation or action is none of these.
    """

    def __init__(self, env: Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        if not isinstance(env.action_space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise UserError(
                "AppendPreviousAction needs actions that are Box, Discrete, MultiDiscrete or MultiBinary, "
                f"got {env.action_space}"
            )
        flat = spaces.flatten_space(env.action_space)
        assert isinstance(flat, spaces.Box)
        self._extra = spaces.Box(np.minimum(flat.low, 0), np.maximum(flat.high, 0), dtype=np.float32)
        self.observation_space = _appended(env.observation_space, self._extra, "previous_action", type(self))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with a previous action of zeros."""
        observation, info = self.env.reset(seed=seed, options=options)
        nothing = np.zeros(self._extra.shape, dtype=np.float32)
        return _append(observation, nothing, "previous_action", self.observation_space), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Run one control step; the observation ends with the action, clipped to its bounds."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        flat = np.asarray(spaces.flatten(self.env.action_space, action), dtype=np.float32)
        flat = flat.clip(self._extra.low, self._extra.high)
        shown = _append(observation, flat, "previous_action", self.observation_space)
        return shown, reward, terminated, truncated, info


class AppendPreviousReward(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Appends the previous reward to the observation: 0 at first.

    Args:
        env: With a vector observation [D], or a dictionary, which gets the key ``"previous_reward"``.

    Raises:
        UserError: If the observation is neither.
    """

    def __init__(self, env: Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        extra = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.observation_space = _appended(env.observation_space, extra, "previous_reward", type(self))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with a previous reward of 0."""
        observation, info = self.env.reset(seed=seed, options=options)
        nothing = np.zeros(1, dtype=np.float32)
        return _append(observation, nothing, "previous_reward", self.observation_space), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Run one control step; the observation ends with its reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        extra = np.array([float(reward)], dtype=np.float32)
        shown = _append(observation, extra, "previous_reward", self.observation_space)
        return shown, reward, terminated, truncated, info


def _appended(space: spaces.Space[Any], extra: spaces.Box, key: str, wrapper: type) -> spaces.Space[Any]:
    """Return an observation space with one more part at its end."""
    if isinstance(space, spaces.Dict):
        if key in space.spaces:
            raise UserError(f"the observation already has {key!r}")
        return spaces.Dict({**space.spaces, key: extra})
    box = vector_space(space, wrapper)
    dtype = dtype_of(box) if np.issubdtype(dtype_of(box), np.floating) else np.float32
    low, high = np.concatenate((box.low, extra.low)), np.concatenate((box.high, extra.high))
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _append(observation: Any, extra: NDArray[np.float32], key: str, space: spaces.Space[Any]) -> Any:
    if isinstance(observation, dict):
        return {**observation, key: extra}
    return np.concatenate((observation, extra)).astype(space.dtype)
