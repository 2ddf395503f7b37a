"""Recall tasks: the state machine of cue, delay and query, and the ceilings that follow from it.

Axes: N environments, A action.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from rlmem.envs.memory_task import CUE, DELAY, OVER, QUERY, Bools, Floats, Indices, Ints, MemoryTask, Step
from rlmem.envs.task_settings import RecallSettings, S, TaskSettings, draw_length
from rlmem.spec import Ceiling, TaskSpec


class RecallTask(MemoryTask[S]):
    """Base class of tasks whose episodes go through cue, delay and query.

    The cue lasts :attr:`cue_steps` control steps, the delay :attr:`length`. Then the query begins, and the first
    answer ends the episode, as does its :attr:`query_steps`. A task overrides these methods, in the order of an
    episode:

    - :meth:`draw_home` and :meth:`deal` draw the random parts of an episode; :meth:`start` puts the robot at its start;
    - :meth:`held` and :meth:`sensing`: whether the robot is held, and observes its own state; by default by the guard;
    - :meth:`move` simulates the robots that are not held;
    - :meth:`work` computes rewards and ends outside the query;
    - :meth:`phase_over`: whether the cue or the delay is over, by default after its control steps;
    - :meth:`start_delay` and :meth:`start_query`: what changes at these points, such as poses that are reset;
    - :meth:`query_reward` computes rewards and ends in the query.
    """

    CHANGEABLE: ClassVar[tuple[str, ...]] = ("memory_length",)
    CUE_STEPS: ClassVar[int] = 3
    STEP_COST: ClassVar[float] = 0.01
    """Cost of each control step of the query, so that waiting is worse than guessing."""

    def __init__(self, settings: S, num_envs: int = 1, *, visuals: bool = False, gui: bool = False) -> None:
        super().__init__(settings, num_envs, visuals=visuals, gui=gui)
        self.locked = settings.guard == "delay"
        """Whether the robot is held, and does not observe its own state, until the query."""
        self.put_back = settings.guard not in ("cue", "none")
        """Whether the robot is reset when the query begins, to a pose at rest that only the seed determines."""
        self.cue_steps = np.full(num_envs, self.CUE_STEPS)
        """[N] control steps of the cue."""
        self.length = np.zeros(num_envs, dtype=np.int64)
        """[N] control steps of the delay."""
        self.query_steps = 0
        """Control steps after which a query is truncated; set by the task."""

    def draw_home(self, index: int, rng: np.random.Generator) -> None:
        """Draw the robot's pose at the query, in tasks that draw it first."""

    @abstractmethod
    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the random parts of one environment's next episode; also the cue unless one is given.

        The number of draws must not depend on the cue.
        """

    def draw_cue(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the cue of one environment uniformly; a given cue replaces it, so that all later draws are the same."""
        drawn = int(rng.integers(self.num_cues))
        self.cue[index] = drawn if cue is None else cue

    def start(self, indices: Indices) -> None:
        """Put the robots of some environments at the start of their episodes, at the beginning of the cue."""

    @abstractmethod
    def move(self, actions: Floats, free: Bools) -> None:
        """Simulate one control step where the robot is not held, ``free`` [N]."""

    def work(self, before: Ints, step: Step) -> None:
        """Compute rewards and ends outside the query, in place.

        Args:
            before: [N] phases before the control step.
            step: Result of the control step; its arrays are changed.
        """

    def phase_over(self) -> Bools:
        """Return [N] whether the current cue or delay ends with this control step."""
        over: Bools = self.clock >= np.where(self.phase == CUE, self.cue_steps, self.length)
        return over

    def start_delay(self, indices: Indices) -> None:
        """Called when the delay begins in some environments."""

    def end_delay(self, indices: Indices) -> None:
        """Start the query in some environments."""
        self.start_query(indices)
        self.enter(indices, QUERY)

    @abstractmethod
    def start_query(self, indices: Indices) -> None:
        """Bring some environments to the state in which the query begins."""

    @abstractmethod
    def query_reward(self, asked: Bools, step: Step) -> None:
        """Compute rewards and ends where ``asked`` [N], in place; set ``success`` and ``score`` by the answer alone.

        Whether enough work was done is asked once for all tasks, by :meth:`MemoryTask.outcome`.
        """

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            if isinstance(self.settings, RecallSettings):
                self.length[index] = draw_length(rng, self.settings.lengths)
            self.cue_steps[index] = self.CUE_STEPS
            self.draw_home(index, rng)
            self.deal(index, rng, None if cues is None else int(cues[index]))
        self.enter(indices, CUE)
        self.start(indices)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        before = self.phase.copy()
        asked = before == QUERY
        self.move(actions, (before != OVER) & ~self.held())
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        step = Step(np.where(asked, 0.0 - self.STEP_COST, 0.0), nobody, nobody.copy())  # a cost of 0 is not -0
        self.work(before, step)
        over = self.phase_over()
        cued, delayed = over & (before == CUE), over & (before == DELAY)
        if np.count_nonzero(cued):
            self.start_delay(np.flatnonzero(cued))
            self.enter(cued, DELAY)
        if np.count_nonzero(delayed):
            self.end_delay(np.flatnonzero(delayed))
        if np.count_nonzero(asked):
            self.query_reward(asked, step)
            late = asked & (self.clock >= self.query_steps) & ~step.terminated
            np.logical_or(step.truncated, late, out=step.truncated)
        return step

    def quiet_steps(self) -> int:
        """Return the number of steps that all robots stay held in the delay. See :meth:`MemoryTask.quiet_steps`."""
        if not self.locked or np.count_nonzero(self.phase != DELAY):
            return 0
        return int((self.length - self.clock).min()) - 1

    def held(self) -> Bools:
        """Return [N] whether the guard holds the robot: in the cue, and in the delay with ``guard="delay"``."""
        if self.settings.guard == "none":
            return np.zeros(self.num_envs, dtype=np.bool_)
        held: Bools = self.phase == CUE
        return held | (self.phase == DELAY) if self.locked else held

    def sensing(self) -> Bools:
        """Return [N] whether the robot observes its own state: with ``guard="delay"`` only in the query."""
        return self.phase == QUERY if self.locked else np.ones(self.num_envs, dtype=np.bool_)


