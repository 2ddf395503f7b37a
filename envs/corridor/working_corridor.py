"""Corridors in which the delay is work: gates to pass, obstacles to drive around, and lamps that distract.

Gates and obstacles are for robots that drive themselves. Neither they nor the flashes depend on the cue, so that the
guard's properties hold with them.

Axes: N environments, A action.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import STEP_LENGTH, CorridorSettings, CorridorTask
from rlmem.envs.corridor.course import Row, lay_out, most_things
from rlmem.envs.corridor.flashes import flashing
from rlmem.envs.corridor.floor_plan import HALF_WIDTH
from rlmem.envs.dock import DockSettings, DockTask
from rlmem.envs.memory_task import CUE, DELAY, DOCK, Floats, Ints, Step
from rlmem.envs.task_settings import check_whole
from rlmem.errors import UserError

GATE_REWARD = 0.3
"""Reward for passing a gate: a third of the answer's."""
HARD = {
    "guard": "dock",
    "memory_length": 120,
    "dock_every": 60,
    "gates": 4,
    "obstacles": 1,
    "distractors": 0.5,
}
"""Knobs of the preset ``hard``."""
_MOST = 10
"""Gates and obstacles in 100 control steps: the robot needs half a meter from one to the next."""
_THROUGH = 0.05
"""m, from the corridor's middle to the side of a gate, at which a robot passes it."""
_BESIDE = 0.12
"""m, how far beside a gate the reward is down to 0. With none for a near miss, agents learnt to keep to one side."""
_LANE = 0.13
"""m, from the corridor's middle to where the expert passes gates and obstacles."""
_LAMPS_EVERY = 1.0
"""m between lamps that flash, for rendering."""
_CLEAR = 0.9
"""m before the junction in which no lamps that flash are drawn."""
_LOOK_AHEAD = 1.0
"""m, from which the expert steers to the side where it has to pass."""


