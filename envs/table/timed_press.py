"""Time an interval: a tone sounds; press once, a certain time later, with no clock but one's memory."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from rlmem.envs.memory_task import CUE, DELAY, QUERY, Bools, Floats, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.robots.parts import Vector
from rlmem.envs.simulation import PHYSICS
from rlmem.envs.table import scenery
from rlmem.envs.table.interval import SILENCES, TONE_STEPS, TimedPressSettings, chance, without_tone
from rlmem.envs.table.settings import CENTER, MAX_JOINT_SPEED, STRIDE
from rlmem.envs.table.table_task import TableTask
from rlmem.spec import Ceiling, TaskSpec

RISE = 0.020
"""m that the fingertip comes down to press: one control step."""
_THROUGH = 0.006
"""m, how far below the press height a pressing hand aims."""
_ROOM: Vector = (0.05, 0.05, 0.03)
"""m, how far ahead, aside and up a hand without brake can move from where it starts."""
_DOWN = 0.5
"""Downward speed, as a part of full speed, that releases the brake."""
_NEAR = 0.5
"""Additional reward for a press at the right moment, less in proportion to the error; never below 0."""
_TONES = (scenery.COLORS["cyan"], scenery.COLORS["orange"], scenery.COLORS["purple"], scenery.COLORS["yellow"])
"""Colors of the bell, one for each tone."""
_BAR = (0.66, 0.22, 0.008)
"""m, x, half length and half width of the bar that shows the time in pictures."""


class TimedPress(TableTask[TimedPressSettings]):
    """A tone sounds; press the button once, T control steps later for a low tone, 1.5 T for a high one.

    **Episode.** After 0 to 7 control steps (20 a second) of silence one of K tones sounds for 3 steps; both are drawn.
    From the tone's end on the button works. The first press is the answer and terminates the episode, with success if
    it comes within ``tolerance`` steps of (1 + j / 2) T steps after the end of tone j, where T is ``interval``. Too
    early is as wrong as too late. The episode is truncated when there has been no press long after that.

    *The brake.* A hand that sinks slowly would be a clock. So with ``guard="delay"`` a brake holds the hand above the
    button until an action moves it down at more than half speed. Then it presses the button within the same control
    step, whatever the next action is. Until then no observation changes.

    **Observation** (K + 4, float32). 0 to K - 1: the tone, 1 while it sounds; K: time until the press is due divided by
    the longest interval with ``cue="always"``, else 0; the last three: position of the fingertip relative to the middle
    of the workspace at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled
    to their ranges. There is no go light: nothing shows the time.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s. While the hand is braked, an action only decides whether to press.

    **Reward.** At the press, e steps early or late: +1 within the tolerance, and 0.5 (1 - e / T') if that is positive,
    for an interval of T' steps. A press that is too early for any tone is rewarded as for the longest interval, so that
    the reward does not tell the tone. -0.01 for each control step from the first moment that can be right for any tone,
    so that never pressing is worse than any press.

    **Memory.** Interval timing, and log2 K bits: which tone it was. ``interval`` is the length of the memory.

    **Ceilings.** *Without memory*: all observations between tone and press are the same, so that a policy without
    memory presses with the same probability p at each step. It is right with the probability that a geometric waiting
    time falls into the window of w = 2 tolerance + 1 steps: the sum of p (1 - p)^(t - 1) over the window, averaged over
    the tones, for the best p. For one tone that is about w / (e T). An agent that sees the last F observations can wait
    for F - 1 steps first (``partial``). One that can time but forgets the tone reaches 1 / K. Oracle 1. With
    ``guard="delay"`` the arm is held while the tone sounds (G1 and G2 hold exactly). A press in the delay is an answer
    (a wrong one), so G3 is not claimed; but it holds up to the press: no observation depends on the actions. The query
    phase begins at the first moment at which a press can be right for any tone. With ``guard="cue"`` there is no brake
    after the tone, with ``guard="none"`` none at all: a hand that sinks at the right speed presses at the right time.
    """

    HOME_NOISE: ClassVar[Vector] = (0.010, 0.010, 0.003)
    Settings: ClassVar[type[TimedPressSettings]] = TimedPressSettings
    settings: TimedPressSettings

    def __init__(
        self, settings: TimedPressSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.due = np.array(settings.intervals)
        """[K] control steps from the end of each tone to the right moment for the press."""
        self.sounds_at = np.zeros(num_envs, dtype=np.int64)
        """[N] control steps of silence before the tone."""
        self.falling = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether the brake has let go."""
        self.answered_at = np.full(num_envs, -1)
        """[N] control steps from the tone's end to the press, -1 before."""
        self.cue_names = tuple(f"{steps} steps" for steps in settings.intervals)
        self._buttons: list[Prop] = []
        self._bells: list[Prop] = []
        self._windows: list[Prop] = []
        self._markers: list[Prop] = []
        super().__init__(
            settings,
            num_envs,
            signals=(*(f"tone {tone}" for tone in range(settings.tones)), f"time to come (of {self.due[-1]} steps)"),
            home=(*CENTER, self.PRESS_HEIGHT + RISE),
            visuals=visuals,
            gui=gui,
        )
        self.locked = False
        self.query_steps = settings.query_steps + int(self.due[-1] - self.due[0]) + 2 * settings.tolerance
        room = np.array(_ROOM)
        self.low, self.high = self._home - room, self._home + room
        self._waiting = self.low, self.high

    @classmethod
    def spec(cls, settings: TimedPressSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        seen, known, tones = settings.cue == "always", settings.cue != "never", settings.tones
        guess = Ceiling(
            chance(settings), "presses at a constant rate, since nothing seen changes: a geometric waiting time, best p"
        )
        blind = Ceiling(
            without_tone(settings), "times from the start of the episode, best moment; the tone is not heard"
        )
        shown = Ceiling(1.0, "the time to come is shown")
        partial = {
            "the last 4 observations": Ceiling(
                chance(settings, 4), "waits for 3 steps, then presses at a constant rate"
            ),
            "the time, not the tone": Ceiling(1 / tones, f"times one of {tones} intervals"),
        }
        return TaskSpec(
            memory="interval timing",
            memory_length=(settings.interval - settings.tolerance, settings.intervals[-1] + settings.tolerance),
            credit_length=(1, 1),
            n_bits=math.log2(tones),
            metric="success",
            random=guess if known else Ceiling(min(guess.value, blind.value), f"{guess.why}; at most"),
            memoryless=shown if seen else guess if known else blind,
            oracle=Ceiling(1.0, "hear which tone, press when it is due") if known else blind,
            guarantees={"delay": ("G1", "G2"), "cue": ("G1", "G2"), "none": ()}[settings.guard][int(seen) :],
            partial=partial if settings.cue == "flash" else {},
        )

    @property
    def num_cues(self) -> int:
        """K, one cue for each tone."""
        return self.settings.tones

    @property
    def elapsed(self) -> Floats:
        """[N] control steps since the tone's end; not meant for the time before."""
        elapsed: Floats = np.where(self.phase == DELAY, self.clock, self.length + self.clock).astype(np.float64)
        return elapsed

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the tone and the silence before it. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        self.sounds_at[index] = rng.integers(SILENCES)
        self.cue_steps[index] = self.sounds_at[index] + TONE_STEPS
        self.length[index] = self.settings.interval - self.settings.tolerance - 1
        self.falling[index], self.answered_at[index] = False, -1

    def ask(self, index: int) -> None:
        """Do nothing: nothing changes when the query begins. See :meth:`TableTask.ask`."""

    def advance(self, actions: Floats) -> Step:
        """Release the brake where an action presses; a press counts before the query too."""
        live = (self.phase == DELAY) | (self.phase == QUERY)
        if self.settings.guard == "delay":
            self.falling |= live & self._presses(actions)
            if self.falling.any():
                below = self.tip.copy()
                below[:, 2] = self.PRESS_HEIGHT - _THROUGH
                actions = np.where(self.falling[:, None], self.toward(below), actions)
        return super().advance(actions)

    def work(self, before: Ints, step: Step) -> None:
        """Judge presses in the delay too. See :meth:`RecallTask.work`."""
        waiting = before == DELAY
        if waiting.any():
            self.query_reward(waiting, step)

    def quiet_steps(self) -> int:
        """Return 0: a press counts at any time. See :meth:`MemoryTask.quiet_steps`."""
        return 0

    def held(self) -> Bools:
        """Return [N] whether guard or brake hold the arm now."""
        if self.settings.guard == "none":
            return np.zeros(self.num_envs, dtype=np.bool_)
        held: Bools = self.phase == CUE
        return held | ~self.falling if self.settings.guard == "delay" else held

    def query_reward(self, asked: Bools, step: Step) -> None:
        """Take the first press as the answer. See :meth:`TableTask.query_reward`."""
        answered = asked & self.pressed()
        if answered.any():
            due, elapsed = self.due[self.cue], self.elapsed
            error = np.abs(elapsed - due)
            right = answered & (error <= self.settings.tolerance)
            near = np.where(elapsed <= self.length, elapsed / self.due[-1], 1.0 - error / due)
            step.reward[answered] += _NEAR * np.maximum(near, 0.0)[answered]
            step.reward[right] += 1.0
            self.answered_at[answered] = elapsed[answered]
            self.success[right], self.score[right] = True, 1.0
            step.terminated[answered] = True

    def signals(self) -> Floats:
        """Return the tone and, where it is shown, the time to come [N, K + 1]."""
        out = np.zeros((self.num_envs, self.num_cues + 1))
        if self.settings.cue != "never":
            sounding = np.flatnonzero(self.sounding())
            out[sounding, self.cue[sounding]] = 1.0
        if self.settings.cue == "always":
            to_come = np.maximum(self.due[self.cue] - self.elapsed, 0.0) / self.due[-1]
            out[:, -1] = np.where(self.phase == CUE, 1.0, to_come)
        return out

    def sounding(self) -> Bools:
        """Return [N] whether the tone sounds now."""
        sounding: Bools = (self.phase == CUE) & (self.clock >= self.sounds_at)
        return sounding

    def goal(self) -> Floats:
        """Return home until the press is due, then a position below the button; privileged. [N, 3]."""
        goal = self.home.copy()
        due = (self.phase != CUE) & (self.elapsed + 1 >= self.due[self.cue])
        goal[due, 2] = self.PRESS_HEIGHT - _THROUGH
        return goal

    def expert_action(self) -> Floats:
        """Wait, then press. [N, A]."""
        return self.toward(self.goal())

    def build_props(self, client: int) -> None:
        """Put button, bell and the bar of time into one more world."""
        x, half, width = _BAR
        socket = [parts.cylinder(0.062, 0.010, parts.GRAPHITE)]
        Prop(client, socket).show(*CENTER, 0.005)
        top = self.PRESS_HEIGHT - TIP_RADIUS
        self._buttons.append(Prop(client, [parts.cylinder(0.050, top, scenery.RED)]))
        bell = [parts.sphere(0.034, scenery.DARK), parts.cylinder(0.044, 0.012, parts.GRAPHITE, (0.0, 0.0, -0.006))]
        self._bells.append(Prop(client, bell))
        Prop(client, [parts.box((width, half, 0.002), scenery.MAT)]).show(x, 0.0, 0.002)
        window = (self.settings.tolerance + 0.5) / self._end * 2 * half
        self._windows.append(Prop(client, [parts.box((width, window, 0.003), scenery.GREEN)]))
        self._markers.append(Prop(client, [parts.box((1.8 * width, 0.003, 0.005), scenery.RIM)]))

    @property
    def _end(self) -> float:
        """Control steps that the bar of time stands for."""
        return 1.2 * float(self.due[-1]) + self.settings.tolerance

    def draw_props(self, index: int) -> None:
        """Sound the bell, move the marker. See :meth:`TableTask.draw_props`."""
        x, half, _ = _BAR
        tone, phase, answered = int(self.cue[index]), self.phase[index], self.answered_at[index] >= 0
        top = self.PRESS_HEIGHT - TIP_RADIUS
        sunk = 0.006 if answered else 0.0
        self._buttons[index].show(*CENTER, top / 2 - sunk, color=scenery.RED)
        sounding = self.settings.cue != "never" and bool(self.sounding()[index])
        self._bells[index].show(0.62, 0.20, 0.014, color=_TONES[tone] if sounding else scenery.DARK)
        elapsed = 0.0 if phase == CUE else float(self.answered_at[index] if answered else self.elapsed[index])

        def place(steps: float) -> float:
            return half - 2 * half * min(steps / self._end, 1.0)

        self._windows[index].show(x, place(float(self.due[tone])), 0.002)
        color = scenery.RIM if not answered else scenery.LIT if self.success[index] else scenery.RED
        self._markers[index].show(x, place(elapsed), 0.005, color=color)

    def _presses(self, actions: Floats) -> Bools:
        """Return [N] whether an action would send the hand down at more than half speed."""
        if self._by_joint:
            after = self.kinematics.tip(self.posture + actions * (MAX_JOINT_SPEED / PHYSICS.control_hz))
            down: Floats = (self.tip - after)[:, 2] / STRIDE
        else:
            down = -actions[:, 2]
        presses: Bools = down > _DOWN
        return presses