def guarantees(settings: TaskSettings) -> tuple[str, ...]:
    """Return the guard's exact properties that hold; those about the cue do not hold with ``cue="always"``."""
    properties = {"delay": ("G1", "G2", "G3"), "cue": ("G1", "G2"), "dock": ("G1", "G2", "G4"), "none": ()}
    shown = ("G1", "G4") if settings.cue == "always" else ()
    return tuple(name for name in properties[settings.guard] if name not in shown)


def recall_spec(
    settings: RecallSettings,
    *,
    memory: str,
    n_bits: float,
    chance: float,
    query_steps: int,
    guess: str,
    random: str,
    always: str,
    oracle: str,
    never: str,
    partial: Mapping[str, Ceiling] | None = None,
    metric: Literal["success", "score"] = "success",
) -> TaskSpec:
    """Return the ceilings of a recall task. With ``cue="always"`` no memory is needed, with ``cue="never"`` none helps.

    Args:
        settings: Guard, cue and memory length.
        memory: Kind of memory.
        n_bits: Bits of the cue.
        chance: Score that is reached without the cue.
        query_steps: Maximum number of control steps between a decision and its reward.
        guess: Why no more than chance is reached without memory.
        random: Why no more is reached by actions drawn at random.
        always: Why no memory is needed where the cue is shown throughout.
        oracle: How the full score is reached.
        never: Why there is nothing to remember if the cue is not shown.
        partial: Ceilings of agents that remember only a part; used with ``cue="flash"`` only.
        metric: Unit of the ceilings.
    """
    return TaskSpec(
        memory=memory,
        memory_length=settings.lengths,
        credit_length=(1, query_steps),
        n_bits=n_bits,
        metric=metric,
        random=Ceiling(chance, random),
        memoryless=Ceiling(1.0, always) if settings.cue == "always" else Ceiling(chance, guess),
        oracle=Ceiling(chance, never) if settings.cue == "never" else Ceiling(1.0, oracle),
        guarantees=guarantees(settings),
        partial=dict(partial or {}) if settings.cue == "flash" else {},
        expert_work=settings.expert_work,
    )
