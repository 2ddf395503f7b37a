"""Base of the tasks whose answer is a position: a point on a disc is shown, and later something is to be there.

Axes: N environments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from rlmem.envs.memory_task import CUE, Bools, Floats, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.settings import CENTER, TableSettings
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.task_settings import RecallSettings
from rlmem.errors import UserError

_RINGS, _SECTORS = 2, 4

_CELLS = _RINGS * _SECTORS
"""Cells of equal area that the disc is cut into, one for each cue."""
_CELL_NAMES = tuple(
    f"{near} {side}"
    for near in ("near", "far")
    for side in ("ahead left", "behind left", "behind right", "ahead right")
)
"""Where each cell lies, seen from the middle of the disc."""
_NEAR = 0.5
"""Additional reward for an answer exactly at the point, less in proportion to the distance: 0 on average for answers in
the middle of the disc."""


@dataclass(frozen=True, kw_only=True)
class PlaceSettings(RecallSettings, TableSettings):
    """The knobs of tasks with a point on a disc; each task checks their values. See also :class:`TableSettings`.

    Args:
        radius: R, m, radius of the disc on which the point lies.
        tolerance: r, m, how near to the point an answer must be.
        commit_distance: m, by which the hand must move to answer.
    """

    radius: float
    tolerance: float
    commit_distance: float

    @property
    def chance(self) -> float:
        """(r / R)^2, the part of the disc within r of a point: how often an answer that ignores the point is right."""
        return (self.tolerance / self.radius) ** 2

    def check_tolerance(self, *, least: float) -> None:
        """Raise UserError unless the tolerance is at least so large, m, and less than the radius."""
        if not least <= self.tolerance < self.radius:
            raise UserError(f"tolerance must be at least {least} m and less than the radius, got {self.tolerance}")


P = TypeVar("P", bound=PlaceSettings)


class PlaceTask(TableTask[P]):
    """N tables with a point, uniform on a disc, that must be remembered. The first answer ends the episode.

    Args:
        settings: The task's knobs.
        num_envs: N.
        signals: Names of the task's own components of the observation.
        home: Where the fingertip is when the query begins, before noise, m.
        visuals: Give bodies their looks.
        gui: Show the world in Bullet's window.
    """

    HEIGHTS: ClassVar[Vector] = (0.001, 0.003, 0.005)
    """m, heights of disc, rim and point, one above the other."""

    def __init__(
        self,
        settings: P,
        num_envs: int = 1,
        *,
        signals: tuple[str, ...],
        home: Vector,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        self.point = np.zeros((num_envs, 2))
        """[N, 2] m, from the disc's middle; privileged."""
        self.error = np.full(num_envs, np.nan)
        """[N] m, how far from the point the answer was; not a number before."""
        self.cue_names = _CELL_NAMES
        self._points: list[Prop] = []
        self._rims: list[Prop] = []
        self._go: list[scenery.GoLight] = []
        super().__init__(settings, num_envs, signals=signals, home=home, visuals=visuals, gui=gui)

    @property
    def num_cues(self) -> int:
        """8, one cue for each cell of the disc."""
        return _CELLS

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw a cell, and a point in it. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        self.point[index] = _point_in_cell(int(self.cue[index]), rng, self.settings.radius)
        self.error[index] = np.nan

    def answer(self, answered: Bools, place: Floats, step: Step, least: float = -math.inf) -> None:
        """Reward answers and end their episodes, in place.

        With an error of e m, and c the part of the disc that counts as right, an answer earns 1 within the tolerance,
        -c / (1 - c) outside, and 0.5 (1 - 3 e / 2 R), so that guessing earns 0 on average.

        Args:
            answered: [N] which environments answer.
            place: [N, 2] m, their answers, from the disc's middle.
            step: The step's rewards and ends, changed in place.
            least: Least value of the bracket.
        """
        radius, chance = self.settings.radius, self.settings.chance
        error = np.hypot(*(place - self.point).T)
        right = answered & (error <= self.settings.tolerance)
        step.reward[answered] += _NEAR * np.maximum(1.0 - 1.5 * error[answered] / radius, least)
        step.reward[answered] += np.where(right, 1.0, -chance / (1.0 - chance))[answered]
        self.error[answered] = error[answered]
        self.success[right], self.score[right] = True, 1.0
        step.terminated[answered] = True

    def lit(self) -> Bools:
        """Return [N] whether the point is shown."""
        if self.settings.cue == "flash":
            lit: Bools = self.phase == CUE
            return lit
        return np.full(self.num_envs, self.settings.cue == "always")

    def build_props(self, client: int) -> None:
        """Put disc, point and go light into one more world."""
        Prop(client, scenery.disc(self.settings.radius, scenery.MAT)).show(*CENTER, self.HEIGHTS[0])
        self._rims.append(Prop(client, scenery.disc(self.settings.tolerance, scenery.RIM)))
        self._points.append(Prop(client, scenery.disc(0.012, scenery.LIT, 0.002)))
        self._go.append(scenery.GoLight(client))

    def draw_props(self, index: int) -> None:
        """Light the point, and show it after the answer. See :meth:`TableTask.draw_props`."""
        answered = not math.isnan(float(self.error[index]))
        point, rim = self._points[index], self._rims[index]
        point.park()
        rim.park()
        if answered or self.lit()[index]:
            x, y = (self.point[index] + CENTER).tolist()
            right = self.error[index] <= self.settings.tolerance
            color = scenery.LIT if not answered else scenery.GREEN if right else scenery.RED
            point.show(x, y, self.HEIGHTS[2], color=scenery.LIT)
            rim.show(x, y, self.HEIGHTS[1], color=color)
        self._go[index].light(on=self.asked(index) and not answered)


def _point_in_cell(cell: int, rng: np.random.Generator, radius: float) -> tuple[float, float]:
    """Draw a point uniformly in one cell of the disc: x and y (m) from the disc's middle. Always two draws."""
    out, around = rng.random(2).tolist()
    distance = radius * math.sqrt((cell // _SECTORS + out) / _RINGS)
    angle = math.tau * (cell % _SECTORS + around) / _SECTORS
    return distance * math.cos(angle), distance * math.sin(angle)
