"""Remember a position: a point on the table is lit and goes off; later it is to be pressed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import QUERY, Bools, Floats, Step
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots.parts import Color, Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.pads import WORKING, PadSettings, PadTask
from rlmem.envs.table.place import PlaceSettings, PlaceTask
from rlmem.envs.table.settings import CENTER, SENSED, check_meters
from rlmem.spec import TaskSpec


@dataclass(frozen=True, kw_only=True)
class DelayedReachSettings(PadSettings, PlaceSettings):
    """The knobs of the place memory. See also :class:`rlmem.envs.table.pads.PadSettings`.

    Args:
        radius: R, m, radius of the disc on which the point lies.
        tolerance: r, m, how near to the point a press must be.
        commit_distance: m, by which the hand must come down to press.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING}
    radius: float = 0.14
    tolerance: float = 0.035
    commit_distance: float = 0.06

    def __post_init__(self) -> None:
        super().__post_init__()
        check_meters("radius", self.radius, least=0.03, most=0.15)
        self.check_tolerance(least=0.005)
        check_meters("commit_distance", self.commit_distance, least=0.03, most=0.15)


class DelayedReach(PlaceTask[DelayedReachSettings], PadTask[DelayedReachSettings]):
    """A point in a disc on the table is lit, then off; later, press the table where it was.

    **Episode.** For 3 control steps (20 a second) a point is lit: the cue, uniform on a disc of radius R. It goes off
    for ``memory_length`` control steps. Then the go light comes on, with the hand above the disc's middle. The first
    time that the fingertip comes down by ``commit_distance`` is the answer: the episode terminates, with success if it
    is within r of the point. It is truncated when no press comes within ``query_steps``.

    **Observation** (7, float32). 0: whether the point is lit; 1 and 2: its place, x (ahead) and y (left) from the
    disc's middle, in units of 0.25 m, 0 while it is not lit; 3: go light; 4 to 6: position of the fingertip relative to
    the disc's middle at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow,
    scaled to their ranges. With ``guard="delay"`` the arm's own components are 0 until the go light.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** At the press: +1 within r, -c / (1 - c) outside, with c = (r / R)^2, and 0.5 (1 - 3 e / 2 R) for an
    error of e m, so that guessing earns 0 on average. -0.01 for each control step of the query. Before the press the
    reward does not depend on the point.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads looks like a lit point, in components 0 to 2. An
    episode counts only if 80 % of what the expert presses was pressed.

    **Memory.** Retention of a place, log2 (R / r)^2 bits, over ``memory_length`` control steps.

    **Ceilings.** Without memory (r / R)^2: there is one press, at one point, and the target is uniform on the disc and
    independent of it, so that a press succeeds with a probability equal to the part of the disc that a circle of radius
    r covers. Moving above the table earns nothing. Oracle 1. With ``guard="delay"`` the arm is held and not sensed
    during cue and delay, and starts the query at rest at its home, with fresh noise (G1, G2 and G3 hold exactly). With
    ``guard="cue"`` it can move during the delay, with ``guard="none"`` throughout, above the disc: a hand that waits
    over the point needs no memory. With ``guard="dock"`` it can move during the delay, and passes a dock before the
    query (G1, G2 and G4 hold exactly).
    """

    WAITING: ClassVar[Vector] = (0.15, 0.15, 0.03)
    Settings: ClassVar[type[DelayedReachSettings]] = DelayedReachSettings
    settings: DelayedReachSettings

    def __init__(
        self, settings: DelayedReachSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        super().__init__(
            settings,
            num_envs,
            signals=("lit", f"point x (of {SENSED:g} m)", f"point y (of {SENSED:g} m)", "go light"),
            home=(*CENTER, self.PRESS_HEIGHT + settings.commit_distance),
            visuals=visuals,
            gui=gui,
        )

    @classmethod
    def spec(cls, settings: DelayedReachSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        guess = "(r / R)^2: one press covers that part of the disc, on which the point is uniform"
        return recall_spec(
            settings,
            memory="position",
            n_bits=-math.log2(settings.chance),
            chance=settings.chance,
            query_steps=settings.query_steps,
            guess=guess,
            random=f"{guess}; at most, since presses may miss the disc",
            always="the point is still lit at the query",
            oracle="remember the point, press it",
            never="the point is never lit: nothing to remember",
        )

    def ask(self, index: int) -> None:
        """Do nothing: no box stands on the table. See :meth:`TableTask.ask`."""

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take the first press as the answer. See :meth:`TableTask.query_reward`."""
        answered = asked & self.pressed()
        if answered.any():
            self.answer(answered, self.tip[:, :2] - CENTER, step)

    def signals(self) -> Floats:
        """Return whether the point is lit, where it is, and the go light [N, 4]."""
        out = np.zeros((self.num_envs, 4))
        lit = self.lit()
        if np.count_nonzero(lit):
            out[lit, 0], out[lit, 1:3] = 1.0, self.point[lit] / SENSED
        out[:, 3] = self.phase == QUERY
        return out

    @property
    def num_looks(self) -> int:
        """1: a pad can look like a point where it lies."""
        return 1

    def distraction(self) -> Floats:
        """Return a point where the lit pad lies [N, 3]. See :meth:`PadTask.distraction`."""
        place = self.pads[self.everyone, self.lit_pad] / SENSED
        return np.concatenate((np.ones((self.num_envs, 1)), place), axis=1)

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Show a point on the pad. See :meth:`PadTask.draw_distraction`."""
        self._points[index].show(x, y, 0.012, color=scenery.LIT)
        return scenery.RIM

    def goal(self) -> Floats:
        """Return the point, approached from above; privileged. [N, 3]."""
        place = self.point + CENTER
        away = np.hypot(*(place - self.tip[:, :2]).T)
        height = np.where(away < 0.2 * self.settings.tolerance, self.PRESS_HEIGHT - 0.01, self._home[2])
        return np.concatenate((place, height[:, None]), axis=1)