@dataclass(frozen=True, kw_only=True)
class WorkingCorridorSettings(DockSettings, CorridorSettings):
    """Knobs of corridors with work in the delay. See also :class:`DockSettings` and :class:`CorridorSettings`.

    Args:
        gates: Gates in each 100 control steps of corridor (5 m), each left or right of the middle: passing one is work.
            Not with ``guard="delay"``, which drives the robot.
        obstacles: Obstacles in each 100 control steps, each across the left or the right of the corridor. Not with
            ``guard="delay"``.
        distractors: Share of the delay in which one of the lamps flashes at random, 0 to 0.9; a bell then rings with
            the cue, to tell it from them.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    gates: int = 0
    obstacles: int = 0
    distractors: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("gates", self.gates, least=0, most=_MOST)
        check_whole("obstacles", self.obstacles, least=0, most=_MOST)
        if self.gates + self.obstacles > _MOST:
            raise UserError(
                f"gates and obstacles must be at most {_MOST} together, got {self.gates} and {self.obstacles}"
            )
        if self.guard == "delay" and self.gates + self.obstacles:
            raise UserError(
                "gates and obstacles need a robot that drives itself, and guard='delay' holds it: add guard='dock'"
            )
        if not 0.0 <= self.distractors <= 0.9:
            raise UserError(f"distractors must be from 0 to 0.9, a share of the delay, got {self.distractors}")


W = TypeVar("W", bound=WorkingCorridorSettings)


class WorkingCorridor(CorridorTask[W], DockTask[W]):
    """Base class of tasks with work in a corridor. Without gates, obstacles and distractors it adds nothing.

    A task calls :meth:`deal_course` when it deals, and puts :meth:`course_signals` into its observation.
    """

    def __init__(
        self,
        settings: W,
        num_envs: int = 1,
        *,
        arms: int,
        signals: tuple[str, ...],
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        most = [most_things(settings.lengths[1], count) for count in (settings.gates, settings.obstacles)]
        self.gates = Row(num_envs, most[0]) if settings.gates else None
        self.obstacles = Row(num_envs, most[1]) if settings.obstacles else None
        self.bell = settings.distractors > 0.0
        """Whether lamps flash, and a bell rings with the cue."""
        self.course = bool(_names(settings))
        """Whether there is any of it."""
        self._flash_seeds = np.zeros(num_envs, dtype=np.int64)
        self._panels: list[tuple[int, int]] = []
        self._course: list[scenery.Course] = []
        super().__init__(
            settings,
            num_envs,
            arms=arms,
            signals=(*signals, *_names(settings)),
            panels=2 if settings.obstacles else 0,
            visuals=visuals,
            gui=gui,
        )

    def deal_course(self, index: int, rng: np.random.Generator) -> None:
        """Draw the gates, obstacles and flashes of one environment's next corridor."""
        settings = self.settings
        if self.gates is not None or self.obstacles is not None:
            every = settings.dock_every if self.docks else 0
            rows = lay_out(int(self.length[index]), settings.gates, settings.obstacles, every, STEP_LENGTH, rng)
            for row, (x, side) in zip((self.gates, self.obstacles), rows, strict=True):
                if row is not None:
                    row.set(index, self.start_x[index] + x, side)
        if self.bell:
            self._flash_seeds[index] = rng.integers(2**62)

    def place(self, index: int, x: float, y: float, yaw: float) -> None:
        """Put a robot somewhere, with the obstacles around it. See :meth:`CorridorTask.place`."""
        super().place(index, x, y, yaw)
        if self.gates is not None:
            self.gates.put(index, x)
        if self.obstacles is not None:
            self.obstacles.put(index, x)
            self._set_obstacles(index)

    def work(self, before: Ints, step: Step) -> None:
        """Pay for gates, and move obstacles to where they are met. See :meth:`RecallTask.work`."""
        super().work(before, step)
        x, y = self.pose[:, 0], self.pose[:, 1]
        if self.gates is not None and self.tally is not None:
            passed, side = self.gates.pass_by(np.where(before == DELAY, x, -np.inf))
            missed_by = np.maximum(_THROUGH - y * side, 0.0)
            self.tally.presented += passed
            self.tally.done += passed & (missed_by == 0.0)
            step.reward[passed] += GATE_REWARD * np.maximum(1.0 - missed_by[passed] / _BESIDE, 0.0)
        if self.obstacles is not None:
            passed, _ = self.obstacles.pass_by(x)
            for index in np.flatnonzero(passed).tolist():
                self._set_obstacles(index)

    def course_signals(self) -> Floats:
        """Return what the robot observes of bell, gates and obstacles, [N, C]."""
        parts = []
        if self.bell:
            parts.append((self.phase == CUE)[:, None].astype(np.float64))
        sensing = (self.phase != DOCK)[:, None]
        parts += [row.nearness(self.pose[:, 0]) * sensing for row in (self.gates, self.obstacles) if row is not None]
        return np.concatenate(parts, axis=1)

    def distracting(self) -> Ints:
        """Return [N] the lamp that flashes now although it is not the cue, -1 where none does."""
        if not self.bell:
            return np.full(self.num_envs, -1)
        block = self.clock // self.CUE_STEPS
        lamp = flashing(self._flash_seeds, self.leg, block, self.settings.distractors, self.num_cues)
        return np.where(self.phase == DELAY, lamp, -1)

    def quiet_steps(self) -> int:
        """Return the number of coming steps in which nothing happens. See :meth:`MemoryTask.quiet_steps`."""
        return 0 if self.bell else super().quiet_steps()

    def steer_along(self) -> Floats:
        """Return actions [N, 2] that follow the corridor at full speed, through gates and around obstacles."""
        rows = [(row, sign) for row, sign in ((self.gates, 1), (self.obstacles, -1)) if row is not None]
        if not rows:
            return super().steer_along()
        nearest, lane = np.full(self.num_envs, _LOOK_AHEAD), np.zeros(self.num_envs)
        for row, sign in rows:
            distance = row.next_x - self.pose[:, 0] + 0.1 * (sign < 0)  # past an obstacle with the whole body
            lane = np.where(distance < nearest, _LANE * sign * row.next_side, lane)
            nearest = np.minimum(nearest, distance)
        return self.steer_to(np.clip(4.0 * (lane - self.pose[:, 1]), -0.8, 0.8))

    def build_obstacles(self, index: int, client: int) -> None:
        """Create the two obstacles that a robot can touch. See :meth:`CorridorTask.build_obstacles`."""
        if self.obstacles is not None:
            self._panels.append(scenery.build_panels(client, visuals=self.visuals))

    def build_props(self, client: int) -> None:
        """Create gates, obstacles and docks in a new world."""
        self._course.append(scenery.Course(client))

    def draw_course(self, index: int) -> None:
        """Show the gates and obstacles around the robot, and the dock ahead of it."""
        course = self._course[index]
        if self.gates is not None:
            for number, x, side in self.gates.around(index):
                course.show_gate(number, x, side, passed=number < self.gates.next[index])
        if self.obstacles is not None:
            for number, x, side in self.obstacles.around(index):
                course.show_panel(number, x, side)
        if self.docks:
            there = self.phase[index] in (DELAY, DOCK)
            course.show_dock(
                float(self.leg_x(self.leg + 1)[index]) if there else None, shut=bool(self.phase[index] == DOCK)
            )

    def lamp_ahead(self, index: int) -> float:
        """Return the position, m, of the lamps that the robot comes to next, of those that flash.

        The last hang at the far wall of the junction, where they do not hide the dock.
        """
        ahead = math.ceil((self.where(index)[0] + 0.3) / _LAMPS_EVERY) * _LAMPS_EVERY
        return ahead if ahead < -_CLEAR else HALF_WIDTH

    def leg_x(self, leg: Ints) -> Floats:
        """Return [N], m, the start of a leg; after the last leg that is the junction, at 0."""
        starts: Floats = self.start_x + leg * (self.settings.dock_every * STEP_LENGTH)
        return np.where(leg >= self.legs(), 0.0, starts)

    def _set_obstacles(self, index: int) -> None:
        """Put the obstacle that was passed last, and the next one, where they stand."""
        row = self.obstacles
        assert row is not None
        ahead = int(row.next[index])
        for number in (ahead - 1, ahead):
            x, side, panel = float(row.x[index, number]), int(row.side[index, number]), number % 2
            scenery.move_panel(self.worlds[index].client, self._panels[index][panel], x, side)
            self._sensor.set_panel(index, panel, x, side)


def _names(settings: Any) -> tuple[str, ...]:
    """Return the names of :meth:`WorkingCorridor.course_signals`."""
    return (
        *(("bell",) if settings.distractors > 0.0 else ()),
        *(("gate left (near 1, from 2 m 0)", "gate right (near 1, from 2 m 0)") if settings.gates else ()),
        *(("obstacle left (near 1, from 2 m 0)", "obstacle right (near 1, from 2 m 0)") if settings.obstacles else ()),
    )
