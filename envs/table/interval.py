"""The knobs of interval timing, and the success rates without memory and without the tone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlmem.envs.table.settings import TableSettings
from rlmem.envs.task_settings import MAX_LENGTH, check_whole

MOST_TONES = 4
"""One for each color of the bell."""
TONE_STEPS, SILENCES = 3, 8
"""Control steps of the tone, and number of possible lengths of the silence before it: 0 to 7 steps."""


@dataclass(frozen=True, kw_only=True)
class TimedPressSettings(TableSettings):
    """The knobs of interval timing. See also :class:`rlmem.envs.table.settings.TableSettings`.

    Args:
        interval: T, control steps from the end of the lowest tone to the right moment for the press.
        tones: K, number of tones, 1 to 4; tone j asks for (1 + j / 2) T steps, rounded down.
        tolerance: Control steps by which a press may be early or late; less than a quarter of the interval.
        query_steps: Control steps after the last right moment of the lowest tone, and as many more as the longest
            interval is longer, until the episode is truncated.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    interval: int = 20
    tones: int = 2
    tolerance: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("interval", self.interval, least=6, most=MAX_LENGTH)
        check_whole("tones", self.tones, least=1, most=MOST_TONES)
        most = min((self.interval - 1) // 4, self.interval - 2)
        check_whole("tolerance", self.tolerance, least=1, most=most)

    @property
    def intervals(self) -> tuple[int, ...]:
        """Control steps from the end of each tone to the right moment for the press."""
        return tuple(self.interval * (2 + tone) // 2 for tone in range(self.tones))


def chance(settings: TimedPressSettings, frames: int = 1) -> float:
    """Return how often a press at a constant rate is right, at the best rate.

    Args:
        settings: The intervals and the tolerance.
        frames: F, how many observations are seen; the first F - 1 steps after the tone can be waited for.
    """
    rate = 1.0 / np.geomspace(1.0, 10.0 * settings.intervals[-1], 20_000)
    total = np.zeros_like(rate)
    for due in settings.intervals:
        first, last = (max(due + late - (frames - 1), 1) for late in (-settings.tolerance, settings.tolerance))
        total += (1.0 - rate) ** (first - 1) - (1.0 - rate) ** last
    return float(total.max()) / settings.tones


def without_tone(settings: TimedPressSettings) -> float:
    """Return how often a press at the best moment of the episode is right when the tone is not heard."""
    hits = np.zeros(settings.intervals[-1] + settings.tolerance + SILENCES + TONE_STEPS + 1)
    for due in settings.intervals:
        for silence in range(SILENCES):
            middle = silence + TONE_STEPS + due
            hits[middle - settings.tolerance : middle + settings.tolerance + 1] += 1.0
    return float(hits.max()) / (settings.tones * SILENCES)
