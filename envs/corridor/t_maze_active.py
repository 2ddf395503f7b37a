"""Active T-maze: the robot must drive to a spot behind the start to see the cue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from rlmem.envs.corridor.corridor_task import STEP_LENGTH
from rlmem.envs.corridor.t_maze import TMaze, TMazeSettings
from rlmem.envs.memory_task import CUE, DELAY, SEARCH, WAIT, Bools, Floats, Indices, Ints, Phase, Step
from rlmem.envs.task_settings import as_length, check_whole, draw_length, length_range
from rlmem.errors import UserError
from rlmem.spec import TaskSpec


@dataclass(frozen=True, kw_only=True)
class TMazeActiveSettings(TMazeSettings):
    """Knobs of the active T-maze. See also :class:`rlmem.envs.corridor.t_maze.TMazeSettings`.

    Args:
        look_distance: m, distance behind the start at which the cue is shown, and in front of it at which the search
            ends. Short for the same reason as ``commit_distance``.
        search_steps: Control steps after which the search ends without the cue.
        credit_length: Control steps from the answer to its reward, or a range (low, high) from which each episode
            draws log-uniformly. 1: immediately.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    look_distance: float = 0.2
    search_steps: int = 40
    credit_length: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("search_steps", self.search_steps, least=5, most=1_000)
        if not 0.05 <= self.look_distance <= 5.0:
            raise UserError(f"look_distance must be from 0.05 to 5.0 m, got {self.look_distance}")
        object.__setattr__(self, "credit_length", as_length("credit_length", self.credit_length))

    @property
    def waits(self) -> tuple[int, int]:
        """Minimum and maximum of ``credit_length``."""
        return length_range(self.credit_length)


class TMazeActive(TMaze):
    """The cue is only shown at a spot behind the start; the rest is as in ``TMaze-v0``.

    The active T-maze of Ni et al., "When Do Transformers Shine in RL?", NeurIPS 2023, with a simulated robot.

    **Episode.** The robot starts with the corridor ahead of it. If it backs up by ``look_distance``, one of k lamps
    is lit for 3 control steps: the cue. If it drives forward by as much first, or has done neither within
    ``search_steps``, the episode continues without the cue. Corridor, junction and answer are those of ``TMaze-v0``.
    With a ``credit_length`` above 1 the answer is rewarded that many control steps later: the robot is held where it
    answered, whatever the guard, and the episode ends with the reward.

    **Observation, action, reward.** As in ``TMaze-v0``; the robot also observes its own state in the search. There
    is no reward for seeing the cue: it pays off at the junction.

    **Memory.** Retention of log2 k bits over ``memory_length`` control steps, and credit: the answer is rewarded
    after ``credit_length``, seeing the cue after both. What must be remembered does not depend on the delay of the
    reward, so the two lengths can be varied independently; the delay of the reward matters for learning only.

    **Ceilings.** Without memory 1 / k, oracle 1: as in ``TMaze-v0``. The search ends before the cue is shown, so
    that G1, G2 and G3 hold from the cue on as they do there; the answer is given before the wait for its reward.
    """

    CHANGEABLE: ClassVar[tuple[str, ...]] = ("memory_length", "credit_length")
    Settings: ClassVar[type[TMazeActiveSettings]] = TMazeActiveSettings
    settings: TMazeActiveSettings

    def __init__(
        self, settings: TMazeActiveSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.credit = np.ones(num_envs, dtype=np.int64)
        """[N] control steps from the answer to its reward in the episode."""
        super().__init__(settings, num_envs, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: TMazeSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        assert isinstance(settings, TMazeActiveSettings)
        low, high = settings.lengths
        least, most = settings.waits
        credit = (low + least - 1, high + settings.query_steps + most - 1)
        return replace(super().spec(settings), memory="retention + credit", credit_length=credit)

    def longest_corridor(self) -> float:
        """Return the length of the longest corridor with the way to the spot, m."""
        return self.settings.lengths[1] * STEP_LENGTH + self.settings.look_distance

    def room_behind(self) -> float:
        """Return the length of corridor behind the start, m."""
        return super().room_behind() + self.settings.look_distance

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw also the delay of the reward. See :meth:`RecallTask.deal`."""
        super().deal(index, rng, cue)
        self.lamp_x[index] = self.start_x[index] - self.settings.look_distance + 0.30
        low, high = self.settings.waits
        self.credit[index] = low if low == high else draw_length(rng, (low, high))

    def start(self, indices: Indices) -> None:
        """Put the robots at the start and begin the search. See :meth:`RecallTask.start`."""
        self.enter(indices, SEARCH)
        for index in indices.tolist():
            self.place(index, self.start_x[index], *self._start_noise[index].tolist())

    def work(self, before: Ints, step: Step) -> None:
        """End the search, and the wait for the reward of an answer. See :meth:`RecallTask.work`."""
        super().work(before, step)
        searching = before == SEARCH
        driven = self.pose[:, 0] - self.start_x
        found = searching & (driven <= -self.settings.look_distance)
        gone = searching & ~found
        gone &= (driven >= self.settings.look_distance) | (self.clock >= self.settings.search_steps)
        self.enter(found, CUE)
        self.enter(gone, DELAY)
        due = (before == WAIT) & (self.clock >= self.credit - 1)
        if due.any():
            right = due & (self.chosen == self.cue)
            super().answered(right, due & ~right, step)

    def answered(self, right: Bools, wrong: Bools, step: Step) -> None:
        """Reward answers at once, or start the wait for their reward. See :meth:`TMaze.answered`."""
        at_once = self.credit <= 1
        super().answered(right & at_once, wrong & at_once, step)
        self.enter((right | wrong) & ~at_once, WAIT)

    def held(self) -> Bools:
        """Return [N] whether the robot is held: by the guard, or because it has answered."""
        held: Bools = super().held() | (self.phase == WAIT)
        return held

    def sensing(self) -> Bools:
        """Return [N] whether the robot observes its own state: also in the search."""
        sensing: Bools = super().sensing() | (self.phase == SEARCH)
        return sensing

    def expert_action(self) -> Floats:
        """Return actions [N, 2] that back up to the cue, then those of the T-maze's expert; reads the cue."""
        back = np.stack((-np.ones(self.num_envs), np.clip(-1.5 * self.pose[:, 2], -1.0, 1.0)), axis=-1)
        return np.where((self.phase == Phase.SEARCH)[:, None], back, super().expert_action())

    def where(self, index: int) -> tuple[float, float, float]:
        """Return x, y (m) and yaw (rad) for rendering: at the spot behind the start during the cue."""
        x, y, yaw = super().where(index)
        return (
            (x - self.settings.look_distance, y, yaw) if self.locked and self.phase[index] == Phase.CUE else (x, y, yaw)
        )
