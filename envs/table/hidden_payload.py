"""Identify a hidden payload: feel how heavy it is by moving it, and later touch the weight of its class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from rlmem.envs.memory_task import CUE, DELAY, OVER, QUERY, Bools, Floats, Indices, Ints, Step
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots import parts
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.robots.parts import Part
from rlmem.envs.table import scenery
from rlmem.envs.table.choice import ChoiceTask
from rlmem.envs.table.scenery import HALF
from rlmem.envs.table.settings import CENTER, HIGH, LOW, STRIDE, TableSettings, check_meters
from rlmem.envs.task_settings import RecallSettings, check_choice, check_whole
from rlmem.errors import UserError
from rlmem.spec import TaskSpec

_RISE = 0.085
"""m above home, where the hand holds the payload when the probe begins."""
_PROBE_LOW = np.array([CENTER[0] - 0.05, CENTER[1] - 0.05, 0.06])
_PROBE_HIGH = np.array([CENTER[0] + 0.05, CENTER[1] + 0.05, 0.34])
"""[3] m, the box that commands keep the hand in while it holds the payload; it can swing out of it."""
_TORQUE = 13.0
"""N m, torque of the strongest joint while the arm holds the payload. At full torque the mass hardly matters."""
_SPREAD = 0.15
"""Largest distance of a mass from the middle of its class, as a part of the distance between two classes."""
_MOST = 3.0
"""kg, the payload that the arm is rated for."""
_STAGE = (0.69, 0.17)
"""m, where the payload stands after the probe."""


@dataclass(frozen=True, kw_only=True)
class HiddenPayloadSettings(TableSettings, RecallSettings):
    """The knobs of the hidden payload. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        guard: ``"delay"``: actions before the query leave no trace; ``"none"``: the arm can move and senses itself
            throughout.
        cue: ``"flash"``: the mass can be felt during the probe; ``"always"``: its class is shown throughout, so that no
            memory is needed; ``"never"``: the hand holds nothing during the probe, so that there is nothing to feel.
        classes: k, classes of mass, from 2 to 6.
        lightest: kg, the middle of the lightest class, at least 0.1.
        heaviest: kg, the middle of the heaviest class, at most 3; the others lie evenly between.
        probe: ``"lift"``: the arm is commanded to rise as fast as it can while it holds the payload; ``"free"``: it
            follows the action, and the mass is felt only if the action moves the hand.
        probe_steps: Control steps of the probe, during which the arm holds the payload.
        commit_distance: m, from the fingertip to each weight when the query begins.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    guard: Literal["delay", "none"] = "delay"
    classes: int = 3
    lightest: float = 0.3
    heaviest: float = 2.1
    probe: Literal["lift", "free"] = "lift"
    probe_steps: int = 8
    commit_distance: float = 0.08

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, ("delay", "none"))
        super().__post_init__()
        check_choice("probe", self.probe, ("lift", "free"))
        check_whole("classes", self.classes, least=2, most=6)
        check_whole("probe_steps", self.probe_steps, least=2, most=1_000)
        if not 0.1 <= self.lightest < self.heaviest <= _MOST:
            raise UserError(
                f"lightest and heaviest must be masses in kg with 0.1 <= lightest < heaviest <= {_MOST:g}, "
                f"got {self.lightest} and {self.heaviest}"
            )
        if self.lightest < _SPREAD * self.spacing:
            raise UserError(
                f"lightest must be at least {_SPREAD * self.spacing:.3g} kg for {self.classes} classes up to "
                f"{self.heaviest} kg, so that no mass is negative, got {self.lightest}"
            )
        check_meters("commit_distance", self.commit_distance, least=0.05, most=0.10)

    @property
    def spacing(self) -> float:
        """How far the middles of neighboring classes lie apart, kg."""
        return (self.heaviest - self.lightest) / (self.classes - 1)


