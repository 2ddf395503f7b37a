"""Remember an object: a cube is shown and taken away; later the same one is to be touched among others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from rlmem.envs.memory_task import CUE, QUERY, Floats, Ints
from rlmem.envs.pixels import PixelSettings, PixelTask
from rlmem.envs.prop import Prop
from rlmem.envs.recall import recall_spec
from rlmem.envs.robots.parts import Color
from rlmem.envs.table import scenery
from rlmem.envs.table.choice import ChoiceTask
from rlmem.envs.table.pads import WORKING, PadSettings, PadTask
from rlmem.envs.table.scenery import HALF
from rlmem.envs.table.settings import check_meters
from rlmem.envs.task_settings import check_choice
from rlmem.spec import TaskSpec

Feature = Literal["color", "shape", "both"]

_STAGE = (0.69, 0.17)
"""m, where the object is shown: off the ring."""


@dataclass(frozen=True, kw_only=True)
class RememberColorSettings(PadSettings, PixelSettings):
    """The knobs of the object memory. See also :class:`rlmem.envs.table.pads.PadSettings`.

    Args:
        k: Objects on the table at the query: 3, 5 or 9.
        feature: What tells them apart: ``"color"``, ``"shape"``, or ``"both"``, where it takes both.
        commit_distance: m, from the fingertip to each object when the query begins. Short on purpose: if right
            and wrong answers part late, a learner settles on one before it has tried the other.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"hard": WORKING | {"k": 5}}
    k: Literal[3, 5, 9] = 3
    feature: Feature = "color"
    commit_distance: float = 0.08

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("k", self.k, (3, 5, 9))
        check_choice("feature", self.feature, ("color", "shape", "both"))
        check_meters("commit_distance", self.commit_distance, least=0.05, most=0.10)


