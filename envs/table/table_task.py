"""Base of all table tasks: episodes, touches, presses, shaping and the expert, over the arms of ``ArmTask``.

**To write a task**, subclass :class:`TableTask` in a file of its own, with a frozen settings dataclass that inherits
from :class:`rlmem.envs.table.settings.TableSettings` and :class:`rlmem.envs.task_settings.RecallSettings`, and define

- ``__init__``: the names of the task's signals (the first components of the observation, before the hand's), and how
  many boxes can be touched, of what size: ``super().__init__(settings, num_envs, signals=..., targets=K)``;
- :meth:`~TableTask.spec` and ``num_cues``: the ceilings, mostly with :func:`rlmem.envs.recall.recall_spec`;
- :meth:`~TableTask.deal`: draw the episode from the given generator, always with the same number of draws;
- :meth:`~TableTask.ask`: put down what stands on the table at the query (:attr:`TableTask.targets`, :func:`ring`);
- :meth:`~TableTask.query_reward`: rewards, ends, ``success`` and ``score`` in a control step of the query;
- :meth:`~TableTask.signals`: the values of the signals, [N, ...];
- :meth:`~TableTask.goal`: where the expert's fingertip goes, [N, 3];
- :meth:`~TableTask.build_props` and :meth:`~TableTask.draw_props`: what it looks like.

The phases are those of :class:`rlmem.envs.recall.RecallTask`: ``cue_steps`` control steps of cue, ``length`` control
steps of delay ([N], drawn from ``memory_length``), then the query, which the arm starts at rest at its home, with fresh
noise. Where a task needs something else:

- *The answer is one touch of a box*: :class:`rlmem.envs.table.choice.ChoiceTask`; *a position on a disc*:
  :class:`rlmem.envs.table.place.PlaceTask`.
- *Several touches, or presses with a return*: :meth:`~TableTask.touched` gives each touch once; the hand must go
  ``RELEASE`` away from all boxes before the next counts. Take boxes away with ``targets.remove``.
- *A button below the hand*: one flat box in the middle, home above it. :meth:`~TableTask.pressed` does the same with a
  plane instead of a box: the hand has come down to ``PRESS_HEIGHT``.
- *A cue of several parts* (flashes, a sequence, a stream): set ``cue_steps`` [N] in ``deal``, and let ``signals``
  depend on ``clock``.
- *Things that move while the arm is held* (swapped cups, a ball): compute their positions from ``phase`` and ``clock``
  in ``signals``, :meth:`~TableTask.ask` and ``draw_props``; set ``length`` in ``deal`` if the motion determines the
  delay. Only what a hand can push or stop must be simulated.
- *Free bodies* (a cube to push, a ball to meet): make them in :meth:`~TableTask.build_bodies`, put them down with
  ``resetBasePositionAndOrientation`` and ``resetBaseVelocity`` in ``ask``, and set ``GRAVITY = True`` and
  ``FORGET_CONTACTS = True``. (``FORGET_CONTACTS`` is also for boxes within 2 cm of the hand at home.) With
  ``PLANAR = True`` the hand stays at the height of its home, and the action has two components.
- *Acting before the query*: override :meth:`~TableTask.held`, reward it in :meth:`~TableTask.work`, and claim in
  ``spec`` only the properties that hold then.

Axes: N environments, K targets, D observation, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import OVER, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.recall import RecallTask
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table.arm_task import ArmTask, C
from rlmem.envs.table.scenery import HALF
from rlmem.envs.table.settings import HOME
from rlmem.envs.table.targets import newly_touched


class TableTask(ArmTask[C], RecallTask[C]):
    """N arms at N tables in episodes of cue, delay and query. See the module's text.

    Args:
        settings: The task's knobs.
        num_envs: N.
        signals: Names of the task's own components of the observation.
        targets: K, boxes that can be touched.
        half: Half extents of such a box, m.
        home: Where the fingertip is when the query begins, before noise, m.
        visuals: Give bodies their looks.
        gui: Show the world in Bullet's window.
    """

    HOME_NOISE: ClassVar[Vector] = (0.010, 0.010, 0.005)
    """m, largest distance along each axis of the fingertip from its home when the query begins; uniform."""
    PRESS_HEIGHT: ClassVar[float] = 0.030
    """m, height of the fingertip's middle at or below which it presses the table."""
    RELEASE: ClassVar[float] = 0.020
    """m, how far a hand must be from all boxes before a touch counts again."""

    def __init__(
        self,
        settings: C,
        num_envs: int = 1,
        *,
        signals: tuple[str, ...],
        targets: int = 0,
        half: Vector = (HALF,) * 3,
        home: Vector = HOME,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        super().__init__(
            settings, num_envs, signals=signals, targets=targets, half=half, home=home, visuals=visuals, gui=gui
        )
        self.armed = np.ones(num_envs, dtype=np.bool_)
        """[N] whether the next touch counts."""
        self.progress = np.zeros(num_envs)
        """[N] how close the hand was to a target when it was last rewarded for it, from 0 to 1."""
        self.query_steps = settings.query_steps

    @abstractmethod
    def ask(self, index: int) -> None:
        """Put down what stands on one table at the query. Its world has just been restored, without boxes."""

    @abstractmethod
    def goal(self) -> Floats:
        """Return where the expert's fingertips go, [N, 3] m."""

    @abstractmethod
    def draw_props(self, index: int) -> None:
        """Move and color the bodies that are only looked at, for a picture of the present state."""

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

    def start_leg(self, indices: Indices) -> None:
        """Put arms to their homes after a dock. See :meth:`rlmem.envs.dock.DockTask.start_leg`."""
        self.rehome(indices)

    def start_query(self, indices: Indices) -> None:
        """Put arms that were held, or in a dock, to their homes, and boxes on the tables. See :meth:`RecallTask`."""
        if self.put_back:
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
        """Reward coming closer, in place: ``worth`` for all the way from 0 to 1; going away costs as much.

        Args:
            closeness: [N] in [0, 1]. It must not depend on what is to be remembered.
            asked: [N] whose approach counts.
            step: The step's rewards, added to in place.
            worth: Reward for the whole way.
        """
        closeness = np.minimum(np.maximum(closeness, 0.0), 1.0)
        np.add(step.reward, worth * (closeness - self.progress), out=step.reward, where=asked)
        np.copyto(self.progress, closeness, where=asked)

    def expert_action(self) -> Floats:
        """Go straight to :meth:`goal`. [N, A]."""
        actions = self.toward(self.goal())
        actions[self.held()] = 0.0
        return actions

    def asked(self, index: int) -> bool:
        """Return whether the query of one world has begun; what is drawn of it stays after its end."""
        return self.phase[index] in (QUERY, OVER)

    def draw(self, index: int) -> None:
        """Show arm and objects in their present state. See :meth:`MemoryTask.draw`."""
        if self.locked and self.held()[index]:
            self._arms[index].place(self.kinematics.posture(self.home[index : index + 1])[0].tolist())
        self.draw_props(index)
