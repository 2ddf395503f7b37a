"""Lamps that flash at random through a delay, the same whatever a robot does and whatever the cue is.

Axes: N environments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.memory_task import Floats, Ints

_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


def flashing(seeds: Ints, leg: Ints, block: Ints, share: float, lamps: int) -> Ints:
    """Return [N] the number of the lamp that is lit, -1 where none is.

    The draw depends on nothing but its arguments, so that it is the same however a robot came to this moment.

    Args:
        seeds: [N] of the episodes.
        leg: [N] number of the leg of the delay.
        block: [N] number of the flash's turn within the leg.
        share: Of the turns in which a lamp is lit.
        lamps: How many lamps there are; each is lit as often.
    """
    drawn = uniform(seeds, leg * 1_000_003 + block)
    return np.where(drawn < share, (drawn / max(share, 1e-12) * lamps).astype(np.int64), -1).clip(max=lamps - 1)


def uniform(seeds: Ints, number: Ints) -> Floats:
    """Return [N] draws in [0, 1): number ``number`` of the sequence of each seed.

    SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z: NDArray[np.uint64] = seeds.astype(np.uint64) + (number.astype(np.uint64) + np.uint64(1)) * _ODD[0]
    z = (z ^ (z >> np.uint64(30))) * _ODD[1]
    z = (z ^ (z >> np.uint64(27))) * _ODD[2]
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
