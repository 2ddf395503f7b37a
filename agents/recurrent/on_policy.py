"""What RecurrentPPO and RecurrentA2C have in common: acting, the evaluation pass, rows and minibatches.

The rollout runs the actor only, on arrays, with noise drawn ahead. One pass after it gives log-probabilities, values,
the last values and those at truncations, and the critic's states at row starts.

Axes: T time, N environments, R rows of a minibatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rlmem.agents.recurrent import checkpoint as recurrent_checkpoint
from rlmem.agents.recurrent.evaluate_rollout import LastObservations, evaluate_rollout, follow
from rlmem.agents.recurrent.minibatch import Minibatch, lay_out_minibatch
from rlmem.agents.recurrent.optimizer import clip_grad_norm
from rlmem.agents.recurrent.policy import RecurrentCnnPolicy, RecurrentMultiInputPolicy, RecurrentPolicy
from rlmem.agents.recurrent.rollout import IntArray, Rollout
from rlmem.agents.recurrent.settings import RolloutSettings, network_settings
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.heads import Gaussian
from rlmem.networks.numpy_steps import ArrayState, restart

Self = TypeVar("Self", bound="RecurrentOnPolicy")


class RecurrentOnPolicy(OnPolicyAlgorithm):
    """Acting and minibatches of recurrent on-policy agents; see :class:`rlmem.agents.recurrent.ppo.RecurrentPPO`."""

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

    def __init__(
        self,
        policy: str | type[RecurrentPolicy],
        env: GymEnv | str | None,
        *,
        learning_rate: float | Schedule,
        rollout: RolloutSettings,
        cell: str | None,
        memory_length: float | None,
        policy_kwargs: dict[str, Any] | None,
        stats_window_size: int,
        tensorboard_log: str | None,
        verbose: int,
        seed: int | None,
        device: torch.device | str,
        _init_setup_model: bool,
    ) -> None:
        given = {"cell": cell, "memory_length": memory_length}
        policy_kwargs = dict(policy_kwargs or {}) | {key: value for key, value in given.items() if value is not None}
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            n_steps=rollout.n_steps,
            gamma=rollout.gamma,
            gae_lambda=rollout.gae_lambda,
            ent_coef=rollout.ent_coef,
            vf_coef=rollout.vf_coef,
            max_grad_norm=rollout.max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
            supported_action_spaces=(spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary),
        )
        self.rollout_settings = rollout
        self.rng = np.random.default_rng(seed)
        self._actor_state: ArrayState | None = None
        self._critic_state: ArrayState | None = None  # before the rollout; the critic runs after it
        self._rollout_position = 0
        self._laid_out: dict[tuple[int, bool], Minibatch] = {}
        if _init_setup_model:
            self._setup_model()

    def _make_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        raise NotImplementedError

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        settings, extractor = network_settings(self.policy_kwargs, self.observation_space)
        policy = self.policy_class(self.observation_space, self.action_space, settings, **extractor)
        assert isinstance(policy, RecurrentPolicy)
        self.policy = policy.to(self.device)
        self.policy.optimizer = self._make_optimizer(list(self.policy.parameters()))
        rollout = self.rollout_settings
        self.rollout_buffer = Rollout(
            rollout.n_steps,
            self.n_envs,
            seq_len=rollout.row_length,
            burn_in=rollout.burn_in,
            observations=_example(self.observation_space, self.n_envs),
            action_shape=self.policy.head.action_shape,
            action_dtype=self.policy.head.action_dtype,
            output_size=self.policy.head.size,
        )

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "RecurrentOnPolicy",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train on at least ``total_timesteps`` environment steps; see stable-baselines3.

        Runs on one PyTorch thread: with nets of this size more of them cost time.
        """
        _keep_freed_memory()
        with _one_thread():
            return super().learn(
                total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar
            )

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        result = super()._setup_learn(*args, **kwargs)
        if self._actor_state is None or np.all(self._last_episode_starts):
            self._actor_state = self.policy.initial_state(self.n_envs)
            self._critic_state = array_state(self.policy.network.critic.initial_state(self.n_envs))
        return result

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: Rollout,  # type: ignore[override]
        n_rollout_steps: int,
    ) -> bool:
        """Act for ``n_rollout_steps`` and evaluate the rollout; return False if a callback stopped it."""
        callback.on_rollout_start()  # first: whoever saves here saves a run between two rollouts
        policy, rollout = self.policy, rollout_buffer
        policy.set_training_mode(False)
        actor = policy.numpy_actor()
        head, encode = policy.head, policy.encode
        noise = head.draw_noise(self.rng, (n_rollout_steps, env.num_envs))
        kept: list[ArrayState] = []
        self._laid_out.clear()
        assert self._actor_state is not None
        for t in range(n_rollout_steps):
            observations: Any = self._last_obs
            starts = self._last_episode_starts
            assert starts is not None
            if t in rollout.state_times:
                kept += [self._actor_state] * rollout.state_times.count(t)
            state = restart(self._actor_state, actor.initial_state, starts)
            outputs, self._actor_state = actor.step(encode(observations), state)
            actions = head.sample(outputs, noise[t])
            rollout.add(t, observations, starts, actions, outputs)
            new_obs, rewards, dones, infos = env.step(policy.to_env(actions))
            rollout.rewards[t] = rewards
            self._rollout_position = t + 1
            self.num_timesteps += env.num_envs
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
            callback.update_locals(locals())
            if not callback.on_step():
                self._critic_state, self._rollout_position = self.critic_state(), 0
                return False
            self._update_info_buffer(infos, dones)
            for n in np.flatnonzero(dones) if np.count_nonzero(dones) else ():
                cut_off = infos[n].get("TimeLimit.truncated", False)
                rollout.end(t, int(n), infos[n].get("terminal_observation") if cut_off else None)
        rollout.actor_states = tuple(np.stack(parts) for parts in zip(*kept, strict=True))
        last = LastObservations(self._last_obs, np.asarray(self._last_episode_starts, bool))  # type: ignore[arg-type]
        assert self._critic_state is not None
        self._critic_state = evaluate_rollout(
            policy, rollout, self._critic_state, last, gamma=self.gamma, gae_lambda=self.gae_lambda
        )
        self._rollout_position = 0
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def critic_state(self) -> ArrayState | None:
        """Return the critic's state before the last observations, also in the middle of a rollout."""
        if self._critic_state is None or self._rollout_position == 0:
            return self._critic_state
        return follow(self.policy, self.rollout_buffer, self._critic_state, self._rollout_position)

    def minibatch(self, rows: IntArray, *, normalize_advantage: bool) -> Minibatch:
        """Lay out some rows [R] of the last rollout for one call of the network."""
        # a single row comes again in every epoch, and is the same unless its features or its state need the network
        key = int(rows[0]), normalize_advantage
        same = len(rows) == 1 and self.policy.plain_observations and not self.rollout_settings.burn_in
        if same and key in self._laid_out:
            return self._laid_out[key]
        batch = lay_out_minibatch(self.policy, self.rollout_buffer, rows, normalize_advantage=normalize_advantage)
        if same:
            self._laid_out[key] = batch
        return batch

    def evaluate(self, batch: Minibatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities and entropies of the actions of a minibatch, and values, each [M]."""
        found: tuple[Tensor, Tensor, Tensor] = self.policy(
            batch.features, batch.blank, batch.states, batch.slots, batch.actions
        )
        return found

    def _step(self, loss: Tensor) -> None:
        """Move the parameters down the gradient of a loss, shortened to ``max_grad_norm``."""
        optimizer = self.policy.optimizer
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm(optimizer.param_groups[0]["params"], self.max_grad_norm)
        optimizer.step()

    def _log_policy(self) -> None:
        rollout, record = self.rollout_buffer, self.logger.record
        record("train/explained_variance", float(explained_variance(rollout.values.ravel(), rollout.returns.ravel())))
        if isinstance(self.policy.head, Gaussian):
            record("train/std", self.policy.head.log_std.exp().mean().item())
        record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments that are this algorithm's own, for a checkpoint."""
        settings = self.rollout_settings
        names = ("n_steps", "seq_len", "burn_in", "gamma", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm")
        return {name: getattr(settings, name) for name in names} | {"learning_rate": self.learning_rate}

    def minibatches(self, rows_each: int) -> Iterator[IntArray]:
        """Return all rows once, shuffled, some at a time."""
        order = self.rng.permutation(self.rollout_buffer.n_rows)
        for at in range(0, len(order), rows_each):
            yield order[at : at + rows_each]

    def save(
        self,
        path: str | Path | BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Write everything a resumed run needs to one file; see :func:`rlmem.agents.recurrent.checkpoint.save`.

        Args:
            path: Where to; ".safetensors" is added to a name without suffix.
            exclude: Must be None.
            include: Must be None.

        Raises:
            UserError: If ``path`` is not a path, or something is to be excluded or included.
        """
        if isinstance(path, BufferedIOBase) or exclude or include:
            raise UserError("a recurrent agent is saved to a path and as a whole: exclude and include must be None")
        recurrent_checkpoint.save(self, path)

    @classmethod
    def load(  # type: ignore[override]
        cls: type[Self],
        path: str | Path | BufferedIOBase,
        env: GymEnv | None = None,
        device: torch.device | str = "cpu",
        custom_objects: None = None,
        print_system_info: bool = False,
        force_reset: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Build an agent from a file; see :func:`rlmem.agents.recurrent.checkpoint.load`.

        Args:
            path: What :meth:`save` wrote.
            env: The environment to go on with; None to predict only.
            device: Where the network runs.
            custom_objects: Must be None: a file holds no objects.
            print_system_info: Must be False.
            force_reset: Start new episodes even if the environment could go on where it was.
            kwargs: Constructor arguments that replace those in the file.

        Raises:
            UserError: If there is no such file, or if the file is not one of ours, is damaged, or does not fit ``env``.
        """
        if isinstance(path, BufferedIOBase) or custom_objects or print_system_info:
            raise UserError("a recurrent agent is loaded from a path, without custom_objects and print_system_info")
        return recurrent_checkpoint.load(cls, path, env, device=device, force_reset=force_reset, arguments=kwargs)

    def set_parameters(
        self,
        load_path_or_dict: str | dict[str, Any],
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """Take weights and optimizer from a dictionary as of :meth:`get_parameters`, or from a file of ours.

        Raises:
            UserError: If the file or the dictionary does not fit.
        """
        if isinstance(load_path_or_dict, dict):
            super().set_parameters(load_path_or_dict, exact_match, device)
        else:
            recurrent_checkpoint.load_weights(self, load_path_or_dict)

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Choose actions and return the next state; see :meth:`RecurrentPolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)


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


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
