"""stable-baselines3's PPO without memory, and with a stack of frames: what a memoryless agent can do.

Axes: N environments, D observation, A action, K frames.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from rlmem.agents.base import Agent, Array, Observer, as_rows
from rlmem.agents.sb3.reward_scale import STATISTICS, scale_rewards
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.errors import UserError
from rlmem.runs.tensors_file import CheckpointError

NUM_ENVS = 16
RateSchedule = Literal["constant", "linear"]


@dataclass(frozen=True, kw_only=True)
class PPOSettings:
    """Hyperparameters of PPO, with stable-baselines3's names.

    Args:
        learning_rate: Of Adam.
        lr_schedule: "constant"; "linear": falls to 0 over the steps of the run, and begins anew where a run is made
            longer.
        n_steps: Control steps of each environment in a rollout.
        batch_size: Transitions in a minibatch.
        n_epochs: Passes over a rollout.
        gamma: Discount a control step.
        gae_lambda: Of generalized advantage estimation.
        clip_range: Of the probability ratio.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the value loss.
        max_grad_norm: Gradients are scaled down to this norm.
        hidden_size: Units in each of the two layers of actor and critic.
        norm_reward: While training, divide rewards by the running deviation of the discounted return.

    Raises:
        UserError: If a value is out of bounds.
    """

    learning_rate: float = 1e-3
    lr_schedule: RateSchedule = "constant"
    n_steps: int = 256
    batch_size: int = 1024
    n_epochs: int = 6
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.01
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    hidden_size: int = 64
    norm_reward: bool = False

    def __post_init__(self) -> None:
        check_ppo(asdict(self))


def learning_rate(settings: Any) -> float | LinearSchedule:
    """Return the rate as stable-baselines3's algorithms take it."""
    rate: float = settings.learning_rate
    return LinearSchedule(rate, 0.0, 1.0) if settings.lr_schedule == "linear" else rate


_SIZES = ("hidden_size", "n_layers", "n_lstm_layers", "frames")
_AT_LEAST_ONE = (*_SIZES, "n_steps", "batch_size", "n_epochs", "seq_len", "rows")
_POSITIVE = ("learning_rate", "clip_range", "max_grad_norm", "target_kl")
_NOT_NEGATIVE = ("ent_coef", "vf_coef", "burn_in")
_FRACTIONS = ("gamma", "gae_lambda")


def check_ppo(values: Mapping[str, Any]) -> None:
    """Raise UserError that names the first hyperparameter out of bounds; None stands for a default."""
    if values["lr_schedule"] not in get_args(RateSchedule):
        raise UserError(f"lr_schedule must be 'constant' or 'linear', got {values['lr_schedule']!r}")
    for name, value in values.items():
        if value is None:
            continue
        if name in _AT_LEAST_ONE and (not isinstance(value, int) or value < 1):
            raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")
        if name in _POSITIVE and not value > 0:
            raise UserError(f"{name} must be above 0, got {value!r}")
        if name in _NOT_NEGATIVE and not value >= 0:
            raise UserError(f"{name} must be at least 0, got {value!r}")
        if name in _FRACTIONS and not 0 <= value <= 1:
            raise UserError(f"{name} must be from 0 to 1, got {value!r}")


class SpacesOnly(VecEnv):
    """Spaces without an environment, so that a model can be built for acting only."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], num_envs: int) -> None:
        self.render_mode = None
        super().__init__(num_envs, observation_space, action_space)

    def _absent(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this agent was built without an environment: call learn with one")

    reset = step_async = step_wait = set_attr = env_method = _absent

    def close(self) -> None:
        """Nothing to close."""

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Return false for each environment."""
        return [False] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return None for each environment: there is nothing to look up."""
        return [None] * self.num_envs


class SB3Agent(Agent):
    """An on-policy algorithm of stable-baselines3 behind this package's interface."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        torch.set_num_threads(1)
        self.returns = RunningMeanStd(shape=())
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
        actions, state = self.model.predict(observation, state, episode_start, deterministic=deterministic)
        return actions, state

    def learn(self, env: VectorEnv[Any, Any, Any], steps: int, observer: Observer) -> None:
        """Learn. See :meth:`Agent.learn`."""
        wrapped = self.wrap(scale_rewards(GymnasiumVecEnv(env), self.settings, self.returns))
        if wrapped.num_envs != self.model.n_envs:
            weights = self.tensors()
            self.model = self.build(wrapped)
            self.restore({name: np.asarray(value) for name, value in weights.items()})
        else:
            self.model.set_env(wrapped)
        self.model.num_timesteps = self.env_steps
        remaining = steps - self.env_steps
        if remaining > 0:
            learn_watched(self, self.model, remaining, observer)

    def tensors(self) -> dict[str, Any]:
        """Return weights, the optimizer's state and the scale of rewards."""
        policy = self.model.policy
        tensors: dict[str, Any] = {f"policy.{name}": value for name, value in policy.state_dict().items()}
        for number, state in policy.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
        if self.settings.norm_reward:
            tensors |= {f"returns.{name}": np.asarray(getattr(self.returns, name)) for name in STATISTICS}
        return tensors

    def restore(self, tensors: dict[str, Array]) -> None:
        """Take back weights, the optimizer's state and the scale of rewards."""
        policy = self.model.policy
        weights, optimizer = {}, policy.optimizer.state_dict()
        optimizer["state"] = {}
        for name, array in tensors.items():
            kind, _, rest = name.partition(".")
            value = torch.as_tensor(array)
            if kind == "policy":
                weights[rest] = value
            elif kind == "optimizer":
                number, _, key = rest.partition(".")
                optimizer["state"].setdefault(int(number), {})[key] = value
            elif kind == "returns" and rest in STATISTICS:
                setattr(self.returns, rest, array.reshape(()))
            else:
                raise CheckpointError(f"unknown tensor {name!r}")
        policy.load_state_dict(weights)
        policy.optimizer.load_state_dict(optimizer)


