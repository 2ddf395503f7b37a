"""The floor and the ceiling: random actions, and the task's scripted expert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from rlmem.agents.base import Agent, Array
from rlmem.errors import UserError


class Random(Agent):
    """Draws actions uniformly from the action space."""

    name = "random"
    learns = False
    information = "none"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action_space.seed(self.seed)

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "none"

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Draw actions. See :meth:`Agent.predict`."""
        count = len(next(iter(observation.values())) if isinstance(observation, Mapping) else observation)
        return np.stack([self.action_space.sample() for _ in range(count)]), state


class Expert(Agent):
    """The task's scripted expert, which may read privileged state."""

    name = "expert"
    learns = False
    information = "privileged state"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._env: Any = None

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "hidden state"

    def bind(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Say whose expert is asked.

        Raises:
            UserError: If the environment has no expert.
        """
        if not hasattr(env.unwrapped, "expert_action"):
            name = env if env.spec is None else env.spec.id
            raise UserError(
                f"agent 'expert' asks the task how to act (expert_action), and {name} cannot tell: choose another"
            )
        self._env = env.unwrapped

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Ask the task. See :meth:`Agent.predict`."""
        actions = np.asarray(self._env.expert_action())
        return actions.reshape(len(observation), -1), state
