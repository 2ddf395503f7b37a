"""Continuous actions with generalized state-dependent exploration (gSDE).

The noise of an action is a matrix, held for several steps, times the input of the actor's last layer. The same state so
gives the same noise, which is smooth in time where states are, and moves a robot instead of shaking it.

Source: Raffin, Kober and Stulp, "Smooth Exploration for Robotic Reinforcement Learning", CoRL 2021 (PMLR 164, 2022). As
in stable-baselines3's actor-critics, no gradient passes from the noise into the features.

Axes: M samples, N environments, L latent features, A action components.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from rlmem.networks.heads import Actions, GaussianHead
from rlmem.networks.held_noise import HeldNoise, add_noise
from rlmem.networks.numpy_steps import FloatArray

EPSILON = 1e-6
"""Added to the variance, as in stable-baselines3."""


class StateDependentHead(GaussianHead):
    """Independent normal distributions whose variance is a learned function of the latent features.

    Outputs of the network are the means and the latent features, [M, A + L].

    Args:
        n_actions: A, the number of action components.
        latent_size: L.
        log_std_init: Logarithm of the standard deviation of the matrices' entries at the start.
        every: Steps for which a matrix is held in a rollout; below 1: the whole rollout.
    """

    def __init__(self, n_actions: int, latent_size: int, log_std_init: float, every: int) -> None:
        super().__init__(n_actions, log_std_init)
        self.size, self.n_actions, self.every = n_actions + latent_size, n_actions, every
        self.log_std = nn.Parameter(torch.full((latent_size, n_actions), float(log_std_init)))

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return matrices [*shape, L, A] with the current standard deviations."""
        std = self.log_std.detach().exp().cpu().numpy()
        noise: FloatArray = rng.standard_normal((*shape, *std.shape), dtype=np.float32) * std
        return noise

    def rollout_noise(self, rng: np.random.Generator, n_steps: int, n_envs: int) -> Iterator[FloatArray]:
        """Yield the matrices [N, L, A] of each step of a rollout."""
        held = HeldNoise(self.every)
        for _ in range(n_steps):
            yield held.step(partial(self.draw_noise, rng), n_envs)

    def sample(self, outputs: FloatArray, noise: FloatArray) -> Actions:
        """Return actions [N, A] for ``outputs`` [N, A + L] and matrices [N, L, A]."""
        return add_noise(outputs, noise)

    def mode(self, outputs: FloatArray) -> Actions:
        """Return the means [..., A]."""
        return outputs[..., : self.n_actions]

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies (nats) [M] of ``actions`` [M, A] under ``outputs`` [M, A + L]."""
        means, latent = outputs[..., : self.n_actions], outputs[..., self.n_actions :]
        variance = latent.square() @ torch.exp(2.0 * self.log_std) + EPSILON
        log_volume = 0.5 * variance.log().sum(-1)
        half = 0.5 * self.n_actions * math.log(2.0 * math.pi)
        log_prob = ((actions - means).square() / variance).sum(-1) * -0.5 - (log_volume + half)
        return log_prob, log_volume + (half + 0.5 * self.n_actions)
