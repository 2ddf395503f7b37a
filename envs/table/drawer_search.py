"""Search drawers for an item without opening one twice: the arm makes what it has to remember."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color
from rlmem.envs.table import scenery
from rlmem.envs.table.acts import MOST_BOXES, SHOW_STEPS, USUAL_STEPS, ActSettings, ActTask, half_width
from rlmem.envs.task_settings import check_whole
from rlmem.errors import UserError
from rlmem.spec import Ceiling, TaskSpec

_AGAIN = 0.5
"""Cost of opening a drawer twice: less than waiting for the end of an act costs, so that going on is never worse."""
_WOOD: Color = (0.50, 0.33, 0.19, 1.0)
_PALE: Color = (0.86, 0.72, 0.50, 1.0)
_ITEM: Color = (0.98, 0.82, 0.12, 1.0)


@dataclass(frozen=True, kw_only=True)
class DrawerSearchSettings(ActSettings):
    """The knobs of the drawers. See also :class:`rlmem.envs.table.acts.ActSettings`.

    Args:
        k: Drawers.
        offered: Drawers on the table in an act, drawn uniformly for each act; 0: all. With some only, a fixed order is
            no longer enough: one has to know which were opened, and let an act pass in which all have been.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": {"offered": 3, "query_steps": 20}}
    k: int = 6
    offered: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("k", self.k, least=2, most=MOST_BOXES)
        check_whole("offered", self.offered, least=0, most=MOST_BOXES - 1)
        if self.offered >= self.k:
            raise UserError(f"offered must be less than k, {self.k}, or 0 for all drawers, got {self.offered}")


