"""Wrappers that make any Gymnasium environment need memory, or give back what a memory needs.

They wrap single environments, work with ``env.spec`` (so that ``gymnasium.make(env.spec)`` makes the same again), and
draw from generators of their own, which ``reset(seed=...)`` seeds. A vector environment of them is
``gymnasium.make_vec(id, n, vectorization_mode="sync", wrappers=[...])``.

Gymnasium's own serve as they are for the rest: ``TimeAwareObservation``, ``StickyAction``, ``RepeatAction``,
``FlattenObservation`` (which makes the one-dimensional vectors that are asked for here), ``FrameStackObservation``.

Axes: D observation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Literal, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from rlmem.envs.memory_task import check_choice, check_whole
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
"""Which components of the classic tasks' observations are velocities."""

Env = gymnasium.Env[Any, Any]


class MaskObservation(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Shows some components of the observation only.

    Args:
        env: With a vector observation [D] or a dictionary.
        keep: The components to show: indices of a vector (or names, where the environment gives its components names,
            as every task of this package does), keys of a dictionary.
        hide: The components to hide; one of ``keep`` and ``hide`` is given.
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
            components = list(range(_vector_space(space, type(self)).shape[0]))
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
            hidden = {key: _with_zero(space[key], type(self)) for key in self._hidden}
            return spaces.Dict({**space.spaces, **hidden})
        box = _vector_space(space, type(self))
        if self._mode == "drop":
            return spaces.Box(box.low[self._kept], box.high[self._kept], dtype=_dtype(box))
        low, high = box.low.copy(), box.high.copy()
        low[self._hidden], high[self._hidden] = low[self._hidden].clip(max=0), high[self._hidden].clip(min=0)
        return spaces.Box(low, high, dtype=_dtype(box))


def hide_velocity(env: Env, mode: Literal["drop", "zero"] = "drop") -> MaskObservation:
    """Hide the velocities of a classic task (:data:`HIDDEN_VELOCITY`), which must then be inferred from the past.

    Raises:
        UserError: If the environment is none of them.
    """
    env_id = "" if env.spec is None else env.spec.id
    if env_id not in HIDDEN_VELOCITY:
        raise UserError(
            unknown("environment for hide_velocity", env_id, HIDDEN_VELOCITY)
            + "; for others use MaskObservation(env, hide=...)"
        )
    return MaskObservation(env, hide=HIDDEN_VELOCITY[env_id], mode=mode)


class DelayObservation(gymnasium.wrappers.DelayObservation):
    """Lets observations arrive some steps late; before, the first one is seen.

    Gymnasium's wrapper shows zeros at first, which may lie outside the space and tell that the episode is new.

    Args:
        env: Any.
        steps: Control steps, 0 or more.

    Raises:
        UserError: If ``steps`` is not such a number.
    """

    def __init__(self, env: Env, steps: int) -> None:
        check_whole("steps", steps, least=0, most=100_000)
        RecordConstructorArgs.__init__(self, steps=int(steps))
        super().__init__(env, delay=int(steps))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with its first observation, which is seen for ``steps`` more steps."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.observation_queue.clear()
        self.observation_queue.extend(copy.deepcopy(observation) for _ in range(self.delay))
        return self.observation(observation), info

    def observation(self, observation: Any) -> Any:
        """Take in an observation and return the one that arrives."""
        return super().observation(copy.deepcopy(observation))


class _RandomObservation(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """An observation wrapper with a generator of its own, seeded by ``reset(seed=...)``.

    The generator depends on how many wrappers lie below, so that two of a kind do not draw the same.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._rng = np.random.default_rng()
        self._depth = 1
        while isinstance(env, gymnasium.Wrapper):
            env, self._depth = env.env, self._depth + 1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; a seed seeds both the environment and the wrapper."""
        if seed is not None:
            self._rng = np.random.default_rng([seed, self._depth])
        return super().reset(seed=seed, options=options)


class DropObservation(_RandomObservation):
    """Loses each observation, as a whole, with some probability.

    The flickering of Hausknecht and Stone, "Deep Recurrent Q-Learning for Partially Observable MDPs", AAAI Fall
    Symposium 2015.

    Args:
        env: With a Box observation, or a dictionary of them; any with ``mode="hold"``.
        probability: That an observation is lost, from 0 to 1.
        mode: What is seen instead: ``"zero"`` or ``"hold"``, the last that arrived (the first of an episode always
            does).

    Raises:
        UserError: If an argument has a value that it cannot have, or the observation has no zero.
    """

    def __init__(self, env: Env, probability: float, mode: Literal["zero", "hold"] = "zero") -> None:
        if not 0.0 <= probability <= 1.0:
            raise UserError(f"probability must be from 0 to 1, got {probability!r}")
        check_choice("mode", mode, ("zero", "hold"))
        RecordConstructorArgs.__init__(self, probability=float(probability), mode=mode)
        super().__init__(env)
        self.probability, self._mode = float(probability), mode
        self._held: Any = None
        if mode == "zero":
            self.observation_space = _with_zero(env.observation_space, type(self))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode and forget what was held."""
        self._held = None
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Any) -> Any:
        """Return the observation, or what is seen instead."""
        lost = self._rng.random() < self.probability
        if self._mode == "zero":
            return _zeros_like(observation) if lost else observation
        if not lost or self._held is None:
            self._held = copy.deepcopy(observation)
        return copy.deepcopy(self._held)


class NoisyObservation(_RandomObservation):
    """Adds Gaussian noise to each component. The space loses its bounds.

    Args:
        env: With a Box observation of floats.
        sigma: Standard deviation, in the units of the observation: a number, or one a component.

    Raises:
        UserError: If sigma is negative or has another shape, or the observation is none of floats.
    """

    def __init__(self, env: Env, sigma: float | Sequence[float]) -> None:
        spread: NDArray[np.float64] = np.asarray(sigma, dtype=np.float64)
        RecordConstructorArgs.__init__(self, sigma=spread.tolist())
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(_dtype(space), np.floating):
            raise UserError(f"NoisyObservation needs a Box observation of floats, got {space}")
        if spread.shape not in ((), space.shape) or not np.isfinite(spread).all() or (spread < 0).any():
            raise UserError(f"sigma must be a number of at least 0, or {space.shape} of them, got {sigma!r}")
        self._sigma = spread
        self.observation_space = spaces.Box(-np.inf, np.inf, space.shape, _dtype(space))

    def observation(self, observation: Any) -> Any:
        """Return the observation with fresh noise."""
        noise = self._sigma * self._rng.standard_normal(observation.shape)
        return (observation + noise).astype(observation.dtype)


class AppendPreviousAction(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Appends the previous action to the observation: zeros at first, one-hot where actions are discrete.

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


def _as_tuple(knob: str, components: Any) -> tuple[int | str, ...]:
    if isinstance(components, (str, bytes)) or not isinstance(components, Iterable):
        raise UserError(f"{knob} must be a list of indices or names, got {components!r}")
    return tuple(c if isinstance(c, str) else int(c) for c in components)


def _component_names(env: Env, count: int) -> tuple[str, ...]:
    """Return the names of a vector's components, where a task gives them and no wrapper has changed their number."""
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


def _dtype(space: spaces.Box) -> Any:
    return space.dtype


def _vector_space(space: spaces.Space[Any], wrapper: type) -> spaces.Box:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise UserError(
            f"{wrapper.__name__} needs a vector or a dictionary as observation, got {space}; "
            "gymnasium.wrappers.FlattenObservation makes a vector of it"
        )
    return space


def _with_zero(space: spaces.Space[Any], wrapper: type) -> spaces.Space[Any]:
    """Return the space, widened where it must be to hold zeros."""
    if isinstance(space, spaces.Box):
        return spaces.Box(np.minimum(space.low, 0), np.maximum(space.high, 0), dtype=_dtype(space))
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: _with_zero(part, wrapper) for key, part in space.spaces.items()})
    raise UserError(f"{wrapper.__name__} can zero Box observations and dictionaries of them only, got {space}")


def _zeros_like(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _zeros_like(part) for key, part in observation.items()}
    return np.zeros_like(observation)


def _appended(space: spaces.Space[Any], extra: spaces.Box, key: str, wrapper: type) -> spaces.Space[Any]:
    """Return an observation space with one more part at its end."""
    if isinstance(space, spaces.Dict):
        if key in space.spaces:
            raise UserError(f"the observation already has {key!r}")
        return spaces.Dict({**space.spaces, key: extra})
    box = _vector_space(space, wrapper)
    dtype = _dtype(box) if np.issubdtype(_dtype(box), np.floating) else np.float32
    low, high = np.concatenate((box.low, extra.low)), np.concatenate((box.high, extra.high))
    return spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)


def _append(observation: Any, extra: NDArray[np.float32], key: str, space: spaces.Space[Any]) -> Any:
    if isinstance(observation, dict):
        return {**observation, key: extra}
    return np.concatenate((observation, extra)).astype(space.dtype)
