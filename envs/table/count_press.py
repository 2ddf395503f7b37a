"""Remember a number: count flashes of a light, and later press a key as often, then the key beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Bools, Floats, Step
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.robots.parts import Color, Vector
from rlmem.envs.table import scenery
from rlmem.envs.table.pads import PAD_STEPS, WORKING, PadSettings, PadTask
from rlmem.envs.table.settings import CENTER, LOW, check_meters
from rlmem.envs.task_settings import check_whole
from rlmem.spec import TaskSpec

_HALF: Vector = (0.10, 0.05, 0.012)
"""m, half extents of a key. Long, so that a hand that has moved ahead or back still presses it."""
_RISE = 0.020
"""m, from the key to the fingertip above it when the query begins."""
HEIGHT = 2 * _HALF[2] + TIP_RADIUS + _RISE
"""m, height of the fingertip when the query begins, and of the middle of the green key."""
_ROOM: Vector = (0.08, 0.045, 0.015)
"""m, how far ahead and back, to the right, and up the hand can move from there."""
_EVERY, _OFFSETS = 4, 3
"""Control steps of a slot with at most one flash, and at how many of them, from the first, it may be."""
_LAMP: Vector = (0.70, 0.22, 0.134)
"""m, where the light is."""
_PRESS, _DONE = 0, 1
"""Numbers of the keys."""
_NEAR = 0.5
"""Additional reward for the right count, less in proportion to the error: 0 on average for the best count without
memory. Never below -0.5, so that no answer is worse than waiting for the end."""


@dataclass(frozen=True, kw_only=True)
class CountPressSettings(PadSettings):
    """The knobs of counting. See also :class:`rlmem.envs.table.pads.PadSettings`.

    Args:
        max_count: X, the largest number of flashes.
        commit_distance: m, from the fingertip to the green key when the query begins.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING | {"max_count": 6}}
    max_count: int = 4
    commit_distance: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("max_count", self.max_count, least=2, most=10)
        check_meters("commit_distance", self.commit_distance, least=0.04, most=0.10)


