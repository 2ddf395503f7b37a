"""The shell game: a ball is hidden under one of k cups, cups are swapped in plain view; find the ball."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, DELAY, QUERY, Floats, Ints
from rlmem.envs.pixels import PixelSettings, PixelTask
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part, Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.choice import ChoiceTask
from rlmem.envs.table.pads import WORKING, PadSettings, PadTask
from rlmem.envs.table.settings import check_meters
from rlmem.envs.task_settings import check_whole
from rlmem.errors import UserError
from rlmem.spec import Ceiling, TaskSpec

BALL_STEPS = 3
"""Control steps for which the ball is seen."""
_CUP: Vector = (0.023, 0.023, 0.028)
"""m, half extents of the box that the hand touches for a cup."""
_BULGE = 0.25
"""How far two cups swerve when they change places, as a part of the way between them."""
_LIFTED = 0.075
"""m, height of a cup that is lifted to show what is under it."""
_AWAY: Vector = (0.36, 0.0, 0.26)
"""m, where the hand is drawn while the cups move."""
_GO = (0.70, -0.17)
"""m, position of the go light."""
_CLAY: Color = (0.80, 0.36, 0.20, 1.0)
_BAND: Color = (0.96, 0.88, 0.72, 1.0)
_BALL_RADIUS = 0.016
_BALL: Color = (0.98, 0.86, 0.18, 1.0)


def as_swaps(value: Any) -> tuple[int, int]:
    """Return the least and the most of a number of swaps, or of a range (low, high) of them.

    Raises:
        UserError: If it is neither, or out of bounds.
    """
    ends = list(value) if isinstance(value, (tuple, list)) else [value, value]
    whole = all(isinstance(end, (int, np.integer)) and not isinstance(end, bool) for end in ends)
    if len(ends) != 2 or not whole or not 0 <= ends[0] <= ends[1] <= 100:
        raise UserError(f"swaps must be a whole number from 0 to 100, or a range (low, high) of them, got {value!r}")
    return int(ends[0]), int(ends[1])


@dataclass(frozen=True, kw_only=True)
class ShellGameSettings(PadSettings, PixelSettings):
    """The knobs of the shell game. See also :class:`rlmem.envs.table.pads.PadSettings`.

    Args:
        k: Cups, from 4 to 7. With three, a single swap already makes remembering the start useless.
        swaps: How often two cups change places, or a range (low, high) from which each episode draws uniformly.
        swap_steps: Control steps that a swap takes.
        commit_distance: m, from the fingertip to each cup when the query begins. Short on purpose: if right
            and wrong answers part late, a learner settles on one before it has tried the other.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING}
    k: int = 4
    swaps: int | tuple[int, int] = 1
    swap_steps: int = 3
    commit_distance: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("k", self.k, least=4, most=7)
        low, high = as_swaps(self.swaps)
        object.__setattr__(self, "swaps", (low, high) if isinstance(self.swaps, (tuple, list)) else low)
        check_whole("swap_steps", self.swap_steps, least=1, most=100)
        check_meters("commit_distance", self.commit_distance, least=0.05, most=0.10)


