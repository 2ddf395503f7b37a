"""Base class of all memory tasks: N environments that are stepped together.

A task is batch-first: each array has a first axis of N environments, and a single environment is N = 1 of the same
code. Each environment draws from its own generator, so results do not depend on how many there are or where they run.

Axes: N environments, D observation, A action.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from enum import IntEnum
from typing import Any, ClassVar, Generic, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError
from numpy.typing import NDArray

from rlmem.environments import with_preset
from rlmem.envs.simulation import MAX_WORLDS, MAX_WORLDS_COST, PHYSICS, World
from rlmem.envs.task_settings import S
from rlmem.envs.work import Outcome, WorkTally
from rlmem.errors import UserError
from rlmem.spec import TaskSpec
from rlmem.suggest import unknown

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]


class Phase(IntEnum):
    """The phase that an episode is in."""

    SEARCH = 0
    """Before the cue, in tasks where the cue must be looked for."""
    CUE = 1
    DELAY = 2
    QUERY = 3
    OVER = 4
    """The episode has ended; nothing happens until the next begins."""
    WAIT = 5
    """The answer has been given and its reward is still to come."""
    DOCK = 6
    """The robot is in a dock, see :mod:`rlmem.envs.dock`."""


SEARCH, CUE, DELAY, QUERY, OVER, WAIT, DOCK = (int(phase) for phase in Phase)
"""The phases as plain integers, for code that runs at every step: comparing with enum members is slow."""

PHASE_NAMES = np.array([phase.name.lower() for phase in Phase])


def check_actions(actions: NDArray[Any], num_envs: int, space: spaces.Box) -> Floats:
    """Return actions [N, A] as float64, clipped to their space.

    Raises:
        ValueError: If they have the wrong shape or are not finite.
    """
    try:
        checked = np.asarray(actions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"actions must be numbers of shape {(num_envs, *space.shape)}: {error}") from error
    if checked.shape != (num_envs, *space.shape):
        raise ValueError(f"actions must have shape {(num_envs, *space.shape)}, got {checked.shape}")
    if np.count_nonzero(np.isfinite(checked)) < checked.size:
        index = int(np.argmin(np.isfinite(checked).all(axis=1)))
        raise ValueError(f"actions must be finite, got {checked[index].tolist()} for environment {index}")
    return np.minimum(np.maximum(checked, space.low), space.high)


def check_observations(observations: NDArray[Any], space: spaces.Box) -> None:
    """Raise an error unless observations [N, ...] lie in the observation space of one environment.

    Raises:
        RuntimeError: If a component is not a number, or out of its bounds.
    """
    inside = (observations >= space.low) & (observations <= space.high)
    if np.count_nonzero(inside) < inside.size:
        index, *component = np.argwhere(~inside)[0].tolist()
        value, at = observations[(index, *component)], ", ".join(map(str, component))
        raise RuntimeError(f"observation {at} of environment {index} is {value}, outside the observation space")


class Step(NamedTuple):
    """Rewards and ends of one control step, each [N]."""

    reward: Floats
    terminated: Bools
    truncated: Bools


class Origin(NamedTuple):
    """All that an episode depends on, besides its actions; enough to repeat it."""

    generator: dict[str, Any]
    """State of the environment's generator before the episode began."""
    cue: int | None
    """The cue that was requested, None if it was drawn."""
    knobs: dict[str, Any]
    """Values of the changeable knobs when the episode began."""


