"""Look at what another package's environment returns, and say in one line what does not fit its spaces."""

from __future__ import annotations

import traceback
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlmem.errors import UserError

_NUMBERS = (float, int, np.number)


class EnvironmentFailedError(RuntimeError):
    """An exception of an environment in a worker process; in the parent process its message is the traceback.

    Gymnasium's ``AsyncVectorEnv`` raises in the parent a new exception of the same class, made from the one that came.
    Before, it formats the text of that with ``%``, which fails where a line of the traceback has one.
    """

    def __init__(self, told: str | EnvironmentFailedError) -> None:
        self.trace: str = told if isinstance(told, str) else told.trace
        super().__init__("an environment failed" + ("" if told is self.trace else f" in its worker:\n{self.trace}"))


class CheckSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Checks resets and the first step of an environment, later steps that look otherwise, and passes all on as it is.

    Args:
        env: The environment.
        in_worker: Tell the parent process of the environment's own exceptions with their traceback.

    Raises:
        UserError: If ``reset`` or ``step`` returns something else than Gymnasium has it; an observation that does not
            have the keys, the shape or the kind of numbers that the environment declares; or, from ``reset``, NaN or
            infinity.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, in_worker: bool = False) -> None:
        super().__init__(env)
        self._in_worker, self._steps, self._form = in_worker, 0, None
        self._name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__

    def reset(self, **arguments: Any) -> Any:
        """Reset the environment and check what it returns."""
        try:
            returned: Any = self.env.reset(**arguments)
        except Exception as error:
            self._tell_parent(error)
            raise
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise UserError(f"reset() of {self._name} must return (observation, info), got {_shown(returned)}")
        self._check(returned[0], self.env.observation_space, "reset()", finite=True)
        return returned

    def step(self, action: Any) -> Any:
        """Step the environment; check what it returns the first time, and when it has another form than then."""
        try:
            returned: Any = self.env.step(action)
        except Exception as error:
            self._tell_parent(error)
            raise
        self._steps += 1
        if self._steps == 1 or not isinstance(returned[1], _NUMBERS) or _form(returned[0]) != self._form:
            self._check_step(returned, "step()" if self._steps == 1 else f"step() number {self._steps}")
        return returned

    def _tell_parent(self, error: Exception) -> None:
        if self._in_worker and not isinstance(error, UserError):
            raise EnvironmentFailedError(traceback.format_exc()) from None

    def _check_step(self, returned: Any, where: str) -> None:
        """Raise a UserError if this is not what a step returns."""
        if not isinstance(returned, tuple) or len(returned) != 5:
            wanted = "(observation, reward, terminated, truncated, info)"
            raise UserError(f"{where} of {self._name} must return {wanted}, got {_shown(returned)}")
        self._check(returned[0], self.env.observation_space, where)
        reward = np.asarray(returned[1])
        if reward.shape != () or reward.dtype.kind not in "fiub":
            raise UserError(f"the reward from {where} of {self._name} must be one number, got {returned[1]!r}")
        self._form = _form(returned[0])

    def _check(
        self, observation: Any, space: spaces.Space[Any], where: str, part: str = "", *, finite: bool = False
    ) -> None:
        """Raise a UserError if an observation does not fit its space; its values need not lie between the bounds."""
        what = f"the observation{part} from {where} of {self._name}"
        if isinstance(space, spaces.Dict):
            keys = sorted(observation) if isinstance(observation, dict) else type(observation).__name__
            if keys != sorted(space.spaces):
                raise UserError(f"{what} must be a dictionary of {', '.join(sorted(space.spaces))}, got {keys}")
            for key, inner in space.spaces.items():
                self._check(observation[key], inner, where, f" {key!r}", finite=finite)
        elif isinstance(space, spaces.Box):
            array = np.asarray(observation)
            if array.dtype.kind not in "fiub":
                raise UserError(f"{what} must be an array of numbers, got {_shown(observation)}")
            if array.shape != space.shape:
                raise UserError(f"{what} must have shape {space.shape}, as its space says, got {array.shape}")
            if finite and not np.isfinite(array).all():
                raise UserError(f"{what} holds NaN or infinity")


def _form(observation: Any) -> Any:
    """Return the shape of an array, or of each part of a Dict's; None of what has none."""
    if isinstance(observation, dict):
        return {key: getattr(part, "shape", None) for key, part in observation.items()}
    return getattr(observation, "shape", None)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"{type(value).__name__} {str(value)[:60]}"