class DrawerSearch(ActTask[DrawerSearchSettings]):
    """One of k drawers holds an item; open one after the other, and none twice.

    A test of remembering what one has done oneself: nothing but a memory tells which drawers were opened.

    **Episode.** k small chests stand on a ring around the hand, each with a drawer that a push opens on the far side.
    One of them, drawn uniformly, holds the item. The fingertip's touch opens a drawer, and what is in it is seen for 2
    control steps (20 a second), in which the hand is held. Finding the item terminates the episode with success,
    opening a drawer for the second time terminates it as a failure. Else comes a dock: for ``dock_steps`` control steps
    it is dark and actions have no effect; after it all drawers are shut, and the hand is at rest at its home, with
    fresh noise. The episode is truncated when nothing is touched within ``query_steps`` of an act. With ``offered``,
    only so many drawers are on the table in an act, drawn anew for each; then an act passes in which nothing is
    touched, and the 2 k-th that does truncates the episode.

    **Observation** (k + 4, float32). 0 to k - 1: 1 for a drawer that is open, counter-clockwise from the one ahead; k:
    go light, on while the hand is free; the last three: position of the fingertip relative to the middle of the
    workspace at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled to
    their ranges. All are 0 in a dock. With ``cue="always"`` drawers stay open.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 for the item, -0.5 for opening a drawer twice, -0.01 for each control step in which the hand is free,
    and up to 0.1 for coming near any drawer, anew in each act.

    **Memory.** Which drawers were opened, rewritten in each act and carried through each dock. A fixed order, and where
    one is in it, is enough: log2 k bits. With ``offered`` it is the set of opened drawers: k bits.

    **Ceilings.** Without memory (1/k) (1 + (k - 1)/k + (k - 1)(k - 2)/k^2 + ...), 0.462 for k = 6. Proof: after a dock
    all that is seen is the same whatever was opened before (G4), but for noise that is drawn anew for each act. So the
    drawer that an agent without memory opens in an act is drawn from one distribution p, independently of all acts
    before. Success is that the j-th drawer is the item's and the first j differ, for some j; as the item is uniform,
    its probability is (1/k) times the sum over j of the probability that j draws from p differ, which is largest for
    the uniform p (elementary symmetric polynomials are Schur-concave). The same holds for windows of at most
    ``dock_steps`` observations. With ``offered`` the drawers on the table are drawn anew for each act too, so that the
    drawers opened, acts that pass left out, are again drawn from one distribution, and the same holds. Oracle 1: every
    drawer is opened once at most; with ``offered``, the probability that 2 k acts do not pass before the item is found
    (:func:`oracle_success`). With ``guard="none"`` the hand stays where it is after an act, and a hand that goes around
    the ring needs no memory.
    """

    Settings: ClassVar[type[DrawerSearchSettings]] = DrawerSearchSettings
    settings: DrawerSearchSettings

    def __init__(
        self, settings: DrawerSearchSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        k = settings.k
        self.cue_names = tuple(f"drawer {drawer}" for drawer in range(k))
        self.opened = np.zeros((num_envs, k), dtype=np.bool_)
        """[N, k] which drawers were opened; privileged."""
        self.last = np.full(num_envs, -1)
        """[N] the drawer opened last, -1 before, and in an act that has passed."""
        self.there = np.ones((num_envs, k), dtype=np.bool_)
        """[N, k] which drawers are on the table."""
        self.passed = np.zeros(num_envs, dtype=np.int64)
        """[N] acts in which nothing was touched."""
        self._chests: list[list[Prop]] = []
        self._trays: list[list[Prop]] = []
        self._marks: list[list[Prop]] = []
        self._items: list[Prop] = []
        there = (f"drawer {drawer} is there" for drawer in range(k if settings.offered else 0))
        signals = (*(f"drawer {drawer} is open" for drawer in range(k)), "go light", *there)
        half = (half_width(k),) * 3
        super().__init__(settings, num_envs, signals=signals, boxes=k, half=half, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: DrawerSearchSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        k, value = settings.k, memoryless_success(settings.k)
        oracle = Ceiling(1.0, "open every drawer once at most")
        if settings.offered:
            reached = oracle_success(k, settings.offered)
            oracle = Ceiling(reached, f"open none twice; {2 * k} acts without a new drawer on the table are rare")
        return TaskSpec(
            memory="own acts",
            memory_length=(settings.dock_steps, (k - 1) * (settings.dock_steps + SHOW_STEPS + USUAL_STEPS)),
            credit_length=(1, settings.query_steps),
            n_bits=float(k) if settings.offered else math.log2(k),
            metric="success",
            random=Ceiling(value, "no better than drawing each drawer uniformly; at most, since none may be touched"),
            memoryless=Ceiling(1.0, "drawers stay open")
            if settings.cue == "always"
            else Ceiling(value, f"drawers are drawn independently; uniformly, j of {k} differ most often"),
            oracle=oracle,
            guarantees=("G4",) if settings.guard == "dock" and settings.cue == "flash" else (),
        )

    @property
    def num_cues(self) -> int:
        """k, one for each drawer that may hold the item."""
        return self.settings.k

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the item's drawer. See :meth:`ActTask.deal`."""
        drawn = int(rng.integers(self.num_cues))
        self.cue[index] = drawn if cue is None else cue
        self.opened[index], self.last[index], self.passed[index] = False, -1, 0

    def touchable(self, index: int) -> Indices:
        """Return all drawers, or draw those that are offered. See :meth:`ActTask.touchable`."""
        k, offered = self.settings.k, self.settings.offered
        if offered:
            self.there[index] = False
            self.there[index, self.act_rng(index).permutation(k)[:offered]] = True
        return np.flatnonzero(self.there[index])

    def open(self, indices: Indices, boxes: Ints, step: Step) -> None:
        """Open drawers. See :meth:`ActTask.open`."""
        found, again = boxes == self.cue[indices], self.opened[indices, boxes]
        step.reward[indices] += np.where(found, 1.0, np.where(again, -_AGAIN, 0.0))
        step.terminated[indices] = found | again
        self.success[indices], self.score[indices] = found, found
        self.opened[indices, boxes], self.last[indices] = True, boxes

    def give_up(self, late: Indices, step: Step) -> None:
        """Let acts pass where only some drawers are offered, 2 k - 1 times. See :meth:`ActTask.give_up`."""
        self.passed[late] += 1
        over = late[self.passed[late] >= (2 * self.settings.k if self.settings.offered else 1)]
        step.truncated[over] = True
        going = np.setdiff1d(late, over)
        self.acts[going] += 1
        self.last[going] = -1
        self.end_act(going)

    def wanted(self) -> Ints:
        """Return the last drawer on the table that was not opened, -1 if there is none. See :meth:`ActTask.wanted`."""
        shut = self.there & ~self.opened
        last: Ints = np.where(shut.any(axis=1), self.settings.k - 1 - shut[:, ::-1].argmax(axis=1), -1)
        return last

    def signals(self) -> Floats:
        """Return which drawers are open, the go light, and with ``offered`` which are there [N, k + 1 or 2 k + 1]."""
        k = self.settings.k
        out = np.zeros((self.num_envs, k + 1 + (k if self.settings.offered else 0)))
        if self.settings.cue == "always":
            out[:, :k] = self.opened
        else:
            seen = np.flatnonzero((self.phase == CUE) | self.ended)
            out[seen, self.last[seen]] = 1.0
        out[:, k] = self.phase == QUERY
        if self.settings.offered:
            out[:, k + 1 :] = self.there
        return out

    def build_props(self, client: int) -> None:
        """Put chests, drawers, marks and the item into one more world."""
        super().build_props(client)
        half = half_width(self.settings.k)
        wall = 0.1 * half
        chest = [
            parts.box((half, half, wall), _WOOD, (0.0, 0.0, 2 * half - wall)),
            parts.box((half, wall, half), _WOOD, (0.0, half - wall, half)),
            parts.box((half, wall, half), _WOOD, (0.0, wall - half, half)),
            parts.box((wall, half, half), _WOOD, (wall - half, 0.0, half)),
            parts.sphere(0.2 * half, scenery.RIM, (-half, 0.0, half)),
        ]
        tray = [
            parts.box((0.8 * half, 0.75 * half, 0.2 * half), _PALE, (0.0, 0.0, 0.25 * half)),
            parts.box((wall, half, 0.8 * half), _PALE, (0.8 * half, 0.0, 0.9 * half)),
        ]
        self._chests.append([Prop(client, chest) for _ in self.slots])
        self._trays.append([Prop(client, tray) for _ in self.slots])
        self._marks.append([Prop(client, scenery.disc(1.6 * half, scenery.RIM)) for _ in self.slots])
        self._items.append(Prop(client, [parts.sphere(0.55 * half, _ITEM)]))

    def draw(self, index: int) -> None:
        """Show which drawers are open, and the item where it is seen. See :meth:`MemoryTask.draw`."""
        super().draw(index)
        last, item, half = int(self.last[index]), int(self.cue[index]), half_width(self.settings.k)
        shown = self.opened[index].copy()
        if self.settings.cue == "flash":
            shown[:] = False
            shown[last] = self.phase[index] == CUE or self.ended[index]
        self._items[index].park()
        for drawer, (x, y, yaw) in enumerate(self.slots.tolist()):
            out = 1.7 * half if shown[drawer] else 0.0
            if not self.there[index, drawer]:
                for prop in (self._chests, self._trays, self._marks):
                    prop[index][drawer].park()
                continue
            there = x + out * math.cos(yaw), y + out * math.sin(yaw)
            self._chests[index][drawer].show(x, y, yaw=yaw)
            self._trays[index][drawer].show(*there, yaw=yaw)
            answer = scenery.GREEN if drawer == item else scenery.RED
            color = answer if self.ended[index] and drawer == last else scenery.RIM
            self._marks[index][drawer].show(x, y, 0.001, yaw=yaw, color=color)
            if drawer == item and shown[drawer]:
                self._items[index].show(*there, half)


def memoryless_success(k: int) -> float:
    """Return (1/k) times the sum over j of the probability that j uniform draws of k drawers differ."""
    differ, total = 1.0, 0.0
    for drawn in range(k):
        total += differ
        differ *= (k - 1 - drawn) / k
    return total / k


def oracle_success(k: int, offered: int) -> float:
    """Return how often one who opens no drawer twice finds the item before 2 k acts have passed.

    With j drawers opened, an act passes with the probability that all that are offered are among them.
    """
    most = 2 * k
    passed, success = [1.0] + [0.0] * (most - 1), 0.0
    for opened in range(k):
        pass_once = math.comb(opened, offered) / math.comb(k, offered)
        for acts in range(1, most):
            passed[acts] += pass_once * passed[acts - 1]
        passed = [chance * (1.0 - pass_once) for chance in passed]
        success += sum(passed) / k
    return success
