"""Remember a place: a point on the table is lit, then off; later it is to be pressed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Bools, Floats, RecallSettings, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.ceilings import recall_spec
from rlmem.envs.table.disc import CELL_NAMES, CELLS, point_in_cell
from rlmem.envs.table.settings import TableSettings, check_metres
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.table.workspace import CENTRE, SENSED
from rlmem.spec import TaskSpec

_NEAR = 0.5
"""Reward for pressing exactly on the target; in proportion to the distance, and 0 on average for who presses the
disc's middle without knowing better."""


@dataclass(frozen=True, kw_only=True)
class DelayedReachSettings(TableSettings, RecallSettings):
    """The knobs of the place memory. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        radius: R, m, of the disc that targets are drawn from.
        tolerance: r, m, how near a press must be.
        commit_distance: m, that the hand comes down to press.

    Raises:
        ValueError: If a knob has a value that it cannot have.
    """

    radius: float = 0.14
    tolerance: float = 0.035
    commit_distance: float = 0.06

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metres("radius", self.radius, least=0.03, most=0.15)
        if not 0.005 <= self.tolerance < self.radius:
            raise ValueError(f"tolerance must be at least 0.005 m and less than the radius, got {self.tolerance}")
        check_metres("commit_distance", self.commit_distance, least=0.03, most=0.15)


