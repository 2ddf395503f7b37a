"""Docks: the robot moves during the delay, and docks reset its pose so that it cannot store the cue there.

With ``guard="dock"`` the robot is held during the cue and then moves with full physics. Before the query, and also
every ``dock_every`` control steps if set, it enters a dock: for ``dock_steps`` control steps actions have no effect and
the observation is constant. Then the world is restored, with the robot at rest at a pose that the episode's seed
determines.

The dock therefore erases all traces (property G4): from its first step on, observations and rewards under the same
later actions are bit for bit the same whatever the robot did before and whatever the cue was, except for the reward of
the answer.
An agent that sees the last w <= ``dock_steps`` observations is then no better than one without memory.

Axes: N environments, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np

from rlmem.envs.memory_task import DELAY, DOCK, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.recall import RecallTask
from rlmem.envs.task_settings import RecallSettings, check_whole

DockGuard = Literal["delay", "cue", "dock", "none"]


@dataclass(frozen=True, kw_only=True)
class DockSettings(RecallSettings):
    """Knobs of tasks with docks. See also :class:`rlmem.envs.task_settings.RecallSettings`.

    Args:
        guard: ``"delay"``: the robot is held, and does not observe its own state, from the cue to the query; ``"cue"``:
            it is held during the cue only; ``"dock"``: it is held during the cue, then moves and observes freely,
            except in docks, which reset its pose; ``"none"``: it is never held, for studying how an agent uses its body
            as memory.
        dock_steps: With ``guard="dock"``: length of a dock, control steps.
        dock_every: With ``guard="dock"``: control steps (at full speed) between docks; 0 for a single dock before the
            query.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    GUARDS: ClassVar[tuple[str, ...]] = ("delay", "cue", "dock", "none")
    guard: DockGuard = "delay"  # type: ignore[assignment]  # one more than every task has
    dock_steps: int = 5
    dock_every: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("dock_steps", self.dock_steps, least=1, most=1_000)
        check_whole("dock_every", self.dock_every, least=0, most=10_000)


D = TypeVar("D", bound=DockSettings)


class DockTask(RecallTask[D]):
    """Base class of recall tasks with docks in the delay.

    The delay is divided into legs, with a dock at the end of each. A task defines where a robot starts the next leg
    (:meth:`start_leg`) and when a leg is over (:meth:`phase_over`, by default after its control steps). In the dock
    the observation must be 0.
    """

    def __init__(self, settings: D, num_envs: int = 1, *, visuals: bool = False, gui: bool = False) -> None:
        super().__init__(settings, num_envs, visuals=visuals, gui=gui)
        self.docks = settings.guard == "dock"
        """Whether there are docks."""
        self.leg = np.zeros(num_envs, dtype=np.int64)
        """[N] docks passed."""
        self._pose_seeds = np.zeros(num_envs, dtype=np.int64)

    def legs(self) -> Ints:
        """Return [N] the number of legs, and so of docks, in the delay; the last leg may be shorter."""
        every = self.settings.dock_every
        return -(-self.length // every) if self.docks and every else np.ones_like(self.length)

    def leg_steps(self) -> Ints:
        """Return [N] the control steps of this leg of the delay, as it is asked for."""
        if not self.docks:
            return self.length
        left = self.length - self.leg * self.settings.dock_every
        steps: Ints = np.minimum(left, self.settings.dock_every or left)
        return steps

    def phase_over(self) -> Bools:
        """Return [N] whether the cue or the leg ends with this control step. See :meth:`RecallTask.phase_over`."""
        over = super().phase_over()
        return np.where(self.phase == DELAY, self.clock >= self.leg_steps(), over) if self.docks else over

    @abstractmethod
    def start_leg(self, indices: Indices) -> None:
        """Restore some worlds, with the robot at rest at the start of :attr:`leg`; see :meth:`pose_noise`."""

    def pose_noise(self, index: int, size: int) -> Floats:
        """Return noise, uniform in [-1, 1], for the start of a leg, from the episode's seed and the leg alone."""
        return np.random.default_rng([int(self._pose_seeds[index]), int(self.leg[index])]).uniform(-1.0, 1.0, size)

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        self.leg[indices] = 0
        if self.docks:
            self._pose_seeds[indices] = [self.rngs[index].integers(2**62) for index in indices.tolist()]
        super().begin(indices, cues)

    def advance(self, actions: Floats) -> Step:
        """Run one control step; a dock ends after its control steps. See :meth:`MemoryTask.advance`."""
        if not self.docks:
            return super().advance(actions)
        docked = self.phase == DOCK
        step = super().advance(actions)
        leaving = np.flatnonzero(docked & (self.clock >= self.settings.dock_steps))
        if len(leaving):
            self.leg[leaving] += 1
            last = (self.leg >= self.legs())[leaving]
            self.start_query(leaving[last])
            self.enter(leaving[last], QUERY)
            self.start_leg(leaving[~last])
            self.enter(leaving[~last], DELAY)
        return step

    def end_delay(self, indices: Indices) -> None:
        """Enter the dock, if there are docks, else the query. See :meth:`RecallTask.end_delay`."""
        if self.docks:
            self.enter(indices, DOCK)
        else:
            super().end_delay(indices)

    def held(self) -> Bools:
        """Return [N] whether the robot is held: by the guard, or in a dock."""
        held = super().held()
        return held | (self.phase == DOCK) if self.docks else held

    def sensing(self) -> Bools:
        """Return [N] whether the robot observes its own state: never in a dock."""
        sensing = super().sensing()
        return sensing & (self.phase != DOCK) if self.docks else sensing