class RememberColor(PixelTask, ChoiceTask[RememberColorSettings], PadTask[RememberColorSettings]):
    """A colored cube is shown and taken away; later k cubes stand around the hand: touch the one that was shown.

    The task of MIKASA-Robo (Cherepanov et al., "Memory, Benchmark & Robots", arXiv 2502.10550, 2025) with a proven
    ceiling.

    **Episode.** For 3 control steps (20 a second) a cube stands at the edge of the table: the cue. It is taken away for
    ``memory_length`` control steps. Then the go light comes on, and k cubes, one of each kind, stand in random order on
    a ring around the hand. The first one that the fingertip touches is the answer, and the episode terminates. It is
    truncated when no answer comes within ``query_steps``. ``feature`` says what tells the kinds apart: color, shape, or
    both, where some share the color and some the shape of the one shown.

    **Observation** ((k + 1) F + 4, float32), with F components for the kind of an object, 1 for its color or shape and
    0 for the others: k colors, k shapes, or for ``"both"`` the colors and shapes that occur. Indices 0 to F - 1: kind
    of the object shown; F: go light; from F + 1: kind of the object in slot 0, in slot 1, ... counter-clockwise from
    the slot ahead, 0 until the query; the last three: position of the fingertip relative to the middle of the workspace
    at a height of 0.10 m, in units of 0.25 m. With ``control="joint"`` the joint angles follow, scaled to their ranges.
    With ``guard="delay"`` the arm's own components are 0 until the go light. With ``observation="pixels"``: a picture
    (64 x 64 x 3, uint8) from across the table; with ``guard="delay"`` black in the delay.

    **Action** (3): velocity of the hand along x, y and z in units of 0.6 m/s; with ``control="joint"`` (7), of the
    joints in units of 1.5 rad/s.

    **Reward.** +1 for the right object, -1 / (k - 1) for a wrong one, so that guessing earns 0 on average; -0.01 for
    each control step of the query; and up to 0.1 for coming near any object. Before the answer the reward does not
    depend on the cue.

    **Work.** With ``guard="dock"`` and ``pads``, one of several pads lights up every 15 control steps of the delay, to
    be pressed: coming nearer earns 1 a meter, the press 0.1. Three components are added to the observation before
    those of the arm: whether a pad is lit, and its x and y from the middle of the workspace, in units of 0.25 m, 0
    while none is. With ``distractors`` that part of the lit pads looks like a kind of object, in components 0 to F - 1.
    An episode counts only if 80 % of what the expert presses was pressed.

    **Memory.** Retention of log2 k bits over ``memory_length`` control steps, and binding: where the object stands is
    shown only afterwards.

    **Ceilings.** Without memory 1 / k; oracle 1. With ``guard="delay"`` the arm is held and not sensed during cue and
    delay, and starts the query at rest at its home, with fresh noise (G1, G2 and G3 hold exactly). With ``guard="cue"``
    it can move during the delay, with ``guard="none"`` throughout, within 5 cm of its home: enough to note a color with
    the position of the hand. With ``guard="dock"`` it can move during the delay, and passes a dock before the query
    (G1, G2 and G4 hold exactly).
    """

    Settings: ClassVar[type[RememberColorSettings]] = RememberColorSettings
    settings: RememberColorSettings

    def __init__(
        self, settings: RememberColorSettings, num_envs: int = 1, *, visuals: bool = False, gui: bool = False
    ) -> None:
        k = settings.k
        self.looks = _looks(k, settings.feature)
        """Color and shape of each kind."""
        self._kinds, kind_names = _features(self.looks, settings.feature)
        self.cue_names = tuple(" ".join(look) for look in self.looks)
        self.order = np.zeros((num_envs, k), dtype=np.int64)
        """[N, k] the kind of the object in each slot."""
        self._shown: list[list[Prop]] = []
        self._go: list[scenery.GoLight] = []
        shown = (f"shown: {name}" for name in kind_names)
        stand = (f"slot {slot}: {name}" for slot in range(k) for name in kind_names)
        signals, way = (*shown, "go light", *stand), settings.commit_distance
        super().__init__(settings, num_envs, signals=signals, targets=k, way=way, visuals=visuals, gui=gui)

    @classmethod
    def spec(cls, settings: RememberColorSettings) -> TaskSpec:
        """Return the ceilings; see :class:`rlmem.spec.TaskSpec`."""
        k = settings.k
        return recall_spec(
            settings,
            memory="object",
            n_bits=math.log2(k),
            chance=1 / k,
            query_steps=settings.query_steps,
            guess=f"the cue is uniform over {k} kinds and independent of all that is seen at the query",
            random="a random object is right once in k; at most, since none may be touched",
            always="the object is still shown at the query",
            oracle="remember the object, touch the same one",
            never="no object is shown: nothing to remember",
        )

    @property
    def num_cues(self) -> int:
        """k, one cue for each kind."""
        return self.settings.k

    def deal(self, index: int, rng: np.random.Generator, cue: int | None) -> None:
        """Draw the kind that is shown and the order of the slots. See :meth:`TableTask.deal`."""
        self.draw_cue(index, rng, cue)
        self.order[index] = rng.permutation(self.settings.k)

    def wanted(self) -> Ints:
        """Return the slot of the object that was shown. See :meth:`ChoiceTask.wanted`."""
        slot: Ints = (self.order == self.cue[:, None]).argmax(axis=1)
        return slot

    def signals(self) -> Floats:
        """Return the object shown, go light and objects in slots [N, (k + 1) F + 1]."""
        size = self._kinds.shape[1]
        out = np.zeros((self.num_envs, size + 1 + self.order.shape[1] * size))
        asked = self.phase == QUERY
        if self.settings.cue == "always":
            out[:, :size] = self._kinds[self.cue]
        elif self.settings.cue == "flash":
            shown = self.phase == CUE
            if np.count_nonzero(shown):
                out[shown, :size] = self._kinds[self.cue[shown]]
        out[:, size] = asked
        if np.count_nonzero(asked):
            stand = self._kinds[self.order].reshape(self.num_envs, -1)
            np.copyto(out[:, size + 1 :], stand, where=asked[:, None])
        return out

    def distraction(self) -> Floats:
        """Return the object of each look [N, F]. See :meth:`PadTask.distraction`."""
        shown: Floats = self._kinds[self.pad_look]
        return shown

    def draw_distraction(self, index: int, x: float, y: float) -> Color:
        """Show the object on the pad. See :meth:`PadTask.draw_distraction`."""
        self._shown[index][self.pad_look[index]].show(x, y, HALF + 0.010, yaw=0.4)
        return scenery.LIT

    def build_props(self, client: int) -> None:
        """Put objects, stage, marks and go light into one more world."""
        Prop(client, scenery.disc(0.055, scenery.MAT)).show(*_STAGE, 0.001)
        super().build_props(client)
        self._go.append(scenery.GoLight(client))
        self._shown.append([Prop(client, scenery.SHAPES[shape](scenery.COLORS[color])) for color, shape in self.looks])

    def draw_props(self, index: int) -> None:
        """Show objects where they stand. See :meth:`TableTask.draw_props`."""
        asked, objects = self.asked(index), self._shown[index]
        for prop in objects:
            prop.park()
        if asked:
            for slot, (x, y, yaw) in enumerate(self.slots.tolist()):
                objects[self.order[index, slot]].show(x, y, HALF, yaw=yaw)
        elif self.settings.cue != "never" and (self.phase[index] == CUE or self.settings.cue == "always"):
            objects[self.cue[index]].show(*_STAGE, HALF + 0.002, yaw=0.4)
        super().draw_props(index)
        self._go[index].light(on=asked and self.chosen[index] < 0)


def _looks(k: int, feature: Feature) -> list[tuple[str, str]]:
    """Return color and shape of k kinds; for both, on a grid, so that each is shared by others where k allows."""
    colors, shapes = list(scenery.COLORS), list(scenery.SHAPES)
    if feature == "color":
        return [(colors[kind], shapes[0]) for kind in range(k)]
    if feature == "shape":
        return [(colors[2], shapes[kind]) for kind in range(k)]
    across = math.ceil(math.sqrt(k))
    return [(colors[kind // across], shapes[kind % across]) for kind in range(k)]


def _features(looks: list[tuple[str, str]], feature: Feature) -> tuple[Floats, list[str]]:
    """Return how each kind is seen, [k, F] of 0 and 1, and the F names."""
    names: list[str] = []
    for column, wanted in enumerate(("color", "shape")):
        if feature in (wanted, "both"):
            names += dict.fromkeys(look[column] for look in looks)
    return np.array([[float(name in look) for name in names] for look in looks]), names
