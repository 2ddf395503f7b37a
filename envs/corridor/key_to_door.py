"""Key to door: a decision is rewarded much later, but nothing has to be remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import STEP_LENGTH, CorridorSettings, CorridorTask
from rlmem.envs.corridor.floor_plan import MAX_RANGE
from rlmem.envs.memory_task import Bools, Floats, Indices, Ints, Phase, Step
from rlmem.envs.prop import Prop
from rlmem.envs.robots import parts
from rlmem.envs.task_settings import as_length, draw_length, length_range
from rlmem.spec import Ceiling, TaskSpec

DOOR_REWARD = 5.0
_PROGRESS = 0.5
"""Reward for the whole way, spread over the meters driven for the first time, so that exploration finds apples."""
_SIDE = 0.20
"""m, from the corridor's middle to keys and apples."""
_REACH = 0.15
"""m, distance within which the robot picks up an object; it must leave the middle to do so."""
_ASIDE = 0.5
"""m, scale of leftward distances: small, so that a network can tell left from right early in training."""
_KEY_AHEAD, _ROOM = 0.60, 0.90
"""m, from the start to the key, and to the end of the key's room."""
_APPLE_EVERY = 1.0
"""m."""
_DOOR_AHEAD = 0.50
"""m, distance from which the door is seen."""
_HOME_NOISE = (0.05, 0.10)
"""m sideways and rad of heading, uniform in plus and minus."""


@dataclass(frozen=True, kw_only=True)
class KeyToDoorSettings(CorridorSettings):
    """Knobs of key to door. See also :class:`rlmem.envs.corridor.corridor_task.CorridorSettings`.

    Args:
        credit_length: Control steps at full speed between the key and the door, or a range (low, high) from which
            each episode draws log-uniformly.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    credit_length: int | tuple[int, int] = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "credit_length", as_length("credit_length", self.credit_length))

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum of ``credit_length``."""
        return length_range(self.credit_length)


def apples_on_the_way(length: int) -> int:
    """Return the number of apples in a corridor of ``length`` control steps: one for each whole meter."""
    return int(length * STEP_LENGTH / _APPLE_EVERY + 1e-9)


