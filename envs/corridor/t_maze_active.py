"""The active T-maze: the light can only be seen by going to look for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from rlmem.envs.corridor.corridor_task import STEP_LENGTH
from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.envs.memory_task import CUE, DELAY, SEARCH, Bools, Floats, Phase, Step, check_whole
from rlmem.spec import TaskSpec


@dataclass(frozen=True, kw_only=True)
class TMazeActiveSettings(TMazeSettings):
    """The knobs of the active T-maze. See also :class:`rlmem.envs.corridor.t_maze.TMazeSettings`.

    Args:
        look_distance: m, from the start back to the spot where the light can be seen, and forward to where the way
            back closes. Short for the same reason as ``commit_distance``.
        search_steps: Control steps after which the robot goes on without having looked.

    Raises:
        ValueError: If a knob has a value that it cannot have.
    """

    look_distance: float = 0.2
    search_steps: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("search_steps", self.search_steps, least=5, most=1_000)
        if not 0.05 <= self.look_distance <= 5.0:
            raise ValueError(f"look_distance must be from 0.05 to 5.0 m, got {self.look_distance}")


class TMazeActive(TMaze):
    """The light shines only at a spot behind the start: go and look first, then as in ``TMaze-v0``.

    The active T-maze of Ni et al., "When Do Transformers Shine in RL?", NeurIPS 2023, with a body.

    **Episode.** The robot starts with the corridor ahead of it. If it backs up by ``look_distance``, one of k lamps
    lights for 3 control steps: the cue. If it goes forward by as much first, or has done neither within
    ``search_steps``, it goes on without having seen it. Corridor, junction and answer are those of ``TMaze-v0``.

    **Observation, action, reward.** As in ``TMaze-v0``; the robot also senses itself while it searches. Nothing is
    paid for looking: its reward comes at the junction.

    **Memory.** Retention of log2 k bits, and credit: to look pays ``memory_length`` control steps later.

    **Ceilings.** Without memory 1 / k, oracle 1: as in ``TMaze-v0``. The search ends before the cue is shown, so
    that G1, G2 and G3 hold from the cue on as they do there.
    """

    Settings: ClassVar[type[TMazeActiveSettings]] = TMazeActiveSettings
    settings: TMazeActiveSettings

    @classmethod
    def spec(cls, settings: TMazeSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        low, high = settings.lengths
        steps = settings.query_steps
        return replace(super().spec(settings), memory="retention + credit", credit_length=(low, high + steps))

    def longest_corridor(self) -> float:
        """Return the length of the longest corridor with the way to the spot, m."""
        return self.settings.lengths[1] * STEP_LENGTH + self.settings.look_distance

    def room_behind(self) -> float:
        """Return the length of corridor behind the start, m."""
        return super().room_behind() + self.settings.look_distance

    def start(self, index: int, sideways: float, heading: float) -> None:
        """Put the robot of one environment at the start, free to search."""
        self.phase[index], self.clock[index] = int(Phase.SEARCH), 0
        self.lamp_x[index] = self.start_x[index] - self.settings.look_distance + 0.30
        self.place(index, self.start_x[index], sideways, heading)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        searching, clock = self.phase == SEARCH, self.clock.copy()
        step = super().advance(actions)
        driven = self.pose[:, 0] - self.start_x
        found = searching & (driven <= -self.settings.look_distance)
        gone = searching & ~found
        gone &= (driven >= self.settings.look_distance) | (clock >= self.settings.search_steps)
        self.enter(found, CUE)
        self.enter(gone, DELAY)
        return step

    def sensing(self) -> Bools:
        """Return [N] whether the robot senses itself: while it searches too."""
        sensing: Bools = super().sensing() | (self.phase == SEARCH)
        return sensing

    def expert_action(self) -> Floats:
        """Back up to the light, then as in the T-maze. Reads the cue. [N, 2]."""
        back = np.stack((-np.ones(self.num_envs), np.clip(-1.5 * self.pose[:, 2], -1.0, 1.0)), axis=-1)
        return np.where((self.phase == Phase.SEARCH)[:, None], back, super().expert_action())

    def where(self, index: int) -> tuple[float, float, float]:
        """Return x, y (m) and yaw (rad) as seen: at the light while it shines."""
        x, y, yaw = super().where(index)
        return (
            (x - self.settings.look_distance, y, yaw) if self.rails and self.phase[index] == Phase.CUE else (x, y, yaw)
        )
