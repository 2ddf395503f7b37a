"""Base of the tasks whose answer is a touch: K boxes stand in slots around the hand, and one of them is right.

Axes: N environments, K boxes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.arm_task import C
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.table.targets import around_hand


class ChoiceTask(TableTask[C]):
    """N tables with K boxes to choose from. The first touch is the answer, and ends the episode.

    It earns 1 if it is right and -1 / (K - 1) if it is wrong, so that guessing earns 0 on average. Coming near any box
    earns up to 0.1.

    Args:
        settings: The task's knobs.
        num_envs: N.
        signals: Names of the task's own components of the observation.
        targets: K.
        way: m, from the fingertip to each box when the query begins.
        half: Half extents of such a box, m.
        visuals: Give bodies their looks.
        gui: Show the world in Bullet's window.
    """

    derived: ClassVar[tuple[str, ...]] = ("right_box",)
    MARK: ClassVar[float] = 0.040
    """m, radius of the mark under each box."""

    def __init__(
        self,
        settings: C,
        num_envs: int = 1,
        *,
        signals: tuple[str, ...],
        targets: int,
        way: float,
        half: Vector = (scenery.HALF,) * 3,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        self.slots = around_hand(targets, way, half[0])
        """[K, 3] x, y (m) and yaw (rad) of each slot."""
        self.chosen = np.full(num_envs, -1)
        """[N] the box that was touched, -1 before."""
        self._way, self._wrong = way, 1.0 / (targets - 1)
        self._marks: list[list[Prop]] = []
        super().__init__(settings, num_envs, signals=signals, targets=targets, half=half, visuals=visuals, gui=gui)

    @abstractmethod
    def wanted(self) -> Ints:
        """Return the number of the right box, [N]; privileged."""

    @property
    def right_box(self) -> Ints:
        """[N] the right box while there is a choice, -1 before."""
        return np.where(self.phase == QUERY, self.wanted(), -1)

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        self.chosen[indices] = -1
        super().begin(indices, cues)

    def ask(self, index: int) -> None:
        """Put the boxes into their slots. See :meth:`TableTask.ask`."""
        for slot, place in enumerate(self.slots.tolist()):
            self.targets.stand(index, slot, *place)

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take the first touch as the answer. See :meth:`TableTask.query_reward`."""
        distance = self.targets.distance(self.tip)
        self.approach(1.0 - np.minimum.reduce(distance, axis=1) / self._way, asked, step)
        touched = self.touched(asked, distance)
        answered = touched >= 0
        if np.count_nonzero(answered):
            self.chosen[answered] = touched[answered]
            right = answered & (touched == self.wanted())
            step.reward[right] += 1.0
            step.reward[answered & ~right] -= self._wrong
            self.success[right], self.score[right] = True, 1.0
            step.terminated[answered] = True

    def answered_cue(self) -> Ints:
        """Return the cue for which the touched box is right, [N]. See :meth:`MemoryTask.answered_cue`."""
        drawn, found = self.cue.copy(), np.full(self.num_envs, -1)
        for cue in range(self.num_cues):
            self.cue[:] = cue
            found[(self.chosen >= 0) & (self.chosen == self.wanted())] = cue
        self.cue[:] = drawn
        return found

    def goal(self) -> Floats:
        """Return the middle of the right box, [N, 3] m; privileged."""
        goal = np.empty((self.num_envs, 3))
        goal[:, :2], goal[:, 2] = self.slots[self.wanted(), :2], self.targets.half[2]
        return goal

    def build_props(self, client: int) -> None:
        """Add the marks under the boxes to one more world."""
        self._marks.append([Prop(client, scenery.disc(self.MARK, scenery.RIM)) for _ in self.slots])

    def draw_props(self, index: int) -> None:
        """Paint the mark under the box that was touched: green where it was right. See :meth:`TableTask.draw_props`."""
        chosen = int(self.chosen[index])
        answer = scenery.GREEN if chosen == self.wanted()[index] else scenery.RED
        for slot, (mark, (x, y, yaw)) in enumerate(zip(self._marks[index], self.slots.tolist(), strict=True)):
            mark.show(x, y, 0.001, yaw=yaw, color=answer if slot == chosen else scenery.RIM)
