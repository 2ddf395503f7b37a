"""What is written over a picture of an episode: two dark bands, a chip for the phase, bars, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int, int]

PHASE_COLORS: dict[str, Color] = {
    "search": (204, 121, 167, 255),
    "cue": (240, 200, 40, 255),
    "delay": (86, 180, 233, 255),
    "query": (0, 170, 125, 255),
    "wait": (213, 160, 110, 255),
    "dock": (150, 130, 220, 255),
    "over": (150, 155, 165, 255),
}
"""Chip of each phase (Okabe and Ito's colors, some brightened for a dark ground)."""

_BAND: Color = (16, 19, 26, 190)
_TEXT: Color = (244, 246, 250, 255)
_DIM: Color = (168, 177, 191, 255)
_DARK: Color = (16, 19, 26, 255)
_TRACK: Color = (70, 77, 90, 255)
_BAR: Color = (86, 180, 233, 255)
_BELIEF: Color = (230, 159, 0, 255)
_SUCCESS: Color = (0, 158, 115, 240)
_FAILURE: Color = (213, 94, 0, 240)
_RESULT: Color = (0, 114, 178, 240)
_SUCCEEDED, _FAILED = "✓  success", "✗  failure"
_SMOOTH = 2
"""The overlay is drawn so many times larger, for smooth edges."""
_ROOM_FOR_BOTTOM = 10
"""Least height of a picture with a band at the bottom, in sizes of text: the upper band and the result are above it."""
_ROWS = 16
"""Rows of the picture that are smoothed together; those on which nothing is drawn, most of them, are left out."""


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What a picture tells of an episode. What is None or empty is not shown.

    Args:
        title: Such as the task.
        subtitle: Such as the agent.
        phase: Such as ``"delay"``; see :data:`PHASE_COLORS`.
        step: Control steps since the episode began.
        reward: Return so far.
        work: Pieces of the work in the delay that were done, and that there were, so far.
        speed: How time runs in the video, such as ``"x10"``.
        cue: What is to be remembered.
        note: What the agent says of itself.
        action: Name -> value in [-1, 1], drawn as bars; names are shown for one or two. Or words.
        belief: Name -> probability in [0, 1], drawn as bars; the four most probable of them, one or two with figures.
        success: The result; None while there is none.
        result: The result in words, where success is not what the task counts, such as ``"score 17"``.
    """

    title: str = ""
    subtitle: str = ""
    phase: str | None = None
    step: int | None = None
    reward: float | None = None
    work: tuple[float, float] | None = None
    speed: str = ""
    cue: str | None = None
    note: str | None = None
    action: Mapping[str, float] | str = field(default_factory=dict)
    belief: Mapping[str, float] = field(default_factory=dict)
    success: bool | None = None
    result: str = ""


def draw_overlay(image: NDArray[np.uint8], overlay: Overlay) -> NDArray[np.uint8]:
    """Write an overlay on a picture, which stays as it was.

    Args:
        image: [H, W, 3] colors. From 480 x 270 on there is room for everything; in smaller ones, what would stand over
            something else is left out.
        overlay: What to write.

    Returns:
        [H, W, 3] colors.

    Raises:
        ValueError: If the picture has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be [height, width, 3] of uint8, got {image.shape} of {image.dtype}")
    height, width, _ = image.shape
    pen = _Pen(width, height)
    _draw_top(pen, overlay)
    if height >= _ROOM_FOR_BOTTOM * pen.size:
        _draw_bottom(pen, overlay)
    if overlay.result:
        _draw_result(pen, overlay.result, _RESULT)
    elif overlay.success is not None:
        _draw_result(pen, *((_SUCCEEDED, _SUCCESS) if overlay.success else (_FAILED, _FAILURE)))
    picture = Image.fromarray(image)
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        layer = pen.layer.crop((0, top * _SMOOTH, width * _SMOOTH, bottom * _SMOOTH))
        if layer.getbbox() is not None:
            smooth = layer.resize((width, bottom - top), Image.Resampling.BOX)
            below = picture.crop((0, top, width, bottom)).convert("RGBA")
            picture.paste(Image.alpha_composite(below, smooth).convert("RGB"), (0, top))
    return np.asarray(picture)


class _Pen:
    """Draws on an empty layer, in pixels of the picture. ``unit`` is one at 640 x 360, and grows with the picture."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = float(width), float(height)
        self.unit = max(0.75, min(width / 640, height / 360))
        self.size = max(11.0, 13.5 * self.unit)
        """Of text, pixels."""
        self.layer = Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.layer)

    def box(self, x: float, y: float, width: float, height: float, color: Color, radius: float = 0.0) -> None:
        """Fill a box."""
        if width * _SMOOTH < 1 or height * _SMOOTH < 1:
            return
        corners = [x * _SMOOTH, y * _SMOOTH, (x + width) * _SMOOTH - 1, (y + height) * _SMOOTH - 1]
        self._draw.rounded_rectangle(corners, radius * _SMOOTH, fill=color)

    def measure(self, text: str, *, bold: bool = False, scale: float = 1.0) -> float:
        """Return how wide a text is."""
        return self._font(bold, scale).getlength(text) / _SMOOTH

    def text(
        self,
        x: float,
        middle: float,
        text: str,
        color: Color = _TEXT,
        *,
        bold: bool = False,
        scale: float = 1.0,
        room: float = 1e9,
    ) -> float:
        """Write a text from x on, its middle at a height, cut to the room there is; return where it ends."""
        if self.measure(text, bold=bold, scale=scale) > room:
            while text and self.measure(text + "…", bold=bold, scale=scale) > room:
                text = text[:-1]
            text = text.rstrip() + "…" if text else ""
        place = (x * _SMOOTH, middle * _SMOOTH)
        self._draw.text(place, text, fill=color, font=self._font(bold, scale), anchor="lm")
        return x + self.measure(text, bold=bold, scale=scale)

    def _font(self, bold: bool, scale: float) -> ImageFont.FreeTypeFont:
        return _font(round(self.size * scale * _SMOOTH), bold)


@lru_cache(maxsize=64)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans, which comes with matplotlib and has marks such as ✓."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", name)), size)


def _draw_top(pen: _Pen, overlay: Overlay) -> None:
    """Phase, title and subtitle to the left; speed, work, step and return to the right."""
    numbers = [] if overlay.work is None else ["work {:g}/{:g}".format(*overlay.work)]
    numbers += [] if overlay.step is None else [f"step {overlay.step}"]
    numbers += [] if overlay.reward is None else [f"return {overlay.reward:+.2f}"]
    if not (overlay.phase or overlay.title or overlay.subtitle or overlay.speed or numbers):
        return
    u, tall = pen.unit, pen.size * 2.1
    middle, edge = tall / 2, 10 * pen.unit
    pen.box(0, 0, pen.width, tall, _BAND)

    x = edge
    if overlay.phase:
        name = overlay.phase.upper()
        slot = max(pen.measure(p.upper(), bold=True, scale=0.85) for p in (*PHASE_COLORS, name)) + 16 * u
        color = PHASE_COLORS.get(overlay.phase, PHASE_COLORS["over"])
        pen.box(x, middle - pen.size * 0.75, slot, pen.size * 1.5, color, pen.size * 0.75)
        inset = (slot - pen.measure(name, bold=True, scale=0.85)) / 2
        pen.text(x + inset, middle, name, _DARK, bold=True, scale=0.85)
        x += slot + 10 * u

    right = pen.width - edge
    for text in [*reversed(numbers), overlay.speed]:
        fast = text == overlay.speed
        # Figures are as wide as their widest, so that nothing dances.
        slot = pen.measure(text if fast else "".join("0" if c.isdigit() else c for c in text), bold=fast)
        if not text or right - slot < x:
            break
        pen.text(right - slot, middle, text, PHASE_COLORS["cue"] if fast else _TEXT, bold=fast)
        right -= slot + 14 * u

    if overlay.title and right - x > 3 * pen.size:
        x = pen.text(x, middle, overlay.title, bold=True, room=right - x) + 10 * u
    if overlay.subtitle and right - x > 3 * pen.size:
        pen.text(x, middle, overlay.subtitle, _DIM, room=right - x)


def _draw_bottom(pen: _Pen, overlay: Overlay) -> None:
    """Action to the left, cue and note in the middle, belief to the right: two rows each."""
    if not (overlay.action or overlay.cue or overlay.note or overlay.belief):
        return
    u, row = pen.unit, pen.size * 1.45
    tall, edge = 2 * row + pen.size * 0.55, 10 * pen.unit
    top = pen.height - tall
    rows = (top + (tall - row) / 2, top + (tall + row) / 2)
    pen.box(0, top, pen.width, tall, _BAND)

    left = edge
    if overlay.action:
        left = _draw_action(pen, overlay.action, edge, rows) + 22 * u
    right = pen.width - edge
    if overlay.belief:
        right = _draw_belief(pen, overlay.belief, left, right, rows) - 22 * u
    labeled = [(label, text) for label, text in (("cue", overlay.cue), ("agent", overlay.note)) if text]
    indent = max((pen.measure(label) for label, _ in labeled), default=0.0) + 8 * u
    places = rows if len(labeled) == 2 else (top + tall / 2,)
    for (label, text), middle in zip(labeled, places, strict=False):
        pen.text(left, middle, label, _DIM, room=right - left)
        pen.text(left + indent, middle, text, bold=label == "cue", room=right - left - indent)


def _draw_action(pen: _Pen, action: Mapping[str, float] | str, x: float, rows: tuple[float, float]) -> float:
    """Draw bars from a zero in the middle, lying with names for one or two, else standing; return where they end."""
    u, bar = pen.unit, pen.size * 0.62
    if isinstance(action, str):
        end = pen.text(x, rows[0], "action", _DIM)
        return max(end, pen.text(x, rows[1], action, room=pen.width * 0.28))
    values = {name: float(np.clip(np.nan_to_num(value), -1.0, 1.0)) for name, value in action.items()}
    if len(values) > 2:
        x = pen.text(x, sum(rows) / 2, "action", _DIM) + 8 * u
        top, tall = rows[0] - pen.size * 0.6, rows[1] - rows[0] + pen.size * 1.2
        for value in list(values.values())[:16]:
            pen.box(x, top, bar, tall, _TRACK, 2 * u)
            start = top + tall / 2 - max(value, 0.0) * tall / 2
            pen.box(x, start, bar, max(abs(value) * tall / 2, u), _BAR, 1.5 * u)
            x += bar + 3 * u
        return x
    wide = 76 * u
    names = max(pen.measure(name) for name in values) + 8 * u
    for (name, value), middle in zip(values.items(), rows if len(values) == 2 else (sum(rows) / 2,), strict=True):
        pen.text(x, middle, name, _DIM)
        start = x + names
        pen.box(start, middle - bar / 2, wide, bar, _TRACK, bar / 2)
        zero = start + wide / 2
        length = abs(value) * wide / 2
        pen.box(zero - length if value < 0 else zero, middle - bar / 2, length, bar, _BAR, min(bar, length) / 2)
        pen.box(zero - u / 2, middle - bar * 0.75, u, bar * 1.5, _TEXT)
    return x + names + wide


def _draw_belief(pen: _Pen, belief: Mapping[str, float], edge: float, right: float, rows: tuple[float, float]) -> float:
    """Draw up to four probabilities in up to two columns, as far as an edge to the left; return where they begin."""
    u, wide, bar = pen.unit, 48 * pen.unit, pen.size * 0.62
    likely = sorted(belief, key=lambda name: -belief[name])[:4]
    shown = [name for name in belief if name in likely]
    columns = [shown[:2], shown[2:]] if len(shown) > 2 else [shown]
    figures = pen.measure("100%") + 6 * u if len(columns) == 1 else 0.0
    for column in reversed(columns):
        names = min(max(pen.measure(name) for name in column), pen.width * 0.13)
        left = right - (names + 6 * u + wide + figures)
        if left < edge:
            break
        for name, middle in zip(column, rows if len(shown) > 1 else (sum(rows) / 2,), strict=False):
            value = float(np.clip(np.nan_to_num(belief[name]), 0.0, 1.0))
            pen.text(left, middle, name, _DIM, room=names + u)
            start = left + names + 6 * u
            pen.box(start, middle - bar / 2, wide, bar, _TRACK, bar / 2)
            pen.box(start, middle - bar / 2, value * wide, bar, _BELIEF, min(bar, value * wide) / 2)
            text = f"{round(100 * value)}%" if figures else ""
            pen.text(right - pen.measure(text), middle, text)
        right = left - 16 * u
    return right + 16 * u


def _draw_result(pen: _Pen, text: str, color: Color) -> None:
    """Draw a mark in the upper part of the picture, where it hides no robot."""
    wide = pen.measure(text, bold=True, scale=1.7) + 40 * pen.unit
    fits = min(1.0, 0.96 * pen.width / wide)
    wide, tall = wide * fits, pen.size * 3.0 * fits
    middle = pen.size * 2.1 + tall * 0.85
    x = (pen.width - wide) / 2
    pen.box(x, middle - tall / 2, wide, tall, color, tall / 2)
    pen.text(x + 20 * pen.unit * fits, middle, text, bold=True, scale=1.7 * fits)
