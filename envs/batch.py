"""A batch of K environments of one task with autoreset, stepped in this process or in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from rlmem.envs.full_state import FullState
from rlmem.envs.memory_task import OVER, Bools, Floats, Indices, Ints, MemoryTask, check_observations


class Ends(NamedTuple):
    """Which episodes ended in a step, and how; arrays [K], meaningful where ``ended``."""

    ended: Bools
    observation: NDArray[Any]
    """[K, D] the last observation, before any reset."""
    is_success: Bools
    score: Floats
    work: Floats
    """Share of the work that was done; not a number where there was none."""
    cue: Ints
    phase: Ints
    state: NDArray[np.float32]
    """[K, P] the full state then, without components unless it is wanted."""


class BatchStep(NamedTuple):
    """Result of one control step, each [K]."""

    observation: NDArray[Any]
    reward: Floats
    terminated: Bools
    truncated: Bools
    phase: Ints
    ends: Ends | None
    """None where no episode ended."""


class EnvState(NamedTuple):
    """State of one environment: the start of its episode and the actions since."""

    generator: dict[str, Any]
    """State of its generator before the episode began."""
    cue: int | None
    """The cue that was requested, None if it was drawn."""
    actions: Floats
    """[t, A] actions since the episode began."""
    knobs: dict[str, Any] | None = None
    """Values of the changeable knobs when the episode began; None: the present values."""


def begin_again(task: MemoryTask[Any], index: int, state: EnvState) -> None:
    """Restart the episode that a state was taken from, in one environment."""
    in_force = task.settings
    task.rngs[index].bit_generator.state = state.generator
    cues = None if state.cue is None else np.full(task.num_envs, state.cue, dtype=np.int64)
    task.change_knobs(state.knobs or {})
    task.reset(np.array([index]), None, cues)
    task.settings = in_force


_SLACK = 64


class Batch:
    """K environments of one task with autoreset and a time limit.

    Args:
        task: The task; closed with the batch.
        autoreset_mode: When an ended episode is followed by the next; see Gymnasium.
        max_episode_steps: Control steps after which episodes are truncated, or None.
        privileged: Whether the full state is wanted, see :meth:`full_state`.
        every_step: Simulate also the control steps in which, by :meth:`MemoryTask.quiet_steps`, nothing happens. The
            audit uses this to check that claim.
    """

    def __init__(
        self,
        task: MemoryTask[Any],
        autoreset_mode: AutoresetMode,
        max_episode_steps: int | None,
        *,
        privileged: bool = False,
        every_step: bool = False,
    ) -> None:
        self.task, self._every_step = task, every_step
        self.full = FullState(task) if privileged else None
        """Reads the full state, if it is wanted."""
        self._mode, self._max_steps = autoreset_mode, max_episode_steps
        self._steps = np.zeros(task.num_envs, dtype=np.int64)
        self._history: list[Floats] = []
        self._enough = _SLACK
        """Length of the history at which it is shortened next."""
        self._quiet, self._seen, self._phase = 0, np.zeros(0, dtype=np.float32), task.phase.copy()
        """Quiet steps still to be skipped, and the observations [K, D] and phases [K] during them."""

    def reset(self, mask: Bools, seeds: list[int | None], cues: Ints | None) -> tuple[NDArray[Any], Ints]:
        """Start episodes where ``mask`` [K] is true; seeds [K].

        Returns:
            Observations [K, D] and phases [K].
        """
        which = np.flatnonzero(mask)
        self.task.reset(which, [seeds[index] for index in which], cues)
        self._steps[which] = self._quiet = 0
        return self.task.observe(), self.task.phase.copy()

    def full_state(self) -> NDArray[np.float32]:
        """Return the full state [K, P] of all environments, without components unless it is wanted."""
        return np.zeros((self.task.num_envs, 0), np.float32) if self.full is None else self.full()

    def step(self, actions: Floats) -> BatchStep:
        """Run one control step with checked actions [K, A], which are kept: they must not change afterwards.

        An environment whose episode has ended rests, with reward 0: for one step with ``NEXT_STEP``, which then gives
        the next episode's first observation; until it is reset with ``DISABLED``, which gives zeros.
        """
        self._steps += 1
        self._remember(actions)
        if self._quiet:
            return self._skip_quiet_step()
        task, idle = self.task, self.task.phase == OVER
        reward, terminated, truncated = task.step_checked(actions)
        if self._max_steps is not None:
            truncated |= ~terminated & (self._steps >= self._max_steps)
        resting = np.count_nonzero(idle)
        if resting:
            reward[idle], terminated[idle], truncated[idle] = 0.0, False, False
            if self._mode is AutoresetMode.NEXT_STEP:
                self._begin(np.flatnonzero(idle))
        observation, phase, ends = task.observe(), task.phase.copy(), None
        check_observations(observation, task.observation_space)
        if resting and self._mode is AutoresetMode.DISABLED:
            observation[idle] = 0.0
        ended = terminated | truncated
        if np.count_nonzero(ended):
            ends = Ends(ended, observation, *task.outcome(), task.cue.copy(), phase, self.full_state())
            task.enter(ended, OVER)
            if self._mode is AutoresetMode.SAME_STEP:
                self._begin(np.flatnonzero(ended))
                observation, phase = task.observe(), task.phase.copy()
        self._quiet = 0 if self._every_step else task.quiet_steps()
        if self._quiet:
            self._seen, self._phase = observation.copy(), phase.copy()
            self._phase.flags.writeable = False  # many steps give this one
            if self._max_steps is not None:
                self._quiet = max(min(self._quiet, self._max_steps - 1 - int(self._steps.max())), 0)
        return BatchStep(observation, reward, terminated, truncated, phase, ends)

    def _skip_quiet_step(self) -> BatchStep:
        """Return the result of a quiet step without simulating it; see :meth:`MemoryTask.quiet_steps`."""
        self._quiet -= 1
        self.task.clock += 1
        nobody = np.zeros(self.task.num_envs, dtype=np.bool_)
        reward = np.zeros(self.task.num_envs)
        return BatchStep(self._seen.copy(), reward, nobody, nobody.copy(), self._phase, None)

    def get_state(self) -> list[EnvState]:
        """Return the state of each environment: how its episode began, and the actions since.

        Bullet's own state cannot leave its process; since episodes repeat exactly, this determines it.
        """
        return [
            EnvState(origin.generator, origin.cue, np.array([past[at] for past in self._recent(steps)]), origin.knobs)
            for at, (origin, steps) in enumerate(zip(self.task.origins, self._steps.tolist(), strict=True))
        ]

    def set_state(self, states: Sequence[EnvState]) -> None:
        """Restore the states that :meth:`get_state` returned, by repeating the episodes.

        Episodes are replayed from their starts; shorter ones start later, so that all finish together. An environment
        whose episode had ended is put into the phase ``OVER`` again.
        """
        task, size = self.task, self.task.action_space.shape
        paths = [np.asarray(state.actions, dtype=np.float64).reshape(-1, *size) for state in states]
        longest = max(len(path) for path in paths)
        task.enter(task.everyone, OVER)
        self._history, self._quiet = [], 0
        for step in range(longest + 1):
            for index, (state, path) in enumerate(zip(states, paths, strict=True)):
                if longest - len(path) == step:
                    begin_again(task, index, state)
                    self._steps[index] = 0
            if step < longest:
                offsets = [step - longest + len(path) for path in paths]
                actions = np.array(
                    [path[at] if at >= 0 else np.zeros(size) for at, path in zip(offsets, paths, strict=True)]
                )
                _, terminated, truncated = task.step_checked(actions)
                self._steps += 1
                ended = (terminated | truncated) & (task.phase != OVER)
                if self._max_steps is not None:
                    ended |= (self._steps >= self._max_steps) & (task.phase != OVER)
                task.enter(ended, OVER)
                self._remember(actions)

    def _remember(self, actions: Floats) -> None:
        """Keep the actions since the oldest episode began."""
        self._history.append(actions)
        if len(self._history) > self._enough:
            longest = int(self._steps.max())
            del self._history[:-longest]
            self._enough = 2 * longest + _SLACK

    def _recent(self, steps: int) -> list[Floats]:
        return self._history[-steps:] if steps else []

    def _begin(self, which: Indices) -> None:
        """Start the next episode in some environments."""
        self.task.reset(which)
        self._steps[which] = 0
