"""This package's RecurrentPPO and RecurrentA2C behind the interface that all agents share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv

from rlmem.agents.base import Agent, Array, Observer, as_rows, check_fit, memory_to_learn
from rlmem.agents.recurrent import checkpoint as recurrent_checkpoint
from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.reward_scale import scale_rewards
from rlmem.agents.sb3.sb3 import (
    NUM_ENVS,
    RateSchedule,
    SpacesOnly,
    check_ppo,
    learn_watched,
    learning_rate,
    policy_name,
)
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.errors import UserError
from rlmem.networks.cells import CELLS
from rlmem.networks.cells.initialization import Init
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint
from rlmem.suggest import unknown

_SHORTEST_ROLLOUT = 256
_ROW_GROWTH = 1.4
"""A rollout lasts so many memory lengths, since no gradient passes its start."""


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings:
    """Hyperparameters that recurrent agents have in common.

    Args:
        learning_rate: Of the optimizer.
        lr_schedule: "constant"; "linear": falls to 0 over the steps of the run, and begins anew where a run is made
            longer.
        n_steps: Control steps of each environment in a rollout. None: 1.4 memory lengths, at least 256.
        seq_len: Control steps over which gradients flow (truncated BPTT). None: a whole rollout.
        burn_in: Control steps before a sequence over which its state is warmed up.
        gamma: Discount a control step.
        gae_lambda: Of generalized advantage estimation.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are scaled down to this norm.
        cell: Memory cell: lstm, gru, elman, rtu, lru, min_gru, elstm or memoryless.
        hidden_size: Units of a cell.
        n_layers: Cells on top of each other.
        shared: One trunk for actor and critic, trained by both losses.
        net_arch: Units of each layer between cell and head.
        init: "forget": gates remember over the task's memory length; "chrono": and input gates start as far closed;
            "torch": as torch has them.
        memory_length: Control steps that cells should remember before training. None: the task's longest.
        norm_reward: While training, divide rewards by the running deviation of the discounted return.

    Raises:
        UserError: If a value is out of bounds.
    """

    learning_rate: float = 1e-3
    lr_schedule: RateSchedule = "constant"
    n_steps: int | None = None
    seq_len: int | None = None
    burn_in: int = 0
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    cell: str = "lstm"
    hidden_size: int = 64
    n_layers: int = 1
    shared: bool = False
    net_arch: tuple[int, ...] = (64,)
    init: Init = "forget"
    memory_length: int | None = None
    norm_reward: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "net_arch", tuple(self.net_arch))
        if self.cell not in CELLS:
            raise UserError(unknown("cell", self.cell, CELLS))
        check_ppo(asdict(self))
        if any(size < 1 for size in self.net_arch):
            raise UserError(f"every size in net_arch must be at least 1, got {self.net_arch}")
        if self.memory_length is not None and self.memory_length < 3:
            raise UserError(f"memory_length must be at least 3 control steps, got {self.memory_length}")


@dataclass(frozen=True, kw_only=True)
class RecurrentPPOSettings(RecurrentSettings):
    """Hyperparameters of RecurrentPPO. See also :class:`RecurrentSettings`.

    Args:
        rows: Sequences in a minibatch.
        n_epochs: Passes over a rollout.
        clip_range: Of the probability ratio.
        target_kl: Stop a rollout's updates when the policy has moved 1.5 times this far (nats).
    """

    rows: int = 4
    n_epochs: int = 6
    clip_range: float = 0.2
    target_kl: float | None = None


class RecurrentAgent(Agent):
    """A recurrent on-policy algorithm of this package. Resuming goes on bit for bit."""

    resumes_exactly = True
    algorithm: ClassVar[type[Any]]
    """A :class:`RecurrentOnPolicy`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model = self.build(SpacesOnly(self.observation_space, self.action_space, NUM_ENVS))
        self.returns = RunningMeanStd(shape=())
        self._loaded: Path | None = None

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "recurrent"

    @property
    def memory_length(self) -> int:
        """T, control steps, at least 3."""
        return memory_to_learn(self.spec, self.settings.memory_length)

    @property
    def n_steps(self) -> int:
        """Control steps of each environment in a rollout, a multiple of ``seq_len``."""
        settings = self.settings
        wanted: int = settings.n_steps or max(_SHORTEST_ROLLOUT, math.ceil(_ROW_GROWTH * self.memory_length))
        row = settings.seq_len or wanted
        return math.ceil(wanted / row) * row

    def build(self, env: VecEnv) -> RecurrentOnPolicy:
        """Make the model for an environment."""
        settings = self.settings
        network = {
            "cell": settings.cell,
            "hidden_size": settings.hidden_size,
            "n_layers": settings.n_layers,
            "shared": settings.shared,
            "actor_layers": settings.net_arch,
            "critic_layers": settings.net_arch,
            "init": settings.init,
            "memory_length": float(self.memory_length),
        }
        names = ("seq_len", "burn_in", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm")
        arguments: dict[str, Any] = {name: getattr(settings, name) for name in names} | self.own_arguments()
        model: RecurrentOnPolicy = self.algorithm(
            policy_name(self.observation_space),
            env,
            learning_rate=learning_rate(settings),
            n_steps=self.n_steps,
            policy_kwargs=network,
            seed=self.seed,
            **arguments,
        )
        return model

    def own_arguments(self) -> dict[str, Any]:
        """Return what this algorithm takes beside what all take."""
        return {}

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act. See :meth:`Agent.predict`."""
        rows = len(observation)
        starts = np.ones(rows, dtype=np.bool_) if state is None else as_rows(episode_start, rows)
        return self.model.predict(observation, state, starts, deterministic)

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn; after :meth:`load` exactly where the saved agent was. See :meth:`Agent.learn`."""
        wrapped = scale_rewards(GymnasiumVecEnv(env), self.settings, self.returns)
        if self._loaded is not None:
            self.model = self.algorithm.load(self._loaded, wrapped)
            self._loaded = None
        elif wrapped.num_envs != self.model.n_envs:
            weights = self.model.policy.state_dict()
            self.model = self.build(wrapped)
            self.model.policy.load_state_dict(weights)
        elif self.model.env is None or getattr(self.model.env, "env", None) is not env:
            self.model.set_env(wrapped)
        remaining = steps - self.env_steps
        if remaining > 0:
            learn_watched(self, self.model, remaining, observer)

    def save(self, path: str | Path, **meta: Any) -> None:
        """Write a checkpoint with all that a resumed run needs."""
        recurrent_checkpoint.save(self.model, path, self.description() | {"agent": self.algorithm.__name__} | meta)

    def load(self, path: str | Path) -> None:
        """Read a checkpoint. See :meth:`Agent.load`."""
        path = Path(path)
        meta = load_checkpoint(path).meta
        if meta.get("agent") != self.algorithm.__name__ or meta.get("name") != self.name:
            raise CheckpointError(f"{path} holds agent {meta.get('name', meta.get('agent'))!r}, not {self.name!r}")
        check_fit(path, meta, self.observation_space, self.action_space)
        try:
            self.model = self.algorithm.load(path)
        except UserError as error:
            raise CheckpointError(f"{path} does not fit agent {self.name!r}: {error}") from error
        self._loaded, self.env_steps = path, int(meta["env_steps"])


class RecurrentPPOAgent(RecurrentAgent):
    """RecurrentPPO: PPO with a memory cell in actor and critic."""

    name = "recurrent_ppo"
    Settings = RecurrentPPOSettings
    algorithm = RecurrentPPO

    def own_arguments(self) -> dict[str, Any]:
        """Return what PPO takes beside what all take."""
        settings = self.settings
        row = settings.seq_len or self.n_steps
        names = ("n_epochs", "clip_range", "target_kl")
        return {name: getattr(settings, name) for name in names} | {"batch_size": settings.rows * row}


class RecurrentA2CAgent(RecurrentAgent):
    """RecurrentA2C: the LSTM actor-critic, one update a rollout."""

    name = "recurrent_a2c"
    Settings = RecurrentSettings
    algorithm = RecurrentA2C
