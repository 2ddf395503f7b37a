"""Advantage actor-critic with memory: one update from each rollout.

Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016, in its synchronous form. The
interface is that of stable-baselines3's A2C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.rollout import Minibatch
from rlmem.agents.recurrent.settings import RecurrentA2CSettings


class RecurrentA2C(RecurrentOnPolicy):
    """A2C whose actor and critic remember.

    No gradient passes the start of a rollout, so that nothing further back than its ``n_steps`` is learned to be
    remembered.

    Args:
        policy: See :class:`rlmem.agents.recurrent.ppo.RecurrentPPO`, also for the other arguments.
        env: A Gymnasium environment, its id, or a stable-baselines3 VecEnv.
        settings: The hyperparameters as one object; None for the defaults.
        hyperparameters: Fields of :class:`~rlmem.agents.recurrent.settings.RecurrentA2CSettings` by name.

    Raises:
        UserError: If a hyperparameter is unknown or out of range.
    """

    Settings = RecurrentA2CSettings
    settings: RecurrentA2CSettings

    def _make_optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        if self.settings.use_rms_prop and "optimizer_class" not in self.own_classes:
            return torch.optim.RMSprop(groups, lr=self.first_rate, alpha=0.99, eps=self.settings.rms_prop_eps)
        return super()._make_optimizer(groups)

    def train(self) -> None:
        """Update the network once, from all of the last rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        (rows,) = self.minibatches(self.rollout_buffer.n_rows)
        loss, record = self.loss(self.minibatch(rows))
        self._step(loss)
        self._n_updates += 1
        for name, value in record.items():
            self.logger.record(f"train/{name}", value)
        self._end_training()

    def loss(self, batch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a minibatch and what is logged of it."""
        found = self.evaluate(batch)
        log_probs, entropy, values = found.log_probs, found.entropy, found.values
        policy_loss = -(batch.advantages * log_probs).mean()
        value_loss = mse_loss(values, batch.returns)
        entropy_loss = -entropy.mean()
        loss = policy_loss + self.settings.ent_coef * entropy_loss + self.settings.vf_coef * value_loss
        for extra in self.extra_losses(batch, found):
            loss = loss + extra
        parts = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy_loss": entropy_loss}
        return loss, {name: part.item() for name, part in parts.items()}
