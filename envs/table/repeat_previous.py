"""Remember a sliding window: pads light up one after the other; after each, press the one lit k lights ago."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.parts import Color, Part, Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.settings import TableSettings, check_meters
from rlmem.envs.table.table_task import TableTask
from rlmem.envs.table.targets import around_hand
from rlmem.envs.task_settings import RecallSettings, check_whole
from rlmem.spec import TaskSpec

PADS = 4
LIGHT_STEPS = 3
"""Control steps for which a pad is lit."""
DARK_STEPS = 2
"""Control steps between two of the first k + 1 lights."""
_PAD: Vector = (0.025, 0.025, 0.020)
"""m, half extents."""
_HUES = ("red", "green", "blue", "yellow")
_DIM = 0.35
_GO = (0.70, -0.17)
"""m, position of the go light."""
_TALLY = 16
"""Most presses whose results are shown at the edge of the table."""


@dataclass(frozen=True, kw_only=True)
class RepeatPreviousSettings(TableSettings, RecallSettings):
    """The knobs of the sliding window. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        k: How many lights back the light lies that is asked for; 0 would be the last.
        presses: M, presses in an episode.
        commit_distance: m, from the fingertip to each pad when a query begins. Short on purpose: if right and
            wrong answers part late, a learner settles on one before it has tried the other.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    memory_length: int | tuple[int, int] = 5
    k: int = 1
    presses: int = 8
    commit_distance: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("k", self.k, least=1, most=100)
        check_whole("presses", self.presses, least=1, most=1_000)
        check_meters("commit_distance", self.commit_distance, least=0.05, most=0.10)


