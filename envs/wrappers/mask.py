"""Wrappers that hide components of the observation.

Axes: D observation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rlmem.envs.task_settings import check_choice
from rlmem.envs.wrappers.observation_space import Env, dtype_of, vector_space, with_zero
from rlmem.errors import UserError
from rlmem.suggest import unknown

HIDDEN_VELOCITY: dict[str, tuple[int, ...]] = {
    "Acrobot-v1": (4, 5),
    "CartPole-v1": (1, 3),
    "LunarLander-v3": (2, 3, 5),
    "LunarLanderContinuous-v3": (2, 3, 5),
    "MountainCar-v0": (1,),
    "MountainCarContinuous-v0": (1,),
    "Pendulum-v1": (2,),
}
"""Indices of the velocities in the observations of classic Gymnasium tasks."""


class MaskObservation(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Hides components of the observation.

    Args:
        env: With a vector observation [D] or a dictionary.
        keep: The components to show: indices of a vector (or names, if the environment names its components, as
            all tasks of this package do), keys of a dictionary.
        hide: The components to hide; give exactly one of ``keep`` and ``hide``.
        mode: ``"drop"``: hidden components are left out, and the space has fewer; ``"zero"``: they are 0.

    Raises:
        UserError: If a component is unknown, none is left, or the observation is neither vector nor dictionary.
    """

    def __init__(
        self,
        env: Env,
        keep: Iterable[int | str] | None = None,
        hide: Iterable[int | str] | None = None,
        mode: Literal["drop", "zero"] = "drop",
    ) -> None:
        if (keep is None) == (hide is None):
            raise UserError(f"give either keep or hide, got keep={keep!r} and hide={hide!r}")
        check_choice("mode", mode, ("drop", "zero"))
        listed = _as_tuple("keep" if hide is None else "hide", keep if hide is None else hide)
        RecordConstructorArgs.__init__(
            self, keep=None if keep is None else listed, hide=None if hide is None else listed, mode=mode
        )
        super().__init__(env)
        self._mode = mode
        space = env.observation_space
        if isinstance(space, spaces.Dict):
            components: list[Any] = list(space.spaces)
            chosen: set[Any] = {_known_key(name, components) for name in listed}
        else:
            components = list(range(vector_space(space, type(self)).shape[0]))
            names = _component_names(env, len(components))
            chosen = {_known_index(component, len(components), names) for component in listed}
        self._kept = [c for c in components if (c in chosen) == (hide is None)]
        self._hidden = [c for c in components if c not in self._kept]
        if not self._kept:
            raise UserError(f"nothing of the observation is left: keep at least one of its {len(components)} parts")
        self.observation_space = self._masked_space(space)

    def observation(self, observation: Any) -> Any:
        """Mask an observation."""
        if isinstance(observation, dict):
            if self._mode == "drop":
                return {key: observation[key] for key in self._kept}
            return {key: np.zeros_like(value) if key in self._hidden else value for key, value in observation.items()}
        if self._mode == "drop":
            return observation[self._kept]
        masked = observation.copy()
        masked[self._hidden] = 0
        return masked

    def _masked_space(self, space: spaces.Space[Any]) -> spaces.Space[Any]:
        if isinstance(space, spaces.Dict):
            if self._mode == "drop":
                return spaces.Dict({key: space[key] for key in self._kept})
            hidden = {key: with_zero(space[key], type(self)) for key in self._hidden}
            return spaces.Dict({**space.spaces, **hidden})
        box = vector_space(space, type(self))
        if self._mode == "drop":
            return spaces.Box(box.low[self._kept], box.high[self._kept], dtype=dtype_of(box))
        low, high = box.low.copy(), box.high.copy()
        low[self._hidden], high[self._hidden] = low[self._hidden].clip(max=0), high[self._hidden].clip(min=0)
        return spaces.Box(low, high, dtype=dtype_of(box))


def hide_velocity(env: Env, mode: Literal["drop", "zero"] = "drop") -> MaskObservation:
    """Hide the velocities of a classic task, so that they must be inferred from past observations.

    Raises:
        UserError: If the environment is not one of :data:`HIDDEN_VELOCITY`.
    """
    env_id = "" if env.spec is None else env.spec.id
    if env_id not in HIDDEN_VELOCITY:
        raise UserError(
            unknown("environment for hide_velocity", env_id, HIDDEN_VELOCITY)
            + "; for others use MaskObservation(env, hide=...)"
        )
    return MaskObservation(env, hide=HIDDEN_VELOCITY[env_id], mode=mode)


def _as_tuple(knob: str, components: Any) -> tuple[int | str, ...]:
    if isinstance(components, (str, bytes)) or not isinstance(components, Iterable):
        raise UserError(f"{knob} must be a list of indices or names, got {components!r}")
    return tuple(c if isinstance(c, str) else int(c) for c in components)


def _component_names(env: Env, count: int) -> tuple[str, ...]:
    """Return the names of a vector's components; empty if there are none or a wrapper has changed their number."""
    names = tuple(getattr(getattr(env.unwrapped, "task", None), "observation_names", ()))
    return names if len(names) == count else ()


def _known_key(name: int | str, keys: list[str]) -> str:
    if name not in keys:
        raise UserError(unknown("key of the observation", str(name), keys))
    return str(name)


def _known_index(component: int | str, count: int, names: tuple[str, ...]) -> int:
    if isinstance(component, str):
        if not names:
            raise UserError(f"this observation has indices 0 to {count - 1} and no names, got {component!r}")
        if component not in names:
            raise UserError(unknown("component of the observation", component, names))
        return names.index(component)
    if not -count <= component < count:
        raise UserError(f"index of the observation must be from 0 to {count - 1}, got {component}")
    return component % count
