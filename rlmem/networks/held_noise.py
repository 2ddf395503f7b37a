"""Exploration noise that is held for several steps: the matrices of state-dependent exploration.

Axes: N environments, L latent features, A action components.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.networks.numpy_steps import FloatArray


def add_noise(outputs: FloatArray, noise: FloatArray) -> FloatArray:
    """Return means plus latent features times matrices, [N, A], for outputs [N, A + L] and matrices [N, L, A]."""
    means, latent = np.split(outputs, [noise.shape[-1]], -1)
    noisy: FloatArray = means + (latent[:, None] @ noise)[:, 0]
    return noisy


class HeldNoise:
    """Noise matrices [N, L, A], one for each environment, which are drawn anew now and then.

    Args:
        every: Steps for which they are held; below 1: until the number of environments changes or an episode starts.
    """

    def __init__(self, every: int) -> None:
        self.every, self.age = every, 0
        self.noise: FloatArray | None = None

    def step(
        self, draw: Callable[[tuple[int, ...]], FloatArray], rows: int, episode_start: NDArray[np.bool_] | None = None
    ) -> FloatArray:
        """Return the matrices of the next step.

        Args:
            draw: From a shape (N,) to new matrices [N, L, A].
            rows: N.
            episode_start: [N] where the matrix is drawn anew; None: nowhere.
        """
        if self.noise is None or len(self.noise) != rows or 0 < self.every <= self.age:
            self.noise, self.age = draw((rows,)), 0
        elif episode_start is not None and episode_start.any():
            self.noise = np.where(episode_start[:, None, None], draw((rows,)), self.noise)
        self.age += 1
        return self.noise

    def reset(self) -> None:
        """Draw new matrices at the next step."""
        self.noise = None

    def state(self) -> dict[str, Any]:
        """Return what is held, for a checkpoint."""
        return {"noise": self.noise, "age": self.age}

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self.noise, self.age = saved["noise"], saved["age"]
