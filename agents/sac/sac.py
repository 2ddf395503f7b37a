"""Soft actor-critic with memory: off-policy, from sequences out of a replay buffer.

Sources: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", arXiv:1812.05905; Kapturowski et al.,
"Recurrent Experience Replay in Distributed Reinforcement Learning", ICLR 2019 (stored states, burn-in); Ni et al.,
"Recurrent Model-Free RL Can Be a Strong Baseline for Many POMDPs", ICML 2022 (separate memories); Luo et al.,
"Efficient Recurrent Off-Policy RL Requires a Context-Encoder-Specific Learning Rate", NeurIPS 2024.

Axes: N environments, F features, A action components.
"""

from __future__ import annotations

import math
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, RolloutReturn
from stable_baselines3.common.vec_env import VecEnv

from rlmem.agents.recurrent.contract import Contract
from rlmem.agents.sac.batch import make_batch
from rlmem.agents.sac.learner import SACLearner
from rlmem.agents.sac.policy import SACMultiInputPolicy, SACPolicy, check_sac_spaces
from rlmem.agents.sac.replay import SequenceReplay
from rlmem.agents.sac.resumable import ResumableSAC
from rlmem.agents.sac.settings import RecurrentSACSettings, from_arguments
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.numpy_steps import reset_where
from rlmem.networks.threads import one_thread

_SB3_FIELDS = tuple(signature(OffPolicyAlgorithm).parameters.keys() & RecurrentSACSettings.__dataclass_fields__.keys())


