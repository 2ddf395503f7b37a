"""Follow an occluded motion: a ball rolls behind a screen; be where it comes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, OVER, QUERY, Bools, Floats, Step
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.settings import CENTER, HOME, SENSED, TableSettings, check_meters
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.task_settings import RecallSettings
from rlmem.spec import Ceiling, TaskSpec

WIDTH = 0.14
"""m, width of the screen along the ball's path."""
_FAR_EDGE = 0.72
"""m, x of the edge at which the ball disappears."""
_SPREAD = 0.10
"""m, S: where the ball disappears, and where it comes out, is uniform within so much to each side."""
_SEEN, _LEAST, _MOST = 0.6, 6, 60
"""Control steps for which the ball is seen, as a part of those for which it is hidden; at least and at most."""
_CELLS = 8
"""Parts of equal width of the edge where the ball comes out, one for each cue."""
_BALL = 0.020
"""m, its radius."""
_NEAR = 0.5
"""Additional reward for being exactly there, less in proportion to the distance: 0 on average for staying in the
middle. Never below -0.5."""


@dataclass(frozen=True, kw_only=True)
class InterceptSettings(TableSettings, RecallSettings):
    """The knobs of occluded motion. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        tolerance: r, m, how near along the edge the hand must be to where the ball comes out.
        query_steps: Control steps from the go light until the ball comes out, at least 10.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    tolerance: float = 0.02
    query_steps: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_meters("tolerance", self.tolerance, least=0.005, most=0.05)


class Intercept(TableTask[InterceptSettings]):
    """A ball rolls behind a screen; have the hand where it comes out, at the right time.

    **Episode.** A ball rolls towards the robot at a constant velocity: the cue. It disappears behind a screen 0.14 m
    wide, at a place uniform within S = 0.10 m to each side of the middle, and comes out on the near side at another
    place, also uniform and independent of the first; its path is the straight line through both. ``memory_length``
    control steps (20 a second) after it has disappeared the go light comes on, and the hand, on the near side, can move
    along the edge. The ball comes out ``query_steps`` later. Then the episode terminates, with success if the hand is
    within r of the ball along the edge. It is seen for 0.6 times as many steps as it is hidden, at least 6 and at most
    60: the longer it is hidden, the slower it rolls.

    **Observation** (7, float32). 0: whether the ball is seen; 1 and 2: its place, x (ahead, from the screen's far edge)
    and y (left of the middle), in units of 0.25 m, 0 while it is not seen; 3: go light; 4 to 6: position of the
    fingertip relative to the middle of the workspace at a height of 0.10 m, in units of 0.25 m. With
    ``control="joint"`` the joint angles follow, scaled to their ranges. With ``guard="delay"`` the arm's own components
    are 0 until the go light. The velocity is not observed: it follows from two positions.

    **Action** (2): velocity of the hand along x and y in units of 0.6 m/s; with ``control="joint"`` (7), of the joints
    in units of 1.5 rad/s.

    **Reward.** Once, when the ball comes out: +1 within r, -c / (1 - c) outside, with c = r / S, and 0.5 (1 - 2 e / S),
    at least -0.5, for an error of e m, so that guessing earns about 0 on average. No reward before.

    **Memory.** A path: the ball's position and velocity, retained over ``memory_length`` control steps and extrapolated
    to the near edge, log2 (S / r) bits.

    **Ceilings.** Without memory r / S: wherever the hand is in the end, the ball comes out within r of it with that
    probability, since its exit is uniform and independent of all that is seen and done at the query. Remembering where
    it disappeared, but not where it was going, does not help (``partial``). Oracle 1. With ``guard="delay"`` the arm is
    held and not sensed during cue and delay, and starts the query at rest in the middle, with fresh noise (G1, G2 and
    G3 hold exactly; how long the ball is seen does not depend on where it comes out). With ``guard="cue"`` the hand can
    move during the delay, with ``guard="none"`` throughout: it can go to the right place at once and wait there.
    """

    WAITING: ClassVar[Vector] = (0.04, 0.15, 0.0)
    PLANAR: ClassVar[bool] = True
    STEP_COST: ClassVar[float] = 0.0
    Settings: ClassVar[type[InterceptSettings]] = InterceptSettings
    settings: InterceptSettings

    def __init__(
        self, settings: InterceptSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.enters = np.zeros(num_envs)
        """[N] m, y where the ball disappears."""
        self.exits = np.zeros(num_envs)
        """[N] m, y where it comes out."""
        self.error = np.full(num_envs, np.nan)
        """[N] m, how far the hand was from there; not a number before."""
        width = 2 * _SPREAD / _CELLS
        self.cue_names = tuple(f"{1e3 * (width * (cell + 0.5) - _SPREAD):+.0f} mm" for cell in range(_CELLS))
        self._balls: list[Prop] = []
        self._marks: list[Prop] = []
        self._go: list[scenery.GoLight] = []
        place = (f"ball {axis} (of {SENSED:g} m)" for axis in ("x", "y"))
        super().__init__(
            settings, num_envs, signals=("ball seen", *place, "go light"), home=HOME, visuals=visuals, gui=gui
        )
        self.low, self.high = self.low.copy(), self.high.copy()
        self.low[0], self.high[0] = CENTER[0] - self.WAITING[0], CENTER[0] + self.WAITING[0]

    @classmethod
    def spec(cls, settings: InterceptSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        chance = settings.tolerance / _SPREAD
        guess = "r / S: wherever the hand is, a ball whose exit is uniform within S comes out so near so often"
        return recall_spec(
            settings,
            memory="occluded motion",
            n_bits=-math.log2(chance),
            chance=chance,
            query_steps=settings.query_steps,
            guess=guess,
            random=f"{guess}; at most",
            always="the ball is seen until it comes out",
            oracle="remember the ball's path, be where it ends",
            never="the ball is never seen: nothing to remember",
            partial={"where it disappeared": Ceiling(chance, "independent of where it comes out")},
        )

    @property
    def num_cues(self) -> int:
        """8, one cue for each part of the edge where the ball comes out."""
        return _CELLS

    @property
    def hidden_steps(self) -> Floats:
        """[N] control steps for which the ball is hidden."""
        return (self.length + self.query_steps).astype(np.float64)

    @property
    def ball(self) -> Floats:
        """[N, 2] m: how far the ball is before the screen's far edge, negative behind it, and how far aside."""
        hidden, before = self.hidden_steps, np.where(self.phase == CUE, self.cue_steps - self.clock, 0)
        since = np.where(self.phase == CUE, 0, np.where(self.phase == QUERY, self.length, 0) + self.clock)
        since = np.where(self.phase == OVER, hidden, since)
        way = np.where(self.phase == CUE, -before, since) / hidden
        return np.stack((-WIDTH * way, self.enters + (self.exits - self.enters) * way), axis=-1)

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw where the ball disappears and where it comes out. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        out, into = rng.random(2).tolist()
        self.exits[index] = _SPREAD * (2.0 * (self.cue[index] + out) / _CELLS - 1.0)
        self.enters[index] = _SPREAD * (2.0 * into - 1.0)
        steps = round(_SEEN * float(self.length[index] + self.query_steps))
        self.cue_steps[index] = min(max(steps, _LEAST), _MOST)
        self.error[index] = np.nan

    def quiet_steps(self) -> int:
        """Return how long all arms are held, and the ball is hidden. See :meth:`MemoryTask.quiet_steps`."""
        return 0 if self.settings.cue == "always" else super().quiet_steps()

    def ask(self, index: int) -> None:
        """Do nothing: no box stands on the table. See :meth:`TableTask.ask`."""

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Compare the hand's position with the ball's when it comes out. See :meth:`TableTask.query_reward`."""
        out = asked & (self.clock >= self.query_steps)
        if out.any():
            chance = self.settings.tolerance / _SPREAD
            error = np.abs(self.tip[:, 1] - CENTER[1] - self.exits)
            right = out & (error <= self.settings.tolerance)
            step.reward[out] += _NEAR * np.maximum(1.0 - 2.0 * error[out] / _SPREAD, -1.0)
            step.reward[out] += np.where(right, 1.0, -chance / (1.0 - chance))[out]
            self.error[out] = error[out]
            self.success[right], self.score[right] = True, 1.0
            step.terminated[out] = True

    def signals(self) -> Floats:
        """Return whether the ball is seen, where it is, and the go light [N, 4]."""
        out = np.zeros((self.num_envs, 4))
        if self.settings.cue != "never":
            seen = self.everyone if self.settings.cue == "always" else np.flatnonzero(self.phase == CUE)
            out[seen, 0], out[seen, 1:3] = 1.0, np.clip(self.ball[seen] / SENSED, -1.0, 1.0)
        out[:, 3] = self.phase == QUERY
        return out

    def goal(self) -> Floats:
        """Return where the ball comes out; privileged. [N, 3]."""
        goal = np.tile(self._home, (self.num_envs, 1))
        goal[:, 1] += self.exits
        return goal

    def build_props(self, client: int) -> None:
        """Put screen, ball and lamp into one more world."""
        half, middle = WIDTH / 2, _FAR_EDGE - WIDTH / 2
        Prop(client, [parts.box((0.16, 0.17, 0.0005), scenery.MAT)]).show(middle, 0.0, 0.0005)
        board = [parts.box((half, 0.16, 0.004), (0.16, 0.32, 0.52, 1.0))]
        Prop(client, board).show(middle, 0.0, 0.054)
        for side in (-0.155, 0.155):
            Prop(client, [parts.box((half, 0.005, 0.025), parts.GRAPHITE)]).show(middle, side, 0.025)
        self._balls.append(Prop(client, [parts.sphere(_BALL, scenery.COLORS["orange"])]))
        self._marks.append(Prop(client, [parts.box((0.020, self.settings.tolerance, 0.001), scenery.RIM)]))
        self._go.append(scenery.GoLight(client, 0.64, -0.215))

    def draw_props(self, index: int) -> None:
        """Show the ball where it is not hidden, and where it came out. See :meth:`TableTask.draw_props`."""
        ball, mark, over = self._balls[index], self._marks[index], not math.isnan(float(self.error[index]))
        ball.park()
        mark.park()
        if over:
            y, near = float(self.exits[index]), _FAR_EDGE - WIDTH
            ball.show(near - _BALL, y, _BALL)
            mark.show(near - 0.030, y, 0.002, color=scenery.GREEN if self.success[index] else scenery.RED)
        elif self.phase[index] == CUE and self.settings.cue != "never":
            x, y = self.ball[index].tolist()
            ball.show(_FAR_EDGE + x, y, _BALL)
        self._go[index].light(on=self.phase[index] >= QUERY and not over)
