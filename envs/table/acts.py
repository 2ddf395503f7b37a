"""Base of tasks of several acts: a hand touches one box after the other, and passes a dock after each.

An act begins with the hand at rest at its home and ends with the touch of a box. What the touch opens is seen for
``SHOW_STEPS`` control steps, in which the hand is held: the phase "cue". Then comes a dock: for ``dock_steps`` control
steps it is dark and actions have no effect, and after it the hand is at its home again, with noise that only the
episode's seed and the number of the act determine. So nothing but a memory knows after a dock what was done before it
(property G4), save for what the task itself shows.

Axes: N environments, K boxes, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

import numpy as np

from rlmem.envs.memory_task import CUE, DOCK, QUERY, Floats, Indices, Ints, Step
from rlmem.envs.robots.parts import Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.arm_task import ArmTask
from rlmem.envs.table.settings import CENTER, TableSettings
from rlmem.envs.table.targets import around_hand, newly_touched
from rlmem.envs.task_settings import check_choice, check_whole

MOST_BOXES = 16
"""So many boxes have room around the hand."""
_LARGE, _SMALL = 0.028, 0.020
"""m, half the width of a box where there are at most 8, or more."""
SHOW_STEPS = 2
"""Control steps for which one sees what a touch has opened."""
USUAL_STEPS = 6
"""Control steps that the expert takes from its home to a box."""
WAY = 0.10
"""m, from the fingertip at home to each box."""
_HOME_NOISE: Vector = (0.010, 0.010, 0.005)
"""m, largest distance along each axis of the fingertip from its home when an act begins; uniform."""
_RELEASE = 0.020
"""m, how far a hand must be from all boxes before a touch counts again."""
_BESIDE = 0.018
"""m, how far beside the way from the middle to a box a hand can be and touch no other box."""
_STEP_COST = 0.01
_APPROACH = 0.1
"""Reward for coming near any box, in each act."""


@dataclass(frozen=True, kw_only=True)
class ActSettings(TableSettings):
    """Knobs of tasks of several acts. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        guard: ``"dock"``: the hand passes a dock after each act; ``"none"``: it stays where it is, for studying how an
            agent uses its body as memory.
        cue: ``"flash"``: what a touch opens is seen until the dock only; ``"always"``: it is seen from then on, so that
            no memory is needed.
        query_steps: Control steps of an act; without a touch the episode ends then, or where the task offers only some
            boxes the next act begins.
        dock_steps: Control steps of a dock.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    GUARDS: ClassVar[tuple[str, ...]] = ("dock", "none")
    guard: Literal["dock", "none"] = "dock"  # type: ignore[assignment]  # others than every task has
    cue: Literal["flash", "always"] = "flash"
    dock_steps: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("cue", self.cue, ("flash", "always"))
        check_whole("dock_steps", self.dock_steps, least=1, most=1_000)


A = TypeVar("A", bound=ActSettings)


