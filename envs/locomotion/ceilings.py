"""Measured returns of the walking robots; from python scripts/walking_experts.py --measure."""

from __future__ import annotations

CEILINGS: dict[str, tuple[float, float]] = {
    "hopper": (20.0, 793.0),
    "walker2d": (17.0, 460.0),
    "half_cheetah": (-1264.0, 933.0),
    "ant": (410.0, 1003.0),
}
"""Robot -> mean return of uniform random actions and of the expert, over 40 episodes (``--episodes 40``)."""
