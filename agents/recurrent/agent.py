"""RecurrentPPO and RecurrentA2C behind the interface that all agents share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from rlmem.agents.base import Agent, Array, Observer, as_rows, check_fit, memory_to_learn
from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.action_masks import METHOD
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.recurrent.settings import RecurrentA2CSettings, RecurrentPPOSettings
from rlmem.agents.sb3.agent import NUM_ENVS, learn_and_report, policy_name
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv, SpacesOnly, find_method
from rlmem.privileged import PRIVILEGED, actor_part, actor_space, named_components, privileged_space
from rlmem.runs.settings import difference
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint

_FILLED_IN = ("memory_length", "n_steps", "seq_len", "burn_in", "norm_obs", "norm_reward", "log_std_init")
"""Settings that follow from the task where they are None."""


class RecurrentAgent(Agent):
    """A recurrent algorithm of this package. Resuming goes on bit for bit."""

    devices = ("cpu", "cuda")
    resumes_exactly = True
    algorithm: ClassVar[type[Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        torch.set_num_threads(1)
        settings, offered = self.settings, self.observation_space
        self.observation_space = actor_space(offered)
        if offered is self.observation_space:  # enough to act
            settings = replace(settings, critic_observation="actor", **({"auxiliary": ()} if self._labels else {}))
        if self.spec is not None:
            settings = settings.complete(memory_to_learn(self.spec, settings.memory_length))
        env, policy = (
            SpacesOnly(offered, self.action_space, NUM_ENVS),
            policy_name(offered),
        )
        self.model = self.algorithm(policy, env, settings=settings, seed=self.seed, device=self.device)
        self._loaded: Path | None = None
        self._masks: Callable[[], Any] | None = None

    @property
    def information(self) -> str:  # type: ignore[override]  # of the instance: it is a setting
        """What it may learn from: a privileged critic sees the full state too, an auxiliary loss parts of it."""
        critic = ", critic: full state" if self.settings.critic_observation == PRIVILEGED else ""
        expert = ", expert" if getattr(self.settings, "imitation_coef", 0.0) else ""
        return f"reward{critic}{', labels: ' if self._labels else ''}{' '.join(self._labels)}{expert}"

    @property
    def _labels(self) -> tuple[str, ...]:
        """What an auxiliary loss predicts, where the algorithm offers one."""
        labels: tuple[str, ...] = getattr(self.settings, "auxiliary", ())
        return labels

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "recurrent"

    def bind(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Say which environment the next predictions are for; its action masks are asked for."""
        self._masks = find_method(env, METHOD)

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act. See :meth:`Agent.predict`."""
        observation = actor_part(observation)
        rows = len(observation)
        starts = np.ones(rows, dtype=np.bool_) if state is None else as_rows(episode_start, rows)
        masks = None if self._masks is None else np.asarray(self._masks())
        actions, state = self.model.predict(observation, state, starts, deterministic, masks)
        return actions, state

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn; after :meth:`load` exactly where the saved agent was. See :meth:`Agent.learn`."""
        if self.settings.critic_observation == PRIVILEGED:
            privileged_space(env.single_observation_space)
        if self._labels:
            named_components(privileged_space(env.single_observation_space, "auxiliary"), self._labels)
        wrapped = GymnasiumVecEnv(env)
        if self._loaded is not None:
            self.model = self.algorithm.load(self._loaded, wrapped, self.device)
            self._loaded = None
        elif getattr(getattr(self.model.env, "unwrapped", None), "env", None) is not env:
            self.model.set_env(wrapped)
        remaining = steps - self.env_steps
        if remaining > 0:
            learn_and_report(self, self.model, remaining, observer)

    def init_from(self, path: Path) -> None:
        """Take the weights of a run of any recurrent agent. See :meth:`Agent.init_from`."""
        self.model.init_from(path)

    def save(self, path: str | Path, **meta: Any) -> None:
        """Write a checkpoint with all that a resumed run needs."""
        self.model.save(path, header=self.description() | meta)

    def load(self, path: str | Path) -> None:
        """Read a checkpoint. See :meth:`Agent.load`."""
        path = Path(path)
        meta = load_checkpoint(path).meta
        if meta.get("agent") != self.algorithm.__name__ or meta.get("name") != self.name:
            raise CheckpointError(f"{path} holds agent {meta.get('name', meta.get('agent'))!r}, not {self.name!r}")
        check_fit(path, meta, self.observation_space, self.action_space)
        try:
            loaded = self.algorithm.load(path, device=self.device)
        except ValueError as error:
            raise CheckpointError(f"{path} does not fit agent {self.name!r}: {error}") from error
        # what follows from the task may be evaluated at other lengths
        given = {
            name: value for name, value in asdict(self.settings).items() if not (value is None and name in _FILLED_IN)
        }
        if found := difference({name: getattr(loaded.settings, name) for name in given}, given):
            raise CheckpointError(f"{path} was trained with {found}: give the settings that it was trained with")
        self.model = loaded
        self._loaded, self.env_steps = path, int(meta["env_steps"])


class RecurrentPPOAgent(RecurrentAgent):
    """RecurrentPPO: PPO with a memory cell in actor and critic."""

    name = "recurrent_ppo"
    Settings = RecurrentPPOSettings
    algorithm = RecurrentPPO


class RecurrentA2CAgent(RecurrentAgent):
    """RecurrentA2C: the LSTM actor-critic, one update a rollout."""

    name = "recurrent_a2c"
    Settings = RecurrentA2CSettings
    algorithm = RecurrentA2C
