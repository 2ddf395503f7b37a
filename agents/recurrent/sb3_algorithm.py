"""The contract of stable-baselines3's algorithms: constructor, environments, optimizer, ``learn`` and ``predict``.

How the recurrent agents act and learn is in :mod:`rlmem.agents.recurrent.on_policy`.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from inspect import signature
from itertools import groupby
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule

from rlmem.agents.check_spaces import check_exploration
from rlmem.agents.plain_data import LostSchedule
from rlmem.agents.recurrent import checkpoint
from rlmem.agents.recurrent.arguments import from_arguments
from rlmem.agents.recurrent.auxiliary import Auxiliary
from rlmem.agents.recurrent.contract import Contract
from rlmem.agents.recurrent.optimizer import FastAdam
from rlmem.agents.recurrent.policy import RecurrentCnnPolicy, RecurrentMultiInputPolicy, RecurrentPolicy, has_images
from rlmem.agents.recurrent.resumable import Resumable
from rlmem.agents.recurrent.reward_scale import RewardScale
from rlmem.agents.recurrent.rollout import Rollout
from rlmem.agents.recurrent.settings import RecurrentSettings
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.threads import one_thread

_SB3_FIELDS = tuple(signature(OnPolicyAlgorithm).parameters.keys() & RecurrentSettings.__dataclass_fields__.keys())
"""Settings that stable-baselines3's constructor takes."""


