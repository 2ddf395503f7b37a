"""The networks of recurrent SAC: an actor, several critics on one memory, and slowly following copies of the critics.

Source: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", arXiv:1812.05905; separate memories of actor
and critics as in Ni et al., "Recurrent Model-Free RL Can Be a Strong Baseline for Many POMDPs", ICML 2022.

Axes: M samples (any leading axes when sampling), F features, H hidden, C critics, A action components.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rlmem.agents.sac.settings import RecurrentSACSettings
from rlmem.networks.actor_critic import ActorStep, Trunk, make_actor_step, make_mlp
from rlmem.networks.heads import Actions
from rlmem.networks.numpy_steps import FloatArray

_LOG_STD = (-20.0, 2.0)
"""Bounds of the logarithm of the standard deviation, as in stable-baselines3."""


class SquashedGaussian:
    """Actions tanh(u) with u from independent normal distributions, whose means and deviations the actor puts out.

    Args:
        size: A, the number of action components.
    """

    def __init__(self, size: int) -> None:
        self.size, self.action_shape = 2 * size, (size,)
        self.action_dtype: type[np.generic] = np.float32

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return standard normal noise [*shape, A]."""
        return rng.standard_normal((*shape, *self.action_shape), dtype=np.float32)

    def sample(self, outputs: FloatArray, noise: FloatArray) -> Actions:
        """Return actions [..., A] in (-1, 1) for ``outputs`` [..., 2 A] and ``noise`` [..., A]."""
        mean, log_std = np.split(outputs, 2, axis=-1)
        sampled: FloatArray = np.tanh(mean + np.exp(np.clip(log_std, *_LOG_STD)) * noise)
        return sampled

    def mode(self, outputs: FloatArray) -> Actions:
        """Return the squashed means."""
        means: FloatArray = np.tanh(outputs[..., : self.action_shape[0]])
        return means

    def sample_with_log_prob(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions [M, A] with gradient, and their log-probabilities [M] in nats."""
        mean, log_std = outputs.chunk(2, -1)
        log_std = log_std.clamp(*_LOG_STD)
        raw = mean + log_std.exp() * noise
        # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))
        squash = 2.0 * (math.log(2.0) - raw - softplus(-2.0 * raw))
        log_prob = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi) - squash
        return torch.tanh(raw), log_prob.sum(-1)


class Critics(nn.Module):
    """Several networks from memory and action to value.

    Args:
        hidden_size: H, the size of the memory's output.
        action_size: A.
        settings: The shape, and how many.
    """

    def __init__(self, hidden_size: int, action_size: int, settings: RecurrentSACSettings) -> None:
        super().__init__()
        sizes = settings.net_arch if settings.critic_arch is None else settings.critic_arch
        self.nets = nn.ModuleList(
            make_mlp(hidden_size + action_size, sizes, 1, settings, gain=1.0) for _ in range(settings.n_critics)
        )

    def forward(self, hidden: Tensor, actions: Tensor) -> Tensor:
        """Return the values [C, M] of actions [M, A] after what was remembered [M, H]."""
        x = torch.cat((hidden, actions), -1)
        return torch.cat([net(x) for net in self.nets], -1).t()


class SACNetwork(nn.Module):
    """Actor, critics, and target critics, which only :meth:`follow` moves.

    Args:
        feature_size: F, the size of an encoded observation.
        action_size: A.
        settings: The shape of the network.
    """

    def __init__(self, feature_size: int, action_size: int, settings: RecurrentSACSettings) -> None:
        super().__init__()
        self.settings, self.head = settings, SquashedGaussian(action_size)
        self.actor = Trunk(feature_size, settings)
        self.actor_net = make_mlp(self.actor.hidden_size, settings.net_arch, self.head.size, settings, gain=0.01)
        if settings.log_std_init is not None:
            last = self.actor_net[-1]
            assert isinstance(last, nn.Linear)
            nn.init.constant_(last.bias[action_size:], settings.log_std_init)
        of_critic = settings if settings.critic_memory else replace(settings, cell="memoryless")
        self.critic = self.actor if settings.shared else Trunk(feature_size, of_critic)
        self.critics = Critics(self.critic.hidden_size, action_size, settings)
        self.target, self.target_critics = deepcopy(self.critic), deepcopy(self.critics)
        self.target.requires_grad_(False)
        self.target_critics.requires_grad_(False)

    def actor_step(self) -> ActorStep:
        """Return one step of the actor on arrays, with the present weights."""
        return make_actor_step(self.actor, self.actor_net, self.settings.activation)

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """Move the target critics a part ``tau`` of the way to the critics."""
        ours: list[Tensor] = [*self.critic.parameters(), *self.critics.parameters()]
        targets: list[Tensor] = [*self.target.parameters(), *self.target_critics.parameters()]
        torch._foreach_lerp_(targets, ours, tau)
