"""DAgger, online: the controller drives, the task's expert says what it would have done, and each answer teaches.

Source: Ross, Gordon and Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning", AISTATS 2011 (with beta = 0 throughout: the expert never drives). This is imitation with privileged labels,
not reinforcement learning: the reward is not looked at.

Axes: N environments, D observation, A action, P parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from rlmem.agents.base import Agent, Array, Observer, as_rows, memory_to_learn
from rlmem.agents.plain_data import pack_tree, unpack_tree
from rlmem.cells import CELLS
from rlmem.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from rlmem.network import Network
from rlmem.suggest import unknown

_REPORT_EVERY = 16
"""Control steps of each environment between two looks of the observer."""
_RECENT = 100


@dataclass(frozen=True, kw_only=True)
class DAggerSettings:
    """Hyperparameters that controllers taught by an expert have in common.

    Args:
        cell: Memory cell: rtu, lru, min_gru, elstm, lstm, gru, elman or memoryless.
        hidden_size: Units of the cell.
        memory_length: Control steps that cells should remember before training. None: the task's longest.

    Raises:
        ValueError: If a value is out of bounds.
    """

    cell: str = "rtu"
    hidden_size: int = 32
    memory_length: int | None = None

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(unknown("cell", self.cell, CELLS))
        if self.hidden_size < 1:
            raise ValueError(f"hidden_size must be at least 1, got {self.hidden_size}")
        if self.memory_length is not None and self.memory_length < 3:
            raise ValueError(f"memory_length must be at least 3 control steps, got {self.memory_length}")


class DAgger(Agent):
    """A recurrent controller y = V h + U x + b in float64, taught at every control step that asks the expert.

    Actions are y, cut off at the bounds of the action space. Resuming goes on bit for bit.

    Args:
        settings: A :class:`DAggerSettings`.
        observation_space: Of one environment, a vector.
        action_space: Of one environment, a bounded vector.
        spec: What the task asks of memory, or None.
        seed: For the weights.

    Raises:
        ValueError: If a space is of another kind.
    """

    information: ClassVar[str] = "expert labels"
    resumes_exactly = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        box, action = self.observation_space, self.action_space
        if not isinstance(box, spaces.Box) or len(box.shape) != 1:
            raise ValueError(f"agent {self.name!r} needs vector observations, got {box}")
        if not isinstance(action, spaces.Box) or len(action.shape) != 1 or not action.is_bounded():
            raise ValueError(f"agent {self.name!r} needs bounded vectors as actions, got {action}")
        self._centre = (action.high.astype(np.float64) + action.low) / 2
        self._radius = (action.high.astype(np.float64) - action.low) / 2
        remember = float(memory_to_learn(self.spec, self.settings.memory_length))
        with _seeded(self.seed):
            cell = CELLS[self.settings.cell](box.shape[0], self.settings.hidden_size, memory_length=remember)
            self.network = Network(cell, action.shape[0]).double()
        self.queries = 0
        """Labels that the expert has given, one an environment and control step."""
        self.episodes = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._where: dict[str, Any] | None = None

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "recurrent"

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act; the state is that of the cell, arrays [N, ...]. See :meth:`Agent.predict`."""
        rows = len(observation)
        fresh = self.network.initial_state(rows)
        start = torch.from_numpy(np.ones(rows, dtype=np.bool_) if state is None else as_rows(episode_start, rows))
        parts = fresh if state is None else tuple(torch.as_tensor(part) for part in state)
        with torch.inference_mode():
            parts = tuple(
                torch.where(start.view(-1, *(1,) * (new.dim() - 1)), new, old)
                for new, old in zip(fresh, parts, strict=True)
            )
            make = getattr(fresh, "_make", tuple)
            output, after = self.network(torch.as_tensor(observation, dtype=torch.float64), make(parts))
        return self._act(output), tuple(part.numpy() for part in after)

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn online; after :meth:`load` exactly where the saved agent was. See :meth:`Agent.learn`.

        Raises:
            ValueError: If the environment has no expert, or does not reset in the same step.
        """
        inner: Any = env.unwrapped
        if not hasattr(inner, "expert_action"):
            raise ValueError(f"agent {self.name!r} learns from an expert, and {env} has no expert_action method")
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            raise ValueError(f"agent {self.name!r} needs an environment with autoreset_mode='same_step'")
        observation, start = self._enter(env)
        looking = True
        while looking and self.env_steps < steps:
            for _ in range(_REPORT_EVERY):
                x, starts = torch.as_tensor(observation, dtype=torch.float64), torch.as_tensor(start)
                output, ask = self.observe(x, starts)
                label = None
                if ask.any():
                    label = torch.as_tensor((np.asarray(inner.expert_action()) - self._centre) / self._radius)
                    self.queries += int(ask.sum())
                self.teach(x, starts, label, ask)
                observation, _, terminated, truncated, infos = env.step(self._act(output))
                start = terminated | truncated
                self._note(start, infos)
            self.env_steps += _REPORT_EVERY * env.num_envs
            self._where = {"env": inner.get_state() if hasattr(inner, "get_state") else None}
            self._where |= {"observation": observation, "start": start, "recent": list(self._recent)}
            looking = observer(self.env_steps, self._metrics())

    @abstractmethod
    def begin(self, num_envs: int) -> None:
        """Forget what was seen of the streams; called before the first observation."""

    @abstractmethod
    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Take observations [N, D] and episode starts [N]; return outputs [N, A] and where to ask the expert, [N]."""

    @abstractmethod
    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Learn from the expert's actions [N, A] where asked [N]; ``label`` is None where nothing was asked."""

    def metrics(self) -> dict[str, float]:
        """Return what is worth watching while this learns."""
        return {}

    def stream_state(self) -> dict[str, Any]:
        """Return what is remembered of the streams and the updates, as nested arrays and numbers."""
        return {}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`stream_state` gave."""

    def save(self, path: str | Path, **meta: Any) -> None:
        """Write a checkpoint with all that a resumed run needs."""
        tensors: dict[str, Any] = {"theta": self.network.theta}
        state: dict[str, Any] = {"queries": self.queries, "episodes": self.episodes, "where": self._where}
        state["streams"] = None if self._where is None else self.stream_state()
        save_checkpoint(path, tensors, self.description() | {"state": pack_tree(state, "state", tensors)} | meta)

    def load(self, path: str | Path) -> None:
        """Read a checkpoint. See :meth:`Agent.load`."""
        super().load(path)
        tensors, meta = load_checkpoint(path)
        try:
            state = unpack_tree(meta["state"], tensors)
            self.queries, self.episodes = int(state["queries"]), int(state["episodes"])
            self._where = state["where"]
            if self._where is not None:
                self.begin(len(self._where["start"]))
                self.restore_stream_state(state["streams"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit agent {self.name!r} with these settings: {error}") from error

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back the parameters."""
        self.network.set_theta(torch.as_tensor(tensors["theta"]))

    def _enter(self, env: VectorEnv[Any, Any, Any]) -> tuple[Array, Array]:
        """Return observations and episode starts: where a saved run was, or of new episodes."""
        where, inner = self._where, env.unwrapped
        if where is not None and len(where["start"]) == env.num_envs:
            self._recent = deque(where["recent"], maxlen=_RECENT)
            if where["env"] is not None and hasattr(inner, "set_state"):
                inner.set_state(where["env"])
                return where["observation"], where["start"]
        else:
            self.begin(env.num_envs)
        observation, _ = env.reset()
        return np.asarray(observation), np.ones(env.num_envs, dtype=np.bool_)

    def _act(self, output: Tensor) -> Array:
        """Return the actions [N, A] that outputs [N, A] stand for."""
        bounded = np.clip(output.numpy(), -1.0, 1.0) * self._radius + self._centre
        action: Array = bounded.astype(self.action_space.dtype)
        return action

    def _note(self, ended: Array, infos: dict[str, Any]) -> None:
        self.episodes += int(ended.sum())
        if ended.any() and "is_success" in infos["final_info"]:
            self._recent.extend(infos["final_info"]["is_success"][ended].astype(float).tolist())

    def _metrics(self) -> dict[str, float]:
        metrics = {"expert/queries": float(self.queries), "rollout/episodes": float(self.episodes)}
        if self._recent:
            metrics["rollout/success_rate"] = float(np.mean(self._recent))
        return metrics | self.metrics()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
