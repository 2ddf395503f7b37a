"""DAgger, online: the controller drives, the task's expert says what it would have done, and each answer teaches.

Source: Ross, Gordon and Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning", AISTATS 2011 (with beta = 0 throughout: the expert never drives). This is imitation with privileged labels,
not reinforcement learning: the reward is not looked at.

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
from rlmem.agents.online.controller import Controller, ControllerSettings, double
from rlmem.errors import UserError
from rlmem.learning.kalman import CensoredLikelihood


@dataclass(frozen=True, kw_only=True)
class DAggerSettings(ControllerSettings):
    """Hyperparameters that controllers taught by an expert have in common. See also :class:`ControllerSettings`."""


class DAgger(Controller):
    """A recurrent controller taught at every control step that asks the expert. See :class:`Controller`.

    Actions are cut off at their bounds, and so are labels: one at a bound says that it is there or beyond, and teaches
    nothing where the output already is.
    """

    information: ClassVar[str] = "expert labels"
    answers: CensoredLikelihood = CensoredLikelihood()
    """How labels, in units of half the actions' range, lie about the outputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queries = 0
        """Labels that the expert has given, one an environment and control step."""

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn online; after :meth:`load` exactly where the saved agent was. See :meth:`Agent.learn`.

        Raises:
            UserError: If the environment has no expert, or does not reset in the same step.
        """
        if not hasattr(env.unwrapped, "expert_action"):
            raise UserError(f"agent {self.name!r} learns from an expert, and {env} has no expert_action method")
        super().learn(env, steps, observer)

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act, ask and learn. See :meth:`Controller.advance`."""
        inner: Any = env.unwrapped
        for _ in range(self.stretch):
            x, starts = double("observations", observation), torch.as_tensor(start)
            output, ask = self.observe(x, starts)
            label = None
            if ask.any():
                action = np.asarray(inner.expert_action())
                label = double("the expert's actions", (action - self._center) / self._radius)
                self.queries += int(ask.sum())
            self.teach(x, starts, label, ask)
            observation, _, terminated, truncated, infos = env.step(self._act(output))
            start = terminated | truncated
            self._note(start, infos)
        return observation, start

    @abstractmethod
    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Take observations [N, D] and episode starts [N]; return outputs [N, A] and where to ask the expert, [N]."""

    @abstractmethod
    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Learn from the expert's actions [N, A] where asked [N]; ``label`` is None where nothing was asked."""

    def counters(self) -> dict[str, int]:
        """Return what is counted over the whole of training. See :meth:`Controller.counters`."""
        return {"queries": self.queries} | super().counters()

    def _metrics(self) -> dict[str, float]:
        return {"expert/queries": float(self.queries)} | super()._metrics()
