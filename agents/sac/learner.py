"""Updates of recurrent SAC from minibatches.

Source: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", arXiv:1812.05905. The order within an update
is that of stable-baselines3, except that the actor's loss takes the critics' memory from before their step.

Axes: M steps, S slots and B columns, H hidden, C critics, A action components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.recurrent import checkpoint
from rlmem.agents.recurrent.optimizer import FastAdam
from rlmem.agents.sac.batch import Batch, remembered
from rlmem.agents.sac.network import SACNetwork
from rlmem.agents.sac.settings import RecurrentSACSettings

_EPS = 1e-8


def critic_targets(batch: Batch, next_values: Tensor, next_log_probs: Tensor, weight: Tensor, gamma: float) -> Tensor:
    """Return what the critics' values should be, r + gamma (min Q' - alpha log pi) [M]; no more than r at an end.

    Args:
        batch: Rewards, and where episodes ended for good; a truncated one goes on in its last observation.
        next_values: [C, M] the target critics' values of the next actions.
        next_log_probs: [M] log-probabilities of these actions.
        weight: alpha, the weight of the entropy.
        gamma: Discount factor per control step.
    """
    following = next_values.amin(0) - weight * next_log_probs
    return batch.rewards + gamma * following.masked_fill(batch.terminated, 0.0)


def actor_loss(values: Tensor, log_probs: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of alpha log pi - min Q, for the critics' values [C, M] of actions with log-probabilities [M]."""
    return (weight * log_probs - values.amin(0)).mean()


class SACLearner:
    """The optimizers of the networks and of the entropy's weight.

    Args:
        network: On its device.
        settings: Complete.
        n_actor: How many parts of the stored states are the actor's.
    """

    def __init__(self, network: SACNetwork, settings: RecurrentSACSettings, n_actor: int) -> None:
        self.network, self.n_actor = network, n_actor
        weight, self.learned = settings.entropy_weight()
        device = next(network.parameters()).device
        self.weight = torch.tensor(weight, device=device)
        self.log_weight = self.weight.log().clone().reshape(1).requires_grad_()
        size = network.head.action_shape[0]
        self.target_entropy = -float(size) if settings.target_entropy == "auto" else float(settings.target_entropy)

        def adam(parameters: Any) -> list[FastAdam]:
            given = list(parameters)
            return [FastAdam(given, lr=1.0, eps=_EPS)] if given else []

        self.of_critic = [*adam(network.critics.parameters()), *adam(network.critic.parameters())]
        own = [] if network.settings.shared else adam(network.actor.parameters())
        self.of_actor = [*adam(network.actor_net.parameters()), *own]
        self.encoders = [*self.of_critic[1:], *own]
        self.of_weight = adam([self.log_weight])

    @property
    def optimizers(self) -> list[FastAdam]:
        """All of them, in one order."""
        return [*self.of_critic, *self.of_actor, *self.of_weight]

    def set_rates(self, rate: float, encoder_rate: float) -> None:
        """Set the learning rates of the memories (``encoder_rate``) and of all else."""
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = encoder_rate if optimizer in self.encoders else rate

    def update(self, batch: Batch, noise: np.ndarray, tau: float, gamma: float) -> dict[str, float]:
        """Take one step of all networks.

        Args:
            batch: Some sequences.
            noise: [2, M, A] standard normal, of the actions and of the next actions.
            tau: Part of the way that the target critics follow.
            gamma: Discount factor per control step.

        Returns:
            What is logged.
        """
        network, head, states = self.network, self.network.head, batch.burn_in.states
        now, following = torch.from_numpy(noise).to(batch.rewards.device)
        of_actor = remembered(network.actor, batch, states[: self.n_actor])
        shared = network.settings.shared
        hidden = of_actor.detach() if shared else of_actor
        actions, log_probs = head.sample_with_log_prob(network.actor_net(hidden[batch.slot]), now)
        weight = self.log_weight.detach().exp() if self.learned else self.weight
        record = {"ent_coef": weight.item()}
        if self.learned:
            loss = -(self.log_weight * (log_probs.detach() + self.target_entropy)).mean()
            record["ent_coef_loss"] = _step(self.of_weight, loss)
        of_critic = states[: self.n_actor] if shared else states[self.n_actor :]
        with torch.no_grad():
            next_outputs = network.actor_net(hidden[batch.next_slot])
            next_actions, next_log_probs = head.sample_with_log_prob(next_outputs, following)
            ahead = remembered(network.target, batch, of_critic)[batch.next_slot]
            next_values = network.target_critics(ahead, next_actions)
            targets = critic_targets(batch, next_values, next_log_probs, weight, gamma)
        seen = (of_actor if shared else remembered(network.critic, batch, of_critic))[batch.slot]
        loss = 0.5 * (network.critics(seen, batch.actions) - targets).square().mean(1).sum()
        record["critic_loss"] = _step(self.of_critic, loss)
        loss = actor_loss(network.critics(seen.detach(), actions), log_probs, weight)
        record["actor_loss"] = _step(self.of_actor, loss)
        network.follow(tau)
        return record

    def state(self) -> dict[str, Any]:
        """Return what training changes beside the network's weights."""
        return {
            "log_weight": self.log_weight.detach(),
            "optimizers": [checkpoint.optimizer_state(optimizer) for optimizer in self.optimizers],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned.

        Raises:
            UserError: If it does not fit.
        """
        with torch.no_grad():
            self.log_weight.copy_(torch.as_tensor(saved["log_weight"]))
        for optimizer, values in zip(self.optimizers, saved["optimizers"], strict=True):
            checkpoint.set_optimizer_state(optimizer, values)


def _step(optimizers: list[FastAdam], loss: Tensor) -> float:
    """Move what these optimizers hold, and nothing else, down the gradient of a loss; return the loss."""
    parameters = [parameter for optimizer in optimizers for parameter in optimizer.param_groups[0]["params"]]
    for parameter in parameters:
        parameter.grad = None
    loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()
