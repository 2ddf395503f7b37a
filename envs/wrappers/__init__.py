"""Wrappers that make any Gymnasium environment need memory, or that append the previous action and reward.

They wrap single environments, work with ``env.spec`` (so that ``gymnasium.make(env.spec)`` makes the same environment
again), and draw from generators of their own, which ``reset(seed=...)`` seeds. For a vector environment use
``gymnasium.make_vec(id, n, vectorization_mode="sync", wrappers=[...])``.

Gymnasium's own wrappers do the rest: ``TimeAwareObservation``, ``StickyAction``, ``RepeatAction``,
``FrameStackObservation``, and ``FlattenObservation``, which makes the one-dimensional vectors that are needed here.
"""

from rlmem.envs.wrappers.append import AppendPreviousAction, AppendPreviousReward
from rlmem.envs.wrappers.corrupt import DelayObservation, DropObservation, NoisyObservation
from rlmem.envs.wrappers.mask import HIDDEN_VELOCITY, MaskObservation, hide_velocity

__all__ = [
    "HIDDEN_VELOCITY",
    "AppendPreviousAction",
    "AppendPreviousReward",
    "DelayObservation",
    "DropObservation",
    "MaskObservation",
    "NoisyObservation",
    "hide_velocity",
]
