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

The base runs the phases: ``cue_steps`` control steps of cue, ``length`` control steps of delay ([N], drawn from
``memory_length``), then the query, in which the arm starts at home with fresh noise, at rest. What differs from
that is changed where it differs:

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
- *Acting before the query*: override :meth:`~TableTask.held` (and :meth:`~TableTask.advance` where the phases
  themselves differ), and claim in ``spec`` only the properties that hold then.

Axes: N environments, K targets, D observation, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import (
    CUE,
    DELAY,
    OVER,
    QUERY,
    Bools,
    Floats,
    Indices,
    Ints,
    RecallSettings,
    Step,
    draw_length,
)
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table.arm_task import ArmTask, C
from rlmem.envs.table.targets import newly_touched


class TableTask(ArmTask[C]):
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
    STEP_COST: ClassVar[float] = 0.01
    """Reward that a control step of the query costs, so that waiting is worse than guessing."""
    CUE_STEPS: ClassVar[int] = 3

    def __init__(self, settings: C, num_envs: int = 1, **arguments: Any) -> None:
        super().__init__(settings, num_envs, **arguments)
        self.length = np.zeros(num_envs, dtype=np.int64)
        """[N] control steps of the delay."""
        self.cue_steps = np.full(num_envs, self.CUE_STEPS)
        """[N] control steps of the cue."""
        self.armed = np.ones(num_envs, dtype=np.bool_)
        """[N] whether the next touch counts."""
        self.progress = np.zeros(num_envs)
        """[N] shaping that has been paid out."""
        self.query_steps = settings.query_steps
        """Control steps after which a query is truncated; a task may allow more."""

    @abstractmethod
    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw what the next episode of one environment has, its cue too unless one is given."""

    @abstractmethod
    def ask(self, index: int) -> None:
        """Put down what stands on one table at the query. Its world has just been restored; no box stands."""

    @abstractmethod
    def judge(self, asked: Bools, step: Step) -> None:
        """Reward and end episodes whose query this is, in place; set ``success`` and ``score``. [N]."""

    @abstractmethod
    def goal(self) -> Floats:
        """Return where the expert's fingertips go, [N, 3] m."""

    @abstractmethod
    def draw_props(self, index: int) -> None:
        """Show one table as the episode stands."""

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            if isinstance(self.settings, RecallSettings):
                self.length[index] = draw_length(rng, self.settings.lengths)
            self.home[index] = self._home + rng.uniform(-1.0, 1.0, 3) * self.HOME_NOISE
            self.cue_steps[index] = self.CUE_STEPS
            self.deal(index, rng, None if cues is None else int(cues[index]))
        self.targets.clear(indices)
        self.phase[indices], self.clock[indices] = CUE, 0
        self.progress[indices], self.armed[indices] = 0.0, True
        if self.locked:
            self.tip[indices] = self.home[indices]
        else:
            self.rehome(indices)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        phase, clock = self.phase, self.clock
        free = phase != OVER
        if self.settings.guard != "none":
            free &= ~self.held()
        self.move(actions, free)
        cued = (phase == CUE) & (clock >= self.cue_steps)
        due = (phase == DELAY) & (clock >= self.length)
        asked = phase == QUERY
        if np.count_nonzero(cued):
            self.enter(cued, DELAY)
        if np.count_nonzero(due):
            which = np.flatnonzero(due)
            if self.locked:
                self.rehome(which)
            for index in which.tolist():
                self.ask(index)
            self.enter(due, QUERY)
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        step = Step(np.where(asked, 0.0 - self.STEP_COST, 0.0), nobody, nobody.copy())  # a cost of 0 is not -0
        if np.count_nonzero(asked):
            self.judge(asked, step)
            late = asked & (clock >= self.query_steps)
            if np.count_nonzero(late):
                np.logical_or(step.truncated, late & ~step.terminated, out=step.truncated)
        return step

    def quiet_steps(self) -> int:
        """Return how long all arms are held in the delay. See :meth:`MemoryTask.quiet_steps`."""
        if not self.locked or np.count_nonzero(self.phase != DELAY):
            return 0
        return int((self.length - self.clock).min()) - 1

    def held(self) -> Bools:
        """Return [N] whether the guard holds the arm now."""
        if self.settings.guard == "none":
            return np.zeros(self.num_envs, dtype=np.bool_)
        held: Bools = self.phase == CUE
        return held | (self.phase == DELAY) if self.locked else held

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
