"""T-maze: see a cue, drive down a corridor, and turn into the cued arm at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import STEP_LENGTH
from rlmem.envs.corridor.floor_plan import arm_directions
from rlmem.envs.corridor.working_corridor import HARD, WorkingCorridor, WorkingCorridorSettings
from rlmem.envs.memory_task import CUE, DELAY, DOCK, QUERY, Bools, Floats, Indices, Ints, Phase, Step
from rlmem.envs.pixels import PixelSettings, PixelTask
from rlmem.envs.recall import recall_spec
from rlmem.envs.task_settings import check_choice
from rlmem.errors import UserError
from rlmem.spec import TaskSpec

_PROGRESS = 0.1
"""Total reward for driving, in any direction: along the corridor, and again out of the junction."""
_START_NOISE = (0.05, 0.10)
_HOME_NOISE = (0.03, 0.10)
"""m sideways and rad of heading, uniform in plus and minus."""


@dataclass(frozen=True, kw_only=True)
class TMazeSettings(WorkingCorridorSettings, PixelSettings):
    """Knobs of the T-maze. See also :class:`WorkingCorridorSettings`.

    Args:
        arms: Number of arms at the junction: 2, 3 or 4.
        commit_distance: m, distance from the middle of the junction towards an arm that counts as the answer. Short by
            default: with long distances learners settle on one arm before they have tried the others.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": HARD}
    arms: int = 2
    commit_distance: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("arms", self.arms, (2, 3, 4))
        if not 0.05 <= self.commit_distance <= 1.0:
            raise UserError(f"commit_distance must be from 0.05 to 1.0 m, got {self.commit_distance}")


