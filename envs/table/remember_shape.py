"""Remember an object by its shape: the object memory with other defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rlmem.envs.table.remember_color import Feature, RememberColor, RememberColorSettings


@dataclass(frozen=True, kw_only=True)
class RememberShapeSettings(RememberColorSettings):
    """The knobs of ``RememberColor-v0``, with ``feature="shape"`` by default."""

    feature: Feature = "shape"


class RememberShape(RememberColor):
    """An object is shown and taken away; later k of other shapes stand around the hand: touch its like.

    ``RememberColor-v0`` with ``feature="shape"``; ``feature="both"`` tells kinds apart by color and shape together.

    **Episode, observation, action, reward, work.** As in ``RememberColor-v0``. All objects feel alike to the hand:
    their shapes are seen, and do not change what is touched.

    **Memory, ceilings.** As in ``RememberColor-v0``: log2 k bits; 1 / k without memory, oracle 1.
    """

    Settings: ClassVar[type[RememberShapeSettings]] = RememberShapeSettings
