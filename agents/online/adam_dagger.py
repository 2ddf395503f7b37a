"""A recurrent controller trained by DAgger with Adam: the baseline for the EKF controller.

Without replay: one step of Adam per control step, with the exact gradient of the current labels by RTRL. With replay:
steps of Adam on whole past episodes, by BPTT.

Source: Ross, Gordon and Bagnell, AISTATS 2011 (see :mod:`rlmem.agents.online.dagger`); Kingma and Ba, "Adam: A
Method for Stochastic Optimization", ICLR 2015.

Axes: T time, N environments, B episodes in a minibatch, D observation, A action, P parameters.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.dagger import DAgger, DAggerSettings
from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, make_derivative
from rlmem.learning.divergence import check_change


@dataclass(frozen=True, kw_only=True)
class AdamDAggerSettings(DAggerSettings):
    """Hyperparameters of Adam-DAgger. See also :class:`DAggerSettings`.

    Args:
        learning_rate: Learning rate of Adam.
        max_grad_norm: Gradients are scaled down to this norm.
        replay: Train on stored episodes instead of on the current control step.
        replay_episodes: Number of most recent episodes that are stored.
        batch_episodes: B, episodes in a minibatch.
        update_every: Control steps of each environment between updates on stored episodes.
        n_updates: Steps of Adam in each such update.

    Raises:
        UserError: If a value is out of bounds.
    """

    learning_rate: float = 3e-3
    max_grad_norm: float = 1.0
    replay: bool = True
    replay_episodes: int = 500
    batch_episodes: int = 16
    update_every: int = 16
    n_updates: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate", "max_grad_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.learning_rate == float("inf"):
            raise UserError(f"learning_rate must be finite, got {self.learning_rate}")
        for name in ("replay_episodes", "batch_episodes", "update_every", "n_updates"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")


class StoredEpisode(NamedTuple):
    """Observations and expert labels of a past episode."""

    observations: Array
    """[T, D] float32."""
    labels: Array
    """[T, A]."""


class AdamDAgger(DAgger):
    """A recurrent controller trained by Adam on labels that the expert gives at every control step."""

    name = "adam_dagger"
    Settings: ClassVar[type[Any]] = AdamDAggerSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.derivative = make_derivative("rtrl", self.network)
        self.optimizer = torch.optim.Adam([self.network.flat.flat], lr=self.settings.learning_rate)
        self._rng = np.random.default_rng(self.seed)
        self._past: deque[StoredEpisode] = deque(maxlen=self.settings.replay_episodes)
        self._running: list[list[tuple[Array, Array]]] = []
        self._carry: Carry | None = None
        self._state: tuple[Tensor, ...] = ()
        self._output = torch.zeros(0)
        self._steps = 0
        self._loss = float("nan")

    def begin(self, num_envs: int) -> None:
        """Start N streams. See :meth:`DAgger.begin`."""
        if self.settings.replay:
            self._running = [[] for _ in range(num_envs)]
            self._state = self.network.initial_state(num_envs)
        else:
            self._carry = self.derivative.start(num_envs)

    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [N, A]; labels are requested everywhere. See :meth:`DAgger.observe`."""
        if self._carry is not None:
            self._output, self._carry = self.derivative.step(x, start, self._carry)
        else:
            with torch.no_grad():
                unfolded = self.network.unfold(x[None], start[None], self._state)
            self._output, self._state = unfolded.output[0], unfolded.state
        return self._output, torch.ones(len(x), dtype=torch.bool)

    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Learn from the current labels, or store them and learn from past episodes. See :meth:`DAgger.teach`."""
        assert label is not None
        self._steps += 1
        if self._carry is not None:
            error = -self.answers.score(self._output, label)
            self._loss = float(error.square().mean())
            self.network.flat.grad.copy_(self.derivative.gradient(self._carry, error / len(x)))
            self._update()
            return
        observations, labels = x.numpy().astype(np.float32), label.numpy()
        for stream, running in enumerate(self._running):
            if start[stream] and running:
                self._past.append(StoredEpisode(*(np.stack(part) for part in zip(*running, strict=True))))
                running.clear()
            running.append((observations[stream], labels[stream]))
        if self._past and self._steps % self.settings.update_every == 0:
            for _ in range(self.settings.n_updates):
                self._learn_from_past()

    def metrics(self) -> dict[str, float]:
        """Return the last loss."""
        return {"train/loss": self._loss}

    def stream_state(self) -> dict[str, Any]:
        """Return the state of optimizer, streams and stored episodes. See :meth:`DAgger.stream_state`."""
        optimizer = self.optimizer.state.get(self.network.flat.flat, {})
        return {
            "optimizer": {name: torch.as_tensor(value).reshape(-1) for name, value in optimizer.items()},
            "carry": None if self._carry is None else self._carry.to_dict(),
            "cell": list(self._state),
            "past": [list(episode) for episode in self._past],
            "running": [[np.stack(part) for part in zip(*one, strict=True)] for one in self._running],
            "rng": self._rng.bit_generator.state,
            "steps": self._steps,
            "loss": self._loss,
        }

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        parameter = self.network.flat.flat
        if state["optimizer"]:
            saved = {name: torch.as_tensor(value) for name, value in state["optimizer"].items()}
            self.optimizer.state[parameter] = saved | {"step": saved["step"].reshape(())}
        if state["carry"] is not None:
            self._carry = Carry.from_dict(state["carry"])
        fresh = self.network.initial_state(len(self._running))
        if state["cell"]:
            self._state = getattr(fresh, "_make", tuple)(torch.as_tensor(part) for part in state["cell"])
        self._past.extend(StoredEpisode(*episode) for episode in state["past"])
        self._running = [list(zip(*one, strict=True)) if one else [] for one in state["running"]]
        self._rng.bit_generator.state = state["rng"]
        self._steps, self._loss = state["steps"], state["loss"]

    def _learn_from_past(self) -> None:
        """Take one step of Adam on a minibatch of past episodes; every label has the same weight."""
        chosen = self._rng.integers(len(self._past), size=self.settings.batch_episodes)
        episodes = [self._past[index] for index in chosen]
        lengths = [len(episode.labels) for episode in episodes]
        xs = np.zeros((max(lengths), len(episodes), episodes[0].observations.shape[1]))
        labels = np.zeros((max(lengths), len(episodes), episodes[0].labels.shape[1]))
        counts = np.zeros((max(lengths), len(episodes), 1))
        for column, (episode, length) in enumerate(zip(episodes, lengths, strict=True)):
            xs[:length, column], labels[:length, column] = episode.observations, episode.labels
            counts[:length, column] = 1.0
        never = torch.zeros(xs.shape[:2], dtype=torch.bool)
        self.network.flat.zero_grad()
        outputs = self.network.unfold(torch.from_numpy(xs), never, self.network.initial_state(len(episodes))).output
        error = self.answers.score(outputs, torch.from_numpy(labels)) * torch.from_numpy(counts)
        loss = error.square().sum() / (counts.sum() * labels.shape[2])
        loss.backward()
        self._loss = loss.item()
        self._update()

    def _update(self) -> None:
        check_change("the controller", self.network.flat.grad)
        self.network.flat.clip_grad_norm(self.settings.max_grad_norm)
        self.optimizer.step()