class ShellGame(PixelTask, ChoiceTask[ShellGameSettings], PadTask[ShellGameSettings]):
    """A ball is hidden under one of k cups, and the cups are swapped in plain view; touch the cup with the ball.

    Object permanence and tracking: what must be remembered changes after it was last seen.

    **Episode.** For 3 control steps (20 a second) a ball is seen in one of k slots on a ring; then it is covered by a
    cup, like every other slot. ``swaps`` times the cups of two slots, a pair drawn uniformly, change places, which
    takes ``swap_steps`` control steps. All of that is the cue. Nothing is seen for ``memory_length`` control steps.
    Then the go light comes on, with the hand in the middle of the cups. The first cup that the fingertip touches is the
    answer, and the episode terminates. It is truncated when no answer comes within ``query_steps``.

    **Observation** (k + P + 4 for P = k (k - 1) / 2 pairs of slots, float32). Indices 0 to k - 1: 1 for the slot in
    which the ball is seen; k to k + P - 1: for the pair of slots whose cups change places, the part of the way that
    they have gone, 1 when they arrive, 0 for the others; k + P: go light; the last three: position of the fingertip
    relative to the middle of the workspace at a height of 0.10 m, in units of 0.25 m. Slots count counter-clockwise
    from the one ahead; pairs go 0 and 1, 0 and 2, ..., 1 and 2, ... Cups look alike, so that only slots are observed.
    With ``control="joint"`` the joint angles follow, scaled to their ranges. With ``guard="delay"`` the arm's own
    components are 0 until the go light. With ``cue="always"`` the ball is seen in its slot throughout. With
    ``observation="pixels"``: a picture (64 x 64 x 3, uint8) from across the table; with ``guard="delay"`` black in the
    delay.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 for the right cup, -1 / (k - 1) for a wrong one, so that guessing earns 0 on average; -0.01 for each
    control step of the query; and up to 0.1 for coming near any cup. Before the answer the reward does not depend on
    the ball.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads comes with a ball seen in some slot, in components 0
    to k - 1. An episode counts only if 80 % of what the expert presses was pressed.

    **Memory.** Tracking of log2 k bits through the swaps, then retention over ``memory_length`` control steps.

    **Ceilings.** Without memory 1 / k: the ball's last slot is uniform and independent of the swaps and of all that is
    seen later. An agent that remembers where the ball was, and ignores s swaps, is right with probability 1 / k + (1 -
    1 / k) (1 - 2 / (k - 1))^s: a swap does not move the ball with probability 1 - 2 / k, and moves it to each other
    slot with probability 2 / (k (k - 1)); the difference, 1 - 2 / (k - 1), is the factor by which each swap reduces
    what the start says. Oracle 1. With ``guard="delay"`` the arm is held and not sensed during cue and delay, and
    starts the query at rest at its home, with fresh noise (G1, G2 and G3 hold exactly). With ``guard="cue"`` it can
    move during the delay, with ``guard="none"`` throughout, within 5 cm of its home: a hand that follows the cup needs
    no memory. With ``guard="dock"`` it can move during the delay, and passes a dock before the query (G1, G2 and G4
    hold exactly).
    """

    MARK: ClassVar[float] = 0.036
    Settings: ClassVar[type[ShellGameSettings]] = ShellGameSettings
    settings: ShellGameSettings
    derived: ClassVar[tuple[str, ...]] = ("ball_now", *ChoiceTask.derived)

    def __init__(
        self, settings: ShellGameSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        k, most = settings.k, as_swaps(settings.swaps)[1]
        self.cue_names = tuple(f"slot {slot}" for slot in range(k))
        self.pairs = list(combinations(range(k), 2))
        """The pairs of slots, P of them."""
        self.count = np.zeros(num_envs, dtype=np.int64)
        """[N] swaps of the episode."""
        self.swap = np.zeros((num_envs, most), dtype=np.int64)
        """[N, S] which pair of slots changes places in each swap; those after ``count`` mean nothing."""
        self.ball = np.zeros((num_envs, most + 1), dtype=np.int64)
        """[N, S + 1] the slot that the ball is in after so many swaps; privileged."""
        self._cups: list[list[Prop]] = []
        self._balls: list[Prop] = []
        self._go: list[scenery.GoLight] = []
        seen = (f"ball in slot {slot}" for slot in range(k))
        moved = (f"swap of slots {one} and {other}" for one, other in self.pairs)
        signals = (*seen, *moved, "go light")
        way = settings.commit_distance
        super().__init__(settings, num_envs, signals=signals, targets=k, way=way, half=_CUP, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: ShellGameSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        k, (low, high) = settings.k, as_swaps(settings.swaps)
        kept = 1 - 2 / (k - 1)
        start = sum(1 / k + (1 - 1 / k) * kept**s for s in range(low, high + 1)) / (high - low + 1)
        often = str(low) if low == high else f"{low} to {high}"
        why = f"each of {often} swaps multiplies the advantage of knowing the first slot by {kept:.3g}"
        return recall_spec(
            settings,
            memory="tracking",
            n_bits=math.log2(k),
            chance=1 / k,
            query_steps=settings.query_steps,
            guess=f"the ball's last slot is uniform over {k} and independent of the swaps and of the query",
            random="a random cup is right once in k; at most, since none may be touched",
            always="the ball is still seen at the query",
            oracle="follow the ball, touch its cup",
            never="no ball is seen: nothing to remember",
            partial={"the start, not the swaps": Ceiling(start, why)},
        )

    @property
    def ball_now(self) -> Ints:
        """[N] the slot that the ball is in."""
        ball: Ints = self.ball[self.everyone, self._swaps_done()]
        return ball

    @property
    def num_cues(self) -> int:
        """k, one cue for each slot that the ball ends in."""
        return self.settings.k

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the ball's last slot and the swaps; they tell its first. See :meth:`TableTask.deal`."""
        low, high = as_swaps(self.settings.swaps)
        self.draw_cue(index, rng, cue)
        self.count[index] = count = int(rng.integers(low, high + 1))
        self.swap[index] = rng.integers(len(self.pairs), size=high)
        self.cue_steps[index] = BALL_STEPS + count * self.settings.swap_steps
        slot = int(self.cue[index])
        self.ball[index] = slot
        for swap in range(count - 1, -1, -1):
            one, other = self.pairs[self.swap[index, swap]]
            slot = other if slot == one else one if slot == other else slot
            self.ball[index, swap] = slot

    def wanted(self) -> Ints:
        """Return the slot that the ball ends in. See :meth:`ChoiceTask.wanted`."""
        return self.cue

    def signals(self) -> Floats:
        """Return slot of the ball, pair of a swap and go light [N, k + P + 1]."""
        k, last = self.settings.k, self.settings.k + len(self.pairs)
        out = np.zeros((self.num_envs, last + 1))
        if self.settings.cue == "always":
            out[self.everyone, self.ball[self.everyone, self._swaps_done()]] = 1.0
        elif self.settings.cue == "flash":
            shown = np.flatnonzero((self.phase == CUE) & (self.clock < BALL_STEPS))
            out[shown, self.ball[shown, 0]] = 1.0
        number, part = self._swap()
        moving = np.flatnonzero(part > 0.0)
        if len(moving):
            out[moving, k + self.swap[moving, number[moving]]] = part[moving]
        out[:, last] = self.phase == QUERY
        return out

    def distraction(self) -> Floats:
        """Return a ball in the slot of each look [N, k]. See :meth:`PadTask.distraction`."""
        seen = np.zeros((self.num_envs, self.settings.k))
        seen[self.everyone, self.pad_look] = 1.0
        return seen

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Show the ball in its slot. See :meth:`PadTask.draw_distraction`."""
        x, y, _ = self.slots[self.pad_look[index]].tolist()
        self._balls[index].show(x, y, _BALL_RADIUS)
        return scenery.LIT

    def build_props(self, client: int) -> None:
        """Put cups, ball, marks and go light into one more world."""
        super().build_props(client)
        self._balls.append(Prop(client, [parts.sphere(_BALL_RADIUS, _BALL)]))
        self._cups.append([Prop(client, _cup()) for _ in self.slots])
        self._go.append(scenery.GoLight(client, *_GO))

    def draw(self, index: int) -> None:
        """Show arm and things; a held arm stays clear of the moving cups. See :meth:`MemoryTask.draw`."""
        super().draw(index)
        if self.locked and self.phase[index] in (CUE, DELAY):
            self._arms[index].place(self.kinematics.posture(np.array([_AWAY]))[0].tolist())

    def draw_props(self, index: int) -> None:
        """Show cups where they stand or move, and the ball where it is seen. See :meth:`TableTask.draw_props`."""
        chosen, phase = int(self.chosen[index]), self.phase[index]
        swap, part = (values[index].item() for values in self._swap())
        under = int(self.ball[index, swap if part > 0.0 else self._swaps_done()[index]])
        places = self.slots[:, :2].copy()
        if part > 0.0:
            one, other = self.pairs[self.swap[index, swap]]
            places[[one, other]] = swapping(places[one], places[other], part)
        flash = self.settings.cue == "flash" and phase == CUE and self.clock[index] < BALL_STEPS
        bare = flash or self.settings.cue == "always" or chosen >= 0
        for cup, (x, y) in enumerate(places.tolist()):
            if self.covered(index):
                self._cups[index][cup].park()
                continue
            lifted = cup == chosen or (bare and cup == under)
            self._cups[index][cup].show(x, y, _LIFTED if lifted else 0.0)
        if bare:
            x, y = places[under].tolist()
            self._balls[index].show(x, y, _BALL_RADIUS)
        else:
            self._balls[index].park()
        super().draw_props(index)
        self._go[index].light(on=self.asked(index) and chosen < 0)

    def _swap(self) -> tuple[Ints, Floats]:
        """Return the number of the swap that goes on, [N], and the part that is done, [N], 0 where none does."""
        steps = self.clock - BALL_STEPS
        going = (self.phase == CUE) & (steps >= 0)
        number = np.where(going, steps // self.settings.swap_steps, 0)
        return number, np.where(going, (steps % self.settings.swap_steps + 1) / self.settings.swap_steps, 0.0)

    def _swaps_done(self) -> Ints:
        """Return [N] how many swaps are over; one is with its last control step."""
        done = (self.clock - BALL_STEPS + 1) // self.settings.swap_steps
        return np.where(self.phase == CUE, np.clip(done, 0, self.count), self.count)


def swapping(one: Floats, other: Floats, part: float) -> Floats:
    """Return where two cups are that change places, [2, 2]: the one that left ``one``, the one that left ``other``.

    Args:
        one: [2] x, y.
        other: [2] x, y.
        part: Of the way, from 0 to 1.
    """
    way = other - one
    moved = part * way + _BULGE * math.sin(math.pi * part) * np.array([-way[1], way[0]])
    return np.stack((one + moved, other - moved))


def _cup() -> list[Part]:
    """Return the looks of a cup upside down, its rim at height 0."""
    return [
        parts.cylinder(0.026, 0.010, _BAND, (0.0, 0.0, 0.005)),
        *(
            parts.cylinder(0.0245 - 0.0012 * ring, 0.0096, _CLAY, (0.0, 0.0, 0.0145 + 0.009 * ring))
            for ring in range(5)
        ),
        parts.cylinder(0.0150, 0.004, _CLAY, (0.0, 0.0, 0.056)),
    ]
