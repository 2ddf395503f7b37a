"""Proximal policy optimization with memory.

Sources: Schulman, Wolski, Dhariwal, Radford and Klimov, "Proximal Policy Optimization Algorithms", arXiv 1707.06347,
2017, equation 7; sequences with burn-in from Kapturowski et al., "Recurrent Experience Replay in Distributed
Reinforcement Learning", ICLR 2019. The interface is that of stable-baselines3's PPO.
"""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor
from torch.nn.functional import mse_loss

from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.rollout import Minibatch
from rlmem.agents.recurrent.settings import RecurrentPPOSettings


class RecurrentPPO(RecurrentOnPolicy):
    """PPO whose actor and critic remember.

    Args:
        policy: "MlpPolicy", "CnnPolicy" or "MultiInputPolicy" (sb3-contrib's "MlpLstmPolicy" etc. mean the same).
        env: A Gymnasium environment, its id, or a stable-baselines3 VecEnv.
        settings: The hyperparameters as one object; None for the defaults.
        hyperparameters: Fields of :class:`~rlmem.agents.recurrent.settings.RecurrentPPOSettings` by name, which
            replace those of ``settings``; also ``batch_size``, the number of steps in a minibatch.
        policy_kwargs: More of them, with the names of sb3-contrib's policies, the features extractor and the optimizer.
        stats_window_size: Episodes over which reward and length are averaged in the log.
        tensorboard_log: Folder for TensorBoard; None for none.
        verbose: 0 silent, 1 informative.
        seed: Seed of everything random.
        device: "cpu" is fastest for small networks.

    Raises:
        UserError: If a hyperparameter is unknown or out of range.
    """

    Settings = RecurrentPPOSettings
    settings: RecurrentPPOSettings

    @property
    def batch_size(self) -> int:
        """Steps in a minibatch."""
        return self.settings.rows * (self.settings.seq_len or 1)

    @property
    def minibatch_steps(self) -> int:
        """Steps in a minibatch, at most those of a rollout."""
        return min(self.batch_size, super().minibatch_steps)

    @property
    def clip_range(self) -> FloatSchedule:
        """Clipping of the probability ratio as stable-baselines3 has it, a function of the progress remaining."""
        return FloatSchedule(self.settings.clip_range)

    @property
    def clip_range_vf(self) -> FloatSchedule | None:
        """The same of values; None for no clipping."""
        return None if self.settings.clip_range_vf is None else FloatSchedule(self.settings.clip_range_vf)

    def train(self) -> None:
        """Update the network from the last rollout."""
        settings = self.settings
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        now = self._current_progress_remaining
        clip = self.clip_range(now)
        clip_values = None if self.clip_range_vf is None else self.clip_range_vf(now)
        records: list[dict[str, float]] = []
        for epoch in range(settings.n_epochs):
            for rows in self.minibatches(settings.rows):
                loss, record = self.loss(self.minibatch(rows), clip, clip_values)
                records.append(record)
                if settings.target_kl is not None and record["approx_kl"] > 1.5 * settings.target_kl:
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
        self._end_training()

    def loss(self, batch: Minibatch, clip: float, clip_values: float | None) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a minibatch and what is logged of it.

        Args:
            batch: Some rows of the last rollout.
            clip: How far the probability ratio may move from 1.
            clip_values: How far values may move, or None for any.
        """
        found = self.evaluate(batch)
        log_probs, entropy, values = found.log_probs, found.entropy, found.values
        log_ratio = log_probs - batch.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
        policy_loss = -torch.min(batch.advantages * ratio, batch.advantages * clipped).mean()
        if clip_values is not None:
            values = batch.values + (values - batch.values).clamp(-clip_values, clip_values)
        value_loss = mse_loss(values, batch.returns)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.settings.ent_coef * entropy_loss + self.settings.vf_coef * value_loss
        for extra in self.extra_losses(batch, found):
            loss = loss + extra
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            clip_fraction = (clipped != ratio).float().mean()
            numbers = torch.stack((loss, policy_loss, value_loss, entropy_loss, kl, clip_fraction)).tolist()
        return loss, dict(zip(_RECORDED, numbers, strict=True))


_RECORDED = ("loss", "policy_gradient_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
