"""Contents of a report page: tables, charts and episodes as plain values, which become HTML and JSON.

Axes: P points of a line, F frames, K classes, A parts of an action, U units of the hidden state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

DIGITS = 5
"""Significant digits of the numbers in a page's data."""

Number = float | None
"""None where there is no number."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under a head. A cell is text; the first column names the row.

    Raises:
        ValueError: If a row is not as long as the head, or the shades are not one a cell.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    shades: Sequence[Sequence[Number]] = ()
    """How dark each cell beside the first of its row is, 0 to 1, None for empty; no rows: a table without shades."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"a row must have {len(self.head)} cells, as the head has, got {list(row)}")
        if self.shades and [len(row) for row in self.shades] != [len(self.head) - 1] * len(self.rows):
            raise ValueError(f"shades must be {len(self.rows)} rows of {len(self.head) - 1}, got {self.shades}")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart with a band around it, or none; or a mark with its interval."""

    label: str
    x: Sequence[Number]
    y: Sequence[Number]
    low: Sequence[Number] = ()
    high: Sequence[Number] = ()
    color: int = 0
    """Number in the list of colors."""
    faint: bool = False
    """Whether it stands behind another and has no name of its own, such as one run behind the mean."""

    def __post_init__(self) -> None:
        sizes = {len(self.x), len(self.y)} | ({len(self.low), len(self.high)} if self.low or self.high else set())
        if len(sizes) != 1:
            raise ValueError(f"x, y, low and high of {self.label!r} must be as long, got {sorted(sizes)}")


@dataclass(frozen=True, kw_only=True)
class Level:
    """A level with its name, such as the ceiling without memory."""

    value: float
    label: str
    dotted: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over an axis; or, as a ``"forest"``, a mark with an interval for each label.

    In a forest each line has one point, its x is the value and low and high its interval.
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    kind: Literal["lines", "forest"] = "lines"
    logarithmic: bool = False
    """Of the x axis."""
    marks: bool = False
    """Whether points are marked, because there are few."""
    levels: Sequence[Level] = ()
    limits: tuple[float, float] | None = None
    """Of the value axis; None: what the lines need."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Pane:
    """One run of an episode: a value for each frame [F], None after its end."""

    title: str
    outcome: str
    """In words."""
    success: bool | None
    """None where the environment does not say."""
    steps: int
    """Control steps of the episode."""
    lesion: int | None
    """Frame at which the hidden state was lesioned."""
    phase: Sequence[str | None]
    action: Sequence[Sequence[Number] | str | None]
    """[F][A] in [-1, 1], or words."""
    value: Sequence[Number] = ()
    """What the critic expects, empty where there is none."""
    belief: Sequence[Sequence[Number] | None] = ()
    """[F][K] probabilities, None where the probe was not fitted; empty where there is none."""
    state: str = ""
    """The hidden state that the agent brings to each frame: base64 of bytes [F, U], 0 to 254, 255 where there is none;
    127 is 0."""


@dataclass(frozen=True, kw_only=True)
class PlayerEpisode:
    """An episode to be played, intact and where possible lesioned, on common frames.

    Raises:
        ValueError: If a timeline is not as long as the frames.
    """

    title: str
    cue: str | None
    fps: float
    video: str
    """MP4 as a data URI: the panes one above the other, all of one size."""
    size: tuple[int, int]
    """Of a pane, width and height, pixels."""
    frames: Sequence[int]
    """[F] the control step that each frame shows."""
    units: int
    """U of the hidden state that are shown, 0 where there is none."""
    classes: Sequence[str]
    """[K] names of the cues that the probe tells apart."""
    actions: Sequence[str]
    """[A] names."""
    panes: Sequence[Pane]

    def __post_init__(self) -> None:
        for pane in self.panes:
            for name in ("phase", "action", "value", "belief"):
                length = len(getattr(pane, name))
                if length not in (len(self.frames),) and (length or name in ("phase", "action")):
                    raise ValueError(f"{name} must have a value for each of {len(self.frames)} frames, got {length}")


@dataclass(frozen=True, kw_only=True)
class Player:
    """Episodes to be played, and what their timelines mean."""

    episodes: Sequence[PlayerEpisode]
    notes: Sequence[str] = ()
    """Sentences below the player: how it was made, and what is left out and why."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Some tables and charts under a heading."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    folded: bool = False
    """Whether it is shown only where it is asked for."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """All of a report."""

    title: str
    subtitle: str
    verdict: str = ""
    facts: Sequence[tuple[str, str]] = ()
    player: Player | None = None
    sections: Sequence[Section] = ()
    missing: Sequence[str] = field(default_factory=tuple)
    """Sentences: what is left out, and why."""