class KeyToDoor(CorridorTask[KeyToDoorSettings]):
    """Pick up a key, collect apples on the way, open the door: long credit assignment without memory.

    The task of Hung et al., "Optimizing agent behavior over long time scales by transporting value", Nature
    Communications 10, 2019, with a simulated robot. It is the suite's control task: since memory is not needed, an
    agent that is better with memory here is better for another reason.

    **Episode.** A key lies to the left or right ahead; driving within 0.15 m picks it up, without reward. Then the
    robot drives down a corridor of ``credit_length`` control steps at full speed, with an apple in each whole meter,
    left or right. At its end is a door, which terminates the episode, with a reward of 5 if the robot has the key. The
    episode is truncated after three times the control steps that the way takes, plus ``query_steps``.

    **Observation** (15, float32): key in view; apple in view; door in view (the go light); forward distance to it as
    a fraction of 2 m; leftward distance as a fraction of 0.5 m; carries the key (with ``cue="always"`` only, else 0);
    then ranges, heading, speed and turn rate as in ``TMaze-v0``, always observed. With ``cue="never"`` the key is not
    seen.

    **Action** (2): throttle and steering in [-1, 1].

    **Reward.** 1 for each apple and 5 at the door with the key; their sum is the score. In addition 0.5 for the whole
    way, spread over the meters that are driven for the first time, without which exploration rarely finds an apple.

    **Memory.** None: what to do is always visible. Credit length: ``credit_length`` control steps.

    **Ceilings.** Oracle: all apples + 5. Without memory the same, since steering to the visible object is optimal. The
    key leaves no trace (G1): at the end of the key's room the robot is reset to the middle with fresh noise, unless
    ``guard="none"``. G2 and G3 do not apply, since there is no cue to store.
    """

    CHANGEABLE: ClassVar[tuple[str, ...]] = ("credit_length",)
    Settings: ClassVar[type[KeyToDoorSettings]] = KeyToDoorSettings
    settings: KeyToDoorSettings

    def __init__(
        self, settings: KeyToDoorSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        self.length = np.zeros(num_envs, dtype=np.int64)
        """[N] control steps from the key's room to the door."""
        self.has_key = np.zeros(num_envs, dtype=np.bool_)
        """[N] whether the robot has the key; privileged."""
        self.sides = np.zeros((num_envs, max(1, apples_on_the_way(settings.lengths[1]))))
        self.apples = np.zeros(num_envs, dtype=np.int64)
        self.next_apple = np.zeros(num_envs, dtype=np.int64)
        self._home = np.zeros((num_envs, 2))
        self.furthest = np.zeros(num_envs)
        self.elapsed = np.zeros(num_envs, dtype=np.int64)
        self._keys: list[Prop] = []
        self._fruit: list[list[Prop]] = []
        self._doors: list[Prop] = []
        names = ("key in view", "apple in view", "door in view", "forward", "leftward", "carries the key")
        super().__init__(settings, num_envs, arms=1, signals=names, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: KeyToDoorSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        low, high = settings.lengths
        lengths = np.arange(low, high + 1)
        weights = np.log(lengths + 1) - np.log(lengths)
        apples = float(np.average([apples_on_the_way(length) for length in lengths.tolist()], weights=weights))
        best = apples + DOOR_REWARD
        blind = settings.cue == "never"
        why = f"{apples:g} apples on average, and {DOOR_REWARD:g} for the door"
        if blind:
            best, why = apples + DOOR_REWARD / 2, f"{why} half the time: the key lies left or right and is not seen"
        return TaskSpec(
            memory="none (credit)",
            memory_length=(0, 0),
            credit_length=(low, high),
            n_bits=0.0,
            metric="score",
            random=Ceiling(
                0.1, "measured: 0.006 at the default knobs, 0.09 with query_steps=1000; a random walk stays in the room"
            ),
            memoryless=Ceiling(best, f"steering to what is in view is optimal: {why}"),
            oracle=Ceiling(best, why),
            guarantees=() if settings.guard == "none" or settings.cue == "always" else ("G1",),
        )

    @property
    def num_cues(self) -> int:
        """Number of cues, 2: the key is left or right."""
        return 2

    def longest_corridor(self) -> float:
        """Return the length of the longest corridor, m."""
        return self.settings.lengths[1] * STEP_LENGTH + _ROOM

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Start episodes. See :meth:`MemoryTask.begin`."""
        for index in indices.tolist():
            rng = self.rngs[index]
            self.length[index] = draw_length(rng, self.settings.lengths)
            drawn = int(rng.integers(2))
            self.cue[index] = drawn if cues is None else cues[index]
            self.apples[index] = apples_on_the_way(int(self.length[index]))
            count = int(self.apples[index])
            self.sides[index] = 0.0
            self.sides[index, :count] = _SIDE * (1.0 - 2.0 * rng.integers(0, 2, count))
            noise = rng.uniform(-1.0, 1.0, 4)
            self._home[index] = noise[:2] * _HOME_NOISE
            sideways, heading = (noise[2:] * _HOME_NOISE).tolist()
            self.has_key[index], self.next_apple[index], self.elapsed[index] = False, 0, 0
            self.phase[index] = int(Phase.CUE)
            self.start_corridor(index, self.length[index] * STEP_LENGTH + _ROOM)
            self.furthest[index] = self.start_x[index]
            self.place(index, self.start_x[index], sideways, heading)

    def advance(self, actions: Floats) -> Step:
        """Run one control step. See :meth:`MemoryTask.advance`."""
        phase = self.phase
        in_key, in_apples, at_door = phase == Phase.CUE, phase == Phase.DELAY, phase == Phase.QUERY
        self.move(actions, phase != Phase.OVER)
        self.elapsed += 1
        x, y = self.pose[:, 0], self.pose[:, 1]
        target = self._target()
        near = np.hypot(target[:, 0] - x, target[:, 1] - y) <= _REACH
        self.has_key |= in_key & near

        picked = in_apples & near & (self.next_apple < self.apples)
        passed = in_apples & (x > target[:, 0] + _REACH) & (self.next_apple < self.apples)
        self.next_apple += picked | passed
        reward = picked.astype(np.float64)

        left = in_key & (x >= self.start_x + _ROOM)
        if self.settings.guard != "none":
            for index in np.flatnonzero(left).tolist():
                self.place(index, self.start_x[index] + _ROOM, *self._home[index].tolist())
        self.enter(left, Phase.DELAY)
        self.enter(in_apples & (x >= -_DOOR_AHEAD), Phase.QUERY)

        terminated = at_door & (x >= 0.0)
        reward[terminated & self.has_key] += DOOR_REWARD
        self.success |= terminated & self.has_key
        self.score += reward
        furthest = np.clip(x, self.furthest, 0.0)
        reward += _PROGRESS * (furthest - self.furthest) / -self.start_x
        self.furthest = furthest
        way = self.length + int(_ROOM / STEP_LENGTH)
        truncated = ~terminated & (self.elapsed >= 3 * way + self.settings.query_steps)
        return Step(reward, terminated, truncated)

    def signals(self) -> Floats:
        """Return which object is in view and its position, [N, 6]."""
        out = np.zeros((self.num_envs, 6))
        target = self._target()
        in_view = self._in_view()
        out[self.everyone, self.phase - int(Phase.CUE)] = in_view
        ahead, aside = target[:, 0] - self.pose[:, 0], target[:, 1] - self.pose[:, 1]
        cosine, sine = np.cos(self.pose[:, 2]), np.sin(self.pose[:, 2])
        place = np.stack((ahead * cosine + aside * sine, aside * cosine - ahead * sine), axis=-1)
        out[:, 3:5] = np.where(in_view[:, None], (place / (MAX_RANGE, _ASIDE)).clip(-1.0, 1.0), 0.0)
        out[:, 5] = self.has_key & (self.settings.cue == "always")
        return out

    def expert_action(self) -> Floats:
        """Return actions [N, 2] that drive to the next object; reads the position of the key."""
        sideways = np.where(self.phase == Phase.QUERY, 0.0, self._target()[:, 1] * 0.65) - self.pose[:, 1]
        return self.steer_to(np.clip(4.0 * sideways, -0.6, 0.6))

    def build_props(self, client: int) -> None:
        """Create key, apples and door in a new world."""
        gold = [
            parts.cylinder(0.045, 0.02, scenery.YELLOW),
            parts.box((0.07, 0.012, 0.01), scenery.YELLOW, (0.1, 0.0, 0.0)),
            parts.box((0.012, 0.03, 0.01), scenery.YELLOW, (0.15, 0.03, 0.0)),
            parts.box((0.012, 0.025, 0.01), scenery.YELLOW, (0.11, 0.028, 0.0)),
        ]
        apple = [parts.sphere(0.05, scenery.RED), parts.cylinder(0.008, 0.03, parts.GRAPHITE, (0.0, 0.0, 0.055))]
        wood = (0.55, 0.36, 0.20, 1.0)
        door = [
            parts.box((0.025, 0.33, 0.20), wood),
            parts.box((0.03, 0.25, 0.07), (0.65, 0.44, 0.26, 1.0), (0.0, 0.0, 0.08)),
            parts.box((0.03, 0.25, 0.07), (0.65, 0.44, 0.26, 1.0), (0.0, 0.0, -0.09)),
            parts.sphere(0.03, scenery.YELLOW, (-0.04, -0.26, 0.0)),
        ]
        self._keys.append(Prop(client, gold))
        self._fruit.append([Prop(client, apple) for _ in range(4)])
        self._doors.append(Prop(client, door))

    def draw(self, index: int) -> None:
        """Show key, apples and door for the present state. See :meth:`MemoryTask.draw`."""
        in_room = self.phase[index] == Phase.CUE and not self.has_key[index]
        if in_room:
            side = _SIDE * (1.0 - 2.0 * self.cue[index])
            self._keys[index].show(self.start_x[index] + _KEY_AHEAD, side, 0.03, yaw=0.6)
        elif self.has_key[index]:
            x, y, yaw = self.where(index)
            self._keys[index].show(x, y, 0.20, yaw=yaw)
        else:
            self._keys[index].park()
        first = int(self.next_apple[index])
        for number, prop in enumerate(self._fruit[index], start=first):
            if number < self.apples[index]:
                prop.show(self._apple_x(index, number), float(self.sides[index, number]), 0.05)
            else:
                prop.park()
        self._doors[index].show(0.19, 0.55 if self.success[index] else 0.0, 0.20)

    def _apple_x(self, index: int, number: int) -> float:
        return float(self.start_x[index] + _ROOM + (number + 0.5) * _APPLE_EVERY)

    def _target(self) -> Floats:
        """Return the position [N, 2], m, of the next object."""
        key = np.stack((self.start_x + _KEY_AHEAD, _SIDE * (1.0 - 2.0 * self.cue)), axis=-1)
        number = np.minimum(self.next_apple, np.maximum(self.apples - 1, 0))
        apple_x = self.start_x + _ROOM + (number + 0.5) * _APPLE_EVERY
        apple = np.stack((apple_x, self.sides[self.everyone, number]), axis=-1)
        phase = self.phase[:, None]
        return np.where(phase == Phase.CUE, key, np.where(phase == Phase.DELAY, apple, 0.0))

    def _in_view(self) -> Bools:
        key = ~self.has_key & (self.settings.cue != "never") & (self.pose[:, 0] <= self.start_x + _KEY_AHEAD + _REACH)
        apple = self.next_apple < self.apples
        result: Bools = np.where(self.phase == Phase.CUE, key, np.where(self.phase == Phase.DELAY, apple, True))
        return result
