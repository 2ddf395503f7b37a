"""Look at what another package's environment returns first, and say in one line what does not fit its spaces."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError


class CheckFirstSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Checks the first reset and the first step of an environment, and passes on all else as it is.

    Raises:
        UserError: If ``reset`` or ``step`` returns something else than Gymnasium has it, or an observation that does
            not have the keys, the shape or the kind of numbers that the environment declares.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._seen: set[str] = set()
        self._name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__

    def reset(self, **arguments: Any) -> Any:
        """Reset the environment; the first time, check what it returns."""
        returned: Any = self.env.reset(**arguments)
        if "reset" not in self._seen:
            self._seen.add("reset")
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise UserError(f"reset() of {self._name} must return (observation, info), got {_shown(returned)}")
            self._check(returned[0], self.env.observation_space, "reset()")
        return returned

    def step(self, action: Any) -> Any:
        """Step the environment; the first time, check what it returns."""
        returned: Any = self.env.step(action)
        if "step" not in self._seen:
            self._seen.add("step")
            if not isinstance(returned, tuple) or len(returned) != 5:
                wanted = "(observation, reward, terminated, truncated, info)"
                raise UserError(f"step() of {self._name} must return {wanted}, got {_shown(returned)}")
            self._check(returned[0], self.env.observation_space, "step()")
            reward = np.asarray(returned[1])
            if reward.size != 1 or reward.dtype.kind not in "fiub":
                raise UserError(f"the reward of {self._name} must be one number, got {returned[1]!r}")
        return returned

    def _check(self, observation: Any, space: spaces.Space[Any], where: str, part: str = "") -> None:
        """Raise a UserError if an observation does not fit its space; values are not looked at."""
        what = f"the observation{part} from {where} of {self._name}"
        if isinstance(space, spaces.Dict):
            keys = sorted(observation) if isinstance(observation, dict) else type(observation).__name__
            if keys != sorted(space.spaces):
                raise UserError(f"{what} must be a dictionary of {', '.join(sorted(space.spaces))}, got {keys}")
            for key, inner in space.spaces.items():
                self._check(observation[key], inner, where, f" {key!r}")
        elif isinstance(space, spaces.Box):
            array = np.asarray(observation)
            if array.dtype.kind not in "fiub":
                raise UserError(f"{what} must be an array of numbers, got {_shown(observation)}")
            if array.shape != space.shape:
                raise UserError(f"{what} must have shape {space.shape}, as its space says, got {array.shape}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"{type(value).__name__} {str(value)[:60]}"