class MemoryTask(ABC, Generic[S]):
    """N environments of one task.

    Args:
        settings: The task's knobs.
        num_envs: N, at least 1.
        visuals: Create visual shapes, for rendering. Results are the same with and without.
        gui: Show the (single) world in Bullet's window.

    Raises:
        UserError: If ``num_envs`` is less than 1, or more than a process can hold.
    """

    Settings: ClassVar[type[Any]]
    """The dataclass of the task's knobs."""
    CHANGEABLE: ClassVar[tuple[str, ...]] = ()
    """The knobs that can be changed from one episode to the next, such as ``"memory_length"``."""
    derived: ClassVar[tuple[str, ...]] = ()
    """Names of properties [N, ...] that follow from the state, for the full state: :mod:`rlmem.envs.full_state`."""
    observation_names: tuple[str, ...]
    """Name of each of the D components of the observation."""
    action_names: tuple[str, ...] = ()
    """Name of each of the A components of the action, where they have names."""
    observation_space: spaces.Box
    action_space: spaces.Box
    phase: Ints
    """[N] the :class:`Phase` of each environment."""
    clock: Ints
    """[N] control steps since the phase began."""
    cue: Ints
    """[N] the cue that must be remembered; privileged."""
    success: Bools
    """[N] whether the goal was reached, such as the right answer; :meth:`outcome` says whether the episode counts."""
    score: Floats
    """[N] score of the episode so far, in the units of the ceilings; :meth:`outcome` says whether it counts."""
    tally: WorkTally | None
    """Counts the work, in tasks whose spec states the share that the expert does; see :mod:`rlmem.envs.work`."""

    def __init__(self, settings: S, num_envs: int = 1, *, visuals: bool = False, gui: bool = False) -> None:
        if num_envs < 1:
            raise UserError(f"num_envs must be at least 1, got {num_envs}")
        if num_envs > MAX_WORLDS:
            raise UserError(f"num_envs = {num_envs} is too many: {MAX_WORLDS_COST}; spread them over workers")
        self.settings, self.num_envs, self.visuals, self.gui = settings, num_envs, visuals, gui
        self.rngs = [np.random.default_rng() for _ in range(num_envs)]
        self.worlds: list[World] = []
        """The Bullet worlds, which are closed with the task; empty in tasks without Bullet."""
        self.closed = False
        self.origins = [Origin(dict(rng.bit_generator.state), None, {}) for rng in self.rngs]
        self.phase = np.full(num_envs, int(Phase.CUE))
        self.clock = np.zeros(num_envs, dtype=np.int64)
        self.cue = np.zeros(num_envs, dtype=np.int64)
        self.success = np.zeros(num_envs, dtype=np.bool_)
        self.score = np.zeros(num_envs)
        expert = self.spec(settings).expert_work
        self.tally = None if expert is None else WorkTally(num_envs, expert)
        self.everyone = np.arange(num_envs)

    @property
    def control_hz(self) -> float:
        """Control steps per second of the robot's time."""
        return (self.worlds[0].physics if self.worlds else PHYSICS).control_hz

    @classmethod
    @abstractmethod
    def spec(cls, settings: S) -> TaskSpec:
        """Return the ceilings and the memory that the task needs. Starts no simulator."""

    @classmethod
    def make_settings(cls, knobs: Mapping[str, Any]) -> S:
        """Check knobs and return them as the task's settings.

        Args:
            knobs: Names and values; ``"preset"`` stands for the knobs of a preset, which others may override.

        Raises:
            UserError: If the task has no such knob or preset, or the value of a knob is invalid.
        """
        knobs = with_preset(cls.Settings, knobs, cls.__name__)
        names = [field.name for field in fields(cls.Settings)]
        for name in knobs:
            if name not in names:
                raise UserError(unknown(f"knob of {cls.__name__}", name, names))
        settings: S = cls.Settings(**knobs)
        return settings

    @property
    @abstractmethod
    def num_cues(self) -> int:
        """How many different cues there are."""

    @abstractmethod
    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start an episode in some environments, drawing from their generators.

        Args:
            indices: Which environments.
            cues: [N] cues to show instead of the ones drawn. All else is drawn the same.
        """

    @abstractmethod
    def advance(self, actions: Floats) -> Step:
        """Run one control step in every environment with checked actions [N, A]."""

    def quiet_steps(self) -> int:
        """Return the number of coming control steps in which nothing happens, whatever the actions.

        In these steps, in all environments, no phase begins, no reward is paid, no episode ends and the observation
        does not change; only clocks advance. The vector environment then skips the simulation. 0 is always correct.
        """
        return 0

    @abstractmethod
    def observe(self) -> NDArray[Any]:
        """Return the observations: [N, D], or images [N, 64, 64, 3], see :mod:`rlmem.envs.pixels`."""

    @abstractmethod
    def expert_action(self) -> Floats:
        """Return the actions [N, A] in [-1, 1] of the scripted expert, which may read privileged state."""

    def outcome(self) -> Outcome:
        """Return success, score and work of each episode, as reports and ``info`` have them.

        In a task with work an episode counts only if enough of it was done: else ``success`` and ``score`` are void.
        """
        if self.tally is None:
            return Outcome(self.success.copy(), self.score.copy(), np.full(self.num_envs, np.nan))
        enough = self.tally.enough()
        return Outcome(self.success & enough, np.where(enough, self.score, 0.0), self.tally.share())

    def answered_cue(self) -> Ints | None:
        """Return the cue for which each answer is correct, [N], -1 before an answer; None if the task has none."""
        return None

    def sensing(self) -> Bools:
        """Return [N] whether the robot observes its own state now."""
        return np.ones(self.num_envs, dtype=np.bool_)

    def look(self, index: int) -> NDArray[np.uint8]:
        """Render one environment as its agent sees it, [64, 64, 3].

        Raises:
            NotImplementedError: If the task has no camera for its agent.
        """
        raise NotImplementedError(f"{type(self).__name__} has no camera for its agent")

    def draw(self, index: int) -> None:
        """Move and color the bodies of one world so that a camera sees the episode's present state."""

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Render one environment, [height, width, 3].

        Raises:
            NotImplementedError: If the task cannot be rendered.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be rendered")

    def show_in_window(self, index: int) -> None:
        """Update Bullet's window to one environment."""
        self.draw(index)

    def close(self) -> None:
        """Disconnect all worlds. Closing twice does nothing."""
        self.closed = True
        for world in self.worlds:
            world.close()

    def check_open(self) -> None:
        """Raise an error if the task is closed, since Bullet reuses the ids of closed worlds.

        Raises:
            ClosedEnvironmentError: If it is.
        """
        if self.closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs of the episodes that begin from now on.

        Args:
            knobs: Names and values; the names are among ``CHANGEABLE``.

        Raises:
            UserError: If a knob is unknown, cannot be changed, or its value is invalid.
        """
        names = [field.name for field in fields(self.Settings)]
        changeable = [name for name in self.CHANGEABLE if name in names]
        for name in knobs:
            if name not in names:
                raise UserError(unknown(f"knob of {type(self).__name__}", name, names))
            if name not in changeable:
                which = f"what can be changed is {', '.join(changeable)}" if changeable else "no knob can be changed"
                raise UserError(f"{name} is fixed once {type(self).__name__} is made, and {which}; make a new one")
        self.settings = replace(self.settings, **knobs)

    def reset(
        self, indices: Indices | None = None, seeds: Sequence[int | None] | None = None, cues: Ints | None = None
    ) -> None:
        """Start new episodes.

        Args:
            indices: Which environments; all if None.
            seeds: One for each listed environment; None continues with the environment's generator.
            cues: [N] cues to show instead of the ones drawn.

        Raises:
            UserError: If a cue is out of range.
            ClosedEnvironmentError: If the task is closed.
        """
        self.check_open()
        which = self.everyone if indices is None else indices
        if cues is not None and not all(0 <= cues[i] < self.num_cues for i in which):
            got = ", ".join(map(str, cues.tolist()))
            raise UserError(f"cue must be from 0 to {self.num_cues - 1}, got {got}")
        for position, index in enumerate(which):
            seed = seeds[position] if seeds is not None else None
            if seed is not None:
                self.rngs[index] = np.random.default_rng(seed)
            self.origins[index] = Origin(
                dict(self.rngs[index].bit_generator.state),
                None if cues is None else int(cues[index]),
                {name: getattr(self.settings, name) for name in self.CHANGEABLE if hasattr(self.settings, name)},
            )
        self.clock[which] = 0
        self.success[which] = False
        self.score[which] = 0.0
        if self.tally is not None:
            self.tally.clear(which)
        self.begin(which, cues)

    def step(self, actions: NDArray[Any]) -> Step:
        """Run one control step in every environment.

        Args:
            actions: [N, A]; see :func:`check_actions`.

        Returns:
            Rewards and ends. An environment whose episode has ended must be reset before it is stepped again.

        Raises:
            ValueError: If the actions have the wrong shape or are not finite. No environment is stepped then.
        """
        return self.step_checked(check_actions(actions, self.num_envs, self.action_space))

    def step_checked(self, actions: Floats) -> Step:
        """Run one control step with actions [N, A] that :func:`check_actions` has returned."""
        self.check_open()
        self.clock += 1
        return self.advance(actions)

    def enter(self, which: Bools | Indices, phase: int) -> None:
        """Set some environments to the beginning of a phase."""
        self.phase[which] = phase
        self.clock[which] = 0