class TMaze(PixelTask, WorkingCorridor[TMazeSettings]):
    """A lamp at the start indicates an arm; drive down the corridor and turn into that arm at the junction.

    The T-maze of Bakker, "Reinforcement Learning with Long Short-Term Memory", NIPS 2001, with a simulated robot.

    **Episode.** For 3 control steps (20 per second) one of k lamps is lit: the cue. Then the robot drives down a
    corridor of ``memory_length`` control steps at full speed (0.05 m each). At the junction the go light comes on, and
    the robot drives ``commit_distance`` towards an arm: this is its answer, which terminates the episode. The episode
    is truncated if no answer is given within ``query_steps``.

    **Observation** (k + 10, float32): lamps 0 to k - 1 (1 if lit, left to right); go light; five ranges from left
    to right, as fractions of 2 m; cosine and sine of the heading; speed and turn rate, as fractions of 1 m/s and
    4 rad/s. With ``guard="delay"`` the last nine are 0 until the go light. With ``observation="pixels"``: an image
    (64 x 64 x 3, uint8) from a mast fixed to the robot's back; with ``guard="delay"`` it is black in the delay. Knobs
    of work add components after the go light: bell; gate left, gate right; obstacle left, obstacle right (1 here, 0
    from 2 m on).

    **Action** (2): throttle and steering in [-1, 1]: speed and turn rate as fractions of their maxima.

    **Reward.** +1 for the cued arm, -1 / (k - 1) for a wrong one, so that guessing earns 0; -0.01 for each control step
    of the query; and up to 0.1 for driving out of the junction, in any direction. A robot that drives itself earns up
    to 0.1 for driving along the corridor, and -0.01 for each control step that it is late at the junction or a dock.
    Before the answer no reward depends on the cue.

    **Work.** With ``gates`` the robot passes gates left and right of the middle, for 0.3 each, and the less the further
    it passes beside one (0 from 0.12 m on). The share of gates that it passed is its work, and an episode counts as
    success only if that is at least 80 % of the expert's share, which is 1. With ``obstacles`` panels stand across a
    side of the corridor; with ``distractors`` lamps flash in the delay, and a bell rings with the cue. Sides and
    flashes are drawn independently of the cue, so that the ceilings, which are about the answer, are the same.

    **Memory.** Retention of log2 k bits over ``memory_length`` control steps.

    **Ceilings.** Without memory 1 / k; oracle 1. With ``guard="delay"`` the robot is moved along the corridor without
    control through cue and delay, does not observe its own state, and is reset to the middle of the junction, at rest,
    with fresh noise: its earlier actions cannot influence what it observes (G1, G2 and G3 hold exactly). With
    ``guard="cue"`` it is held during the cue only and then drives itself: one step of memory is enough to steer to one
    side and to read the pose at the junction (G1 and G2 hold). With ``guard="none"`` it is never held, and a policy
    without memory can store the cue in its pose. With ``guard="dock"`` it drives itself through the delay and observes
    its own state, and passes a dock before the junction, and also after every ``dock_every`` control steps if set: for
    ``dock_steps`` control steps actions have no effect and the observation is constant, and then the robot is at rest
    at a pose that only the episode's seed determines (G1, G2 and G4 hold exactly). Then 1 / k is the ceiling of every
    agent that sees at most the last ``dock_steps`` observations.
    """

    Settings: ClassVar[type[TMazeSettings]] = TMazeSettings
    settings: TMazeSettings

    def __init__(self, settings: TMazeSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False) -> None:
        k = settings.arms
        self.directions = arm_directions(k)
        self.lamp_x = np.zeros(num_envs)
        """[N] m, position of the lamps."""
        self.chosen = np.full(num_envs, -1)
        """[N] the arm that the robot chose, -1 before its answer."""
        self._home, self._start_noise = np.zeros((num_envs, 2)), np.zeros((num_envs, 2))
        """[N, 2] m sideways and rad of heading at the junction and at the start."""
        self._before_x = np.zeros(num_envs)
        self.progress = np.zeros(num_envs)
        self._lamps: list[scenery.Lamps] = []
        self._pads: list[scenery.Pads] = []
        super().__init__(
            settings,
            num_envs,
            arms=k,
            signals=(*(f"lamp {arm}" for arm in range(k)), "go light"),
            visuals=visuals,
            gui=gui,
        )
        self.query_steps = settings.query_steps

    @classmethod
    def spec(cls, settings: TMazeSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        k = settings.arms
        spec = recall_spec(
            settings,
            memory="retention",
            n_bits=math.log2(k),
            chance=1 / k,
            query_steps=settings.query_steps,
            guess=f"the cue is uniform over {k} arms and independent of all that is seen at the query",
            random="an arm drawn at random is right once in k; at most, since it may answer too late",
            always="the lamp still shines at the query",
            oracle="remember the lamp, turn to its arm",
            never="the lamp is never lit: nothing to remember",
        )
        return replace(spec, expert_work=1.0 if settings.gates else None)

    @property
    def num_cues(self) -> int:
        """Number of cues: one for each arm."""
        return self.settings.arms

    def longest_corridor(self) -> float:
        """Return the length of the longest corridor, m."""
        return self.settings.lengths[1] * STEP_LENGTH

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw cue and noise, and set the start of the corridor. See :meth:`RecallTask.deal`."""
        self.draw_cue(index, rng, cue)
        noise = rng.uniform(-1.0, 1.0, 4)
        self._home[index], self._start_noise[index] = noise[:2] * _HOME_NOISE, noise[2:] * _START_NOISE
        self.chosen[index] = -1
        self.progress[index] = 0.0
        self.start_corridor(index, self.length[index] * STEP_LENGTH)
        self.lamp_x[index] = self.start_x[index] + 0.45
        self.deal_course(index, rng)

    def start(self, indices: Indices) -> None:
        """Put the robots at the start, unless they are held. See :meth:`RecallTask.start`."""
        if not self.locked:
            for index in indices.tolist():
                self.place(index, self.start_x[index], *self._start_noise[index].tolist())

    def move(self, actions: Floats, free: Bools) -> None:
        """Run one control step of physics. See :meth:`CorridorTask.move`."""
        self._before_x = self.pose[:, 0].copy()
        super().move(actions, free)

    def work(self, before: Ints, step: Step) -> None:
        """Reward driving along the corridor; truncate episodes that take too long. See :meth:`RecallTask.work`."""
        super().work(before, step)
        delayed = before == DELAY
        if self.locked or not np.count_nonzero(delayed):
            return
        driven = (self.pose[:, 0] - self._before_x) / np.maximum(np.abs(self.start_x), 0.05)
        step.reward[:] += np.where(delayed, _PROGRESS * driven, 0.0)
        on_time = self.leg_steps()
        step.reward[delayed & (self.clock > on_time)] -= self.STEP_COST
        late = self.clock >= 3 * on_time + self.settings.query_steps
        if np.count_nonzero(late):
            step.truncated[:] |= delayed & ~self.phase_over() & late

    def phase_over(self) -> Bools:
        """Return [N] whether the phase is over: the delay also when a robot reaches the junction or a dock."""
        over = super().phase_over()
        if self.locked:
            return over
        end = self.leg_x(self.leg + 1) if self.docks else 0.0
        return np.where(self.phase == DELAY, self.pose[:, 0] >= end, over)

    def start_leg(self, indices: Indices) -> None:
        """Put robots at rest behind the dock in the corridor. See :meth:`DockTask.start_leg`."""
        x = self.leg_x(self.leg)
        for index in indices.tolist():
            self.place(index, x[index], *(self.pose_noise(index, 2) * _HOME_NOISE).tolist())

    def start_query(self, indices: Indices) -> None:
        """Reset robots that were held, or leave a dock, to the junction. See :meth:`RecallTask.start_query`."""
        if self.put_back:
            for index in indices.tolist():
                self.place(index, 0.0, *self._home[index].tolist())

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take the arm that the robot has driven towards as its answer. See :meth:`RecallTask.query_reward`."""
        towards = self.pose[:, :2] @ self.directions.T
        furthest = towards.max(axis=1)
        progress = np.minimum(np.maximum(furthest / self.settings.commit_distance, 0.0), 1.0)
        step.reward[:] += np.where(asked, _PROGRESS * (progress - self.progress), 0.0)
        np.copyto(self.progress, progress, where=asked)
        committed = asked & (furthest >= self.settings.commit_distance)
        if np.count_nonzero(committed):
            arm = towards.argmax(axis=1)
            self.chosen[committed] = arm[committed]
            right = committed & (arm == self.cue)
            self.answered(right, committed & ~right, step)

    def answered_cue(self) -> Ints:
        """Return the arm that was chosen, [N]. See :meth:`MemoryTask.answered_cue`."""
        return self.chosen.copy()

    def answered(self, right: Bools, wrong: Bools, step: Step) -> None:
        """Set rewards and ends of correct and wrong answers [N], in place."""
        step.reward[right] += 1.0
        step.reward[wrong] -= 1.0 / (self.settings.arms - 1)
        self.success[right] = True
        self.score[right] = 1.0
        step.terminated[right | wrong] = True

    def signals(self) -> Floats:
        """Return lamps and go light, and what there is of bell, gates and obstacles, [N, k + 1 + C]."""
        out = np.zeros((self.num_envs, self.settings.arms + 1))
        if self.settings.cue != "never":
            lit = self.everyone if self.settings.cue == "always" else (self.phase == CUE).nonzero()[0]
            if len(lit):
                out[lit, self.cue[lit]] = 1.0
        out[:, -1] = self.phase == QUERY
        if self.bell:
            lamp = self.distracting()
            flashes = np.flatnonzero(lamp >= 0)
            out[flashes, lamp[flashes]] = 1.0
        if self.docks:
            out[self.phase == DOCK] = 0.0
        return np.concatenate((out, self.course_signals()), axis=1) if self.course else out

    def expert_action(self) -> Floats:
        """Return actions [N, 2] that follow the corridor and turn into the cued arm; reads the cue."""
        target = self.directions[self.cue]
        at_junction = self.steer_to(np.arctan2(target[:, 1], target[:, 0]))
        actions = np.where((self.phase == Phase.QUERY)[:, None], at_junction, self.steer_along())
        actions[self.held()] = 0.0
        return actions

    def build_props(self, client: int) -> None:
        """Create lamps and pads in a new world."""
        super().build_props(client)
        self._lamps.append(scenery.Lamps(client, self.settings.arms, bell=self.bell))
        self._pads.append(scenery.Pads(client, self.directions))

    def where(self, index: int) -> tuple[float, float, float]:
        """Return x, y (m) and yaw (rad) for rendering: of a held robot by the clock."""
        if self.locked and self.phase[index] in (Phase.CUE, Phase.DELAY):
            driven = self.clock[index] / max(int(self.length[index]), 1) if self.phase[index] == Phase.DELAY else 0.0
            return float(self.start_x[index] * (1.0 - driven)), 0.0, 0.0
        return super().where(index)

    def lit_lamp(self, index: int) -> int | None:
        """Return which lamp a camera sees lit while the cue is shown, None for none."""
        return None if self.settings.cue == "never" else int(self.cue[index])

    def draw(self, index: int) -> None:
        """Show robot, lamps and pads for the present state. See :meth:`MemoryTask.draw`."""
        if self.locked and self.phase[index] in (Phase.CUE, Phase.DELAY):
            self.show_robot(index, *self.where(index))
        self.draw_course(index)
        if self.phase[index] == Phase.CUE or self.settings.cue == "always":
            x = 0.45 if self.phase[index] == Phase.QUERY else self.where(index)[0] + 0.45
            here = self.lamp_x[index] if self.phase[index] == Phase.CUE else x
            self._lamps[index].show(here, self.lit_lamp(index), rings=bool(self.phase[index] == Phase.CUE))
        elif self.bell and self.phase[index] == Phase.DELAY:
            flashes = int(self.distracting()[index])
            self._lamps[index].show(self.lamp_ahead(index), flashes if flashes >= 0 else None)
        else:
            self._lamps[index].park()
        chosen = int(self.chosen[index])
        self._pads[index].show(
            go=bool(self.phase[index] == Phase.QUERY),
            chosen=chosen if chosen >= 0 else None,
            right=chosen == int(self.cue[index]),
        )
