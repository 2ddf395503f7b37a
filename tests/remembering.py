"""Agents that remember by a rule, so that what they remember is known: for tests of measures of memory.

They drive the planar robot of the T-maze with two arms. Axes: N environments.
"""

from typing import NamedTuple

import numpy as np
import torch

TASK = {"env": "TMaze-v0", "knobs": {"robot": "planar", "memory_length": 6, "query_steps": 30}}
"""A short task."""


class Remembers:
    """Writes the side of the lamp into its state, +1 left and -1 right, and turns there at the go light.

    Args:
        lasts: Control steps of the delay after which it has forgotten.
    """

    def __init__(self, lasts=10**9):
        self.lasts = lasts

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        rows = len(observation)
        side, age = (np.zeros(rows), np.zeros(rows)) if state is None else (part.copy() for part in state)
        side[episode_start], age[episode_start] = 0.0, 0.0
        seen = observation[:, :2].any(axis=1)
        side, age = (
            np.where(seen, observation[:, 0] - observation[:, 1], side),
            np.where(seen, 0, age + (observation[:, 2] == 0.0)),
        )
        side = np.where(age > self.lasts, 0.0, side)
        return drive(observation, np.where(side == 0.0, 1.0, side)), (side, age)


def drive(observation, side):
    """Return actions [N, 2] that turn to a side [N] at the go light and drive there."""
    go, sine = observation[:, 2] == 1.0, observation[:, 9]
    turned = go & (sine * side > 0.9)
    return np.stack((np.where(turned, 1.0, 0.0), np.where(go & ~turned, side, 0.0)), axis=1)


class BodyReader:
    """Has a state, and ignores it: always turns left."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return drive(observation, np.ones(len(observation))), observation[:, :2]


class Parts(NamedTuple):
    hidden: torch.Tensor
    cell: torch.Tensor


class InTorch:
    """The same memory in the form of torch's LSTM: a named tuple of tensors [layers, N, H], in a dictionary."""

    def __init__(self):
        self.rule = Remembers()

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        plain = None if state is None else tuple(part[0, :, 0].numpy().astype(float) for part in state["lstm"])
        actions, after = self.rule.predict(observation, plain, episode_start)
        parts = (torch.as_tensor(part, dtype=torch.float32)[None, :, None].expand(2, -1, 3) for part in after)
        return actions, {"lstm": Parts(*parts)}
