"""Hidden polarity: the motors may be reversed; identify their polarity, remember it, and act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import CorridorSettings, CorridorTask
from rlmem.envs.memory_task import CUE, DELAY, QUERY, Bools, Floats, Indices, Step
from rlmem.envs.prop import Prop
from rlmem.envs.recall import RecallTask, recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.task_settings import RecallSettings, check_choice, check_whole
from rlmem.errors import UserError
from rlmem.spec import TaskSpec

_START_NOISE = (0.05, 0.10)
_HOME_NOISE = (0.03, 0.10)
"""m sideways and rad of heading, uniform in plus and minus."""
_PAD = 0.75
"""m, from the middle of the lane to the pads, for rendering."""


@dataclass(frozen=True, kw_only=True)
class HiddenPolaritySettings(CorridorSettings, RecallSettings):
    """Knobs of hidden polarity. See also :class:`rlmem.envs.corridor.corridor_task.CorridorSettings`.

    Args:
        guard: ``"delay"``: the robot is reset before the query and does not observe its own state in it; ``"none"``: it
            is never held and observes its own state throughout, so that it can identify the polarity in the query.
        cue: ``"flash"``: the polarity can be identified in the probe; ``"always"``: it is shown throughout, so that no
            memory is needed; ``"never"``: the robot never observes its own state, so that it cannot be identified.
        probe_steps: Control steps in which the robot can drive and observe its motion, to identify the polarity.
        commit_distance: m, distance driven forward or backward that counts as the answer.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    guard: Literal["delay", "none"] = "delay"
    probe_steps: int = 8
    commit_distance: float = 0.2

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, ("delay", "none"))
        super().__post_init__()
        check_whole("probe_steps", self.probe_steps, least=2, most=1_000)
        if not 0.05 <= self.commit_distance <= 1.0:
            raise UserError(f"commit_distance must be from 0.05 to 1.0 m, got {self.commit_distance}")


