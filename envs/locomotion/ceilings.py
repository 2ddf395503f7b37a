"""Measured returns of the walking robots; from python scripts/walking_experts.py --measure."""

from __future__ import annotations

CEILINGS: dict[str, tuple[float, float]] = {
    "hopper": (20.0, 2369.0),
    "walker2d": (17.0, 1459.0),
    "half_cheetah": (-1253.0, 2329.0),
    "ant": (382.0, 2802.0),
}
"""Robot -> mean returns of uniform random actions and of the expert, over 100 episodes."""
