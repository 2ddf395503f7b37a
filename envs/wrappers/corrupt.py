"""Wrappers that delay observations, drop them, or add noise to them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from rlmem.envs.task_settings import check_choice, check_whole
from rlmem.envs.wrappers.observation_space import Env, dtype_of, with_zero
from rlmem.errors import UserError


class DelayObservation(gymnasium.wrappers.DelayObservation):
    """Delays observations by a fixed number of steps; until then the first observation is repeated.

    Gymnasium's wrapper returns zeros at first, which may lie outside the space and reveal that the episode is new.

    Args:
        env: Any environment.
        steps: Control steps, 0 or more.

    Raises:
        UserError: If ``steps`` is not a whole number of at least 0.
    """

    def __init__(self, env: Env, steps: int) -> None:
        check_whole("steps", steps, least=0, most=100_000)
        RecordConstructorArgs.__init__(self, steps=int(steps))
        super().__init__(env, delay=int(steps))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; its first observation is repeated for ``steps`` more steps."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.observation_queue.clear()
        self.observation_queue.extend(copy.deepcopy(observation) for _ in range(self.delay))
        return self.observation(observation), info

    def observation(self, observation: Any) -> Any:
        """Store an observation and return the delayed one."""
        return super().observation(copy.deepcopy(observation))


class _RandomObservation(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """An observation wrapper with a generator of its own, seeded by ``reset(seed=...)``.

    The seed includes the number of wrappers below, so that two wrappers of a kind draw different numbers.
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
    """Drops each observation, as a whole, with some probability.

    The flickering observations of Hausknecht and Stone, "Deep Recurrent Q-Learning for Partially Observable MDPs", AAAI
    Fall Symposium 2015.

    Args:
        env: With a Box observation, or a dictionary of them; with ``mode="hold"`` any observation.
        probability: Probability that an observation is dropped, from 0 to 1.
        mode: Replacement of a dropped observation: ``"zero"``: zeros; ``"hold"``: the last one that was not
            dropped (the first of an episode never is).

    Raises:
        UserError: If an argument is invalid, or the observation cannot be zeroed.
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
            self.observation_space = with_zero(env.observation_space, type(self))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode and discard the held observation."""
        self._held = None
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Any) -> Any:
        """Return the observation, or its replacement if it is dropped."""
        lost = self._rng.random() < self.probability
        if self._mode == "zero":
            return _zeros_like(observation) if lost else observation
        if not lost or self._held is None:
            self._held = copy.deepcopy(observation)
        return copy.deepcopy(self._held)


class NoisyObservation(_RandomObservation):
    """Adds Gaussian noise to each component; the observation space becomes unbounded.

    Args:
        env: With a Box observation of floats.
        sigma: Standard deviation, in the units of the observation: a number, or one for each component.

    Raises:
        UserError: If sigma is negative or has another shape, or the observation is not a Box of floats.
    """

    def __init__(self, env: Env, sigma: float | Sequence[float]) -> None:
        spread: NDArray[np.float64] = np.asarray(sigma, dtype=np.float64)
        RecordConstructorArgs.__init__(self, sigma=spread.tolist())
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(dtype_of(space), np.floating):
            raise UserError(f"NoisyObservation needs a Box observation of floats, got {space}")
        if spread.shape not in ((), space.shape) or not np.isfinite(spread).all() or (spread < 0).any():
            raise UserError(f"sigma must be a number of at least 0, or {space.shape} of them, got {sigma!r}")
        self._sigma = spread
        self.observation_space = spaces.Box(-np.inf, np.inf, space.shape, dtype_of(space))

    def observation(self, observation: Any) -> Any:
        """Return the observation with fresh noise."""
        noise = self._sigma * self._rng.standard_normal(observation.shape)
        return (observation + noise).astype(observation.dtype)


def _zeros_like(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _zeros_like(part) for key, part in observation.items()}
    return np.zeros_like(observation)