class HiddenPayload(ChoiceTask[HiddenPayloadSettings]):
    """The hand lifts a can of unknown mass; feel how heavy it is, and later touch the weight of the same class.

    System identification with an arm: only the arm's response to commands shows the mass.

    **Episode.** For ``probe_steps`` control steps (20 a second) the hand holds the can, at first 12 cm above the table,
    and is commanded to rise at 0.6 m/s: the probe, which is the cue. The arm's own weight is compensated, the can's is
    not, and the joints have 15 % of the Panda's torque (at most 13 N m, for either robot): a light can rises at once, a
    heavy one lags behind. With ``probe="free"`` the action moves the hand instead, and must do so, since a hand at rest
    feels next to nothing. Then the can is set aside for ``memory_length`` control steps. Then the go light comes on:
    the arm has its full torque again, and k weights stand on a ring around the hand, from the lightest class, straight
    ahead, to the heaviest, counter-clockwise. The first one that the fingertip touches is the answer, and the episode
    terminates. It is truncated when no answer comes within ``query_steps``. The class is uniform over k; the mass is
    uniform within 0.15 of the distance between classes of its class's middle, so that it is never the same twice.

    **Observation** (k + 8, float32). 0 to k - 1: class of the mass, with ``cue="always"`` only; k: probe light; k + 1:
    go light; k + 2 to k + 4: the last command to the hand, during the probe only; the last three: position of the
    fingertip relative to the middle of the workspace at a height of 0.10 m, in units of 0.25 m. With
    ``control="joint"`` the action has 7 components, and the joint angles follow, as parts of their ranges. With
    ``guard="delay"`` the arm's own components are 0 between probe and query.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s. It has no effect during the probe, except with ``probe="free"``.

    **Reward.** +1 for the right weight, -1 / (k - 1) for a wrong one, so that guessing earns 0 on average; -0.01 for
    each control step of the query; and up to 0.1 for coming near any weight. Before the answer the reward does not
    depend on the mass.

    **Memory.** Identification: log2 k bits, from the relation of commands and motion, held for ``memory_length``
    control steps.

    **Ceilings.** Without memory 1 / k: the class is uniform, and with ``guard="delay"`` nothing at the query depends on
    it or on the actions during the probe, since the arm starts without the can, at rest at its home, with fresh noise
    (G1, G2 and G3 hold exactly). This is the ceiling of every agent whose window is shorter than ``memory_length``.
    Oracle 1. With ``guard="none"`` the arm moves on from where the probe left it, and its height tells the mass.

    **No work in the delay.** The cue is how the arm lags behind its commands. No pad can look like that: pads to press
    would fill the time and interfere with nothing. What interferes is another can to lift, which is another task.
    """

    FORGET_CONTACTS: ClassVar[bool] = True
    Settings: ClassVar[type[HiddenPayloadSettings]] = HiddenPayloadSettings
    settings: HiddenPayloadSettings

    def __init__(
        self, settings: HiddenPayloadSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        k = settings.classes
        self.masses = settings.lightest + settings.spacing * np.arange(k)
        """[k] kg, the middles of the classes."""
        self.mass = np.zeros(num_envs)
        """[N] kg; privileged."""
        self.cue_names = tuple(f"about {mass:.2g} kg" for mass in self.masses)
        self._cans: list[Prop] = []
        self._weights: list[list[Prop]] = []
        self._go: list[scenery.GoLight] = []
        axes = tuple(f"joint {number}" for number in range(1, 8)) if settings.control == "joint" else ("x", "y", "z")
        shown = (f"shown: {name}" for name in self.cue_names)
        signals = (*shown, "probe light", "go light", *(f"command {axis}" for axis in axes))
        way = settings.commit_distance
        super().__init__(settings, num_envs, signals=signals, targets=k, way=way, visuals=visuals, gui=gui)
        self.commands = np.zeros((num_envs, len(axes)))
        """[N, A] the last command to the hand."""
        self._waiting = _PROBE_LOW, _PROBE_HIGH

    @classmethod
    def spec(cls, settings: HiddenPayloadSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        k = settings.classes
        return recall_spec(
            settings,
            memory="identification",
            n_bits=math.log2(k),
            chance=1 / k,
            query_steps=settings.query_steps,
            guess=f"the class is uniform over {k} and independent of all that is seen and done at the query",
            random="a random weight is right once in k; at most, since none may be touched",
            always="the class is shown at the query",
            oracle="feel the mass, remember its class, touch the weight of that class",
            never="the mass is never felt: nothing to remember",
        )

    @property
    def num_cues(self) -> int:
        """k, one cue for each class."""
        return self.settings.classes

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the class and the mass. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        off = _SPREAD * self.settings.spacing * rng.uniform(-1.0, 1.0)
        self.mass[index] = self.masses[self.cue[index]] + off
        self.cue_steps[index] = self.settings.probe_steps
        self.commands[index] = 0.0

    def begin(self, indices: Indices, cues: Ints | None) -> None:
        """Put the payload into the hands. See :meth:`MemoryTask.begin`."""
        super().begin(indices, cues)
        held = self.mass * (self.settings.cue != "never")
        self.rehome(indices, _RISE)
        for index in indices.tolist():
            self._arms[index].carry(float(held[index]), _TORQUE)

    def advance(self, actions: Floats) -> Step:
        """Run one control step, within the bounds of the probe. See :meth:`MemoryTask.advance`."""
        probing = self.phase == CUE
        self.low = np.where(probing[:, None], _PROBE_LOW, LOW)
        self.high = np.where(probing[:, None], _PROBE_HIGH, HIGH)
        if self.settings.probe == "lift" and probing.any():
            above = self.home.copy()
            above[:, 2] = self.tip[:, 2] + STRIDE
            actions = np.where(probing[:, None], self.toward(above), actions)
        self.commands[:] = actions
        return super().advance(actions)

    def start_delay(self, indices: Indices) -> None:
        """Set the can aside. See :meth:`RecallTask.start_delay`."""
        for index in indices.tolist():
            self._arms[index].carry(0.0)

    def held(self) -> Bools:
        """Return [N] whether the guard holds the arm now: in the delay."""
        held: Bools = (self.phase == DELAY) & self.locked
        return held

    def sensing(self) -> Bools:
        """Return [N] whether the arm senses itself: in probe and query, and where it is free in the delay too."""
        sensing: Bools = ~self.held()
        return sensing

    def wanted(self) -> Ints:
        """Return the weight of the class. See :meth:`ChoiceTask.wanted`."""
        return self.cue

    def signals(self) -> Floats:
        """Return class, lights and the last command [N, k + 2 + A]."""
        k, probing = self.settings.classes, self.phase == CUE
        out = np.zeros((self.num_envs, k + 2 + self.commands.shape[1]))
        if self.settings.cue == "always":
            out[self.everyone, self.cue] = 1.0
        out[:, k], out[:, k + 1] = probing, self.phase == QUERY
        out[probing, k + 2 :] = self.commands[probing]
        return out

    def goal(self) -> Floats:
        """Return a high position during the probe, home in the delay, then the right weight; privileged. [N, 3]."""
        goal = self.home.copy()
        asked, probing = self.phase >= QUERY, self.phase == CUE
        goal[probing, 2] = _PROBE_HIGH[2]
        goal[asked] = super().goal()[asked]
        return goal

    def build_props(self, client: int) -> None:
        """Put can, weights, marks and go light into one more world."""
        Prop(client, scenery.disc(0.055, scenery.MAT)).show(*_STAGE, 0.001)
        super().build_props(client)
        self._go.append(scenery.GoLight(client))
        self._cans.append(Prop(client, _can()))
        sizes = np.linspace(0.6, 1.0, self.settings.classes)
        self._weights.append([Prop(client, _weight(float(size))) for size in sizes])

    def draw_props(self, index: int) -> None:
        """Show the can in the hand or aside, and the weights. See :meth:`TableTask.draw_props`."""
        phase = self.phase[index]
        if phase == CUE and self.settings.cue != "never":
            x, y, z = self.tip[index].tolist()
            self._cans[index].show(x, y, z - TIP_RADIUS - _CAN / 2)
        else:
            self._cans[index].show(*_STAGE, _CAN / 2 + 0.002)
        for weight, (x, y, yaw) in zip(self._weights[index], self.slots.tolist(), strict=True):
            if phase in (QUERY, OVER):
                weight.show(x, y, 0.002, yaw=yaw)
            else:
                weight.park()
        super().draw_props(index)
        self._go[index].light(on=phase == QUERY and self.chosen[index] < 0)


_CAN = 0.050
"""m, the height of the can."""
_BRASS = (0.85, 0.64, 0.25, 1.0)


def _can() -> list[Part]:
    """Return the looks of the can, its middle at the origin: they do not depend on the mass."""
    lid = (0.0, 0.0, _CAN / 2 - 0.004)
    band = parts.cylinder(0.0335, 0.016, scenery.COLORS["cyan"])
    return [parts.cylinder(0.033, _CAN, parts.WHITE), band, parts.cylinder(0.035, 0.006, parts.GRAPHITE, lid)]


def _weight(size: float) -> list[Part]:
    """Return the looks of a brass weight, its foot at the origin; size 1 is the largest."""
    radius, height = 0.95 * HALF * size, 1.1 * HALF * size
    neck, knob = 0.4 * radius, 0.55 * radius
    return [
        parts.cylinder(radius, height, _BRASS, (0.0, 0.0, height / 2)),
        parts.cylinder(neck, 0.5 * height, _BRASS, (0.0, 0.0, 1.2 * height)),
        parts.sphere(knob, _BRASS, (0.0, 0.0, 1.5 * height)),
    ]