class CountPress(PadTask[CountPressSettings]):
    """A light flashes x times; later, press one key x times, and then the key beside it.

    **Episode.** The cue lasts X slots of 4 control steps (20 a second), where X is ``max_count``. In x randomly drawn
    slots the light flashes for one step, the first, second or third of the slot; x is uniform from 1 to X. Then
    ``memory_length`` control steps pass. When the go light comes on, the hand is over the red key. Each time that the
    fingertip comes down on it counts; the fingertip must rise by 1.5 cm before the next time. Touching the green key,
    to the left, ends the count and is the answer: success if the count is x. The hand stays within 8 cm ahead and
    behind, 4.5 cm to the right and 1.5 cm above of where it starts. The episode terminates then, or when there is one
    press too many. It is truncated when there is no answer within ``query_steps``.

    **Observation** (7, float32). 0: flash; 1: presses still to come divided by X with ``cue="always"``, else 0; 2: go
    light; 3: whether the red key is down, from a press until the fingertip has risen; 4 to 6: position of the fingertip
    relative to the middle of the workspace at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the
    joint angles follow, scaled to their ranges. With ``guard="delay"`` the arm's own components are 0 until the go
    light. The number of presses made is not observed.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** At the answer, with an error of e presses: +1 for e = 0 and -1 / (X - 1) else; and 0.5 (1 - e / m), at
    least -0.5, where m = 1 - 1 / X is the least mean error without memory, reached by pressing X times or until the
    episode ends; so that guessing earns 0 on average. One press too many is an error of 1. -0.02 for each control step
    of the query, so that waiting for its end is worse than any answer. Before the answer the reward does not depend on
    x.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads comes with a flash as it lights up. An episode counts
    only if 80 % of what the expert presses was pressed.

    **Memory.** Counting events at irregular times, retention of log2 X bits over ``memory_length`` control steps, and
    counting one's own presses.

    **Ceilings.** Without memory 1 / X: the number of presses before the answer does not depend on x, unless one too
    many has failed already, and x is uniform. Oracle 1. With ``guard="delay"`` the arm is held and not sensed during
    cue and delay, and starts the query at rest at its home, with fresh noise; the cue takes equally long for each x
    (G1, G2 and G3 hold exactly). With ``guard="cue"`` it can move during the delay, with ``guard="none"`` throughout: a
    hand that goes a little ahead at every flash, and back at every press, is an abacus. With ``guard="dock"`` it can
    move during the delay, and passes a dock before the query (G1, G2 and G4 hold exactly).
    """

    WAITING: ClassVar[Vector] = (0.13, 0.03, 0.03)
    RELEASE: ClassVar[float] = 0.015
    STEP_COST: ClassVar[float] = 0.02
    Settings: ClassVar[type[CountPressSettings]] = CountPressSettings
    settings: CountPressSettings

    def __init__(
        self, settings: CountPressSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.flashes = np.zeros((num_envs, settings.max_count * _EVERY), dtype=np.bool_)
        """[N, steps of the cue] whether the light is on."""
        self.count = np.zeros(num_envs, dtype=np.int64)
        """[N] presses made."""
        self.said = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether there has been an answer."""
        self.cue_names = tuple(str(count) for count in range(1, settings.max_count + 1))
        self._done_y = CENTER[1] + TIP_RADIUS + settings.commit_distance + _HALF[1]
        self._least_error = 1.0 - 1.0 / settings.max_count
        self._keys: list[tuple[Prop, Prop]] = []
        self._stands: list[tuple[Prop, Prop]] = []
        self._light: list[Prop] = []
        self._go: list[scenery.GoLight] = []
        self._dots: list[list[Prop]] = []
        super().__init__(
            settings,
            num_envs,
            signals=("flash", f"presses to come (of {settings.max_count})", "go light", "key down"),
            targets=2,
            half=_HALF,
            home=(*CENTER, HEIGHT),
            visuals=visuals,
            gui=gui,
        )
        self.low = np.array((CENTER[0] - _ROOM[0], CENTER[1] - _ROOM[1], LOW[2]))
        self.high = np.array((CENTER[0] + _ROOM[0], self._done_y, HEIGHT + _ROOM[2]))

    @classmethod
    def spec(cls, settings: CountPressSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        most = settings.max_count
        guess = f"the number is uniform over 1 to {most} and independent of how often the key is pressed"
        return recall_spec(
            settings,
            memory="counting",
            n_bits=math.log2(most),
            chance=1 / most,
            query_steps=settings.query_steps,
            guess=guess,
            random=f"{guess}; at most, since there may be no answer",
            always="the presses to come are shown",
            oracle="count the flashes, press as often, then the green key",
            never="nothing flashes: nothing to count",
        )

    @property
    def num_cues(self) -> int:
        """X; cue c is c + 1 flashes."""
        return self.settings.max_count

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw how often the light flashes, and when. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        slots, offsets = rng.permutation(self.num_cues), rng.integers(_OFFSETS, size=self.num_cues)
        self.flashes[index] = False
        self.flashes[index, (slots * _EVERY + offsets)[: self.cue[index] + 1]] = True
        self.cue_steps[index] = self.flashes.shape[1]
        self.count[index], self.said[index] = 0, False

    def ask(self, index: int) -> None:
        """Put the keys down. See :meth:`TableTask.ask`."""
        self.targets.stand(index, _PRESS, *CENTER)
        self.targets.stand(index, _DONE, CENTER[0], self._done_y, z=HEIGHT - _HALF[2])

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Count presses of the red key; the green key is the answer. See :meth:`TableTask.query_reward`."""
        key = self.touched(asked)
        self.count[key == _PRESS] += 1
        wanted = self.cue + 1
        answered = (key == _DONE) | (asked & (self.count > wanted))
        if answered.any():
            error = np.abs(self.count - wanted)
            right = answered & (error == 0)
            step.reward[answered] += _NEAR * np.maximum(1.0 - error[answered] / self._least_error, -1.0)
            step.reward[answered] += np.where(right, 1.0, -1.0 / (self.num_cues - 1))[answered]
            self.said |= answered
            self.success[right], self.score[right] = True, 1.0
            step.terminated[answered] = True

    def signals(self) -> Floats:
        """Return flash, presses to come, go light, and whether the key is down [N, 4]."""
        out = np.zeros((self.num_envs, 4))
        if self.settings.cue != "never":
            out[:, 0] = self.flashing()
        if self.settings.cue == "always":
            out[:, 1] = np.maximum(self.cue + 1 - self.count, 0) / self.num_cues
        out[:, 2] = self.phase == QUERY
        out[:, 3] = ~self.armed
        return out

    def flashing(self) -> Bools:
        """Return [N] whether the light is on now."""
        lit: Bools = self.flashes[self.everyone, np.minimum(self.clock, self.flashes.shape[1] - 1)]
        lit &= self.phase == CUE
        return lit

    @property
    def num_looks(self) -> int:
        """1: the light flashes as a pad lights up."""
        return 1

    def distraction(self) -> Floats:
        """Return a flash as the pad lights up [N, 1]. See :meth:`PadTask.distraction`."""
        flash: Floats = (self.clock % PAD_STEPS == 0).astype(np.float64)[:, None]
        return flash

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Flash. See :meth:`PadTask.draw_distraction`."""
        if self.distraction()[index, 0]:
            self._light[index].show(*_LAMP, color=scenery.LIT)
        return scenery.LIT

    def goal(self) -> Floats:
        """Return the red key, down and up, until the count is right, then the green key; privileged. [N, 3]."""
        goal = np.tile((*CENTER, HEIGHT + 0.005), (self.num_envs, 1))
        goal[self.armed & (self.count <= self.cue), 2] = _HALF[2]
        goal[self.armed & (self.count > self.cue), 1] = self._done_y
        return goal

    def build_props(self, client: int) -> None:
        """Put keys, lights and dots into one more world."""
        x, y, z = _HALF
        self._keys.append(
            (
                Prop(client, [parts.box((x, y, z), scenery.RED)]),
                Prop(client, [parts.box((x, y, z), scenery.GREEN)]),
            )
        )
        post = parts.box((0.8 * x, 0.8 * y, (HEIGHT - z) / 2), parts.GRAPHITE)
        plate = parts.box((x + 0.008, y + 0.008, 0.003), parts.GRAPHITE)
        self._stands.append((Prop(client, [plate]), Prop(client, [post])))
        pole = parts.cylinder(0.008, 0.10, parts.GRAPHITE, (0.0, 0.0, -0.05))
        self._light.append(Prop(client, [parts.sphere(0.034, scenery.DARK), pole]))
        self._go.append(scenery.GoLight(client))
        self._dots.append([Prop(client, scenery.disc(0.010, scenery.DARK)) for _ in range(self.num_cues)])

    def draw_props(self, index: int) -> None:
        """Light the lamps, press the key, show presses as dots. See :meth:`TableTask.draw_props`."""
        press, done = self._keys[index]
        asked, said, down = self.asked(index), bool(self.said[index]), not self.armed[index]
        right, count = bool(self.success[index]), int(self.count[index])
        held_down = down and not (said and count <= self.cue[index])
        plate, post = self._stands[index]
        plate.show(*CENTER, 0.003)
        post.show(CENTER[0], self._done_y, (HEIGHT - _HALF[2]) / 2)
        press.show(*CENTER, _HALF[2] - (0.008 if held_down else 0.0), color=scenery.RED)
        done.show(CENTER[0], self._done_y, HEIGHT, color=scenery.GREEN)
        lit = self.settings.cue != "never" and bool(self.flashing()[index])
        self._light[index].show(*_LAMP, color=scenery.LIT if lit else scenery.DARK)
        self._go[index].light(on=asked and not said)
        made = scenery.LIT if not said else scenery.GREEN if right else scenery.RED
        for number, dot in enumerate(self._dots[index]):
            dot.show(
                0.51 + 0.032 * (number - (self.num_cues - 1) / 2),
                -0.10,
                0.001,
                color=made if number < count else scenery.DARK,
            )
        if self.covered(index):
            for prop in (press, done, plate, post, *self._dots[index]):
                prop.park()
