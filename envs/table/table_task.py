"""What all tasks on a table share: N worlds with an arm each, phases and guard, touching, senses and pictures.

**To write a task**, subclass :class:`TableTask` in a file of its own, with a frozen settings dataclass that inherits
from :class:`rlmem.envs.table.settings.TableSettings` and :class:`rlmem.envs.memory_task.RecallSettings`, and say

- in ``__init__``: the names of the task's signals (the first components of the observation, before the hand's), and
  how many boxes there are to touch, of what size: ``super().__init__(settings, num_envs, signals=..., targets=K)``;
- :meth:`~TableTask.spec` and ``num_cues``: the ceilings;
- :meth:`~TableTask.deal`: draw what the episode has, from the generator it is given, always the same number of draws;
- :meth:`~TableTask.ask`: put down what stands on the table at the query (:attr:`TableTask.targets`, :func:`ring`);
- :meth:`~TableTask.judge`: what happens in a control step of the query: rewards, ends, ``success`` and ``score``;
- :meth:`~TableTask.signals`: what is seen of lamps and things, [N, ...];
- :meth:`~TableTask.goal`: where the expert's fingertip goes, [N, 3];
- :meth:`~TableTask.build_props` and :meth:`~TableTask.draw_props`: what it looks like.

The base runs the phases: ``cue_steps`` control steps of cue, ``length`` control steps of delay ([N], drawn from
``memory_length``), then the query, in which the arm starts at home with fresh noise, at rest. What differs from
that is changed where it differs:

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
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.memory_task import (
    CUE,
    DELAY,
    OVER,
    QUERY,
    Bools,
    Floats,
    Indices,
    Ints,
    MemoryTask,
    RecallSettings,
    Step,
    check_choice,
    draw_length,
)
from rlmem.envs.robots import ARMS, Arm
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import World, pybullet
from rlmem.envs.table import scenery
from rlmem.envs.table.hands import led, turned
from rlmem.envs.table.settings import TableSettings
from rlmem.envs.table.targets import Targets, newly_touched
from rlmem.envs.table.workspace import HIGH, HOME, LOW, MAX_JOINT_SPEED, ORIGIN, PHYSICS, SENSED, STRIDE

C = TypeVar("C", bound=TableSettings)


class TableTask(MemoryTask[C]):
    """N arms at N tables. See the module's text, and :class:`rlmem.envs.memory_task.MemoryTask`.

    Args:
        signals: Names of the task's own components of the observation.
        targets: K, boxes that can be touched.
        half: Half extents of such a box, m.
        home: Where the fingertip is when the query begins, but for noise, m.
    """

    HOME_NOISE: ClassVar[Vector] = (0.010, 0.010, 0.005)
    """m, uniform in plus and minus, of where the fingertip is when the query begins."""
    WAITING: ClassVar[Vector] = (0.05, 0.05, 0.03)
    """m around home, not below it: where a hand that no guard holds may be before the query."""
    PRESS_HEIGHT: ClassVar[float] = 0.030
    """m, of the fingertip's middle, at which it has pressed on the table."""
    RELEASE: ClassVar[float] = 0.020
    """m, how far a hand must go from all boxes before a touch counts again."""
    PLANAR: ClassVar[bool] = False
    """Whether the hand stays at the height of its home: two components of action, with end-effector control."""
    GRAVITY: ClassVar[bool] = False
    """Whether free bodies have weight. An arm's own is compensated by its controller, so that it needs none."""
    FORGET_CONTACTS: ClassVar[bool] = False
    """Whether a physics step with everything parked precedes each episode, so that Bullet forgets the contacts of the
    last: needed for exact repetition where bodies touch as soon as they are put down."""
    STEP_COST: ClassVar[float] = 0.01
    """Reward that a control step of the query costs, so that waiting is worse than guessing."""
    CUE_STEPS: ClassVar[int] = 3
    plain = False
    """Whether the arm looks plain, which is quick to draw."""

    def __init__(
        self,
        settings: C,
        num_envs: int = 1,
        *,
        signals: tuple[str, ...],
        targets: int = 0,
        half: Vector = (scenery.HALF,) * 3,
        home: Vector = HOME,
        visuals: bool = False,
        gui: bool = False,
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        self._by_joint = settings.control == "joint"
        joints = tuple(f"joint {number}" for number in range(1, 8))
        axes = ("x", "y") if self.PLANAR else ("x", "y", "z")
        self.action_names = joints if self._by_joint else axes
        body = tuple(f"hand {axis} (of {SENSED:g} m)" for axis in ("x", "y", "z"))
        angles = tuple(f"{name} (of its range)" for name in joints) if self._by_joint else ()
        self.observation_names = (*signals, *body, *angles)
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (len(self.action_names),), np.float32)
        self.locked = settings.guard == "delay"
        """Whether the arm is held, and senses nothing of itself, until the query."""
        self._num_signals = len(signals)
        self.kinematics = ARMS[settings.robot].kinematics()
        self.posture = np.tile(self.kinematics.rest, (num_envs, 1))
        """[N, 7] rad."""
        self.tip = np.tile(home, (num_envs, 1))
        """[N, 3] m, middles of the fingertips."""
        self.home = self.tip.copy()
        """[N, 3] m, where they are when the query begins."""
        self.length = np.zeros(num_envs, dtype=np.int64)
        """[N] control steps of the delay."""
        self.cue_steps = np.full(num_envs, self.CUE_STEPS)
        """[N] control steps of the cue."""
        self.armed = np.ones(num_envs, dtype=np.bool_)
        """[N] whether the next touch counts."""
        self.progress = np.zeros(num_envs)
        """[N] shaping that has been paid out."""
        self.targets = Targets(num_envs, targets, half)
        self.query_steps = settings.query_steps
        """Control steps after which a query is truncated; a task may allow more."""
        self.low, self.high = LOW, HIGH
        """[3] m, the box that the fingertip stays in from the query on; a task may narrow it."""
        self._home, waiting = np.array(home), np.array(self.WAITING)
        self._waiting = self._home - waiting * (1.0, 1.0, 0.0), self._home + waiting
        self._arms: list[Arm] = []
        self._onward = 1
        self.worlds: list[World] = []
        for index in range(num_envs):
            self.worlds.append(World(partial(self._build, index), PHYSICS, gui=gui))

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
    def signals(self) -> Floats:
        """Return what is seen of lamps and things: the first components of the observation."""

    @abstractmethod
    def goal(self) -> Floats:
        """Return where the expert's fingertips go, [N, 3] m."""

    def build_bodies(self, index: int, client: int) -> None:
        """Put free bodies into one more world."""

    @abstractmethod
    def build_props(self, client: int) -> None:
        """Put what is only looked at into one more world."""

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

    def rehome(self, indices: Indices, rise: float = 0.0) -> None:
        """Start some worlds anew from their snapshots, arms at rest at home, or ``rise`` metres above it."""
        places = self.home[indices] + (0.0, 0.0, rise)
        postures = self.kinematics.posture(places)
        for index, posture in zip(indices.tolist(), postures.tolist(), strict=True):
            world = self.worlds[index]
            world.restore()
            if self.FORGET_CONTACTS:
                pybullet.stepSimulation(physicsClientId=world.client)
                world.restore()
            self._arms[index].place(posture)
        self.posture[indices], self.tip[indices] = postures, places

    def move(self, actions: Floats, free: Bools) -> None:
        """Run one control step of physics where the arm is free, [N]."""
        count, arms = np.count_nonzero(free), self._arms
        if not count:
            return
        velocities = self._velocities(actions)
        # To and fro: what is stepped first was stepped last before, and is still in the processor's cache.
        self._onward = -self._onward
        if count == self.num_envs:
            rows = velocities[:: self._onward].tolist()
            self.posture[:: self._onward] = [
                arm.step(row) for arm, row in zip(arms[:: self._onward], rows, strict=True)
            ]
            self.tip = self.kinematics.tip(self.posture)
            return
        which = np.flatnonzero(free)[:: self._onward]
        rows = velocities[which].tolist()
        self.posture[which] = postures = np.array(
            [arms[index].step(row) for index, row in zip(which.tolist(), rows, strict=True)]
        )
        self.tip[which] = self.kinematics.tip(postures)

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

    def sensing(self) -> Bools:
        """Return [N] whether the arm senses itself: with ``guard="delay"`` from the query on."""
        return self.phase == QUERY if self.locked else np.ones(self.num_envs, dtype=np.bool_)

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: signals, then the hand's place and joint angles where they are sensed."""
        observation = np.zeros((self.num_envs, len(self.observation_names)), dtype=np.float32)
        observation[:, : self._num_signals] = self.signals()
        sensing = self.sensing()
        count = np.count_nonzero(sensing)
        if count:
            body = (self.tip - ORIGIN) / SENSED
            if self._by_joint:
                low, high = self.kinematics.low, self.kinematics.high
                body = np.concatenate((body, (2.0 * self.posture - low - high) / (high - low)), axis=1)
            np.minimum(np.maximum(body, -1.0, out=body), 1.0, out=body)
            if count < self.num_envs:
                body[~sensing] = 0.0
            observation[:, self._num_signals :] = body
        return observation

    def expert_action(self) -> Floats:
        """Go straight to :meth:`goal`. [N, A]."""
        actions = self.toward(self.goal())
        actions[self.held()] = 0.0
        return actions

    def toward(self, goal: Floats) -> Floats:
        """Return the actions [N, A] that take the fingertips straight to ``goal``, [N, 3] m, as fast as they can."""
        way = goal - self.tip
        steps = np.maximum(np.abs(way).max(axis=1, keepdims=True) / STRIDE, 1.0)
        if self._by_joint:
            turn = (self.kinematics.posture(self.tip + way / steps) - self.posture) * PHYSICS.control_hz
            actions: Floats = turn / np.maximum(np.abs(turn).max(axis=1, keepdims=True), MAX_JOINT_SPEED)
        else:
            actions = (way / (STRIDE * steps))[:, : len(self.action_names)]
        return actions

    def close(self) -> None:
        """Disconnect all worlds."""
        for world in self.worlds:
            world.close()

    def draw(self, index: int) -> None:
        """Show arm and things as the episode stands. See :meth:`MemoryTask.draw`."""
        if self.locked and self.held()[index]:
            self._arms[index].place(self.kinematics.posture(self.home[index : index + 1])[0].tolist())
        self.draw_props(index)

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from across the table (``"behind"``), ``"above"``, or ``"both"``."""
        check_choice("camera", camera, ("behind", "above", "both"))
        self.draw(index)
        return scenery.view(self.worlds[index].client, camera, width, height)

    def look(self, index: int) -> NDArray[np.uint8]:
        """Take a picture [64, 64, 3] of the workspace from across the table."""
        self.draw(index)
        return scenery.look(self.worlds[index].client)

    def show_in_window(self, index: int) -> None:
        """Let Bullet's window look across one table."""
        self.draw(index)
        scenery.look_in_window(self.worlds[index].client)

    def _velocities(self, actions: Floats) -> Floats:
        """Return joint velocities [N, 7], rad/s, that keep the fingertips within their bounds."""
        if self.settings.guard == "delay":
            low, high = self.low, self.high
        else:
            asked, (low, high) = (self.phase == QUERY)[:, None], self._waiting
            low, high = np.where(asked, self.low, low), np.where(asked, self.high, high)
        hands = self.kinematics, self.posture, self.tip
        if self._by_joint:
            return turned(*hands, actions * MAX_JOINT_SPEED, low, high)
        if self.PLANAR:
            way = np.empty((self.num_envs, 3))
            way[:, :2], way[:, 2] = STRIDE * actions, self._home[2] - self.tip[:, 2]
        else:
            way = STRIDE * actions
        return led(*hands, way, low, high)

    def _build(self, index: int, client: int) -> None:
        if self.GRAVITY:
            pybullet.setGravity(0, 0, -9.81, physicsClientId=client)
        scenery.build_table_top(client, visuals=self.visuals)
        self._arms.append(ARMS[self.settings.robot](client, PHYSICS, visuals=self.visuals, plain=self.plain))
        self.targets.build(client, visuals=self.visuals)
        self.build_bodies(index, client)
        if self.visuals:
            scenery.build_room(client)
            self.build_props(client)