def learn_watched(agent: Agent, model: BaseAlgorithm, steps: int, observer: Observer) -> None:
    """Let a model of stable-baselines3 learn for some more control steps before the observer's eyes.

    When the observer says to stop, the model stops between two rollouts.
    """
    with contextlib.suppress(_Stop):
        model.learn(steps, callback=_Watcher(agent, observer), log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]


class _Stop(Exception):  # noqa: N818 - not an error
    """The observer has said to stop."""


class _Watcher(BaseCallback):
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


class MemorylessPPO(SB3Agent):
    """stable-baselines3's PPO with a feed-forward policy: it sees the present observation only."""

    name = "ppo"
    Settings = PPOSettings

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return "1 observation"

    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model. See :meth:`SB3Agent.build`."""
        return feed_forward_ppo(env, self.settings, self.seed)


def policy_name(space: spaces.Space[Any]) -> str:
    """Return stable-baselines3's name for the policy that sees such observations."""
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


def feed_forward_ppo(env: VecEnv, settings: Any, seed: int) -> PPO:
    """Return stable-baselines3's PPO for an environment."""
    return PPO(policy_name(env.observation_space), env, seed=seed, device="cpu", **ppo_arguments(settings))


def ppo_arguments(settings: Any) -> dict[str, Any]:
    """Return the arguments that PPO of stable-baselines3 takes from settings."""
    own = {field.name for field in fields(PPOSettings)} - {"hidden_size", "lr_schedule", "norm_reward"}
    arguments: dict[str, Any] = {name: value for name, value in asdict(settings).items() if name in own}
    arguments["learning_rate"] = learning_rate(settings)
    arguments["policy_kwargs"] = {"net_arch": [settings.hidden_size] * 2}
    return arguments


@dataclass(frozen=True, kw_only=True)
class FrameStackSettings(PPOSettings):
    """Hyperparameters of PPO on a stack of frames. See also :class:`PPOSettings`.

    Args:
        frames: Observations in the stack, the present one counted in.
    """

    frames: int = 4


class FrameStackPPO(SB3Agent):
    """stable-baselines3's PPO on the last few observations."""

    name = "frame_stack_ppo"
    Settings = FrameStackSettings

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return f"{self.settings.frames} observations"

    def model_spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Return the spaces that the model sees: K observations in one, pictures one behind the other."""
        box = self.observation_space
        if not isinstance(box, spaces.Box) or (len(box.shape) != 1 and not is_image_space(box)):
            raise UserError(f"agent {self.name!r} stacks vectors or pictures [height, width, colors], got {box}")
        low, high = (np.concatenate([bound] * self.settings.frames, axis=-1) for bound in (box.low, box.high))
        return spaces.Box(low, high, dtype=box.dtype.type), self.action_space

    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model. See :meth:`SB3Agent.build`."""
        return feed_forward_ppo(env, self.settings, self.seed)

    def wrap(self, env: VecEnv) -> VecEnv:
        """Stack frames, zeros before an episode's start."""
        return VecFrameStack(env, self.settings.frames)

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act on the stack [N, ..., K D], which is the state. See :meth:`Agent.predict`."""
        *rows, size = observation.shape
        shape = (*rows, size * self.settings.frames)
        stack = np.zeros(shape, observation.dtype) if state is None else np.array(state)
        stack[as_rows(episode_start, len(stack))] = 0
        stack = np.concatenate((stack[..., size:], observation), axis=-1)
        actions, _ = self.model.predict(stack, deterministic=deterministic)
        return actions, stack
