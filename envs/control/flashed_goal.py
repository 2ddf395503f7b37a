"""Flashed goal: bring a puck to a goal that was shown briefly, without observing its velocity.

Axes: N environments, A axes of motion, D observation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rlmem.envs.control.goals import (
    CELLS,
    DRIFT,
    EDGE,
    GOALS,
    HOME,
    REST,
    TOLERANCE,
    goal_in_cell,
    without_goal,
    without_velocity,
)
from rlmem.envs.control.puck import FORCE, PUCK_PHYSICS, Puck, stop_at
from rlmem.envs.control.scenery import CAMERAS, PuckTable
from rlmem.envs.memory_task import CUE, OVER, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.recall import RecallTask, guarantees
from rlmem.envs.simulation import World, pybullet
from rlmem.envs.task_settings import RecallSettings, check_choice, check_whole
from rlmem.spec import Ceiling, TaskSpec

MAX_SPEED = 2.0
"""m/s, velocity that is observed as 1."""
_REWARD_SCALE = 0.4
"""m or m/s, distance plus speed at which the second half of the reward has fallen to 1/e."""


@dataclass(frozen=True, kw_only=True)
class FlashedGoalSettings(RecallSettings):
    """The knobs of the flashed goal. See also :class:`rlmem.envs.task_settings.RecallSettings`.

    Args:
        axes: 1: a rail, and the action is one force; 2: a table, and the action is a force along x and one along y.
        velocity: ``"hidden"``: it must be inferred from successive positions; ``"shown"``: it is observed, so that
            only the goal must be remembered.
        query_steps: Control steps from the go light to the end of the episode, when success is measured; at least 40.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    axes: Literal[1, 2] = 1
    velocity: Literal["hidden", "shown"] = "hidden"
    query_steps: int = 40

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("axes", self.axes, least=1, most=2)
        check_choice("velocity", self.velocity, ("hidden", "shown"))
        check_whole("query_steps", self.query_steps, least=40, most=1_000)


