"""Remember a set: some cubes are shown and taken away; later all of them are to be touched, in any order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Literal

import numpy as np

from rlmem.envs.memory_task import Bools
from rlmem.envs.recall import recall_spec
from rlmem.envs.table.collect import ITEM_STEPS, MOST, Collect, CollectSettings
from rlmem.envs.table.pads import WORKING
from rlmem.envs.task_settings import check_choice, check_whole
from rlmem.spec import Ceiling, TaskSpec


@dataclass(frozen=True, kw_only=True)
class RememberSetSettings(CollectSettings):
    """The knobs of the set memory. See also :class:`rlmem.envs.table.collect.CollectSettings`.

    Args:
        n: Colors to remember, of 2 n + 1.
        presentation: ``"together"``: all are shown at once; ``"one_by_one"``: one after the other, in random order.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING}
    n: int = 2
    presentation: Literal["together", "one_by_one"] = "together"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("n", self.n, least=1, most=(MOST - 1) // 2)
        check_choice("presentation", self.presentation, ("together", "one_by_one"))


class RememberSet(Collect[RememberSetSettings]):
    """n colored cubes are shown and taken away; later touch all of them among 2 n + 1, in any order.

    A test of capacity: the number of bits grows with n while the horizon stays the same.

    **Episode.** n of 2 n + 1 colors are shown: the cue, all together for 3 control steps (20 a second), or with
    ``presentation="one_by_one"`` one after the other in random order, 3 control steps each. They are taken away for
    ``memory_length`` control steps. Then the go light comes on and 2 n + 1 cubes, one of each color, stand on a ring
    around the hand: always in the same order, from a slot that is drawn, or with ``order="shuffled"`` in any. The
    fingertip's touch takes a cube of the set off the table; one of another color terminates the episode, and so does
    the last of the set, with success. It is truncated when that takes longer than ``query_steps``.

    **Observation** (3 M + 4 for M = 2 n + 1 colors, float32). Indices 0 to M - 1: 1 where the color is shown; M: go
    light; from M + 1: x (ahead) and y (left) of the cube of each color, from the middle of the workspace, as parts of
    0.14 m, 0 and 0 while it is not on the table; the last three: position of the fingertip relative to that middle at a
    height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled to their ranges. With
    ``guard="delay"`` the arm's own components are 0 until the go light.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 / n for each cube of the set; for one of another color -r / (n (n + 1)) when r of the set are still
    to be touched, so that guessing earns 0 on average at each touch; -0.01 for each control step of the query; and up
    to 0.1 for coming near any cube, anew after each right touch. Before a touch the reward does not depend on the cue.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads looks like a color that is shown, in components 0 to M
    - 1. An episode counts only if 80 % of what the expert presses was pressed.

    **Memory.** Capacity: log2 C(2 n + 1, n) bits at once, over ``memory_length`` control steps. What has been touched
    need not be remembered, since it is no longer there.

    **Ceilings.** Without memory 1 / C(2 n + 1, n): what is learnt at the query is only that all touches so far were
    right, so that an agent without memory succeeds with only one set for each arrangement of the cubes, and the set
    shown is uniform and independent of the arrangement. An agent that remembers one of the n colors finds the others
    with probability 1 / C(2 n, n - 1). Oracle 1. With ``guard="delay"`` the arm is held and not sensed during cue and
    delay, and starts the query at rest at its home, with fresh noise (G1, G2 and G3 hold exactly). With ``guard="cue"``
    it can move during the delay, with ``guard="none"`` throughout, within 5 cm of its home: enough to note a set with
    the height of the hand. With ``guard="dock"`` it can move during the delay, and passes a dock before the query (G1,
    G2 and G4 hold exactly).
    """

    Settings: ClassVar[type[RememberSetSettings]] = RememberSetSettings
    settings: RememberSetSettings

    def __init__(
        self, settings: RememberSetSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        colors = 2 * settings.n + 1
        answers = np.array(list(combinations(range(colors), settings.n)))
        super().__init__(settings, num_envs, colors=colors, answers=answers, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: RememberSetSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        n, sets = settings.n, math.comb(2 * settings.n + 1, settings.n)
        one = 1 / math.comb(2 * n, n - 1)
        return recall_spec(
            settings,
            memory="capacity",
            n_bits=math.log2(sets),
            chance=1 / sets,
            query_steps=settings.query_steps,
            guess=f"the cue is uniform over {sets} sets; the query tells only that all touches so far were right",
            random=f"a random set is right once in {sets}; at most, since touches may miss",
            always="the set is still shown at the query",
            oracle="remember the set, touch its members",
            never="no set is shown: nothing to remember",
            partial={"one color": Ceiling(one, f"the others are {n - 1} of {2 * n}, uniform")},
        )

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw a set, and the order in which it is shown. See :meth:`TableTask.deal`."""
        super().deal(index, rng, cue)
        self.wanted[index] = self.wanted[index][rng.permutation(self.settings.n)]
        if self.settings.presentation == "one_by_one":
            self.cue_steps[index] = ITEM_STEPS * self.settings.n

    def due(self) -> Bools:
        """Return what of the set has not been touched. See :meth:`Collect.due`."""
        return self._members() & ~self.taken

    def shown(self) -> Bools:
        """Return the set, or its next member. See :meth:`Collect.shown`."""
        if self.settings.presentation == "together":
            return self._members()
        return self.item(self.clock // ITEM_STEPS)

    def _members(self) -> Bools:
        """Return the set, [N, M]."""
        members = np.zeros_like(self.taken)
        members[self.everyone[:, None], self.wanted] = True
        return members
