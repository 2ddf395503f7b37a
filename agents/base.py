"""The interface that all agents share: act, learn, save and load.

Axes: N environments, D observation, A action.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint, save_checkpoint
from rlmem.spec import TaskSpec

Array = NDArray[Any]


class Observer(Protocol):
    """Training loop callback, called after each rollout."""

    def __call__(self, env_steps: int, metrics: dict[str, float]) -> bool:
        """Report progress.

        Args:
            env_steps: Control steps learned from so far, over all environments.
            metrics: Losses and other logged numbers by name.

        Returns:
            Whether to go on.
        """


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """An agent without hyperparameters."""


class Agent(ABC):
    """An agent for one task.

    Args:
        settings: Hyperparameters.
        observation_space: Of one environment.
        action_space: Of one environment.
        spec: What the task asks of memory, or None where that is unknown.
        seed: For weights and exploration.
        device: Where its networks run, one of ``devices``.
    """

    name: ClassVar[str]
    """As the registry knows it."""
    Settings: ClassVar[type[Any]] = NoSettings
    learns: ClassVar[bool] = True
    information: ClassVar[str] = "reward"
    """What it may learn from."""
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Where its networks can run, as PyTorch names devices, without a number."""
    resumes_exactly: ClassVar[bool] = False
    """Whether a resumed run ends as one that was never stopped, bit for bit."""

    def __init__(
        self,
        settings: Any,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        spec: TaskSpec | None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.settings, self.spec, self.seed, self.device = settings, spec, seed, device
        self.observation_space, self.action_space = observation_space, action_space
        self.env_steps = 0

    @property
    @abstractmethod
    def context(self) -> str:
        """How far back it can see, in words."""

    @abstractmethod
    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act.

        Args:
            observation: [N, D].
            state: What :meth:`predict` returned last, None at first.
            episode_start: [N] bool, true where an observation is the first of its episode.
            deterministic: Take the mode, not a draw.

        Returns:
            Actions [N, A] and the state to be given back.
        """

    def bind(self, env: VectorEnv[Any, Any, Any]) -> None:  # noqa: B027 - most agents need no more than observations
        """Say which environment the next predictions are for; the expert reads it."""

    def cost(self, num_envs: int) -> str:
        """Return in one line what an update with N environments costs, "" where that is not known beforehand."""
        return ""

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn until ``env_steps`` reaches ``steps`` or the observer says to stop.

        Args:
            env: With same-step autoreset.
            steps: Control steps over all environments, those before a resume counted in.
            observer: Called after each rollout.
        """
        raise NotImplementedError(f"agent {self.name!r} does not learn")

    def init_from(self, path: Path) -> None:
        """Take the weights of another run's checkpoint to start from, and nothing else of it.

        Raises:
            UserError: If they do not fit, or the agent cannot.
        """
        raise UserError(f"agent {self.name!r} starts from fresh weights: recurrent agents take others")

    def tensors(self) -> dict[str, Any]:
        """Return what a checkpoint must hold beside ``settings``."""
        return {}

    def restore(self, tensors: dict[str, Array]) -> None:  # noqa: B027 - nothing to restore by default
        """Take back what :meth:`tensors` gave."""

    def save(self, path: str | Path, **meta: Any) -> None:
        """Write a checkpoint, with more JSON values if wanted."""
        save_checkpoint(path, self.tensors(), self.description() | meta)

    def description(self) -> dict[str, Any]:
        """Return what the header of a checkpoint says of any agent."""
        return {
            "agent": self.name,
            "name": self.name,
            "settings": asdict(self.settings),
            "seed": self.seed,
            "env_steps": self.env_steps,
            "observation_shape": list(self.observation_space.shape or ()),
            "action_shape": list(self.action_space.shape or ()),
        }

    def load(self, path: str | Path) -> None:
        """Read a checkpoint of an agent with the same settings and spaces.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is no checkpoint, or of another agent or task.
        """
        tensors, meta = load_checkpoint(path)
        if meta.get("agent") != self.name:
            raise CheckpointError(f"{path} holds agent {meta.get('name', meta.get('agent'))!r}, not {self.name!r}")
        check_fit(path, meta, self.observation_space, self.action_space)
        try:
            self.restore(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit agent {self.name!r} with these settings: {error}") from error
        self.env_steps = int(meta["env_steps"])


def memory_to_learn(spec: TaskSpec | None, asked: int | None) -> int:
    """Return T, the control steps that gates should remember before training, at least 3.

    Args:
        spec: The task's longest memory or credit length is taken; 100 where it is unknown.
        asked: Used instead where it is not None.
    """
    task = max(spec.memory_length[1], spec.credit_length[1]) if spec else 100
    return max(3, asked or task)


def as_rows(mask: Array | None, rows: int) -> NDArray[np.bool_]:
    """Return episode starts [N]; None means that no episode starts.

    Raises:
        UserError: If there are not so many.
    """
    if mask is None:
        return np.zeros(rows, dtype=np.bool_)
    starts = np.asarray(mask, dtype=np.bool_).reshape(-1)
    if len(starts) != rows:
        raise UserError(f"episode_start must have one value for each of {rows} observations, got {len(starts)}")
    return starts


def check_state(state: Sequence[Any], fresh: Sequence[Any], rows: int) -> None:
    """Raise a UserError unless a state that was given to ``predict`` is one for so many observations.

    Args:
        state: What a caller gives, each part [N, ...].
        fresh: A state at the start of an episode, for any number of environments.
        rows: Observations, N.
    """
    wanted, got = ([tuple(np.shape(part)) for part in parts] for parts in (fresh, state))
    if got != (right := [(rows, *shape[1:]) for shape in wanted]):
        raise UserError(
            f"the state has parts of shapes {got}, and {right} is needed for {rows} observations: pass what the last "
            "predict returned, or None at the start"
        )


def check_fit(
    path: str | Path,
    meta: dict[str, Any],
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
) -> None:
    """Raise a CheckpointError unless a checkpoint's header has the shapes of these spaces."""
    for key, space in (("observation_shape", observation_space), ("action_shape", action_space)):
        if meta.get(key) != list(space.shape or ()):
            raise CheckpointError(
                f"{path} was trained with {key.split('_')[0]}s of shape {meta.get(key)}, and this task has "
                f"{list(space.shape or ())}: give the knobs that it was trained with"
            )
