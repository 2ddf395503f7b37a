"""What tasks share whose answer is a touch: K boxes stand around the hand, one of them is right.

Axes: N environments, K boxes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from rlmem.envs.memory_task import Bools, Indices, Ints, Step
from rlmem.envs.table.table_task import C, TableTask


class ChoiceTask(TableTask[C]):
    """N tables with K boxes to choose from. The first touch is the answer, and ends the episode.

    It earns 1 where it is right and -1 / (K - 1) where it is wrong, so that guessing earns 0; and up to 0.1 is paid for
    coming near any box.

    Args:
        settings: The task's knobs.
        num_envs: N.
        targets: K.
        way: m, from the fingertip to each box when the query begins.
        **arguments: See :class:`TableTask`.
    """

    def __init__(self, settings: C, num_envs: int = 1, *, targets: int, way: float, **arguments: Any) -> None:
        self.chosen = np.full(num_envs, -1)
        """[N] the box that was touched, -1 before."""
        self._way, self._wrong = way, 1.0 / (targets - 1)
        super().__init__(settings, num_envs, targets=targets, **arguments)

    @abstractmethod
    def wanted(self) -> Ints:
        """Return which box is right, [N]. Reads the cue."""

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        self.chosen[indices] = -1
        super().begin(indices, cues)

    def judge(self, asked: Bools, step: Step) -> None:
        """The first touch is the answer. See :meth:`TableTask.judge`."""
        distance = self.targets.distance(self.tip)
        self.approach(1.0 - np.minimum.reduce(distance, axis=1) / self._way, asked, step)
        touched = self.touched(asked, distance)
        answered = touched >= 0
        if np.count_nonzero(answered):
            self.chosen[answered] = touched[answered]
            right = answered & (touched == self.wanted())
            step.reward[right] += 1.0
            step.reward[answered & ~right] -= self._wrong
            self.success[right], self.score[right] = True, 1.0
            step.terminated[answered] = True
