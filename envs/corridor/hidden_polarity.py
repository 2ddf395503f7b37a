"""Hidden polarity: the motors may be wired the wrong way round; find out, and remember."""

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
"""m, from the lane's middle to the pads, as they are drawn."""


@dataclass(frozen=True, kw_only=True)
class HiddenPolaritySettings(CorridorSettings, RecallSettings):
    """The knobs of hidden polarity. See also :class:`rlmem.envs.corridor.corridor_task.CorridorSettings`.

    Args:
        guard: ``"delay"``: what was done before the query leaves no trace, and the query is answered blindly;
            ``"none"``: the robot is free and senses itself throughout, and can find out at the query.
        cue: ``"flash"``: the polarity can be felt in the probe; ``"always"``: it is shown throughout, so that no memory
            is needed; ``"never"``: the robot senses nothing of itself, so that it cannot be felt.
        probe_steps: Control steps in which the robot can feel what its motors do.
        commit_distance: m, ahead or back, that counts as the answer.

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
    """In half of the episodes all motors turn the wrong way; feel it while you may, and act upon it later, blindly.

    System identification in its smallest form: one bit, which no one shows. It has to be found by acting.

    **Episode.** The robot stands in a lane. For ``probe_steps`` control steps (20 a second) it may drive, and senses
    its commands, its motion and the walls: the probe, which is the cue. Then it is locked for ``memory_length`` steps.
    Then it stands in the middle of the lane again, at rest, a light names the pad ahead or the pad behind, and it has
    to drive ``commit_distance`` that way without sensing anything: its answer, which terminates the episode. It is
    truncated when no answer comes within ``query_steps``. With polarity -1 throttle and steering are both negated
    before they reach the motors, in probe and query.

    **Observation** (17, float32): polarity +1; polarity -1 (1 where shown, with ``cue="always"`` only); probe light;
    target ahead; target behind; go light; throttle and steering that were commanded last; five ranges from left to
    right, as parts of 2 m; cosine and sine of the heading; speed and turn rate, as parts of 1 m/s and 4 rad/s. The
    commands and the last nine are sensed in the probe only, else 0; with ``guard="none"`` always.

    **Action** (2): throttle and steering in [-1, 1], before the polarity.

    **Reward.** +1 for driving to the named pad, -1 for the other one; -0.01 a control step of the query.

    **Memory.** Identification: one bit, from the relation of commands and motion, held for ``memory_length`` control
    steps.

    **Ceilings.** Without memory 1/2; oracle 1. With ``guard="delay"`` the target is drawn independently of the
    polarity, and nothing else is seen at the query, so that what an agent without memory commands there is independent
    of the polarity too. The other polarity, with the noise of the start mirrored, which is as likely, mirrors the
    motion, and so swaps the answers: the right one comes half the time.
    G1, G2 and G3 hold exactly, and the ceiling is that of every agent whose window is shorter than ``memory_length``.
    With ``guard="none"`` a policy without memory feels the polarity at the query itself.
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
        """[N] the pad that was answered, -1 before."""
        self.commands = np.zeros((num_envs, 2))
        """[N, 2] throttle and steering that were commanded last."""
        self._home, self._start_noise = np.zeros((num_envs, 2)), np.zeros((num_envs, 2))
        """[N, 2] m sideways and rad of heading at the query and at the start."""
        self._from_x = np.zeros(num_envs)
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
        """Two polarities."""
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
        self.chosen[index], self.commands[index], self._from_x[index] = -1, 0.0, 0.0
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
        """Let the robots that are free drive, with the polarity of their motors. See :meth:`CorridorTask.move`."""
        self.commands[:] = np.where(free[:, None], actions, 0.0)
        super().move(actions * (1.0 - 2.0 * self.cue)[:, None], free)

    def start_query(self, indices: Indices) -> None:
        """Put the robots back into the middle of the lane, at rest. See :meth:`RecallTask.start_query`."""
        if self.locked:
            for index in indices.tolist():
                self.place(index, 0.0, *self._home[index].tolist())
        self._from_x[indices] = self.pose[indices, 0]

    def judge(self, asked: Bools, step: Step) -> None:
        """The way that the robot has driven is its answer. See :meth:`RecallTask.judge`."""
        driven = self.pose[:, 0] - self._from_x
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
        """Return [N] whether the robot senses itself: in the probe, or throughout where it is free."""
        if self.settings.cue == "never":
            return np.zeros(self.num_envs, dtype=np.bool_)
        probing: Bools = self.phase == CUE
        return probing if self.locked else np.ones(self.num_envs, dtype=np.bool_)

    def expert_action(self) -> Floats:
        """Drive to the named pad. Reads the polarity. [N, 2]."""
        throttle = (1.0 - 2.0 * self.target) * (1.0 - 2.0 * self.cue)
        return np.stack((np.where(self.phase == QUERY, throttle, 0.0), np.zeros(self.num_envs)), axis=-1)

    def build_props(self, client: int) -> None:
        """Put pads and lamps into one more world."""
        self._props.append(_Lane(client))

    def draw(self, index: int) -> None:
        """Show pads and polarity as the episode stands. See :meth:`MemoryTask.draw`."""
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
    """The pads at both ends of the lane, and a lamp over the robot: green where the motors turn as told, else red."""

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
