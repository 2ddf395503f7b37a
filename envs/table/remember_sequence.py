"""Remember a sequence: cubes are shown one by one; later they are to be touched in the same order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import Bools
from rlmem.envs.recall import recall_spec
from rlmem.envs.table.collect import ITEM_STEPS, MOST, Collect, CollectSettings
from rlmem.envs.table.pads import WORKING
from rlmem.envs.task_settings import check_whole
from rlmem.spec import Ceiling, TaskSpec


@dataclass(frozen=True, kw_only=True)
class RememberSequenceSettings(CollectSettings):
    """The knobs of the sequence memory. See also :class:`rlmem.envs.table.collect.CollectSettings`.

    Args:
        n: Colors in the sequence, at most 5 and fewer than m.
        m: Colors that stand on the table at the query, at most 9.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING}
    n: int = 2
    m: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("m", self.m, least=2, most=MOST)
        check_whole("n", self.n, least=1, most=min(5, self.m - 1))


class RememberSequence(Collect[RememberSequenceSettings]):
    """n colored cubes are shown one after the other; later touch them among m, in the same order.

    **Episode.** n of m colors are shown, each for 3 control steps (20 a second), none twice: the cue. Then nothing for
    ``memory_length`` control steps. Then the go light comes on and m cubes, one of each color, stand on a ring around
    the hand: always in the same order, from a slot that is drawn, or with ``order="shuffled"`` in any. Touching the
    cube whose turn it is takes it off the table; touching another terminates the episode, and so does the last of the
    sequence, with success. It is truncated when that takes longer than ``query_steps``.

    **Observation** (3 m + 4, float32). Indices 0 to m - 1: 1 where the color is shown; m: go light; from m + 1: x
    (ahead) and y (left) of the cube of each color, from the middle of the workspace, as parts of 0.14 m, 0 and 0 while
    it is not on the table; the last three: position of the fingertip relative to that middle at a height of 0.10 m, in
    units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled to their ranges. With ``guard="delay"``
    the arm's own components are 0 until the go light. With ``cue="always"`` the color whose turn it is goes on being
    shown.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 / n for each cube in its turn; for another -1 / (n (s - 1)) with s cubes standing, so that guessing
    earns 0 on average at each touch; -0.01 for each control step of the query; and up to 0.1 for coming near any cube,
    anew after each right touch. Before a touch the reward does not depend on the cue.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads looks like a color that is shown, in components 0 to m
    - 1. An episode counts only if 80 % of what the expert presses was pressed.

    **Memory.** Sequence: log2 P(m, n) bits at once, P(m, n) = m! / (m - n)!, over ``memory_length`` control steps. The
    position in the sequence need not be remembered: the missing cubes show it.

    **Ceilings.** Without memory 1 / P(m, n): what is learnt at the query is only that all touches so far were right, so
    that an agent without memory succeeds with only one sequence for each arrangement of the cubes, and the sequence
    shown is uniform and independent of the arrangement. An agent that remembers which colors were shown but not their
    order succeeds once in n!; one that remembers one color and its place in the sequence, once in P(m - 1, n - 1).
    Oracle 1. With ``guard="delay"`` the arm is held and not sensed during cue and delay, and starts the query at rest
    at its home, with fresh noise (G1, G2 and G3 hold exactly). With ``guard="cue"`` it can move during the delay, with
    ``guard="none"`` throughout, within 5 cm of its home: enough to note the last color with the height of the hand.
    With ``guard="dock"`` it can move during the delay, and passes a dock before the query (G1, G2 and G4 hold exactly).
    """

    Settings: ClassVar[type[RememberSequenceSettings]] = RememberSequenceSettings
    settings: RememberSequenceSettings

    def __init__(
        self, settings: RememberSequenceSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        answers = np.array(list(permutations(range(settings.m), settings.n)))
        super().__init__(settings, num_envs, colors=settings.m, answers=answers, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: RememberSequenceSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        n, m = settings.n, settings.m
        count = math.perm(m, n)
        return recall_spec(
            settings,
            memory="sequence",
            n_bits=math.log2(count),
            chance=1 / count,
            query_steps=settings.query_steps,
            guess=f"the cue is uniform over {count} sequences; the query tells only that all touches so far were right",
            random=f"a random sequence is right once in {count}; at most, since touches may miss",
            always="the color whose turn it is is shown at the query",
            oracle="remember the sequence, touch it in order",
            never="no sequence is shown: nothing to remember",
            partial={
                "the set, not the order": Ceiling(1 / math.factorial(n), f"{n}! orders of the set, uniform"),
                "one color and its place": Ceiling(
                    1 / math.perm(m - 1, n - 1), f"the others are {n - 1} of {m - 1} in order, uniform"
                ),
            },
        )

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw a sequence. See :meth:`TableTask.deal`."""
        super().deal(index, rng, cue)
        self.cue_steps[index] = ITEM_STEPS * self.settings.n

    def due(self) -> Bools:
        """Return the color whose turn it is. See :meth:`Collect.due`."""
        return self.item(self.count)

    def shown(self) -> Bools:
        """Return the color that is shown now. See :meth:`Collect.shown`."""
        return self.item(self.clock // ITEM_STEPS)
