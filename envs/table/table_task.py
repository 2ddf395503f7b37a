"""What all tasks on a table share: phases and guard, touching, shaping and the expert, over the arms of ``ArmTask``.

**To write a task**, subclass :class:`TableTask` in a file of its own, with a frozen settings dataclass that inherits
from :class:`rlmem.envs.table.settings.TableSettings` and :class:`rlmem.envs.memory_task.RecallSettings`, and say

- in ``__init__``: the names of the task's signals (the first components of the observation, before the hand's), and
  how many boxes there are to touch, of what size: ``super().__init__(settings, num_envs, signals=..., targets=K)``;
- :meth:`~TableTask.spec` and ``num_cues``: the ceilings, mostly with :func:`rlmem.envs.recall.recall_spec`;
- :meth:`~TableTask.deal`: draw what the episode has, from the generator it is given, always the same number of draws;
- :meth:`~TableTask.ask`: put down what stands on the table at the query (:attr:`TableTask.targets`, :func:`ring`);
- :meth:`~TableTask.judge`: what happens in a control step of the query: rewards, ends, ``success`` and ``score``;
- :meth:`~TableTask.signals`: what is seen of lamps and things, [N, ...];
- :meth:`~TableTask.goal`: where the expert's fingertip goes, [N, 3];
- :meth:`~TableTask.build_props` and :meth:`~TableTask.draw_props`: what it looks like.

The phases are those of :class:`rlmem.envs.recall.RecallTask`: ``cue_steps`` control steps of cue, ``length`` control
steps of delay ([N], drawn from ``memory_length``), then the query, in which the arm starts at home with fresh noise, at
rest. What differs from that is changed where it differs:

- *One touch of a box is the answer*: :class:`rlmem.envs.table.choice.ChoiceTask`; *a place on a disc is*:
  :class:`rlmem.envs.table.place.PlaceTask`.
- *Several touches, presses with a return*: :meth:`~TableTask.touched` gives each touch once; the hand must go
  ``RELEASE`` away from all boxes before the next counts. Boxes that are done with go with ``targets.remove``.
- *A button below the hand*: one flat box at the middle, home above it. :meth:`~TableTask.pressed` is the same for a
  plane instead of a box: the hand has come down to ``PRESS_HEIGHT``.
- *A cue of many parts* (flashes, a sequence, a stream): set ``cue_steps`` [N] in ``deal`` and let ``signals`` show what
  ``clock`` says; no array is needed beside what was dealt.
- *Things that move while the arm is held* (swaps of cups, a ball): compute their places from ``phase`` and ``clock`` in
  ``signals``, :meth:`~TableTask.ask` and ``draw_props``; set ``length`` in ``deal`` where the motion says how long the
  delay is. Only what a hand can push or stop must be simulated.
- *Free bodies* (a cube to push, a ball to meet): make them in :meth:`~TableTask.build_bodies`, put them down with
  ``resetBasePositionAndOrientation`` and ``resetBaseVelocity`` in ``ask``, set ``GRAVITY = True`` and
  ``FORGET_CONTACTS = True``, and ``PLANAR = True``: the hand stays at the height of its home and its action has two
  components. (``FORGET_CONTACTS`` is also for boxes within 2 cm of the hand at home.)
- *Acting before the query*: override :meth:`~TableTask.held`, pay for it in :meth:`~TableTask.work`, and claim in
  ``spec`` only the properties that hold then.

Axes: N environments, K targets, D observation, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import Bools, Floats, Indices, Ints, Step
from rlmem.envs.recall import RecallTask
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table.arm_task import ArmTask, C
from rlmem.envs.table.targets import newly_touched


class TableTask(ArmTask[C], RecallTask[C]):
    """N arms at N tables in episodes of cue, delay and query. See the module's text.

    Args:
        settings: The task's knobs.
        num_envs: N.
        **arguments: See :class:`rlmem.envs.table.arm_task.ArmTask`.
    """

    HOME_NOISE: ClassVar[Vector] = (0.010, 0.010, 0.005)
    """m, uniform in plus and minus, of where the fingertip is when the query begins."""
    PRESS_HEIGHT: ClassVar[float] = 0.030
    """m, of the fingertip's middle, at which it has pressed on the table."""
    RELEASE: ClassVar[float] = 0.020
    """m, how far a hand must go from all boxes before a touch counts again."""

    def __init__(self, settings: C, num_envs: int = 1, **arguments: Any) -> None:
        super().__init__(settings, num_envs, **arguments)
        self.armed = np.ones(num_envs, dtype=np.bool_)
        """[N] whether the next touch counts."""
        self.progress = np.zeros(num_envs)
        """[N] shaping that has been paid out."""
        self.query_steps = settings.query_steps

    @abstractmethod
    def ask(self, index: int) -> None:
        """Put down what stands on one table at the query. Its world has just been restored; no box stands."""

    @abstractmethod
    def goal(self) -> Floats:
        """Return where the expert's fingertips go, [N, 3] m."""

    @abstractmethod
    def draw_props(self, index: int) -> None:
        """Show one table as the episode stands."""

    def draw_home(self, index: int, rng: np.random.Generator) -> None:
        """Draw where the fingertip is when the query begins. See :meth:`RecallTask.draw_home`."""
        self.home[index] = self._home + rng.uniform(-1.0, 1.0, 3) * self.HOME_NOISE

    def start(self, indices: Indices) -> None:
        """Clear the tables; arms that are not held start at home. See :meth:`RecallTask.start`."""
        self.targets.clear(indices)
        self.progress[indices], self.armed[indices] = 0.0, True
        if self.locked:
            self.tip[indices] = self.home[indices]
        else:
            self.rehome(indices)

    def start_query(self, indices: Indices) -> None:
        """Put arms that were held at home, and things on the tables. See :meth:`RecallTask.start_query`."""
        if self.locked:
            self.rehome(indices)
        for index in indices.tolist():
            self.ask(index)

    def touched(self, asked: Bools, distance: Floats | None = None) -> Ints:
        """Return which box each hand begins to touch, [N], -1 for none; call it once a control step.

        Args:
            asked: [N] whose touches count.
            distance: [N, K] from ``self.targets.distance``, where it is known already.
        """
        known = self.targets.distance(self.tip) if distance is None else distance
        return np.where(asked, newly_touched(known, self.armed, self.RELEASE), -1)

    def pressed(self) -> Bools:
        """Return [N] whether the hand is down at ``PRESS_HEIGHT``."""
        pressed: Bools = self.tip[:, 2] <= self.PRESS_HEIGHT
        return pressed

    def approach(self, closeness: Floats, asked: Bools, step: Step, worth: float = 0.1) -> None:
        """Pay for coming closer, in place: ``worth`` for all the way from 0 to 1, taken back for going away.

        Args:
            closeness: [N] in [0, 1]. It must not depend on what is to be remembered.
            asked: [N].
            step: Whose rewards are added to.
            worth: Reward for all of it.
        """
        closeness = np.minimum(np.maximum(closeness, 0.0), 1.0)
        np.add(step.reward, worth * (closeness - self.progress), out=step.reward, where=asked)
        np.copyto(self.progress, closeness, where=asked)

    def expert_action(self) -> Floats:
        """Go straight to :meth:`goal`. [N, A]."""
        actions = self.toward(self.goal())
        actions[self.held()] = 0.0
        return actions

    def draw(self, index: int) -> None:
        """Show arm and things as the episode stands. See :meth:`MemoryTask.draw`."""
        if self.locked and self.held()[index]:
            self._arms[index].place(self.kinematics.posture(self.home[index : index + 1])[0].tolist())
        self.draw_props(index)
