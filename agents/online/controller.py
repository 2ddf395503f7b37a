"""Base of agents that learn online: a recurrent network in float64, with training that resumes bit for bit.

Axes: N environments, D observation, A action, Q outputs of the network, P parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from rlmem.agents.base import Agent, Array, Observer, as_rows, check_state, memory_to_learn
from rlmem.agents.check_spaces import shown
from rlmem.agents.plain_data import pack_tree, unpack_tree
from rlmem.errors import UserError
from rlmem.field_checks import check_widths
from rlmem.learning.divergence import check_finite
from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS, check_cell
from rlmem.networks.threads import one_thread
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint, save_checkpoint

_RECENT = 100
"""Episodes over which the success rate in training is averaged."""


@dataclass(frozen=True, kw_only=True)
class ControllerSettings:
    """Hyperparameters common to all recurrent controllers.

    Args:
        cell: Memory cell; module:Class is one of your own.
        hidden_size: Units of the cell.
        memory_length: Control steps over which the untrained cell remembers; the task stays as it is. None: the task's
            longest memory length.

    Raises:
        UserError: If a value is out of bounds.
    """

    cell: str = field(default="rtu", metadata={"names": CELLS})
    hidden_size: int = 32
    memory_length: int | None = None

    def __post_init__(self) -> None:
        check_cell("cell", self.cell)
        if self.hidden_size < 1:
            raise UserError(f"hidden_size must be at least 1, got {self.hidden_size}")
        check_widths(hidden_size=self.hidden_size)
        if self.memory_length is not None and self.memory_length < 3:
            raise UserError(f"memory_length must be at least 3 control steps, got {self.memory_length}")


class Controller(Agent):
    """A recurrent controller y = V h + U x + b in float64, whose training resumes bit for bit.

    Actions are y, clipped to the bounds of the action space.

    Args:
        settings: A :class:`ControllerSettings`.
        observation_space: Observation space of one environment, a vector.
        action_space: Action space of one environment, a bounded vector.
        spec: Ceilings and memory of the task, or None.
        seed: Seed of the weights and of exploration.

    Raises:
        UserError: If a space has another form.
    """

    resumes_exactly = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        box = self.observation_space
        if not isinstance(box, spaces.Box) or len(box.shape) != 1 or not box.shape[0]:
            raise UserError(f"agent {self.name!r} needs vector observations, not empty, got {shown(box)}")
        outputs = self.outputs_of(self.action_space)
        with seeded(self.seed):
            self.network = self.make_network(box.shape[0], outputs)
        self.episodes = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._resume_point: dict[str, Any] | None = None

    @property
    def context(self) -> str:
        """How far back the agent can remember, in words."""
        return "recurrent"

    @property
    def steps_per_advance(self) -> int:
        """Control steps of each environment in a call of :meth:`advance`, between two calls of the observer."""
        return 16

    def outputs_of(self, action: spaces.Space[Any]) -> int:
        """Return Q for an action space.

        Raises:
            UserError: If this agent cannot act in it.
        """
        if not (isinstance(action, spaces.Box) and len(action.shape) == 1 and action.shape[0] and action.is_bounded()):
            raise UserError(f"agent {self.name!r} needs bounded vectors as actions, not empty, got {shown(action)}")
        self._center = (action.high.astype(np.float64) + action.low) / 2
        self._radius = (action.high.astype(np.float64) - action.low) / 2
        return action.shape[0]

    def make_network(self, inputs: int, outputs: int) -> Network:
        """Return a network with the cell of the settings, in float64."""
        remember = float(memory_to_learn(self.spec, self.settings.memory_length))
        cell = CELLS[self.settings.cell](inputs, self.settings.hidden_size, memory_length=remember)
        return Network(cell, outputs).double()

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Return actions and the next state of the cell, arrays [N, ...]. See :meth:`Agent.predict`."""
        rows = len(observation)
        fresh = self.network.initial_state(rows)
        start = torch.from_numpy(np.ones(rows, dtype=np.bool_) if state is None else as_rows(episode_start, rows))
        if state is not None:
            check_state(state, fresh, rows)
        parts = fresh if state is None else tuple(torch.as_tensor(part) for part in state)
        with torch.inference_mode():
            parts = tuple(
                torch.where(start.view(-1, *(1,) * (new.dim() - 1)), new, old)
                for new, old in zip(fresh, parts, strict=True)
            )
            make = getattr(fresh, "_make", tuple)
            output, after = self.network(torch.as_tensor(observation, dtype=torch.float64), make(parts))
        return self.to_actions(output, deterministic=deterministic), tuple(part.numpy() for part in after)

    def to_actions(self, output: Tensor, *, deterministic: bool) -> Array:
        """Convert outputs [N, Q] to actions [N, A]; by default the policy is deterministic."""
        return self._bounded(output)

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn online; after :meth:`load`, continue exactly where the saved agent was. See :meth:`Agent.learn`.

        Raises:
            UserError: If the environment does not use same-step autoreset, lacks what this agent learns from, or
                returns numbers that are not finite.
            DivergenceError: If an update has no finite result, or a filter diverges.
        """
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise UserError(f"agent {self.name!r} needs an environment with autoreset_mode='same_step'")
        inner: Any = env.unwrapped
        observation, start = self._begin_or_resume(env)
        go_on = True
        while go_on and self.env_steps < steps:
            with one_thread():
                observation, start = self.advance(env, observation, start)
            self.env_steps += self.steps_per_advance * env.num_envs
            self._resume_point = {"env": inner.get_state() if hasattr(inner, "get_state") else None}
            self._resume_point |= {"observation": observation, "start": start, "recent": list(self._recent)}
            go_on = observer(self.env_steps, self._metrics())

    @abstractmethod
    def begin(self, num_envs: int) -> None:
        """Start N streams; called before the first observation."""

    @abstractmethod
    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act and learn for :attr:`steps_per_advance` control steps.

        Args:
            env: The environments.
            observation: [N, D] the current observations.
            start: [N] whether the observation is the first of an episode.

        Returns:
            The next observations and episode starts.
        """

    def metrics(self) -> dict[str, float]:
        """Return metrics of training, by name."""
        return {}

    def stream_state(self) -> dict[str, Any]:
        """Return the state of streams and updates, as nested arrays and numbers."""
        return {}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""

    def counters(self) -> dict[str, int]:
        """Return counters over the whole training, by the names of attributes."""
        return {"episodes": self.episodes}

    def tensors(self) -> dict[str, Any]:
        """Return the parameters. See :meth:`Agent.tensors`."""
        return {"theta": self.network.theta}

    def restore(self, tensors: dict[str, Array]) -> None:
        """Restore the parameters."""
        self.network.set_theta(torch.as_tensor(tensors["theta"]))

    def save(self, path: str | Path, **meta: Any) -> None:
        """Write a checkpoint with everything that a resumed run needs."""
        tensors = self.tensors()
        state: dict[str, Any] = {**self.counters(), "where": self._resume_point}
        state["streams"] = None if self._resume_point is None else self.stream_state()
        save_checkpoint(path, tensors, self.description() | {"state": pack_tree(state, "state", tensors)} | meta)

    def load(self, path: str | Path) -> None:
        """Read a checkpoint. See :meth:`Agent.load`."""
        super().load(path)
        tensors, meta = load_checkpoint(path)
        try:
            state = unpack_tree(meta["state"], tensors)
            for name in self.counters():
                setattr(self, name, int(state[name]))
            self._resume_point = state["where"]
            if self._resume_point is not None:
                self.begin(len(self._resume_point["start"]))
                self.restore_stream_state(state["streams"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit agent {self.name!r} with these settings: {error}") from error

    def _begin_or_resume(self, env: VectorEnv[Any, Any, Any]) -> tuple[Array, Array]:
        """Return observations and episode starts: those of the resumed run, or of new episodes."""
        point, inner = self._resume_point, env.unwrapped
        if point is not None and len(point["start"]) == env.num_envs:
            self._recent = deque(point["recent"], maxlen=_RECENT)
            if point["env"] is not None and hasattr(inner, "set_state"):
                inner.set_state(point["env"])
                return point["observation"], point["start"]
        else:
            self.begin(env.num_envs)
        observation, _ = env.reset()
        return np.asarray(observation), np.ones(env.num_envs, dtype=np.bool_)

    def _bounded(self, output: Tensor) -> Array:
        """Convert outputs [N, A] to actions [N, A] within the bounds."""
        bounded = np.clip(output.numpy(), -1.0, 1.0) * self._radius + self._center
        action: Array = bounded.astype(self.action_space.dtype)
        return action

    def _count_episodes(self, ended: Array, infos: dict[str, Any]) -> None:
        self.episodes += int(ended.sum())
        if ended.any() and "is_success" in infos["final_info"]:
            self._recent.extend(infos["final_info"]["is_success"][ended].astype(float).tolist())

    def _metrics(self) -> dict[str, float]:
        metrics = {"rollout/episodes": float(self.episodes)}
        if self._recent:
            metrics["rollout/success_rate"] = float(np.mean(self._recent))
        return metrics | self.metrics()


def as_float64(name: str, array: Array) -> Tensor:
    """Convert an array from an environment to a float64 tensor.

    Raises:
        UserError: If a number is not finite; the message begins with ``name``.
    """
    tensor = torch.as_tensor(np.asarray(array), dtype=torch.float64)
    check_finite(name, tensor)
    return tensor


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator within the context, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
