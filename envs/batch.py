"""K worlds of a task with their ends handled: what a vector environment steps, here or in a worker process."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from rlmem.envs.memory_task import OVER, Bools, Floats, Indices, Ints, MemoryTask


class Ends(NamedTuple):
    """Which episodes ended in a step, and how; arrays [K], meaningful where ``ended``."""

    ended: Bools
    observation: NDArray[np.float32]
    """[K, D] the last observation, before any reset."""
    is_success: Bools
    score: Floats
    cue: Ints
    phase: Ints


class BatchStep(NamedTuple):
    """What a step gives back, each [K]."""

    observation: NDArray[np.float32]
    reward: Floats
    terminated: Bools
    truncated: Bools
    phase: Ints
    ends: Ends | None
    """None where no episode ended."""


class Batch:
    """K environments of one task.

    Args:
        task: The task; closed with the batch.
        autoreset_mode: When an ended episode is followed by the next; see Gymnasium.
        max_episode_steps: Truncate episodes after so many control steps, or None.
    """

    def __init__(self, task: MemoryTask[Any], autoreset_mode: AutoresetMode, max_episode_steps: int | None) -> None:
        self.task = task
        self._mode, self._max_steps = autoreset_mode, max_episode_steps
        self._steps = np.zeros(task.num_envs, dtype=np.int64)

    def reset(self, mask: Bools, seeds: list[int | None], cues: Ints | None) -> tuple[NDArray[np.float32], Ints]:
        """Start episodes where ``mask`` [K] is true; seeds [K].

        Returns:
            Observations [K, D] and phases [K].
        """
        which = np.flatnonzero(mask)
        self.task.reset(which, [seeds[index] for index in which], cues)
        self._steps[which] = 0
        return self.task.observe(), self.task.phase.copy()

    def step(self, actions: Floats) -> BatchStep:
        """Run one control step with checked actions [K, A].

        An environment whose episode has ended rests, with reward 0: for one step with ``NEXT_STEP``, which then gives
        the next episode's first observation; until it is reset with ``DISABLED``, which gives zeros.
        """
        task, idle = self.task, self.task.phase == OVER
        reward, terminated, truncated = task.step_checked(actions)
        self._steps += 1
        if self._max_steps is not None:
            truncated |= ~terminated & (self._steps >= self._max_steps)
        resting = bool(idle.any())
        if resting:
            reward[idle], terminated[idle], truncated[idle] = 0.0, False, False
            if self._mode is AutoresetMode.NEXT_STEP:
                self._begin(np.flatnonzero(idle))
        observation, phase, ends = task.observe(), task.phase.copy(), None
        if resting and self._mode is AutoresetMode.DISABLED:
            observation[idle] = 0.0
        ended = terminated | truncated
        if ended.any():
            ends = Ends(ended, observation, task.success.copy(), task.score.copy(), task.cue.copy(), phase)
            task.enter(ended, OVER)
            if self._mode is AutoresetMode.SAME_STEP:
                self._begin(np.flatnonzero(ended))
                observation, phase = task.observe(), task.phase.copy()
        return BatchStep(observation, reward, terminated, truncated, phase, ends)

    def _begin(self, which: Indices) -> None:
        """Let the next episodes begin in some environments."""
        self.task.reset(which)
        self._steps[which] = 0