class FlashedGoal(RecallTask[FlashedGoalSettings]):
    """A goal flashes; after a delay, bring a puck to rest there, without observing the puck's velocity.

    Control with a hidden velocity and a goal that must be remembered: a small benchmark for recurrent controllers
    trained by Kalman filters, after the plants of Puskorius and Feldkamp, "Neurocontrol of nonlinear dynamical systems
    with Kalman filter trained recurrent networks", IEEE Transactions on Neural Networks 5, 1994, but simulated as a
    body in Bullet.

    **Episode.** A puck of 1 kg on an air rail of 2 m, without friction, is held in the middle. For 3 control steps (20
    per second) a goal is shown, uniform within 0.8 m of the middle: the cue. ``memory_length`` control steps later the
    go light comes on, and the puck is released within 0.1 m of the middle at a velocity of up to 0.4 m/s, both drawn
    uniformly. ``query_steps`` control steps later the episode terminates. It is a success if the puck is then within
    0.08 m of the goal at less than 0.1 m/s. If the puck leaves the rail, the episode terminates without success. With
    ``axes=2`` the rail is a table of 2 m by 2 m, goals are uniform on a disc, distance and speed are those in the
    plane, and the release is uniform along each axis.

    **Observation** (2 A + 2 for A axes, or 3 A + 2 with the velocity; float32): goal, m, while it is shown, else 0;
    goal shown; go light; position, m; with ``velocity="shown"`` the velocity as a part of 2 m/s. With ``guard="delay"``
    position and velocity are 0 until the go light. The last action is not observed: while the puck is held it would
    carry a trace of the agent's behavior (against G2 and G3), and two positions give the velocity without it.

    **Action** (A): force in [-1, 1] as a part of 3 N, along x (and y).

    **Reward.** Only at the end: 0.5 for success, plus 0.5 exp(-(d + v) / 0.4) at a distance of d m from the goal and a
    speed of v m/s; 0 for leaving the rail. No earlier reward could tell the agent where the goal is.

    **Memory.** Retention of a position, log2(0.8 / 0.08) bits an axis, over ``memory_length`` control steps; and the
    velocity, which two successive positions give. With ``cue="always"`` only the velocity must be remembered:
    regulation with a hidden velocity.

    **Ceilings.** Oracle 1: full braking and acceleration (3 m/s^2) reach any goal from any release in less than 1.4 s,
    and 2 s are given. *Without the goal*: with ``guard="delay"`` G1, G2 and G3 hold exactly, so that for an agent that
    remembers less than ``memory_length`` steps the goal is uniform and independent of all observations and actions;
    wherever the puck ends, it is within r = 0.08 m with a probability of at most r / R, R = 0.8 m, or (r / R)^2 on the
    disc. *Without the velocity*: one physics step is one control step, v' = v + dt F / m and x' = x + dt v'. If F
    depends on the position, the goal, the time, and chance, but not on earlier positions, both maps are shears of the
    phase space and preserve its volume, whatever the policy. The releases fill a volume (2 * 0.1)^A (2 * 0.4)^A,
    successes one of (2 * 0.08) (2 * 0.1), or of two discs; so at most their ratio succeeds: 0.2 on the rail, 0.025 on
    the table. A spring between goal and middle reaches this on the rail. (Friction would shrink the volume; there is
    none.) With ``guard="cue"`` the puck is released when the cue ends, and with ``guard="none"`` before it: its
    position and velocity may then tell the goal when the go light comes on.
    """

    STEP_COST: ClassVar[float] = 0.0
    Settings: ClassVar[type[FlashedGoalSettings]] = FlashedGoalSettings
    settings: FlashedGoalSettings

    def __init__(
        self, settings: FlashedGoalSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        super().__init__(settings, num_envs, visuals=visuals or gui, gui=gui)
        axes = settings.axes
        names = ("x", "y")[:axes]
        self.action_names = tuple(f"force {name}" for name in names) if axes == 2 else ("force",)
        self.observation_names = (
            *(f"goal {name}" for name in names),
            "goal shown",
            "go light",
            *(f"position {name}" for name in names),
            *(f"velocity {name}" for name in names if settings.velocity == "shown"),
        )
        self.observation_space = spaces.Box(-1.0, 1.0, (len(self.observation_names),), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (axes,), np.float32)
        self.goal = np.zeros((num_envs, axes))
        """[N, A] m; privileged."""
        self.motion = np.zeros((num_envs, axes, 2))
        """[N, A, 2] position, m, and velocity, m/s, of the puck; the latter is privileged."""
        self.measured = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether success has been measured, at the end of the episode."""
        self.drawn_release = np.zeros((num_envs, axes, 2))
        """[N, A, 2] position, m, and velocity, m/s, with which the puck is released; privileged."""
        self.lost = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether the puck has left the rail or table."""
        self.query_steps = settings.query_steps
        self._pucks: list[Puck] = []
        self._tables: list[PuckTable] = []
        for _ in range(num_envs):
            self.worlds.append(World(self._build, PUCK_PHYSICS, gui=gui))

    @classmethod
    def spec(cls, settings: FlashedGoalSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        axes, hidden = settings.axes, settings.velocity == "hidden"
        always, flash = settings.cue == "always", settings.cue == "flash"
        guess = Ceiling(
            without_goal(axes),
            "the goal is uniform: wherever the puck ends, this is the probability that the goal is there",
        )
        spring = Ceiling(
            without_velocity(axes),
            "forces that depend on position alone preserve phase space: volume of successes by volume of releases",
        )
        memory, lengths, memoryless = "retention + velocity" if hidden else "retention", settings.lengths, guess
        if always:
            memory, lengths, memoryless = "none", (0, 0), Ceiling(1.0, "goal and velocity are observed")
            if hidden:
                memory, lengths, memoryless = "velocity", (1, 1), spring
        return TaskSpec(
            memory=memory,
            memory_length=lengths,
            credit_length=(1, settings.query_steps),
            n_bits=axes * math.log2(GOALS / TOLERANCE),
            metric="success",
            random=Ceiling(guess.value, "at most: it does not know the goal, and does not bring the puck to rest"),
            memoryless=memoryless,
            oracle=guess
            if settings.cue == "never"
            else Ceiling(1.0, "the puck is at rest at the goal well before the episode ends"),
            guarantees=guarantees(settings),
            partial={"the goal, not the velocity": spring} if flash and hidden else {},
        )

    @property
    def num_cues(self) -> int:
        """One cue for each cell of the goals' range; where in its cell the goal lies is drawn in addition."""
        return CELLS

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the goal and the release. See :meth:`RecallTask.deal`."""
        axes = self.settings.axes
        drawn = int(rng.integers(CELLS))
        self.cue[index] = drawn if cue is None else cue
        self.goal[index] = goal_in_cell(int(self.cue[index]), rng.random(axes))
        self.drawn_release[index] = rng.uniform(-1.0, 1.0, (axes, 2)) * (HOME, DRIFT)
        self.motion[index] = self.drawn_release[index] * (1.0, 0.0)
        self.measured[index] = self.lost[index] = False

    def start(self, indices: Indices) -> None:
        """Release the pucks at the start, if there is no guard. See :meth:`RecallTask.start`."""
        if self.settings.guard == "none":
            self.release(indices)

    def release(self, indices: Indices) -> None:
        """Release pucks at the drawn positions and velocities."""
        self.motion[indices] = self.drawn_release[indices]
        for index in indices.tolist():
            self.worlds[index].restore()
            self._pucks[index].place(*self.motion[index].T.tolist())

    def move(self, actions: Floats, free: Bools) -> None:
        """Run one control step of physics. See :meth:`RecallTask.move`."""
        (which,) = free.nonzero()
        if which.size:
            forces, pucks = (actions * FORCE).tolist(), self._pucks
            states = [pucks[index].step(forces[index]) for index in which.tolist()]
            self.motion[which] = [[axis[:2] for axis in state] for state in states]
            self.lost[which] = (np.abs(self.motion[which, :, 0]) > EDGE).any(axis=1)

    def work(self, before: Ints, step: Step) -> None:
        """Terminate the episodes whose pucks have left the rail or table. See :meth:`RecallTask.work`."""
        step.terminated[:] = self.lost & (before != OVER)

    def phase_over(self) -> Bools:
        """Return [N] whether the phase is over; never after the puck has left. See :meth:`RecallTask.phase_over`."""
        over: Bools = super().phase_over() & ~self.lost
        return over

    def start_delay(self, indices: Indices) -> None:
        """Release the pucks that are held during the cue only. See :meth:`RecallTask.start_delay`."""
        if self.settings.guard == "cue":
            self.release(indices)

    def start_query(self, indices: Indices) -> None:
        """Release the pucks that are held until the query. See :meth:`RecallTask.start_query`."""
        if self.locked:
            self.release(indices)

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Measure distance and speed of the puck at the end of the query. See :meth:`RecallTask.query_reward`."""
        ended = asked & (self.clock >= self.query_steps) & ~self.lost
        if ended.any():
            miss = np.linalg.norm(self.motion[ended, :, 0] - self.goal[ended], axis=1)
            speed = np.linalg.norm(self.motion[ended, :, 1], axis=1)
            success = (miss <= TOLERANCE) & (speed <= REST)
            self.measured[ended], self.success[ended], self.score[ended] = True, success, success
            step.reward[ended] = 0.5 * success + 0.5 * np.exp(-(miss + speed) / _REWARD_SCALE)
            step.terminated[ended] = True

    def observe(self) -> NDArray[np.float32]:
        """Return the observations [N, D]: goal, go light, and the puck's state unless it is held."""
        axes, cue = self.settings.axes, self.settings.cue
        out = np.zeros((self.num_envs, len(self.observation_names)), dtype=np.float32)
        if cue != "never":
            shown = self.everyone if cue == "always" else self.phase == CUE
            out[shown, :axes] = self.goal[shown] / EDGE
            out[shown, axes] = 1.0
        out[:, axes + 1] = self.phase == QUERY
        sensing = self.sensing()
        seen = [self.motion[sensing, :, 0] / EDGE]
        if self.settings.velocity == "shown":
            seen.append(self.motion[sensing, :, 1] / MAX_SPEED)
        out[sensing, axes + 2 :] = np.concatenate(seen, axis=1).clip(-1.0, 1.0)
        return out

    def expert_action(self) -> Floats:
        """Accelerate towards the goal and brake to stop there. Reads goal and velocity. [N, A]."""
        position, velocity = self.motion[:, :, 0], self.motion[:, :, 1]
        asked = (self.phase == QUERY)[:, None]
        actions = stop_at(np.where(asked, self.goal, 0.0) - position, velocity)
        actions[self.held()] = 0.0
        return actions

    def draw(self, index: int) -> None:
        """Show puck, goal and go light in their present state. See :meth:`MemoryTask.draw`."""
        phase, cue = int(self.phase[index]), self.settings.cue
        if self.held()[index]:  # drawn in the middle, since the guard hides the release
            where = self.motion[index, :, 0] * (self.settings.guard == "cue")
            self._pucks[index].place(where.tolist(), [0.0] * self.settings.axes)
        shown = cue == "always" or (cue == "flash" and phase == CUE)
        self._tables[index].show(
            self.goal[index].tolist() if shown or self.measured[index] else None,
            go=phase == QUERY and not self.measured[index],
            result=bool(self.success[index]) if self.measured[index] else None,
        )

    def frame(self, index: int, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3]: from ``"behind"``, from ``"above"``, or ``"both"`` side by side."""
        check_choice("camera", camera, (*CAMERAS, "both"))
        self.draw(index)
        return self._tables[index].frame(camera, width, height)

    def show_in_window(self, index: int) -> None:
        """Point the camera of Bullet's window at one world, from behind."""
        self.draw(index)
        pybullet.resetDebugVisualizerCamera(2.6, 0.0, -35.0, [0.0, 0.0, 0.0], physicsClientId=self.worlds[index].client)

    def _build(self, client: int) -> None:
        if self.visuals:
            self._tables.append(PuckTable(client, self.settings.axes, edge=EDGE, tolerance=TOLERANCE))
        self._pucks.append(Puck(client, self.settings.axes, visuals=self.visuals))