class RecurrentSAC(Contract, ResumableSAC, OffPolicyAlgorithm):
    """SAC whose actor and critics remember; constructor, ``learn`` and ``predict`` as stable-baselines3's SAC has them.

    Each memory runs over the observations; actions enter the critics beside it. To let it see previous actions and
    rewards too, wrap the environment in ``AppendPreviousAction`` and ``AppendPreviousReward``.

    Args:
        policy: "MlpPolicy", or "MultiInputPolicy" for Dict observations; no images.
        env: A Gymnasium environment, its id, or a stable-baselines3 VecEnv, with bounded continuous actions.
        settings: The hyperparameters as one object; None for the defaults.
        policy_kwargs: Those of the network by name, also ``net_arch`` with "pi" and "qf", and ``activation_fn``.
        stats_window_size: Episodes over which returns and lengths are averaged.
        tensorboard_log: Folder of logs for TensorBoard.
        verbose: 0, 1 or 2.
        seed: Of weights, exploration, minibatches and environment.
        device: Where the networks learn: "cpu" or "cuda".
        hyperparameters: Fields of :class:`~rlmem.agents.sac.settings.RecurrentSACSettings` by name.

    Raises:
        UserError: If a hyperparameter is unknown or out of range, or a space of another kind.
    """

    Settings: ClassVar[type[RecurrentSACSettings]] = RecurrentSACSettings
    settings: RecurrentSACSettings
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": SACPolicy,
        "MultiInputPolicy": SACMultiInputPolicy,
        "CnnPolicy": SACPolicy,  # whose images are refused in one line
    }
    own_attributes = Contract.own_attributes | {"train_freq"}
    policy: SACPolicy
    replay_buffer: SequenceReplay | None  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[SACPolicy],
        env: GymEnv | str | None,
        *,
        settings: RecurrentSACSettings | None = None,
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
        made, self.own_classes = from_arguments(settings or self.Settings(), hyperparameters, policy_kwargs)
        self.settings = made.complete()
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            **{name: getattr(self.settings, name) for name in _SB3_FIELDS},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            sde_support=False,
        )
        self.rng = np.random.default_rng(seed)
        if _init_setup_model:
            self._setup_model()

    def check_spaces(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        """Raise a UserError for spaces that the agent cannot see or act in."""
        check_sac_spaces(observation_space, action_space)

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self._convert_train_freq()
        self.set_random_seed(self.seed)
        if not issubclass(self.policy_class, SACPolicy):
            raise UserError(f"policy must be MlpPolicy or MultiInputPolicy, got {self.policy_class.__name__}")
        with one_thread(), torch.random.fork_rng(devices=[], enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(self.seed)
            policy = self.policy_class(self.observation_space, self.action_space, self.settings, **self.own_classes)
        self.policy = policy.to(self.device)
        if self.seed is not None:
            self.policy.rng = np.random.default_rng([self.seed, 1])
        self.learner = SACLearner(policy.network, self.settings, len(policy.initial_state(1)))

    def make_replay(self, n_envs: int) -> SequenceReplay:
        """Return an empty replay buffer for so many environments."""
        settings, network = self.settings, self.policy.network
        stored = (network.actor,) if settings.shared else (network.actor, network.critic)
        return SequenceReplay(
            settings.buffer_size,
            n_envs,
            self.policy.features_extractor.features_dim,
            network.head.action_shape[0],
            tuple(part for trunk in stored for part in array_state(trunk.initial_state(n_envs))),
            seq_len=settings.seq_len or 1,
            burn_in=settings.burn_in or 0,
        )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Go on with another environment; with another number of them side by side the replay buffer is emptied."""
        wrapped = self._wrap_env(env, self.verbose)
        if wrapped.num_envs != self.n_envs:
            self.n_envs, self._last_obs, self.replay_buffer = wrapped.num_envs, None, None
        super().set_env(wrapped, force_reset)
        self._refuse_normalization()

    def _refuse_normalization(self) -> None:
        if self._vec_normalize_env is not None:
            raise UserError("recurrent SAC keeps observations as they are: use norm_obs=True instead of VecNormalize")

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "RecurrentSAC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train on at least ``total_timesteps`` environment steps, on one PyTorch thread; see stable-baselines3."""
        self.check_can_learn(total_timesteps)
        self._refuse_normalization()
        with one_thread():
            return super().learn(
                total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
            )

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        goes_on = self._last_obs
        result = super()._setup_learn(*args, **kwargs)
        if self.replay_buffer is None:
            self.replay_buffer = self.make_replay(self.n_envs)
        if self._states is None or self._last_obs is not goes_on:  # the environments were reset
            self.replay_buffer.break_off()
            self._states = tuple(np.zeros_like(part[0]) for part in self.replay_buffer.states)
            self._last_episode_starts = np.ones(self.n_envs, bool)
        return result

    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, *args: Any, **kwargs: Any) -> RolloutReturn:
        """Act for ``train_freq`` steps, each written into the replay buffer; see stable-baselines3."""
        network = self.policy.network
        self._actor_step = self.policy.actor_step()
        self._critic_step = None if self.settings.shared else network.critic.numpy_step()
        self._fresh = self._actor_step.initial_state
        if self._critic_step is not None:
            self._fresh += array_state(network.critic.initial_state(1))
        rollout = super().collect_rollouts(env, callback, *args, **kwargs)
        if not rollout.continue_training:
            self._last_obs = None  # the last step was not written: what comes next begins with new episodes
        return rollout

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the steps on arrays, which are made of functions and made anew for each rollout."""
        for optimizer in self.learner.optimizers:
            optimizer.separate()
        return {name: value for name, value in self.__dict__.items() if name not in ("_actor_step", "_critic_step")}

    def _sample_action(self, learning_starts: int, action_noise: Any = None, n_envs: int = 1) -> Any:
        """Return actions for the environment [N, ...], and what is stored of them [N, A], from -1 to 1."""
        starts = np.asarray(self._last_episode_starts, bool)
        assert self._states is not None
        self._before = reset_where(self._states, self._fresh, starts)
        self._features = self.policy.raw_features(self._last_obs)  # type: ignore[arg-type]
        if not np.isfinite(self._features).all():
            raise UserError(f"an observation after control step {self.num_timesteps} holds NaN or infinity")
        seen, n_actor, head = self.policy.scaled(self._features), self.learner.n_actor, self.policy.network.head
        outputs, after = self._actor_step.step(seen, self._before[:n_actor])
        if self._critic_step is not None:
            after += self._critic_step(seen, self._before[n_actor:])[1]
        self._after = after
        if self.num_timesteps < learning_starts:
            actions = self.rng.uniform(-1.0, 1.0, (n_envs, *head.action_shape)).astype(np.float32)
        else:
            actions = head.sample(outputs, head.draw_noise(self.rng, (n_envs,)))
        self._stepping = True
        return self.policy.to_env(actions), actions

    def _store_transition(
        self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: Any, dones: Any, infos: Any
    ) -> None:
        if not np.isfinite(reward).all():
            raise UserError(f"a reward at control step {self.num_timesteps} holds NaN or infinity")
        starts = np.asarray(self._last_episode_starts, bool)
        replay_buffer.add(self._features, starts, self._before, buffer_action, reward)
        if self.policy.scale is not None:
            self.policy.scale.update(self._features)
        for n in np.flatnonzero(dones).tolist():
            cut_off = infos[n].get("TimeLimit.truncated", False)
            replay_buffer.end(n, self.policy.raw_features_of_one(infos[n]["terminal_observation"]) if cut_off else None)
        self._states, self._last_obs, self._last_episode_starts = self._after, new_obs, dones
        self._stepping = False

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Update the networks so many times, each from sequences of about ``batch_size`` steps in all."""
        self.policy.set_training_mode(True)
        settings, head, replay = self.settings, self.policy.network.head, self.replay_buffer
        assert replay is not None
        rate = self.lr_schedule(self._current_progress_remaining)
        encoder = settings.encoder_learning_rate
        self.learner.set_rates(rate, rate if encoder is None else encoder * rate / self.lr_schedule(1.0))
        records = []
        for _ in range(gradient_steps):
            windows = replay.draw(self.rng, settings.rows)
            if windows is None:
                return
            batch = make_batch(self.policy, replay, windows)
            noise = head.draw_noise(self.rng, (2, len(batch.rewards)))
            records.append(self.learner.update(batch, noise, settings.tau, settings.gamma))
        self._n_updates += gradient_steps
        for name in records[0]:
            mean = float(np.mean([record[name] for record in records]))
            if not math.isfinite(mean):
                raise UserError(f"the {name} is {mean} after {self.num_timesteps} steps: try a smaller learning_rate")
            self.logger.record(f"train/{name}", mean)
        self.logger.record("train/learning_rate", rate)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
