"""Tasks seen through a camera: small pictures instead of numbers.

What is not sensed is not seen: while the guard holds a robot and it senses nothing of itself, pictures are black but
for the cue. A picture is taken once a control step, and none is taken of the dark.

Axes: N environments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.memory_task import CUE, OVER, Indices, Ints, MemoryTask
from rlmem.envs.task_settings import TaskSettings, check_choice

SIZE = 64
"""Pixels along each side of a picture."""


@dataclass(frozen=True, kw_only=True)
class PixelSettings(TaskSettings):
    """The knobs of every task that can be seen through a camera. See also :class:`TaskSettings`.

    Args:
        observation: ``"state"``: the numbers of the task's page; ``"pixels"``: a picture [64, 64, 3], uint8, of the
            robot and what is around it, black where ``"state"`` tells nothing but the time.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    observation: Literal["state", "pixels"] = "state"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("observation", self.observation, ("state", "pixels"))


class PixelTask(MemoryTask[Any]):
    """A task with the knob ``observation``; a base to be named before the one that has its world.

    Its settings inherit from :class:`PixelSettings`, and its world has a camera: :meth:`MemoryTask.look`.
    """

    def __init__(self, settings: Any, num_envs: int = 1, *, visuals: bool = False, **world: Any) -> None:
        self.pixels = settings.observation == "pixels"
        """Whether observations are pictures."""
        self.plain = self.pixels
        self._pictures = np.zeros((num_envs, SIZE, SIZE, 3), dtype=np.uint8)
        self._taken = np.full((num_envs, 2), -1)
        # [N, 2] phase and clock of each picture.
        super().__init__(settings, num_envs, visuals=visuals or self.pixels, **world)
        if self.pixels:
            self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)

    def reset(
        self, indices: Indices | None = None, seeds: Sequence[int | None] | None = None, cues: Ints | None = None
    ) -> None:
        """Start new episodes. See :meth:`MemoryTask.reset`."""
        self._taken[self.everyone if indices is None else indices] = -1
        super().reset(indices, seeds, cues)

    def observe(self) -> NDArray[Any]:
        """Return the observations: [N, D], or pictures [N, 64, 64, 3]."""
        if not self.pixels:
            return super().observe()  # type: ignore[safe-super]  # the world's
        lit = (self.sensing() | (self.phase == CUE)) & (self.phase != OVER)
        now = np.stack((self.phase, self.clock), axis=1)
        self._pictures[~lit] = 0
        for index in np.flatnonzero(lit & (now != self._taken).any(axis=1)).tolist():
            self._pictures[index] = self.look(index)
        self._taken[:] = now
        return self._pictures.copy()