class SB3Algorithm(Contract, Resumable, OnPolicyAlgorithm):
    """A recurrent on-policy agent, without its learning; see :class:`rlmem.agents.recurrent.ppo.RecurrentPPO`."""

    Settings: ClassVar[type[RecurrentSettings]] = RecurrentSettings
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": RecurrentPolicy,
        "CnnPolicy": RecurrentCnnPolicy,
        "MultiInputPolicy": RecurrentMultiInputPolicy,
        "MlpLstmPolicy": RecurrentPolicy,
        "CnnLstmPolicy": RecurrentCnnPolicy,
        "MultiInputLstmPolicy": RecurrentMultiInputPolicy,
    }
    policy: RecurrentPolicy  # type: ignore[assignment]
    rollout_buffer: Rollout  # type: ignore[assignment]
    use_masking = True
    """Whether action masks are used where the environment offers them."""

    def __init__(
        self,
        policy: str | type[RecurrentPolicy],
        env: GymEnv | str | None,
        *,
        settings: RecurrentSettings | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        **hyperparameters: Any,
    ) -> None:
        if _init_setup_model:
            self.check_env(env)
        if str(device).startswith("cuda") and not torch.cuda.is_available():
            warnings.warn(f"there is no GPU that PyTorch finds: device={device!r} is the CPU here", stacklevel=3)
        made, self.own_classes = from_arguments(settings or self.Settings(), hyperparameters, policy_kwargs)
        self.settings = made.complete()
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            **{name: getattr(self.settings, name) for name in _SB3_FIELDS},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.rng = np.random.default_rng(seed)
        self._check_minibatch()
        size, steps = hyperparameters.get("batch_size"), (self.settings.n_steps or 0) * getattr(self, "n_envs", 0)
        if size is not None and steps > size and steps % size:
            warnings.warn(
                f"a rollout of {steps} steps ({self.settings.n_steps} of {self.n_envs} environments) is no multiple of "
                f"batch_size={size}: the last mini-batch of each epoch has {steps % size}",
                stacklevel=3,
            )
        if _init_setup_model:
            self._setup_model()

    def check_spaces(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        """Raise a UserError for spaces that the agent cannot see or act in."""
        super().check_spaces(observation_space, action_space)
        check_exploration(self.settings.use_sde, action_space)

    @property
    def minibatch_steps(self) -> int:
        """Steps in a minibatch: all of a rollout, unless an agent divides it."""
        return (self.settings.n_steps or 0) * self.n_envs

    def _check_minibatch(self) -> None:
        """Refuse minibatches of one step, all of whose advantages would be normalized to 0."""
        if self.settings.normalize_advantage and self.env is not None and self.minibatch_steps == 1:
            raise UserError(
                "a minibatch of one step has no spread to normalize advantages by: raise n_steps or batch_size, or set "
                "normalize_advantage=False"
            )

    def _setup_lr_schedule(self) -> None:
        super()._setup_lr_schedule()
        linear, of_trunk = self.settings.lr_schedule == "linear", self.settings.trunk_learning_rate
        if linear:
            self.lr_schedule = LinearSchedule(self.settings.learning_rate, 0.0, 1.0)
        if of_trunk is not None:
            self.trunk_lr_schedule = FloatSchedule(LinearSchedule(of_trunk, 0.0, 1.0) if linear else of_trunk)

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        if self.settings.trunk_learning_rate is None:
            return
        rate = self.trunk_lr_schedule(self._current_progress_remaining)
        self.logger.record("train/trunk_learning_rate", rate)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = rate if group["trunk"] else group["lr"]

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        if not issubclass(self.policy_class, RecurrentPolicy):
            raise UserError(
                f"policy must be one of {', '.join(self.policy_aliases)}, or a class of your own made from "
                f"rlmem.agents.recurrent.policy.RecurrentPolicy, got {self.policy_class.__name__}"
            )
        own = {name: value for name, value in self.own_classes.items() if not name.startswith("optimizer")}
        if self.settings.norm_obs is None:
            scaled = self._vec_normalize_env is not None and self._vec_normalize_env.norm_obs
            plain = "features_extractor_class" not in own and not has_images(self.observation_space)
            self.settings = replace(self.settings, norm_obs=plain and not scaled)
        self.reward_scale = RewardScale()
        with one_thread(), torch.random.fork_rng(devices=[], enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(self.seed)
            policy = self.policy_class(self.observation_space, self.action_space, self.settings, **own)
            if self.settings.auxiliary:
                hidden_size = policy.network.actor.hidden_size
                policy.auxiliary = Auxiliary(self.observation_space, self.settings.auxiliary, hidden_size)
        self.policy = policy.to(self.device)
        if self.seed is not None:
            self.policy.rng = np.random.default_rng([self.seed, 1])
        if self.settings.frozen_cells:
            self.policy.network.freeze_cells()
        self.policy.optimizer = self._make_optimizer(self._parameter_groups())
        self._make_rollout()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return what is trained, in groups of one learning rate, in the order of the policy's parameters."""
        parameters = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        if self.settings.trunk_learning_rate is None:
            return [{"params": parameters}]
        network = self.policy.network
        of_trunk = set(network.actor.parameters()) | set(network.critic.parameters())
        return [{"params": list(own), "trunk": trunk} for trunk, own in groupby(parameters, of_trunk.__contains__)]

    def _make_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        kind, arguments = self.own_classes.get("optimizer_class"), self.own_classes.get("optimizer_kwargs") or {}
        if kind is not None or arguments:
            made: torch.optim.Optimizer = (kind or torch.optim.Adam)(groups, lr=self.first_rate, **arguments)
            return made
        return FastAdam(groups, lr=self.first_rate)

    @property
    def first_rate(self) -> float:
        """The learning rate at the start; 0 if it is a function that is not known, so that nothing is learned."""
        return 0.0 if isinstance(self.settings.learning_rate, LostSchedule) else self.lr_schedule(1.0)

    def _make_rollout(self) -> None:
        settings, head = self.settings, self.policy.head
        assert settings.n_steps is not None
        assert settings.seq_len is not None
        self.rollout_buffer = Rollout(
            settings.n_steps,
            self.n_envs,
            seq_len=settings.seq_len,
            burn_in=settings.burn_in,
            observations=_example(self.observation_space, self.n_envs),
            action_shape=head.action_shape,
            action_dtype=head.action_dtype,
            output_size=head.size,
        )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Go on with another environment, which may have another number of environments side by side."""
        wrapped = self._wrap_env(env, self.verbose)
        if wrapped.num_envs != self.n_envs:
            self.n_envs, self._last_obs = wrapped.num_envs, None
            self._make_rollout()
        before = self.trained_under if self.env is None else checkpoint.normalized(self._vec_normalize_env)
        super().set_env(wrapped, force_reset)
        self._warn_of_other_scale(before)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
        *,
        use_masking: bool = True,
    ) -> Self:
        """Train on at least ``total_timesteps`` environment steps; see stable-baselines3.

        Where the environment offers action masks (see :mod:`rlmem.agents.recurrent.action_masks`), they are used unless
        ``use_masking`` is false.

        Runs on one PyTorch thread: with networks of this size more of them cost time.
        """
        self.check_can_learn(total_timesteps)
        self.use_masking = use_masking
        _keep_freed_memory()
        with one_thread():
            name = tb_log_name or type(self).__name__
            return super().learn(total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        result = super()._setup_learn(*args, **kwargs)
        if self._actor_state is None or np.all(self._last_episode_starts):
            self._actor_state = self.policy.initial_state(self.n_envs)
            self._critic_state = array_state(self.policy.network.critic.initial_state(self.n_envs))
        return result


def _example(space: spaces.Space[Any], n_envs: int) -> Any:
    """Return observations of the right shape and type, zeros [N, ...]."""
    if isinstance(space, spaces.Dict):
        return {key: _example(part, n_envs) for key, part in space.spaces.items()}
    return np.zeros((n_envs, *(space.shape or ())), space.dtype)


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed between minibatches: at 256 units the page faults are a third of the learning time.

    Freeing one large piece, never touched, raises its thresholds for the rest of the process (mallopt(3), "dynamic").
    """
    torch.empty(24 * 2**20, dtype=torch.uint8)
