"""Online DAgger: the controller acts, and learns from the actions that the task's expert would have taken.

Source: Ross, Gordon and Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning", AISTATS 2011 (with beta = 0 throughout: the expert never acts). This is imitation with privileged labels,
not reinforcement learning: the reward is not used.

Axes: N environments, D observation, A action, P parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlmem.agents.base import Array, Observer
from rlmem.agents.online.controller import Controller, ControllerSettings, as_float64
from rlmem.errors import UserError
from rlmem.learning.kalman import CensoredLikelihood


@dataclass(frozen=True, kw_only=True)
class DAggerSettings(ControllerSettings):
    """Hyperparameters common to controllers that learn from an expert. See also :class:`ControllerSettings`."""


class DAgger(Controller):
    """A recurrent controller that learns online from labels of an expert. See :class:`Controller`.

    Actions and labels are clipped at the bounds. A label at a bound therefore means "this or more", and gives no error
    if the output is at or beyond the bound.
    """

    information: ClassVar[str] = "expert labels"
    answers: CensoredLikelihood = CensoredLikelihood()
    """Likelihood of labels, in units of half the actions' range, given the outputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queries = 0
        """Number of labels that the expert has given; one per environment and control step."""

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn online; after :meth:`load`, continue exactly where the saved agent was. See :meth:`Agent.learn`.

        Raises:
            UserError: If the environment has no expert, or does not use same-step autoreset.
        """
        if not hasattr(env.unwrapped, "expert_action"):
            raise UserError(f"agent {self.name!r} learns from an expert, and {env} has no expert_action method")
        super().learn(env, steps, observer)

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act, request labels and learn. See :meth:`Controller.advance`."""
        inner: Any = env.unwrapped
        for _ in range(self.steps_per_advance):
            x, starts = as_float64("observations", observation), torch.as_tensor(start)
            output, ask = self.observe(x, starts)
            label = None
            if ask.any():
                action = np.asarray(inner.expert_action())
                label = as_float64("the expert's actions", (action - self._center) / self._radius)
                self.queries += int(ask.sum())
            self.teach(x, starts, label, ask)
            observation, _, terminated, truncated, infos = env.step(self._bounded(output))
            start = terminated | truncated
            self._count_episodes(start, infos)
        return observation, start

    @abstractmethod
    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [N, A] and where to request labels [N], for observations [N, D] and episode starts [N]."""

    @abstractmethod
    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Learn from the expert's actions [N, A] where ``asked`` [N]; ``label`` is None if nothing was asked."""

    def counters(self) -> dict[str, int]:
        """Return counters over the whole training. See :meth:`Controller.counters`."""
        return {"queries": self.queries} | super().counters()

    def _metrics(self) -> dict[str, float]:
        return {"expert/queries": float(self.queries)} | super()._metrics()
