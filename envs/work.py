"""Work during the delay: what there was to do, what was done, and when an episode counts.

A task with work presents pieces of it through the delay (a gate to pass, a pad to press) and pays a little for each
that is done. Neither what is presented nor what is paid depends on the cue, so that work tells an agent nothing about
the answer, and the ceilings, which are about the answer, stay exact. An agent that stops working in order to remember
has not solved the task: an episode in which less than :data:`ENOUGH` of the expert's share was done counts as a
failure, with score 0.

Axes: N environments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ENOUGH = 0.8
"""Part of the expert's share of the work below which an episode does not count as solved."""


class WorkTally:
    """Counts the work of N environments, in the present episodes.

    Args:
        num_envs: N.
        expert: Share of the work that the expert does, from 0 to 1.
    """

    def __init__(self, num_envs: int, expert: float) -> None:
        self.expert = expert
        self.presented = np.zeros(num_envs)
        """[N] pieces of work so far, in any unit."""
        self.done = np.zeros(num_envs)
        """[N] how much of it was done, in the same unit."""

    def clear(self, which: NDArray[np.intp]) -> None:
        """Start to count anew in some environments."""
        self.presented[which] = self.done[which] = 0.0

    def share(self) -> NDArray[np.float64]:
        """Return [N] the share of the work that was done, in [0, 1]; not a number where there was none."""
        with np.errstate(invalid="ignore"):
            share: NDArray[np.float64] = np.where(self.presented > 0.0, self.done / self.presented, np.nan)
        return share

    def enough(self) -> NDArray[np.bool_]:
        """Return [N] whether enough was done for the episode to count; true where there was nothing to do."""
        return ~(self.share() < ENOUGH * self.expert)


class Outcome(NamedTuple):
    """How the episodes went, arrays [N], meaningful at their ends."""

    success: NDArray[np.bool_]
    score: NDArray[np.float64]
    work: NDArray[np.float64]
    """Share of the work that was done; not a number where there was none."""
