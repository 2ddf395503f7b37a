"""Base of the set memory and the sequence memory: touch several cubes, one after the other.

There is one cube of each of M colors. Some are shown and taken away; at the query all M cubes stand on a ring around
the hand. A right touch takes its cube off the table, a wrong one ends the episode, and the last right one ends it with
success.

Axes: N environments, M colors, L items to touch, C cues.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Bools, Floats, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots.parts import Color
from rlmem.envs.table import scenery
from rlmem.envs.table.pads import PadSettings, PadTask
from rlmem.envs.table.scenery import HALF
from rlmem.envs.table.settings import CENTER, check_meters
from rlmem.envs.table.targets import around_hand, way_to_box
from rlmem.envs.task_settings import check_choice

MOST = len(scenery.COLORS)
"""Number of colors."""
ITEM_STEPS = 3
"""Control steps for which each color is shown, when they are shown one by one."""
REACH = 0.14
"""m, the unit of the cubes' positions in the observation: a little more than the ring's radius."""
_STAGE = 0.70
"""m, x of the mats for cubes that are shown, and for those that were touched."""
_GO = (0.70, -0.17)
"""m, position of the go light."""


@dataclass(frozen=True, kw_only=True)
class CollectSettings(PadSettings):
    """The knobs of tasks with several touches. See also :class:`rlmem.envs.table.pads.PadSettings`.

    Args:
        order: How the cubes stand around the hand: ``"turned"``: always in the same order of colors, from a random
            slot on; ``"shuffled"``: in random order, which takes longer to learn.
        commit_distance: m, from the fingertip to each cube when the query begins. Short on purpose: if right
            and wrong answers part late, a learner settles on one before it has tried the other.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    order: Literal["turned", "shuffled"] = "turned"
    commit_distance: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("order", self.order, ("turned", "shuffled"))
        check_meters("commit_distance", self.commit_distance, least=0.05, most=0.10)


S = TypeVar("S", bound=CollectSettings)


