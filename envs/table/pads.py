"""Work in the delay of table tasks: pads light up one after another, and the hand presses them.

With ``pads`` = P > 0, P pads lie around the middle of the table in the delay. Every :data:`PAD_STEPS` control steps one
of them lights up, and goes out when the fingertip presses it, or when the next lights up. Coming nearer earns
:data:`WAY_PAY` a meter, the press :data:`PRESS_PAY`. Where the pads lie and which of them light up follows from the
episode's seed and the number of docks passed; neither depends on the cue or on what the hand does.

With ``distractors`` > 0 that part of the lit pads looks like a cue, in the very components of the observation that
showed it. That a pad is lit tells them apart.

Axes: N environments, P pads, D observation, A action, F components that show the cue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.dock import DockSettings, DockTask
from rlmem.envs.memory_task import DELAY, DOCK, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part
from rlmem.envs.table import scenery
from rlmem.envs.table.settings import CENTER, LOW, SENSED, TableSettings
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.table.targets import ring
from rlmem.envs.task_settings import check_whole
from rlmem.errors import UserError

PAD_STEPS = 15
"""Control steps from one pad to the next."""
PAD_RADIUS = 0.030
"""m; a fingertip within it, and no higher than ``PRESS_HEIGHT``, presses the pad."""
WAY_PAY = 1.0
"""Reward for a meter nearer to the lit pad; going away costs as much."""
PRESS_PAY = 0.1
"""Reward for a press."""
EXPERT_WORK = 0.95
"""Share of the pads that the expert presses, at least."""
MOST_PADS = 6
_NEAREST, _FARTHEST = 0.075, 0.130
"""m from the middle of the table, between which pads lie."""
_ROOM = 0.15
"""m ahead, behind and to each side of the middle: where the hand can be while it works."""
_ABOVE = 0.05
"""m above its home that the hand can rise while it works."""
_WAIT = 0.045
"""m, height at which the expert's fingertip waits for the next pad."""
_DARK: Color = (0.55, 0.58, 0.63, 1.0)
_DOCK: Color = (0.16, 0.42, 0.80, 1.0)
_WALL, _EDGE, _HIGH = 0.055, 0.004, 0.022
"""m, half extents of the dock: to its walls, of a wall across, and upwards."""


WORKING: dict[str, Any] = {
    "guard": "dock",
    "memory_length": 120,
    "dock_every": 60,
    "pads": 4,
    "distractors": 1.0,
}
"""Knobs that all hard presets share: eight pads in a delay of two legs, each of which looks like a cue."""