class DelayedReach(TableTask[DelayedReachSettings]):
    """A point in a disc on the table is lit, then off; later, press the table where it was.

    **Episode.** For 3 control steps (20 a second) a point is lit: the cue, uniform on a disc of radius R. It goes off
    for ``memory_length`` control steps. Then the go light comes on, with the hand over the disc's middle. The first
    time that the fingertip comes down by ``commit_distance`` is the answer: the episode terminates, in success if it
    is within r of the point. It is truncated when no press comes within ``query_steps``.

    **Observation** (7, float32). 0: whether the point is lit; 1 and 2: its place, x (ahead) and y (left) from the
    disc's middle, as parts of 0.25 m, 0 where it is not lit; 3: go light; 4 to 6: place of the fingertip, from the
    disc's middle at a height of 0.10 m, as parts of 0.25 m. With ``control="joint"`` the joint angles follow, as parts
    of their ranges. With ``guard="delay"`` the arm senses nothing of itself until the go light.

    **Action** (3): velocity of the hand as parts of 0.6 m/s; with ``control="joint"`` (7) of the joints, as parts of
    1.5 rad/s.

    **Reward.** At the press: +1 within r, -c / (1 - c) outside, with c = (r / R)^2, and 0.5 (1 - 3 e / 2 R) for an
    error of e m, so that guessing earns 0. -0.01 a control step of the query. Nothing before the press depends on the
    point.

    **Memory.** Retention of a place, log2 (R / r)^2 bits, over ``memory_length`` control steps.

    **Ceilings.** Without memory (r / R)^2: there is one press, at one point, and the target is uniform on the disc and
    independent of it, so that a press succeeds with the part of the disc that r around it covers. Moving about above
    the table collects nothing. Oracle 1. With ``guard="delay"`` the arm is held through cue and delay, senses nothing
    of itself, and starts the query from its home at rest with fresh noise (G1, G2, G3 hold exactly). With
    ``guard="cue"`` it is free in the delay, with ``guard="none"`` throughout, above the disc: a hand that waits over
    the point needs no memory.
    """

    WAITING: ClassVar[Vector] = (0.15, 0.15, 0.03)
    Settings: ClassVar[type[DelayedReachSettings]] = DelayedReachSettings
    settings: DelayedReachSettings

    def __init__(
        self, settings: DelayedReachSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.target = np.zeros((num_envs, 2))
        """[N, 2] m, the point, from the disc's middle."""
        self.error = np.full(num_envs, np.nan)
        """[N] m, how far from it the press was; not a number before."""
        self.cue_names = CELL_NAMES
        self._discs: list[Prop] = []
        self._points: list[Prop] = []
        self._rims: list[Prop] = []
        self._go: list[Prop] = []
        super().__init__(
            settings,
            num_envs,
            signals=("lit", f"point x (of {SENSED:g} m)", f"point y (of {SENSED:g} m)", "go light"),
            home=(*CENTRE, self.PRESS_HEIGHT + settings.commit_distance),
            visuals=visuals,
            gui=gui,
        )

    @classmethod
    def spec(cls, settings: DelayedReachSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        chance = (settings.tolerance / settings.radius) ** 2
        guess = "(r / R)^2: one press covers that part of the disc, and the point is uniform on it"
        return recall_spec(
            settings,
            memory="position",
            n_bits=-math.log2(chance),
            chance=chance,
            query_steps=settings.query_steps,
            guess=guess,
            random=f"{guess}; at most, since presses may miss the disc",
            always="the point is still lit at the query",
            oracle="remember the point, press it",
            never="the point is never lit: nothing to remember",
        )

    @property
    def num_cues(self) -> int:
        """8, one cue a cell of the disc."""
        return CELLS

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw a cell, and a point in it. See :meth:`TableTask.deal`."""
        drawn = int(rng.integers(self.num_cues))
        self.cue[index] = drawn if cue is None else cue
        self.target[index] = point_in_cell(int(self.cue[index]), rng, self.settings.radius)
        self.error[index] = np.nan

    def ask(self, index: int) -> None:
        """Nothing stands on the table. See :meth:`TableTask.ask`."""

    def judge(self, asked: Bools, step: Step) -> None:
        """The first press is the answer. See :meth:`TableTask.judge`."""
        answered = asked & self.pressed()
        if answered.any():
            radius, chance = self.settings.radius, (self.settings.tolerance / self.settings.radius) ** 2
            error = np.hypot(*(self.tip[:, :2] - CENTRE - self.target).T)
            right = answered & (error <= self.settings.tolerance)
            step.reward[answered] += _NEAR * (1.0 - 1.5 * error[answered] / radius)
            step.reward[answered] += np.where(right, 1.0, -chance / (1.0 - chance))[answered]
            self.error[answered] = error[answered]
            self.success[right], self.score[right] = True, 1.0
            step.terminated[answered] = True

    def signals(self) -> Floats:
        """Return whether the point is lit, where it is, and the go light [N, 4]."""
        out = np.zeros((self.num_envs, 4))
        lit = np.full(self.num_envs, self.settings.cue == "always")
        if self.settings.cue == "flash":
            lit = self.phase == CUE
        if np.count_nonzero(lit):
            out[lit, 0], out[lit, 1:3] = 1.0, self.target[lit] / SENSED
        out[:, 3] = self.phase == QUERY
        return out

    def goal(self) -> Floats:
        """Return the point, from above until the hand is over it. Reads the point. [N, 3]."""
        place = self.target + CENTRE
        away = np.hypot(*(place - self.tip[:, :2]).T)
        height = np.where(away < 0.2 * self.settings.tolerance, self.PRESS_HEIGHT - 0.01, self._home[2])
        return np.concatenate((place, height[:, None]), axis=1)

    def build_props(self, client: int) -> None:
        """Put disc, point and go light into one more world."""
        disc = Prop(client, scenery.disc(self.settings.radius, scenery.MAT))
        disc.show(*CENTRE, 0.001)
        self._rims.append(Prop(client, scenery.disc(self.settings.tolerance, scenery.RIM)))
        self._points.append(Prop(client, scenery.disc(0.012, scenery.LIT, 0.002)))
        self._go.append(scenery.lamp(client))

    def draw_props(self, index: int) -> None:
        """Light the point, and show it after the press. See :meth:`TableTask.draw_props`."""
        x, y = (self.target[index] + CENTRE).tolist()
        answered = not math.isnan(float(self.error[index]))
        lit = self.settings.cue != "never" and (self.phase[index] == CUE or self.settings.cue == "always")
        point, rim = self._points[index], self._rims[index]
        point.park()
        rim.park()
        if lit or answered:
            right = self.error[index] <= self.settings.tolerance
            colour = scenery.LIT if not answered else scenery.GREEN if right else scenery.RED
            point.show(x, y, 0.005, colour=scenery.LIT)
            rim.show(x, y, 0.003, colour=colour)
        going = self.phase[index] >= QUERY and not answered
        self._go[index].show(0.69, -0.17, colour=scenery.GREEN if going else scenery.DARK)
