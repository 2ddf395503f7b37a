"""Base of actor-critics that learn at every control step: observations by running scales, and values that follow.

Axes: N environments, D observation.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.actor_critic_controller import ActorCriticController
from rlmem.learning.divergence import check_finite
from rlmem.learning.running_moments import RunningMoments


class StepwiseActorCritic(ActorCriticController):
    """An actor-critic that sees observations scaled by their running moments. See :class:`ActorCriticController`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moments = RunningMoments.start(self.network.input_size)

    @abstractmethod
    def look_ahead(self, x: Tensor) -> Tensor:
        """Return the values [N] of the next scaled observations [N, D], and stay at the present ones."""

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act on observations scaled by their running moments. See :meth:`Agent.predict`."""
        return super().predict(self._moments.scaled(_as_float64(observation)), state, episode_start, deterministic)

    def tensors(self) -> dict[str, Any]:
        """Return the parameters and the running moments of observations. See :meth:`Agent.tensors`."""
        moments = {
            "count": np.array([self._moments.number]),
            "mean": self._moments.mean,
            "squares": self._moments.squares,
        }
        return super().tensors() | moments

    def restore(self, tensors: dict[str, Array]) -> None:
        """Restore parameters and moments."""
        super().restore(tensors)
        self._moments = RunningMoments(float(tensors["count"][0]), tensors["mean"].copy(), tensors["squares"].copy())

    def _scaled(self, observation: Array) -> Tensor:
        seen = _as_float64(observation)
        check_finite("observations", seen)
        self._moments = self._moments.seen(seen)
        return torch.as_tensor(self._moments.scaled(seen))

    def _next_values(self, observation: Array, start: Array, truncated: Array, infos: dict[str, Any]) -> Tensor:
        """Return the values [N] of the next observations: 0 after termination, of the final one after truncation."""
        seen = np.array(observation, dtype=np.float64)
        for index in np.flatnonzero(truncated):
            seen[index] = infos["final_obs"][index]
        check_finite("observations", seen)
        x = torch.as_tensor(self._moments.scaled(seen))
        return torch.where(torch.as_tensor(start & ~truncated), 0.0, self.look_ahead(x))


def _as_float64(observation: Array) -> Array:
    return np.asarray(observation, dtype=np.float64)
