"""Things along a corridor that a robot meets one after another, each on the left or the right: gates and obstacles.

Only the next thing and the last one passed matter at any time, so that a step costs the same in a corridor of any
length.

Axes: N environments.
"""

from __future__ import annotations

import math

import numpy as np

from rlmem.envs.corridor.floor_plan import MAX_RANGE
from rlmem.envs.memory_task import Bools, Floats, Ints

SECTION = 100
"""Control steps at full speed of the stretch of corridor for which ``gates`` and ``obstacles`` are counted."""
_FREE = 0.35
"""m, along the corridor, around its ends and the starts of legs, in which nothing stands."""


class Row:
    """Gates, or obstacles, of N corridors, in the order in which a robot meets them.

    Args:
        num_envs: N.
        most: Most things in a corridor.
    """

    def __init__(self, num_envs: int, most: int) -> None:
        self.x = np.full((num_envs, most + 2), np.inf)
        """[N, most + 2] m; the first of them is behind all, and those that there are not are far ahead."""
        self.x[:, 0] = -np.inf
        self.side = np.zeros((num_envs, most + 2), dtype=np.int64)
        """[N, most + 2] 1: left, -1: right."""
        self.next = np.ones(num_envs, dtype=np.int64)
        """[N] number of the next thing."""
        self.next_x = np.full(num_envs, np.inf)
        self.next_side = np.zeros(num_envs, dtype=np.int64)
        """[N] where the next thing is, m, and on which side."""

    def set(self, index: int, x: Floats, side: Ints) -> None:
        """Set the things in one corridor, at ascending x, m."""
        count = len(x)
        self.x[index, 1:] = np.inf
        self.x[index, 1 : count + 1], self.side[index, 1 : count + 1] = x, side

    def put(self, index: int, x: float) -> None:
        """Say that a robot was put at x, m."""
        self.next[index] = np.searchsorted(self.x[index], x, side="right")
        self._look(index)

    def pass_by(self, x: Floats) -> tuple[Bools, Ints]:
        """Return [N] whether robots at x, m, have come past the next thing, and the side it is on."""
        passed: Bools = x >= self.next_x
        side = self.next_side
        if np.count_nonzero(passed):
            side = side.copy()
            self.next += passed
            for index in np.flatnonzero(passed).tolist():
                self._look(index)
        return passed, side

    def around(self, index: int) -> list[tuple[int, float, int]]:
        """Return number, position, m, and side of the things around one robot: two behind it and three ahead."""
        first = int(self.next[index]) - 2
        return [
            (number, *((float(self.x[index, number]), int(self.side[index, number])) if known else (math.inf, 1)))
            for number in range(first, first + 5)
            for known in (0 < number < self.x.shape[1],)
        ]

    def nearness(self, x: Floats) -> Floats:
        """Return [N, 2] how near the next thing is if it is left, and if it is right: 1 here, 0 from 2 m on."""
        near = np.minimum(np.maximum(1.0 - (self.next_x - x) / MAX_RANGE, 0.0), 1.0)
        signals = np.zeros((len(x), 2))
        signals[:, 0] = near * (self.next_side > 0)
        signals[:, 1] = near * (self.next_side < 0)
        return signals

    def _look(self, index: int) -> None:
        """Look up the next thing of one corridor."""
        number = self.next[index]
        self.next_x[index], self.next_side[index] = self.x[index, number], self.side[index, number]


def most_things(length: int, count: int) -> int:
    """Return the most things of a kind in a corridor of ``length`` control steps, with ``count`` in each section."""
    return -(-length * count // SECTION) + 1


def lay_out(
    length: int, gates: int, obstacles: int, dock_every: int, step_length: float, rng: np.random.Generator
) -> tuple[tuple[Floats, Ints], tuple[Floats, Ints]]:
    """Draw the gates and obstacles of a corridor.

    Both alternate at equal distances, and each is left or right with equal probability, whatever the cue. Where the
    corridor begins and ends, and where robots come out of docks, the way is free.

    Args:
        length: Of the corridor, control steps.
        gates: Gates in each section.
        obstacles: Obstacles in each section.
        dock_every: Control steps between docks; 0 if there are none in the corridor.
        step_length: m in a control step.
        rng: Draws the sides.

    Returns:
        m from the start, and side, of the gates; and of the obstacles.
    """
    together = gates + obstacles
    spacing = SECTION * step_length / together
    number = np.arange(int(length * step_length / spacing))
    x, side = (number + 0.5) * spacing, 1 - 2 * rng.integers(0, 2, len(number))
    leg = dock_every * step_length or 2.0 * length * step_length
    free = (x < _FREE) | (x > length * step_length - _FREE) | (np.minimum(x % leg, leg - x % leg) < min(_FREE, leg / 2))
    blocks = (number + 1) * obstacles // together > number * obstacles // together
    return tuple((x[kind & ~free], side[kind & ~free]) for kind in (~blocks, blocks))  # type: ignore[return-value]