class ActTask(ArmTask[A]):
    """N arms that touch boxes on a ring around them, one after the other. See the module's text.

    Args:
        settings: The task's knobs.
        num_envs: N.
        signals: Names of the task's own components of the observation.
        boxes: K.
        half: Half extents of a box, m.
        visuals: Give bodies their looks.
        gui: Show the world in Bullet's window.
    """

    def __init__(
        self,
        settings: A,
        num_envs: int,
        *,
        signals: tuple[str, ...],
        boxes: int,
        half: Vector,
        visuals: bool,
        gui: bool,
    ) -> None:
        self.slots = around_hand(boxes, WAY, half[0])
        """[K, 3] x, y (m) and yaw (rad) of each box."""
        self.acts = np.zeros(num_envs, dtype=np.int64)
        """[N] boxes touched."""
        self.ended = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether the last touch has ended the episode."""
        self._pose_seeds = np.zeros(num_envs, dtype=np.int64)
        self.armed = np.ones(num_envs, dtype=np.bool_)
        self.progress = np.zeros(num_envs)
        self._go: list[scenery.GoLight] = []
        super().__init__(settings, num_envs, signals=signals, targets=boxes, half=half, visuals=visuals, gui=gui)

    @abstractmethod
    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw one environment's next episode, always with the same number of draws."""

    @abstractmethod
    def touchable(self, index: int) -> Indices:
        """Return the numbers of the boxes that can be touched on one table in the next act."""

    @abstractmethod
    def open(self, indices: Indices, boxes: Ints, step: Step) -> None:
        """Open the boxes that are touched in some environments: rewards, ends, success and score, in place."""

    @abstractmethod
    def wanted(self) -> Ints:
        """Return the box that the expert touches next, [N]; -1: none. It has a perfect memory of what was opened."""

    def give_up(self, late: Indices, step: Step) -> None:
        """End acts in which nothing was touched in time, and with them their episodes, in place."""
        step.terminated[late] = True

    def end_act(self, indices: Indices) -> None:
        """Go on to the dock in some environments, or without one to the next act."""
        if self.settings.guard == "dock":
            self.enter(indices, DOCK)
        else:
            self._begin_act(indices)

    def act_rng(self, index: int) -> np.random.Generator:
        """Return a generator that only the episode's seed and the number of the act determine."""
        return np.random.default_rng([int(self._pose_seeds[index]), int(self.acts[index]), 1])

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            self._pose_seeds[index] = rng.integers(2**62)
            self.deal(index, rng, None if cues is None else int(cues[index]))
        self.acts[indices], self.ended[indices] = 0, False
        self._to_home(indices)
        self._begin_act(indices)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        before = self.phase.copy()
        asked = before == QUERY
        self.move(actions, asked)
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        step = Step(np.where(asked, -_STEP_COST, 0.0), nobody, nobody.copy())
        if np.count_nonzero(asked):
            distance = self.targets.distance(self.tip)
            closeness = _closeness(distance)
            np.add(step.reward, _APPROACH * (closeness - self.progress), out=step.reward, where=asked)
            np.copyto(self.progress, closeness, where=asked)
            box = np.where(asked, newly_touched(distance, self.armed, _RELEASE), -1)
            touching = np.flatnonzero(box >= 0)
            if len(touching):
                self.acts[touching] += 1
                self.open(touching, box[touching], step)
                self.ended |= step.terminated
                self.enter(touching[~step.terminated[touching]], CUE)
            late = np.flatnonzero(asked & (box < 0) & (self.clock >= self.settings.query_steps))
            if len(late):
                self.give_up(late, step)
        seen = np.flatnonzero((before == CUE) & (self.clock >= SHOW_STEPS))
        if len(seen):
            self.end_act(seen)
        leaving = np.flatnonzero((before == DOCK) & (self.clock >= self.settings.dock_steps))
        if len(leaving):
            self._to_home(leaving)
            self._begin_act(leaving)
        return step

    def expert_action(self) -> Floats:
        """Go to :meth:`wanted`, by the middle where the hand is not on the way from there. [N, A]."""
        goal, wanted = np.empty((self.num_envs, 3)), self.wanted()
        goal[:, :2], goal[:, 2] = self.slots[wanted, :2], self.targets.half[2]
        way, here = goal[:, :2] - CENTER, self.tip[:, :2] - CENTER
        way /= np.hypot(way[:, 0], way[:, 1])[:, None]
        along = (way * here).sum(axis=1)[:, None]
        across = here - np.maximum(along, 0.0) * way
        goal[(np.hypot(across[:, 0], across[:, 1]) > _BESIDE) | (wanted < 0)] = self._home
        actions = self.toward(goal)
        actions[self.phase != QUERY] = 0.0
        return actions

    def draw(self, index: int) -> None:
        """Show the light on while the hand is free. See :meth:`MemoryTask.draw`."""
        self._go[index].light(on=self.phase[index] == QUERY and not self.ended[index])

    def build_props(self, client: int) -> None:
        """Put the go light into one more world."""
        self._go.append(scenery.GoLight(client))

    def _to_home(self, indices: Indices) -> None:
        """Restore some worlds, with hands at their homes and no boxes on the tables."""
        for index in indices.tolist():
            rng = np.random.default_rng([int(self._pose_seeds[index]), int(self.acts[index])])
            self.home[index] = self._home + rng.uniform(-1.0, 1.0, 3) * _HOME_NOISE
        self.targets.clear(indices)
        self.rehome(indices)
        self.armed[indices] = True

    def _begin_act(self, indices: Indices) -> None:
        """Put down what can be touched, and let go of the hands."""
        for index in indices.tolist():
            there = self.touchable(index)
            for box in np.setdiff1d(np.flatnonzero(self.targets.standing[index]), there).tolist():
                self.targets.remove(index, box)
            for box in there.tolist():
                self.targets.stand(index, box, *self.slots[box].tolist())
        self.progress[indices] = _closeness(self.targets.distance(self.tip))[indices]
        self.enter(indices, QUERY)


def _closeness(distance: Floats) -> Floats:
    """Return [N] how near hands are to a box, 1 at one; below 0 beyond the ring, so that there is a way back."""
    closeness: Floats = 1.0 - distance.min(axis=1) / WAY
    return closeness


def half_width(boxes: int) -> float:
    """Return half the width of so many boxes around the hand, m."""
    return _LARGE if boxes <= MOST_BOXES // 2 else _SMALL
