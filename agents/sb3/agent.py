"""An on-policy algorithm of stable-baselines3 behind the interface that all agents share.

Axes: N environments, D observation, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rlmem.agents.base import Agent, Array, Observer
from rlmem.agents.check_spaces import check_pictures, check_spaces
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv, SpacesOnly, to_space
from rlmem.errors import UserError
from rlmem.learning.divergence import DivergenceError
from rlmem.networks.numpy_steps import FEATURE_BOUND, FEATURE_EPSILON, scaled_features
from rlmem.runs.tensors_file import CheckpointError

NUM_ENVS = 16
"""Environments side by side that a model is built for; :meth:`Agent.learn` may bring others."""
_LARGEST_WEIGHT = 1e6
_STATISTICS = ("mean", "var", "count")
"""What a checkpoint holds of the statistics of returns and of observations."""


class SB3Agent(Agent):
    """An on-policy algorithm of stable-baselines3 behind this package's interface."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_spaces(self.observation_space, self.action_space)
        check_pictures(self.observation_space)
        torch.set_num_threads(1)
        self.returns = RunningMeanStd(shape=())
        """Statistics of the discounted returns that rewards are scaled by."""
        self.seen: RunningMeanStd | None = None
        """Statistics of the observations that they are scaled by."""
        if self.settings.norm_obs:
            if not isinstance(self.observation_space, spaces.Box) or is_image_space(self.observation_space):
                raise UserError(f"norm_obs is for vectors of numbers, got {self.observation_space}: leave it off")
            self.seen = RunningMeanStd(shape=self.observation_space.shape)
        self.model = self.build(SpacesOnly(*self.model_spaces(), NUM_ENVS))

    @abstractmethod
    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model for an environment with this package's settings."""

    def model_spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Return the spaces that the model sees."""
        return self.observation_space, self.action_space

    def wrap(self, env: VecEnv) -> VecEnv:
        """Put wrappers around a training environment."""
        return env

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act. See :meth:`Agent.predict`."""
        return self.act(self.scaled(observation), state, episode_start, deterministic)

    def act(
        self, seen: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Return the model's actions [N, ...] in the action space, and its state, for what it sees."""
        actions, state = self.model.predict(seen, state, episode_start, deterministic=deterministic)
        return to_space(actions, self.action_space), state

    def scaled(self, observation: Array) -> Array:
        """Return observations [N, D] as the model sees them, by the statistics of training."""
        if self.seen is None:
            return observation
        return scaled_features(self.seen.mean, self.seen.var)(observation)

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn. See :meth:`Agent.learn`."""
        scaled: VecEnv = GymnasiumVecEnv(env, convert=True)
        if self.settings.norm_reward or self.seen is not None:
            scaled = VecNormalize(
                scaled,
                norm_obs=self.seen is not None,
                norm_reward=self.settings.norm_reward,
                clip_obs=FEATURE_BOUND,
                gamma=self.settings.gamma,
                epsilon=FEATURE_EPSILON,
            )
            scaled.ret_rms = self.returns
            if self.seen is not None:
                scaled.obs_rms = self.seen  # type: ignore[assignment]
        wrapped = self.wrap(scaled)
        if wrapped.num_envs != self.model.n_envs:
            weights = self.tensors()
            self.model = self.build(wrapped)
            self.restore({name: np.asarray(value) for name, value in weights.items()})
        else:
            self.model.set_env(wrapped)
        self.model.num_timesteps = self.env_steps
        remaining = steps - self.env_steps
        if remaining > 0:
            learn_and_report(self, self.model, remaining, observer)

    def tensors(self) -> dict[str, Any]:
        """Return weights, the optimizer's state and the scales of rewards and observations."""
        policy = self.model.policy
        tensors: dict[str, Any] = {f"policy.{name}": value for name, value in policy.state_dict().items()}
        for number, state in policy.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        if self.settings.norm_reward:
            tensors |= {f"returns.{name}": np.asarray(getattr(self.returns, name)) for name in _STATISTICS}
        if self.seen is not None:
            tensors |= {f"seen.{name}": np.asarray(getattr(self.seen, name)) for name in _STATISTICS}
        return tensors

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back weights, the optimizer's state and the scales of rewards and observations."""
        policy = self.model.policy
        weights, optimizer = {}, policy.optimizer.state_dict()
        optimizer["state"] = {}
        for name, array in tensors.items():
            kind, _, rest = name.partition(".")
            value = torch.as_tensor(array)
            if not torch.isfinite(value).all():
                raise CheckpointError(f"the checkpoint's {name} holds NaN or infinity")
            if kind == "policy":
                weights[rest] = value
            elif kind == "optimizer":
                number, _, key = rest.partition(".")
                optimizer["state"].setdefault(int(number), {})[key] = value
            elif kind == "returns" and rest in _STATISTICS:
                setattr(self.returns, rest, array.reshape(()))
            elif kind == "seen" and rest in _STATISTICS and self.seen is not None:
                setattr(self.seen, rest, array.reshape(np.shape(getattr(self.seen, rest))))
            else:
                raise CheckpointError(f"unknown tensor {name!r}")
        policy.load_state_dict(weights)
        policy.optimizer.load_state_dict(optimizer)


def learn_and_report(agent: Agent, model: BaseAlgorithm, steps: int, observer: Observer) -> None:
    """Let a model of stable-baselines3 learn for some more control steps and report each rollout.

    When the observer says to stop, the model stops between two rollouts.

    Raises:
        DivergenceError: If weights are no sensible numbers any more, before the observer can keep them.
    """
    try:
        model.learn(steps, callback=_Report(agent, observer), log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
    except _Stop:
        pass
    except ValueError:
        check_weights(model)  # of NaN, distributions of PyTorch say only that a parameter is out of range
        raise


def check_weights(model: BaseAlgorithm) -> None:
    """Raise a DivergenceError that names the first weights that are not finite, or larger than any that act."""
    for name, weights in model.policy.named_parameters():
        largest = float(weights.detach().abs().max()) if weights.numel() else 0.0
        if not largest <= _LARGEST_WEIGHT:
            raise DivergenceError(
                f"training diverged: the weights {name} reached {largest:.3g} after {model.num_timesteps} steps and "
                "are not kept; try a smaller learning_rate, or norm_reward=True where rewards are large"
            )


class _Stop(Exception):  # noqa: N818 - not an error
    """The observer has said to stop."""


class _Report(BaseCallback):
    """Tells the observer about each rollout."""

    def __init__(self, agent: Agent, observer: Observer) -> None:
        super().__init__()
        self._agent, self._observer = agent, observer

    def _on_rollout_start(self) -> None:
        if not self._report():
            raise _Stop

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._report()

    def _report(self) -> bool:
        """Tell the observer once a rollout, and return whether to go on."""
        steps = self.model.num_timesteps
        if steps == self._agent.env_steps:
            return True
        check_weights(self.model)
        self._agent.env_steps = steps
        logged = {name: float(value) for name, value in self.model.logger.name_to_value.items()}
        metrics = {name: value for name, value in logged.items() if not name.startswith("time/")}
        return self._observer(steps, metrics | recent_episodes(self.model))


def recent_episodes(model: BaseAlgorithm) -> dict[str, float]:
    """Return means over the last hundred episodes of training."""
    metrics = {}
    if model.ep_info_buffer:
        metrics["rollout/ep_rew_mean"] = float(np.mean([info["r"] for info in model.ep_info_buffer]))
        metrics["rollout/ep_len_mean"] = float(np.mean([info["l"] for info in model.ep_info_buffer]))
    if model.ep_success_buffer:
        metrics["rollout/success_rate"] = float(np.mean(model.ep_success_buffer))
    return metrics


def policy_name(space: spaces.Space[Any]) -> str:
    """Return stable-baselines3's name for the policy that sees such observations."""
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"
