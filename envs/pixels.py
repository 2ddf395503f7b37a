"""Image observations: tasks seen through a camera.

The camera shows no more than the state observation: while the guard holds a robot that does not observe its own state,
images are black except during the cue. An image is rendered at most once a control step, and black ones are not
rendered at all.

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
"""Width and height of an image, pixels."""


@dataclass(frozen=True, kw_only=True)
class PixelSettings(TaskSettings):
    """Knobs of every task with image observations. See also :class:`TaskSettings`.

    Args:
        observation: ``"state"``: the vector that the task's page describes; ``"pixels"``: an image [64, 64, 3], uint8,
            of the robot and its surroundings, black where ``"state"`` holds no information but the time.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    observation: Literal["state", "pixels"] = "state"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("observation", self.observation, ("state", "pixels"))


class PixelTask(MemoryTask[Any]):
    """Mixin that adds image observations to a task; list it before the task's other base classes.

    The task's settings inherit from :class:`PixelSettings`, and it implements :meth:`MemoryTask.look`.
    """

    def __init__(self, settings: Any, num_envs: int = 1, *, visuals: bool = False, **world: Any) -> None:
        self.pixels = settings.observation == "pixels"
        """Whether observations are images."""
        self.plain = self.pixels
        self._pictures = np.zeros((num_envs, SIZE, SIZE, 3), dtype=np.uint8)
        self._taken = np.full((num_envs, 2), -1)
        # [N, 2] phase and clock at which each image was rendered.
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
        """Return the observations: [N, D], or images [N, 64, 64, 3]."""
        if not self.pixels:
            return super().observe()  # type: ignore[safe-super]  # the world's
        lit = (self.sensing() | (self.phase == CUE)) & (self.phase != OVER)
        now = np.stack((self.phase, self.clock), axis=1)
        self._pictures[~lit] = 0
        for index in np.flatnonzero(lit & (now != self._taken).any(axis=1)).tolist():
            self._pictures[index] = self.look(index)
        self._taken[:] = now
        return self._pictures.copy()
