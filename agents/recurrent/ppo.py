"""Proximal policy optimization with memory.

Sources: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy Optimization Algorithms", arXiv 1707.06347,
2017, equation 7; sequences with burn-in from Kapturowski et al., "Recurrent Experience Replay in Distributed
Reinforcement Learning", ICLR 2019. The interface is that of stable-baselines3's PPO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule

from rlmem.agents.recurrent.adam import FlatAdam
from rlmem.agents.recurrent.minibatch import Minibatch, to_array
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.agents.recurrent.settings import RolloutSettings
from rlmem.errors import UserError
from rlmem.networks.numpy_steps import FloatArray

Self = TypeVar("Self", bound="RecurrentPPO")


class Update(NamedTuple):
    """What one minibatch asks for."""

    backward: Callable[[], None]
    """Write the gradient of the loss into the parameters' ``grad``."""
    record: list[float]
    """What is logged, in the order of ``_RECORDED``."""


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

    def _make_optimizer(self, flat: torch.nn.Parameter) -> torch.optim.Optimizer:
        return FlatAdam(flat, lr=self.lr_schedule(1.0), eps=1e-5)

    def train(self) -> None:
        """Update the network from the last rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip = self.clip_range(self._current_progress_remaining)
        clip_values = None if self.clip_range_vf is None else self.clip_range_vf(self._current_progress_remaining)
        rows_each = self.batch_size // self.rollout_settings.row_length
        records: list[list[float]] = []
        for epoch in range(self.n_epochs):
            for rows in self.minibatches(rows_each):
                batch = self.minibatch(rows, normalize_advantage=self.normalize_advantage)
                update = self.evaluate(batch, clip, clip_values)
                records.append(update.record)
                if self.target_kl is not None and update.record[_KL] > 1.5 * self.target_kl:
                    if self.verbose:
                        print(f"Early stopping at epoch {epoch}: the policy has moved by {update.record[_KL]:.3f} nats")
                    break
                update.backward()
                self._step()
            else:
                self._n_updates += 1
                continue
            break
        self._log(np.mean(records, 0).tolist(), clip, clip_values)

    def evaluate(self, batch: Minibatch, clip: float, clip_values: float | None) -> Update:
        """Return what the loss of a minibatch is, and what computes its gradient.

        The loss is policy loss + ent_coef * entropy loss + vf_coef * value loss, means over the minibatch's steps. From
        it down to the memory cells the gradient is written out: the bookkeeping of a graph costs more than the sums.
        """
        evaluated, vjp = self.policy.network.with_vjp(batch.features, batch.blank, batch.states)
        outputs, values = to_array(evaluated.outputs.flatten(0, 1)), to_array(evaluated.values.flatten())
        log_probs, entropy, head_vjp = self.policy.head.with_vjp(outputs, batch.actions)
        (by_log_prob, by_entropy, by_value), record = self._loss_gradient(
            batch, (log_probs, entropy, values), clip, clip_values
        )

        def backward() -> None:
            learned = batch.features.requires_grad
            if learned:
                self.policy.flat.zero_grad()
            by_output = torch.from_numpy(head_vjp(by_log_prob, by_entropy)).to(self.device)
            by_features = vjp(by_output, torch.from_numpy(by_value).to(self.device))
            if learned:
                batch.features.backward(by_features)  # type: ignore[no-untyped-call]

        return Update(backward, record)

    def _loss_gradient(
        self, batch: Minibatch, outputs: Sequence[FloatArray], clip: float, clip_values: float | None
    ) -> tuple[tuple[FloatArray, ...], list[float]]:
        """Return the gradient of the loss with respect to log-probabilities, entropies and values, and the record."""
        log_probs, entropy, values = outputs
        weight = batch.mask / np.float32(batch.size)
        log_ratio = (log_probs - batch.log_probs) * batch.mask
        ratio = np.exp(log_ratio)
        clipped = np.minimum(np.maximum(ratio, np.float32(1.0 - clip)), np.float32(1.0 + clip))
        gain, clipped_gain = batch.advantages * ratio, batch.advantages * clipped
        # d ratio / d log_prob = ratio; where clipping decides, nothing moves
        by_log_prob = gain * (gain <= clipped_gain) * -weight
        error = values - batch.returns
        by_value = error
        if clip_values is not None:
            move = values - batch.values
            error = batch.values + np.clip(move, -clip_values, clip_values) - batch.returns
            by_value = error * (np.abs(move) <= clip_values)
        policy_loss = -float(np.minimum(gain, clipped_gain) @ weight)
        value_loss = float(error * error @ weight)
        entropy_loss = -float(entropy @ weight)
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        kl = float((ratio - np.float32(1.0) - log_ratio) @ weight)
        clip_fraction = np.count_nonzero(clipped != ratio) / batch.size
        gradients = (by_log_prob, weight * np.float32(-self.ent_coef), by_value * weight * np.float32(2 * self.vf_coef))
        return gradients, [loss, policy_loss, value_loss, entropy_loss, kl, clip_fraction]

    def _log(self, means: list[float], clip: float, clip_values: float | None) -> None:
        for name, mean in zip(_RECORDED, means, strict=True):
            self.logger.record(f"train/{name}", mean)
        self._log_policy()
        self.logger.record("train/clip_range", clip)
        if clip_values is not None:
            self.logger.record("train/clip_range_vf", clip_values)

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
_KL = _RECORDED.index("approx_kl")