class RepeatPrevious(TableTask[RepeatPreviousSettings]):
    """Pads light up one after the other; after each light, press the pad that was lit k lights ago.

    The n-back test of Kirchner ("Age differences in short-term retention of rapidly changing information", Journal of
    Experimental Psychology 55, 1958) with an arm, and ``RepeatPrevious`` of POPGym (Morad et al., "POPGym: benchmarking
    partially observable reinforcement learning", ICLR 2023) with proven ceilings.

    **Episode.** Four pads stand on a ring around the hand. First k + 1 of them light up in a row, each for 3 control
    steps (20 a second) with 2 dark ones between, each pad drawn uniformly and independently (it may be the same again):
    the cue. Nothing is seen for ``memory_length`` control steps. Then the go light comes on, with the hand in the
    middle, and the first pad that the fingertip touches is the answer. The hand is taken back, one more pad lights up
    for 3 control steps, and so on until the last of M ``presses``, which terminates the episode. It is truncated when
    no answer comes within ``query_steps`` of a go light. A wrong answer does not end the episode: each press is a
    separate trial.

    **Observation** (8, float32). 0 to 3: 1 for the pad that is lit, counter-clockwise from the one ahead; 4: go light;
    the last three: position of the fingertip relative to the middle of the workspace at a height of 0.10 m, in units of
    0.25 m. With ``control="joint"`` the joint angles follow, scaled to their ranges. With ``guard="delay"`` the arm's
    own components are 0 except while the go light is on. With ``cue="always"`` the pad asked for stays lit from the end
    of the lights to the answer.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 for the right pad, -1/3 for another, so that guessing earns 0 on average; -0.01 for each control step
    of a query; and up to 0.1 for coming near any pad, again for each press. Before an answer the reward does not depend
    on the lights. The score is the fraction of the M presses that were right; success means all of them.

    **Memory.** A sliding window: the last k + 1 lights, 2 (k + 1) bits at once, shifted by one with each light.
    ``memory_length`` is the time from the last light to the go light; the light asked for was k lights before.

    **Ceilings.** Without memory 1 / 4 of the presses are right: the light asked for is uniform and independent of all
    that is seen after it, including the answers, since whether they were right is not shown. The same holds for an
    agent that remembers only k lights. Oracle 1. With ``guard="delay"`` the arm is held and not sensed during lights
    and delays, and starts each query at rest at its home, with fresh noise (G1, G2 and G3 hold exactly for the first
    press and the lights before it). With ``guard="cue"`` it can move during the delays, with ``guard="none"`` during
    the lights too, within 5 cm of its home: enough to note the first light, which serves for one press.

    **No work in the delay.** The task interferes with itself: each light after the one asked for looks like it, and the
    arm presses a pad between them. With work before each press, an episode would hold M working delays.
    """

    Settings: ClassVar[type[RepeatPreviousSettings]] = RepeatPreviousSettings
    settings: RepeatPreviousSettings

    def __init__(
        self, settings: RepeatPreviousSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.cue_names = tuple(f"{hue} pad first" for hue in _HUES)
        self.slots = around_hand(PADS, settings.commit_distance, _PAD[0])
        """[4, 3] x, y (m) and yaw (rad) of each pad."""
        self.lights = np.zeros((num_envs, settings.presses + settings.k), dtype=np.int64)
        """[N, M + k] the pad of each light; privileged."""
        self.answers = np.full((num_envs, settings.presses), -1)
        """[N, M] the pad of each press, -1 before it."""
        self.round = np.zeros(num_envs, dtype=np.int64)
        """[N] presses so far."""
        self._homes = np.zeros((num_envs, settings.presses, 3))
        self._pads: list[list[Prop]] = []
        self._marks: list[list[Prop]] = []
        self._tally: list[list[Prop]] = []
        self._go: list[scenery.GoLight] = []
        signals = (*(f"light of pad {pad}" for pad in range(PADS)), "go light")
        super().__init__(settings, num_envs, signals=signals, targets=PADS, half=_PAD, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: RepeatPreviousSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        return recall_spec(
            settings,
            memory="sliding window",
            n_bits=(settings.k + 1) * math.log2(PADS),
            chance=1 / PADS,
            query_steps=settings.query_steps,
            guess=f"the light asked for is uniform over {PADS} pads and independent of all that is seen after it",
            random=f"a random pad is right once in {PADS}; at most, since none may be touched",
            always="the pad asked for is lit at the query",
            oracle=f"remember the last {settings.k + 1} lights, press the first of them",
            never="no pad is lit: nothing to remember",
            metric="score",
        )

    @property
    def num_cues(self) -> int:
        """4, one cue for each pad of the first light; all later lights are drawn."""
        return PADS

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw all lights, and where the hand starts each query. See :meth:`TableTask.deal`."""
        lights = rng.integers(PADS, size=self.lights.shape[1])
        self._homes[index] = self._home + rng.uniform(-1.0, 1.0, self._homes[index].shape) * self.HOME_NOISE
        if cue is not None:
            lights[0] = cue
        self.lights[index], self.cue[index] = lights, lights[0]
        self.answers[index], self.round[index] = -1, 0
        self.home[index] = self._homes[index, 0]
        k = self.settings.k
        self.cue_steps[index] = (k + 1) * LIGHT_STEPS + k * DARK_STEPS

    def ask(self, index: int) -> None:
        """Make the pads touchable. See :meth:`TableTask.ask`."""
        for pad, place in enumerate(self.slots.tolist()):
            self.targets.stand(index, pad, *place)

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take a touch as an answer; the next light follows. See :meth:`TableTask.query_reward`."""
        distance = self.targets.distance(self.tip)
        self.approach(1.0 - distance.min(axis=1) / self.settings.commit_distance, asked, step)
        pad = self.touched(asked, distance)
        answered = pad >= 0
        if not answered.any():
            return
        presses = self.settings.presses
        right = answered & (pad == self.lights[self.everyone, self.round])
        step.reward[right] += 1.0
        step.reward[answered & ~right] -= 1.0 / (PADS - 1)
        self.answers[answered, self.round[answered]] = pad[answered]
        self.round[answered] += 1
        self.score[answered] = self._hits()[answered].mean(axis=1)
        last = answered & (self.round == presses)
        self.success[last] = self._hits()[last].all(axis=1)
        step.terminated[last] = True
        self.round[last] -= 1
        self._next_light(np.flatnonzero(answered & ~last))

    def signals(self) -> Floats:
        """Return the pad that is lit, and the go light [N, 5]."""
        out = np.zeros((self.num_envs, PADS + 1))
        if self.settings.cue != "never":
            lit = self._lit()
            which = np.flatnonzero(lit >= 0)
            out[which, lit[which]] = 1.0
        out[:, PADS] = self.phase == QUERY
        return out

    def goal(self) -> Floats:
        """Return the middle of the pad asked for; privileged. [N, 3]."""
        goal = np.empty((self.num_envs, 3))
        goal[:, :2] = self.slots[self.lights[self.everyone, self.round], :2]
        goal[:, 2] = self._home[2]
        return goal

    def build_props(self, client: int) -> None:
        """Put pads, marks, results and go light into one more world."""
        self._marks.append([Prop(client, scenery.disc(0.040, scenery.RIM)) for _ in self.slots])
        self._pads.append([Prop(client, _pad()) for _ in self.slots])
        count = min(_TALLY, self.settings.presses)
        self._tally.append([Prop(client, scenery.disc(0.008, scenery.MAT)) for _ in range(count)])
        self._go.append(scenery.GoLight(client, *_GO))

    def draw_props(self, index: int) -> None:
        """Light the pads, and show which presses were right. See :meth:`TableTask.draw_props`."""
        lit = int(self._lit()[index]) if self.settings.cue != "never" else -1
        pressed, hits = self.answers[index] >= 0, self._hits()[index]
        done = int(pressed.sum())
        last = int(self.answers[index, done - 1]) if (done and self.phase[index] != QUERY) or pressed.all() else -1
        for pad, (x, y, yaw) in enumerate(self.slots.tolist()):
            hue = scenery.COLORS[_HUES[pad]]
            dim = (hue[0] * _DIM, hue[1] * _DIM, hue[2] * _DIM, 1.0)
            self._pads[index][pad].show(x, y, yaw=yaw, color=hue if pad == lit else dim)
            answer = scenery.GREEN if hits[done - 1] else scenery.RED
            color = scenery.LIT if pad == lit else answer if pad == last else scenery.RIM
            self._marks[index][pad].show(x, y, 0.001, yaw=yaw, color=color)
        for press, prop in enumerate(self._tally[index]):
            color = scenery.MAT if not pressed[press] else scenery.GREEN if hits[press] else scenery.RED
            prop.show(_GO[0], 0.22 - 0.022 * press, 0.001, color=color)
        self._go[index].light(on=self.phase[index] >= QUERY and not pressed.all())

    def _hits(self) -> Bools:
        """Return [N, M] which presses were right."""
        hits: Bools = self.answers == self.lights[:, : self.settings.presses]
        return hits

    def _lit(self) -> Ints:
        """Return the pad that is lit, [N], -1 for none."""
        row = self.everyone
        period = LIGHT_STEPS + DARK_STEPS
        first = np.where(self.round == 0, self.clock // period, self.settings.k + self.round)
        on = (self.phase == CUE) & ((self.round > 0) | (self.clock % period < LIGHT_STEPS))
        lit = np.where(on, self.lights[row, np.minimum(first, self.lights.shape[1] - 1)], -1)
        if self.settings.cue == "always":
            lit = np.where(self.phase == CUE, lit, self.lights[row, self.round])
        return lit

    def _next_light(self, indices: Indices) -> None:
        """Go on to the next light in some environments, with the hand back at home."""
        self.phase[indices], self.clock[indices] = CUE, 0
        self.cue_steps[indices] = LIGHT_STEPS
        self.home[indices] = self._homes[indices, self.round[indices]]
        self.progress[indices], self.armed[indices] = 0.0, True
        self.targets.clear(indices)
        if not self.locked:
            self.rehome(indices)


def _pad() -> list[Part]:
    """Return the looks of a pad: a button on a socket."""
    top: Color = scenery.RIM
    return [
        parts.box((0.019, 0.019, 0.006), top, (0.0, 0.0, 0.034)),
        parts.box((0.025, 0.025, 0.014), parts.GRAPHITE, (0.0, 0.0, 0.014)),
        parts.box((0.022, 0.022, 0.002), parts.WHITE, (0.0, 0.0, 0.029)),
    ]
