"""From the numbers a network puts out to actions: sampling on arrays, log-probabilities and entropies on tensors.

Noise is drawn ahead, for a whole rollout at once, so that one step of acting is a few array operations.

Axes: M samples (any leading axes when sampling), P network outputs, A action components.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rlmem.networks.numpy_steps import FloatArray

Actions = NDArray[Any]


class GaussianHead(nn.Module):
    """Independent normal distributions with one learned standard deviation a component, for continuous actions.

    Args:
        size: A, the number of action components.
        log_std_init: Logarithm of the standard deviation at the start.
    """

    def __init__(self, size: int, log_std_init: float = 0.0) -> None:
        super().__init__()
        self.size, self.action_shape = size, (size,)
        self.action_dtype: type[np.generic] = np.float32
        self.log_std = nn.Parameter(torch.full((size,), float(log_std_init)))

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return noise [*shape, A] for :meth:`sample`: standard normal times the current standard deviation."""
        std = self.log_std.detach().exp().cpu().numpy()
        noise: FloatArray = rng.standard_normal((*shape, self.size), dtype=np.float32) * std
        return noise

    def rollout_noise(self, rng: np.random.Generator, n_steps: int, n_envs: int) -> Iterable[FloatArray]:
        """Return the noise of each step of a rollout, [N, A] each."""
        return self.draw_noise(rng, (n_steps, n_envs))

    def sample(self, outputs: FloatArray, noise: FloatArray) -> Actions:
        """Return mean plus noise [..., A], for ``outputs`` (the means) and ``noise`` [..., A]."""
        return outputs + noise

    def mode(self, outputs: FloatArray) -> Actions:
        """Return the mean, the likeliest action."""
        return outputs

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies (nats) [M] of ``actions`` [M, A] under means ``outputs`` [M, A]."""
        half = 0.5 * self.size * math.log(2.0 * math.pi)
        log_volume = self.log_std.sum()
        scaled = (actions - outputs) * torch.exp(-self.log_std)
        log_prob = scaled.square().sum(-1) * -0.5 - (log_volume + half)
        return log_prob, (log_volume + (half + 0.5 * self.size)).expand_as(log_prob)


class CategoricalHead(nn.Module):
    """Independent choices, one for each component, for discrete actions.

    Args:
        choices: The number of choices of each component, each at least 1.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__()
        if not choices or min(choices) < 1:
            raise ValueError(f"every component needs at least one choice, got {list(choices)}")
        self.choices = [int(n) for n in choices]
        self.size, self.action_shape = sum(self.choices), (len(self.choices),)
        self.action_dtype: type[np.generic] = np.int64
        self._ends = np.cumsum(self.choices).tolist()

    def draw_noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        """Return Gumbel noise [*shape, P]: the largest of logits + noise is a sample of their softmax."""
        return rng.gumbel(size=(*shape, self.size)).astype(np.float32)

    def rollout_noise(self, rng: np.random.Generator, n_steps: int, n_envs: int) -> Iterable[FloatArray]:
        """Return the noise of each step of a rollout, [N, P] each."""
        return self.draw_noise(rng, (n_steps, n_envs))

    def sample(self, outputs: FloatArray, noise: FloatArray) -> Actions:
        """Return one choice of each component [..., A]."""
        return self.mode(outputs + noise)

    def mode(self, outputs: FloatArray) -> Actions:
        """Return the likeliest choice of each component [..., A]."""
        parts = [outputs[..., end - n : end].argmax(-1) for end, n in zip(self._ends, self.choices, strict=True)]
        return np.stack(parts, -1)

    def log_prob_and_entropy(self, outputs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities and entropies (nats) [M] of ``actions`` [M, A] under logits ``outputs`` [M, P]."""
        log_prob, entropy = outputs.new_zeros(()), outputs.new_zeros(())
        for i, part in enumerate(torch.split(outputs, self.choices, -1)):
            log_probs = torch.log_softmax(part, -1)
            log_prob = log_prob + log_probs.gather(-1, actions[..., i : i + 1]).squeeze(-1)
            entropy = entropy - (log_probs.exp() * log_probs).sum(-1)
        return log_prob, entropy