class Collect(PadTask[S]):
    """Cubes of several colors are shown; later each of them is to be touched. See the module's text.

    Args:
        colors: M, colors that stand on the table at the query.
        answers: [C, L] the colors that each cue asks for.
    """

    derived: ClassVar[tuple[str, ...]] = ("right_slots",)

    def __init__(
        self,
        settings: S,
        num_envs: int,
        *,
        colors: int,
        answers: Ints,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        self.answers, self.names = answers, tuple(scenery.COLORS)[:colors]
        self.cue_names = tuple(", ".join(self.names[color] for color in answer) for answer in answers.tolist())
        self.slots = around_hand(colors, settings.commit_distance, HALF)
        """[M, 3] x, y (m) and yaw (rad) of each slot."""
        self.slot = np.zeros((num_envs, colors), dtype=np.int64)
        """[N, M] where the cube of each color stands."""
        self.wanted = np.zeros((num_envs, answers.shape[1]), dtype=np.int64)
        """[N, L] the colors to touch, in the order in which they are shown; privileged."""
        self.taken = np.zeros((num_envs, colors), dtype=np.bool_)
        """[N, M] whether the cube of each color was touched, rightly."""
        self.wrong = np.full(num_envs, -1)
        """[N] the color that was touched wrongly, -1 before."""
        self._props: list[list[Prop]] = []
        self._marks: list[list[Prop]] = []
        self._go: list[scenery.GoLight] = []
        axes = [f"{name} cube {axis} (of {REACH:g} m)" for name in self.names for axis in ("x", "y")]
        super().__init__(
            settings,
            num_envs,
            signals=(*(f"shown: {name}" for name in self.names), "go light", *axes),
            targets=colors,
            visuals=visuals,
            gui=gui,
        )

    @abstractmethod
    def due(self) -> Bools:
        """Return which colors would be right to touch now, [N, M]."""

    @abstractmethod
    def shown(self) -> Bools:
        """Return which colors are to be seen while the cue is shown, [N, M]."""

    @property
    def right_slots(self) -> Bools:
        """[N, M] in which slots the cubes stand that would be right to touch now; none before the query."""
        slots = np.zeros_like(self.taken)
        np.put_along_axis(slots, self.slot, self.due() & (self.phase == QUERY)[:, None], axis=1)
        return slots

    @property
    def num_cues(self) -> int:
        """C."""
        return len(self.answers)

    @property
    def count(self) -> Ints:
        """[N] right touches so far."""
        count: Ints = self.taken.sum(axis=1)
        return count

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the cue and where the cubes stand. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        order, first = rng.permutation(len(self.names)), int(rng.integers(len(self.names)))
        turned = self.settings.order == "turned"
        self.slot[index] = (np.arange(len(order)) + first) % len(order) if turned else order
        self.wanted[index] = self.answers[self.cue[index]]
        self.taken[index], self.wrong[index] = False, -1

    def ask(self, index: int) -> None:
        """Put the cubes into their slots. See :meth:`TableTask.ask`."""
        for color, slot in enumerate(self.slot[index].tolist()):
            self.targets.stand(index, color, *self.slots[slot].tolist())

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Remove right cubes; end the episode at a wrong one and after the last. See :meth:`TableTask.query_reward`."""
        distance = self.targets.distance(self.tip)
        self.approach(self._closeness(distance), asked, step)
        color = self.touched(asked, distance)
        answered = color >= 0
        if not answered.any():
            return
        items, due = self.wanted.shape[1], self.due()
        right = answered & due[self.everyone, color]
        wrong = answered & ~right
        # A random touch is right with odds due : others, and so earns nothing on average.
        others = np.maximum((self.targets.standing & ~due).sum(axis=1), 1)
        step.reward[right] += 1.0 / items
        step.reward[wrong] -= (due.sum(axis=1) / others / items)[wrong]
        self.wrong[wrong] = color[wrong]
        self.taken[right, color[right]] = True
        for index in np.flatnonzero(right).tolist():
            self.targets.remove(index, int(color[index]))
        self.armed[right] = True  # The cube is gone, so that the next touch is that of another.
        # The way to the next cube starts here: being near one already earns nothing.
        self.progress[right] = self._closeness(self.targets.distance(self.tip))[right]
        done = right & (self.count == items)
        self.success[done], self.score[done] = True, 1.0
        step.terminated[wrong | done] = True

    def signals(self) -> Floats:
        """Return the colors shown, go light and places of the cubes [N, 3 M + 1]."""
        size = len(self.names)
        out = np.zeros((self.num_envs, 3 * size + 1))
        asked = self.phase == QUERY
        if self.settings.cue != "never":
            cued = self.phase == CUE
            out[cued, :size] = self.shown()[cued]
            if self.settings.cue == "always":
                out[~cued, :size] = self.due()[~cued]
        out[:, size] = asked
        if asked.any():
            places = (self.slots[self.slot, :2] - CENTER) / REACH * self.targets.standing[:, :, None]
            out[asked, size + 1 :] = places[asked].reshape(-1, 2 * size)
        return out

    def goal(self) -> Floats:
        """Return the next cube in the order shown, by the middle. Reads the cue. [N, 3]."""
        rows = self.everyone[:, None]
        first = self.taken[rows, self.wanted].argmin(axis=1)
        goal = np.empty((self.num_envs, 3))
        goal[:, :2], goal[:, 2] = self.slots[self.slot[self.everyone, self.wanted[self.everyone, first]], :2], HALF
        return way_to_box(self.tip, goal, CENTER)

    def item(self, number: Ints) -> Bools:
        """Return the color with this number in the order shown, [N, M]; the last beyond the end.

        Args:
            number: [N], from 0.
        """
        item = np.zeros_like(self.taken)
        item[self.everyone, self.wanted[self.everyone, np.minimum(number, self.wanted.shape[1] - 1)]] = True
        return item

    @property
    def num_looks(self) -> int:
        """M: a pad can have each color."""
        return len(self.names)

    def distraction(self) -> Floats:
        """Return the color of each look [N, M]. See :meth:`PadTask.distraction`."""
        shown: Floats = np.eye(len(self.names))[self.pad_look]
        return shown

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Show the cube on the pad. See :meth:`PadTask.draw_distraction`."""
        self._props[index][self.pad_look[index]].show(x, y, HALF + 0.010, yaw=0.4)
        return scenery.LIT

    def build_props(self, client: int) -> None:
        """Put cubes, stage, marks and go light into one more world."""
        for y in self._row():
            Prop(client, scenery.disc(0.038, scenery.MAT)).show(_STAGE, y, 0.001)
        self._marks.append([Prop(client, scenery.disc(0.040, scenery.RIM)) for _ in self.slots])
        self._go.append(scenery.GoLight(client, *_GO))
        self._props.append([Prop(client, scenery.SHAPES["cube"](scenery.COLORS[name])) for name in self.names])

    def draw_props(self, index: int) -> None:
        """Show cubes where they stand; those touched lie on the mats. See :meth:`TableTask.draw_props`."""
        asked, cubes, mats = self.asked(index), self._props[index], self._row()
        for cube in cubes:
            cube.park()
        colors = scenery.GREEN, scenery.RED, scenery.RIM
        seen: list[int] = []
        if asked:
            seen = [color for color in self.wanted[index].tolist() if self.taken[index, color]]
        elif self.settings.cue != "never" and self.phase[index] == CUE:
            seen = np.flatnonzero(self.shown()[index]).tolist()
        elif self.settings.cue == "always":
            seen = np.flatnonzero(self.due()[index]).tolist()
        for color, y in zip(seen, mats, strict=False):
            cubes[color].show(_STAGE, y, HALF + 0.002, yaw=0.3)
        wrong = int(self.wrong[index])
        for color, slot in enumerate(self.slot[index].tolist()):
            x, y, yaw = self.slots[slot].tolist()
            taken = bool(self.taken[index, color])
            if asked and not taken:
                cubes[color].show(x, y, HALF, yaw=yaw)
            paint = colors[0] if taken else colors[1] if color == wrong else colors[2]
            self._marks[index][slot].show(x, y, 0.001, yaw=yaw, color=paint)
        self._go[index].light(on=asked and wrong < 0 and not self.success[index])

    def _closeness(self, distance: Floats) -> Floats:
        """Return how near the hand is to any cube, [N], 1 where it touches one."""
        closeness: Floats = 1.0 - distance.min(axis=1) / self.settings.commit_distance
        return np.maximum(closeness, 0.0)

    def _row(self) -> list[float]:
        """Return y of the mats, L of them."""
        return [0.20 - 0.08 * item for item in range(self.wanted.shape[1])]