@dataclass(frozen=True, kw_only=True)
class PadSettings(DockSettings, TableSettings):
    """Knobs of table tasks with work. See also :class:`rlmem.envs.dock.DockSettings` and :class:`TableSettings`.

    Args:
        pads: With ``guard="dock"``: pads that light up one after another in the delay, for the hand to press, at most
            6; 0 for no work.
        distractors: Part of the lit pads, from 0 to 1, that look like a cue.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    pads: int = 0
    distractors: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("pads", self.pads, least=0, most=MOST_PADS)
        if not 0.0 <= self.distractors <= 1.0:
            raise UserError(f"distractors must be from 0 to 1, a part of the pads, got {self.distractors!r}")
        if self.pads and self.guard != "dock":
            raise UserError(f'pads must be 0 with guard="{self.guard}": pads are pressed with guard="dock" only')
        if self.distractors and not self.pads:
            raise UserError("distractors must be 0 without pads: set pads too, to 4 for example")

    @property
    def expert_work(self) -> float | None:
        """Share of the work that the expert does; None without work."""
        return EXPERT_WORK if self.pads else None


S = TypeVar("S", bound=PadSettings)


class PadTask(TableTask[S], DockTask[S]):
    """N tables with docks, and with pads to press in the delay if there are any. See the module's text.

    A task defines what a pad that looks like a cue shows: :attr:`num_looks`, :meth:`distraction` and
    :meth:`draw_distraction`.
    """

    def __init__(self, settings: S, num_envs: int = 1, *, signals: tuple[str, ...], **world: Any) -> None:
        count = settings.pads
        self.pads = np.zeros((num_envs, count, 2))
        """[N, P, 2] m, places of the pads from the middle of the table."""
        self.lit_pad = np.full(num_envs, -1)
        """[N] which pad is lit, -1 for none."""
        self.pad_look = np.full(num_envs, -1)
        """[N] what the lit pad looks like, of ``num_looks`` looks of a cue; -1 for a plain pad."""
        self._last_pad = np.zeros(num_envs, dtype=np.int64)
        self._goal = np.zeros((num_envs, 2))
        # [N, 2] m, where the pad lies that was lit last.
        self._to_pad = np.zeros(num_envs)
        # [N] m, from the fingertip to the lit pad.
        self._pad_rngs = [np.random.default_rng(0)] * num_envs
        self._mats: list[Prop] = []
        self._pad_props: list[list[Prop]] = []
        self._docks: list[Prop] = []
        self._pad_column = len(signals)
        if count:
            signals = (*signals, "pad lit", f"pad x (of {SENSED:g} m)", f"pad y (of {SENSED:g} m)")
        super().__init__(settings, num_envs, signals=signals, **world)
        if count:
            x, y = CENTER
            low, high = (x - _ROOM, y - _ROOM, LOW[2]), (x + _ROOM, y + _ROOM, self._home[2] + _ABOVE)
            self._waiting = np.array(low), np.array(high)

    @property
    def num_looks(self) -> int:
        """How many different looks of a cue a pad can have."""
        return self.num_cues

    def distraction(self) -> Floats:
        """Return what the first F components of the observation show of a pad with :attr:`pad_look`, [N, F]."""
        raise NotImplementedError

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Show what a lit pad at x, y (m) with :attr:`pad_look` looks like; return its color."""
        raise NotImplementedError

    def start_delay(self, indices: Indices) -> None:
        """Lay the pads out, and light the first. See :meth:`RecallTask.start_delay`."""
        super().start_delay(indices)
        self._lay_out(indices)

    def start_leg(self, indices: Indices) -> None:
        """Put arms to their homes, and lay the pads out anew. See :meth:`DockTask.start_leg`."""
        super().start_leg(indices)
        self._lay_out(indices)

    def end_delay(self, indices: Indices) -> None:
        """Put all pads out. See :meth:`RecallTask.end_delay`."""
        self.lit_pad[indices] = -1
        super().end_delay(indices)

    def work(self, before: Ints, step: Step) -> None:
        """Reward coming nearer to lit pads and pressing them; light the next. See :meth:`RecallTask.work`."""
        super().work(before, step)
        working = before == DELAY
        if self.tally is None or not np.count_nonzero(working):  # there is a tally where there are pads
            return
        lit, away = working & (self.lit_pad >= 0), self._distance()
        np.add(step.reward, WAY_PAY * (self._to_pad - away), out=step.reward, where=lit)
        self._to_pad = away
        pressed = lit & (away <= 0.0)
        if np.count_nonzero(pressed):
            step.reward[pressed] += PRESS_PAY
            self.lit_pad[pressed] = -1
            self.tally.done[pressed] += 1.0
            self.tally.presented[pressed] += 1.0
        passed = working & (self.clock % PAD_STEPS == 0)
        if np.count_nonzero(passed):
            self.tally.presented[passed & (self.lit_pad >= 0)] += 1.0
            self._light_next(np.flatnonzero(passed))

    def observe(self) -> NDArray[Any]:
        """Return the observations, with the lit pad; it may look like a cue. See :meth:`ArmTask.observe`."""
        observation = super().observe()
        lit = np.flatnonzero(self.lit_pad >= 0)
        if len(lit):
            column = self._pad_column
            observation[lit, column] = 1.0
            observation[lit, column + 1 : column + 3] = self.pads[lit, self.lit_pad[lit]] / SENSED
            if self.settings.distractors:
                lit = lit[self.pad_look[lit] >= 0]
                shown = self.distraction()
                observation[lit, : shown.shape[1]] = shown[lit]
        return observation

    def expert_action(self) -> Floats:
        """Press the lit pad, and wait over the middle while none is lit; see also :meth:`TableTask.expert_action`."""
        actions = super().expert_action()
        working = self.phase == DELAY
        if self.settings.pads and np.count_nonzero(working):
            goal = np.tile((*CENTER, _WAIT), (self.num_envs, 1))
            lit = np.flatnonzero(self.lit_pad >= 0)
            goal[lit, :2] = self.pads[lit, self.lit_pad[lit]] + CENTER
            goal[lit, 2] = self.PRESS_HEIGHT - 0.006
            actions[working] = self.toward(goal)[working]
        return actions

    def build_bodies(self, index: int, client: int) -> None:
        """Put the looks of the pads into one more world. See :meth:`ArmTask.build_bodies`."""
        super().build_bodies(index, client)
        if self.visuals and self.docks:
            pads = range(self.settings.pads)
            self._mats.append(Prop(client, scenery.disc(_ROOM + PAD_RADIUS, scenery.MAT)))
            self._pad_props.append([Prop(client, scenery.disc(PAD_RADIUS, _DARK, 0.003)) for _ in pads])
            self._docks.append(Prop(client, _dock()))

    def covered(self, index: int) -> bool:
        """Return whether a mat with pads covers what else lies on the table of one world: in delay and docks."""
        return self.settings.pads > 0 and self.phase[index] in (DELAY, DOCK)

    def draw(self, index: int) -> None:
        """Show pads in the delay, and the dock with the arm at home in it. See :meth:`TableTask.draw`."""
        super().draw(index)
        if not self.docks:
            return
        dock, mat = self._docks[index], self._mats[index]
        for prop in (dock, mat, *self._pad_props[index]):
            prop.park()
        if self.phase[index] == DOCK:  # no physics until the arm is put there anyway
            self._arms[index].place(self.kinematics.posture(self.home[index : index + 1])[0].tolist())
            dock.show(float(self.home[index, 0]), float(self.home[index, 1]), float(self.home[index, 2]))
        if self.covered(index):
            mat.show(*CENTER, 0.002)
        if self.phase[index] == DELAY:
            for pad, prop in enumerate(self._pad_props[index]):
                x, y = (self.pads[index, pad] + CENTER).tolist()
                color = _DARK
                if pad == self.lit_pad[index]:
                    color = scenery.LIT if self.pad_look[index] < 0 else self.draw_distraction(index, x, y)
                prop.show(x, y, 0.006, color=color)

    def _distance(self) -> Floats:
        """Return [N] how far each fingertip is from pressing the lit pad, m; 0 where it presses."""
        way = self.tip[:, :2] - self._goal
        across = np.maximum(np.hypot(way[:, 0], way[:, 1]) - PAD_RADIUS, 0.0)
        away: Floats = np.hypot(across, np.maximum(self.tip[:, 2] - self.PRESS_HEIGHT, 0.0))
        return away

    def _lay_out(self, indices: Indices) -> None:
        """Draw the places of the pads for one leg of the delay, and light the first."""
        count = self.settings.pads
        if not count or not len(indices):
            return
        for index in indices.tolist():
            rng = np.random.default_rng([int(self._pose_seeds[index]), int(self.leg[index]), count])
            self._pad_rngs[index], self._last_pad[index] = rng, -1
            places = ring(count, 1.0, first=rng.uniform(0.0, 2.0 * np.pi))[:, :2]
            self.pads[index] = places * rng.uniform(_NEAREST, _FARTHEST, (count, 1))
        self._light_next(indices)

    def _light_next(self, indices: Indices) -> None:
        """Light the next pad in some worlds: any but the last. The number of draws is always the same."""
        count, looks, share = self.settings.pads, self.num_looks, self.settings.distractors
        for index in indices.tolist():
            rng, last = self._pad_rngs[index], int(self._last_pad[index])
            draw, like, look = rng.random(), rng.random() < share, int(rng.integers(looks))
            pad = int(draw * count) if last < 0 or count == 1 else (last + 1 + int(draw * (count - 1))) % count
            self.lit_pad[index] = self._last_pad[index] = pad
            self.pad_look[index] = look if like else -1
            self._goal[index] = self.pads[index, pad] + CENTER
        self._to_pad[indices] = self._distance()[indices]


def _dock() -> list[Part]:
    """Return the looks of a dock: four walls around a fingertip at the origin."""
    walls = [parts.box((_EDGE, _WALL, _HIGH), _DOCK, (side * _WALL, 0.0, 0.0)) for side in (-1, 1)]
    return walls + [parts.box((_WALL, _EDGE, _HIGH), _DOCK, (0.0, side * _WALL, 0.0)) for side in (-1, 1)]