class HiddenPolarity(CorridorTask[HiddenPolaritySettings], RecallTask[HiddenPolaritySettings]):
    """Identify in a short probe whether the motors are reversed, and use it later without feedback.

    The smallest system identification task: one bit, which is never shown and must be found by acting.

    **Episode.** The robot stands in a lane. For ``probe_steps`` control steps (20 a second) it may drive, and observes
    its commands, its motion and the walls: this probe is the cue. Then it is held for ``memory_length`` steps. Then it
    is reset to the middle of the lane, at rest, a light indicates the pad ahead or the pad behind, and it has to drive
    ``commit_distance`` towards that pad without any feedback: this is its answer, which terminates the episode. The
    episode is truncated if no answer is given within ``query_steps``. With polarity -1 throttle and steering are both
    negated before they reach the motors, in probe and query.

    **Observation** (17, float32): polarity +1; polarity -1 (1 where shown, with ``cue="always"`` only); probe light;
    target ahead; target behind; go light; last commands of throttle and steering; five ranges from left to
    right, as fractions of 2 m; cosine and sine of the heading; speed and turn rate, as fractions of 1 m/s and 4 rad/s.
    The commands and the last nine are observed in the probe only, else 0; with ``guard="none"`` always.

    **Action** (2): throttle and steering in [-1, 1], before the polarity.

    **Reward.** +1 for driving to the indicated pad, -1 for the other one; -0.01 for each control step of the query.

    **Memory.** Identification: one bit, from the relation of commands and motion, to be remembered for
    ``memory_length`` control steps.

    **Ceilings.** Without memory 1/2; oracle 1. With ``guard="delay"`` the target is drawn independently of the
    polarity, and nothing else is observed in the query, so that the commands of an agent without memory are independent
    of the polarity too. The opposite polarity with mirrored start noise, which is equally likely, mirrors the motion
    and so swaps the answers: half of them are correct.
    G1, G2 and G3 hold exactly, and the ceiling is that of every agent whose window is shorter than ``memory_length``.
    With ``guard="none"`` a policy without memory can identify the polarity in the query itself.
    """

    Settings: ClassVar[type[HiddenPolaritySettings]] = HiddenPolaritySettings
    settings: HiddenPolaritySettings
    cue_names = ("polarity +1", "polarity -1")

    def __init__(
        self, settings: HiddenPolaritySettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.target = np.zeros(num_envs, dtype=np.int64)
        """[N] 0: the pad ahead, 1: the pad behind."""
        self.chosen = np.full(num_envs, -1)
        """[N] the pad that the robot chose, -1 before its answer."""
        self.commands = np.zeros((num_envs, 2))
        """[N, 2] last commands of throttle and steering."""
        self._home, self._start_noise = np.zeros((num_envs, 2)), np.zeros((num_envs, 2))
        """[N, 2] m sideways and rad of heading at the query and at the start."""
        self.from_x = np.zeros(num_envs)
        self._props: list[_Lane] = []
        super().__init__(settings, num_envs, arms=1, signals=_SIGNALS, visuals=visuals, gui=gui)
        self.query_steps = settings.query_steps

    @classmethod
    def spec(cls, settings: HiddenPolaritySettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        return recall_spec(
            settings,
            memory="identification",
            n_bits=1.0,
            chance=0.5,
            query_steps=settings.query_steps,
            guess="the query does not depend on the polarity, and negating it swaps right and wrong",
            random="either way is right in half of the episodes; at most, since it may answer too late",
            always="the polarity is shown at the query",
            oracle="feel the polarity, remember it",
            never="the polarity is never felt: nothing to remember",
        )

    @property
    def num_cues(self) -> int:
        """Number of polarities, 2."""
        return 2

    def longest_corridor(self) -> float:
        """Return 0: the robot starts in the middle."""
        return 0.0

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw polarity, target and noise. See :meth:`RecallTask.deal`."""
        drawn, self.target[index] = rng.integers(2, size=2)
        self.cue[index] = drawn if cue is None else cue
        self.cue_steps[index] = self.settings.probe_steps
        noise = rng.uniform(-1.0, 1.0, 4)
        self._home[index], self._start_noise[index] = noise[:2] * _HOME_NOISE, noise[2:] * _START_NOISE
        self.chosen[index], self.commands[index], self.from_x[index] = -1, 0.0, 0.0
        self.start_corridor(index, 0.0)

    def start(self, indices: Indices) -> None:
        """Put the robots into the middle of the lane. See :meth:`RecallTask.start`."""
        for index in indices.tolist():
            self.place(index, 0.0, *self._start_noise[index].tolist())

    def held(self) -> Bools:
        """Return [N] whether the guard holds the robot now: in the delay."""
        held: Bools = (self.phase == DELAY) & self.locked
        return held

    def move(self, actions: Floats, free: Bools) -> None:
        """Simulate the robots that are not held, with the polarity of their motors. See :meth:`CorridorTask.move`."""
        self.commands[:] = np.where(free[:, None], actions, 0.0)
        super().move(actions * (1.0 - 2.0 * self.cue)[:, None], free)

    def start_query(self, indices: Indices) -> None:
        """Reset the robots to the middle of the lane, at rest. See :meth:`RecallTask.start_query`."""
        if self.locked:
            for index in indices.tolist():
                self.place(index, 0.0, *self._home[index].tolist())
        self.from_x[indices] = self.pose[indices, 0]

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take the direction in which the robot has driven as its answer. See :meth:`RecallTask.query_reward`."""
        driven = self.pose[:, 0] - self.from_x
        committed = asked & (np.abs(driven) >= self.settings.commit_distance)
        self.chosen[committed] = driven[committed] < 0.0
        right = committed & (self.chosen == self.target)
        step.reward[committed] += np.where(right, 1.0, -1.0)[committed]
        self.success |= right
        self.score[right] = 1.0
        step.terminated[committed] = True

    def signals(self) -> Floats:
        """Return polarity, lights, target and commands [N, 8]."""
        out = np.zeros((self.num_envs, len(_SIGNALS)))
        if self.settings.cue == "always":
            out[self.everyone, self.cue] = 1.0
        asked = self.phase == QUERY
        out[:, 2] = self.phase == CUE
        out[:, 3], out[:, 4] = asked & (self.target == 0), asked & (self.target == 1)
        out[:, 5] = asked
        out[:, 6:8] = np.where(self.sensing()[:, None], self.commands, 0.0)
        return out

    def sensing(self) -> Bools:
        """Return [N] whether the robot observes its own state: in the probe, or throughout if it is not held."""
        if self.settings.cue == "never":
            return np.zeros(self.num_envs, dtype=np.bool_)
        probing: Bools = self.phase == CUE
        return probing if self.locked else np.ones(self.num_envs, dtype=np.bool_)

    def expert_action(self) -> Floats:
        """Return actions [N, 2] that drive to the indicated pad; reads the polarity."""
        throttle = (1.0 - 2.0 * self.target) * (1.0 - 2.0 * self.cue)
        return np.stack((np.where(self.phase == QUERY, throttle, 0.0), np.zeros(self.num_envs)), axis=-1)

    def build_props(self, client: int) -> None:
        """Create pads and lamps in a new world."""
        self._props.append(_Lane(client))

    def draw(self, index: int) -> None:
        """Show pads and polarity for the present state. See :meth:`MemoryTask.draw`."""
        asked = self.phase[index] == QUERY
        chosen = int(self.chosen[index])
        self._props[index].show(
            self.where(index),
            flipped=bool(self.cue[index]),
            target=int(self.target[index]) if asked or chosen >= 0 else None,
            chosen=chosen if chosen >= 0 else None,
        )


_SIGNALS = (
    "polarity +1",
    "polarity -1",
    "probe light",
    "target ahead",
    "target behind",
    "go light",
    "throttle command",
    "steering command",
)


class _Lane:
    """The pads at both ends of the lane, and a lamp over the robot: green for polarity +1, red for -1."""

    def __init__(self, client: int) -> None:
        self._pads = [Prop(client, [parts.box((0.22, 0.22, 0.002), scenery.BLUE)]) for _ in range(2)]
        self._lamps = [Prop(client, [parts.sphere(0.045, color)]) for color in (scenery.GREEN, scenery.RED)]

    def show(self, robot: tuple[float, float, float], *, flipped: bool, target: int | None, chosen: int | None) -> None:
        for number, pad in enumerate(self._pads):
            color = scenery.YELLOW if number == target else scenery.BLUE
            if number == chosen:
                color = scenery.GREEN if chosen == target else scenery.RED
            pad.show(_PAD * (1 - 2 * number), 0.0, 0.002, color=color)
        for number, lamp in enumerate(self._lamps):
            if number == int(flipped):
                lamp.show(robot[0], robot[1], 0.26)
            else:
                lamp.park()
