"""Proximal policy optimization with memory.

Sources: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy Optimization Algorithms", arXiv 1707.06347,
2017, equation 7; sequences with burn-in from Kapturowski et al., "Recurrent Experience Replay in Distributed
Reinforcement Learning", ICLR 2019. The interface is that of stable-baselines3's PPO.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor
from torch.nn.functional import mse_loss

from rlmem.agents.recurrent.minibatch import Minibatch
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.optimizer import FastAdam
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.agents.recurrent.settings import RolloutSettings
from rlmem.errors import UserError

Self = TypeVar("Self", bound="RecurrentPPO")


class RecurrentPPO(RecurrentOnPolicy):
    """PPO whose actor and critic remember.

    Args:
        policy: "MlpPolicy", "CnnPolicy" or "MultiInputPolicy" (sb3-contrib's "MlpLstmPolicy" etc. mean the same).
        env: A Gymnasium environment, its id, or a stable-baselines3 VecEnv.
        learning_rate: A number, or a function of the progress remaining (1 to 0).
        n_steps: T, steps of each environment in a rollout; longer than the memory asked for, since no gradient passes
            the start of a rollout.
        batch_size: Steps in a minibatch, a multiple of the row length.
        n_epochs: Passes over a rollout.
        gamma: Discount factor.
        gae_lambda: Trade-off between bias (0) and variance (1) of advantages.
        clip_range: How far the probability ratio may move from 1; a number or a function of the progress remaining.
        clip_range_vf: How far values may move in one rollout's updates, in units of the return; None for any.
        normalize_advantage: Give the advantages of each minibatch mean 0 and deviation 1.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Longest gradient.
        target_kl: Stop a rollout's updates when the policy has moved 1.5 times this far (nats); None for never.
        stats_window_size: Episodes over which reward and length are averaged in the log.
        tensorboard_log: Folder for TensorBoard; None for none.
        policy_kwargs: The network, see :func:`rlmem.agents.recurrent.settings.network_settings`.
        verbose: 0 silent, 1 informative.
        seed: Seed of everything random.
        device: "cpu" is fastest for small networks.
        cell: A name in :data:`rlmem.networks.cells.CELLS`; None for "lstm".
        seq_len: Steps of a row, over which gradients flow (truncated BPTT); None for as many as fit a minibatch.
        burn_in: Steps before a row over which its state is warmed up with the current weights.
        memory_length: Steps over which the untrained cells should remember; None for 100.

    Raises:
        UserError: If a hyperparameter is out of range.
    """

    def __init__(
        self,
        policy: str | type[RecurrentPolicy],
        env: GymEnv | str | None,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 128,
        batch_size: int = 128,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        *,
        cell: str | None = None,
        seq_len: int | None = None,
        burn_in: int = 0,
        memory_length: float | None = None,
    ) -> None:
        if n_epochs < 1:
            raise UserError(f"n_epochs must be at least 1, got {n_epochs}")
        for name, number in (("clip_range", clip_range), ("clip_range_vf", clip_range_vf), ("target_kl", target_kl)):
            if isinstance(number, (int, float)) and not number > 0:
                raise UserError(f"{name} must be positive, got {number}")
        self.batch_size, self.n_epochs, self.normalize_advantage = batch_size, n_epochs, normalize_advantage
        self.clip_range = FloatSchedule(clip_range)
        self.clip_range_vf = None if clip_range_vf is None else FloatSchedule(clip_range_vf)
        self.target_kl = target_kl
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            rollout=RolloutSettings(
                n_steps=n_steps,
                batch_size=batch_size,
                seq_len=seq_len,
                burn_in=burn_in,
                gamma=gamma,
                gae_lambda=gae_lambda,
                ent_coef=ent_coef,
                vf_coef=vf_coef,
                max_grad_norm=max_grad_norm,
            ),
            cell=cell,
            memory_length=memory_length,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=_init_setup_model,
        )

    def _arguments(self) -> dict[str, Any]:
        names = ("batch_size", "n_epochs", "normalize_advantage", "target_kl", "clip_range", "clip_range_vf")
        return super()._arguments() | {name: getattr(self, name) for name in names}

    def _make_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return FastAdam(parameters, lr=self.lr_schedule(1.0))

    def train(self) -> None:
        """Update the network from the last rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip = self.clip_range(self._current_progress_remaining)
        clip_values = None if self.clip_range_vf is None else self.clip_range_vf(self._current_progress_remaining)
        records: list[dict[str, float]] = []
        for epoch in range(self.n_epochs):
            for rows in self.minibatches(self.batch_size // self.rollout_settings.row_length):
                batch = self.minibatch(rows, normalize_advantage=self.normalize_advantage)
                loss, record = self.loss(batch, clip, clip_values)
                records.append(record)
                if self.target_kl is not None and record["approx_kl"] > 1.5 * self.target_kl:
                    if self.verbose:
                        print(f"Stopping at epoch {epoch}: the policy has moved by {record['approx_kl']:.3f} nats")
                    break
                self._step(loss)
            else:
                self._n_updates += 1
                continue
            break
        for name in records[0]:
            self.logger.record(f"train/{name}", float(np.mean([record[name] for record in records])))
        self.logger.record("train/clip_range", clip)
        if clip_values is not None:
            self.logger.record("train/clip_range_vf", clip_values)
        self._log_policy()

    def loss(self, batch: Minibatch, clip: float, clip_values: float | None) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a minibatch and what is logged of it.

        Args:
            batch: Some rows of the last rollout.
            clip: How far the probability ratio may move from 1.
            clip_values: How far values may move, or None for any.
        """
        log_probs, entropy, values = self.evaluate(batch)
        log_ratio = log_probs - batch.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
        policy_loss = -torch.min(batch.advantages * ratio, batch.advantages * clipped).mean()
        if clip_values is not None:
            values = batch.values + (values - batch.values).clamp(-clip_values, clip_values)
        value_loss = mse_loss(values, batch.returns)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            clip_fraction = (clipped != ratio).float().mean()
            numbers = torch.stack((loss, policy_loss, value_loss, entropy_loss, kl, clip_fraction)).tolist()
        return loss, dict(zip(_RECORDED, numbers, strict=True))

    def learn(
        self: Self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "RecurrentPPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train on at least ``total_timesteps`` environment steps; see stable-baselines3."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)


_RECORDED = ("loss", "policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
