"""Results that lie below what guessing gives, and what that shows.

Whoever guesses is right as often as chance has it. To be wrong more often takes knowledge of what would be right: so
such a result shows memory, as long as the agent does answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rlmem.evaluation.episodes import Evaluation, clopper_pearson

WRONG_SIGN = "the memory is there, but it is read with the wrong sign"
UNANSWERED = "many episodes end without an answer"
UNKNOWN = "it is wrong, or does not answer, more often than one that guesses"
_ONE_OF_TWO = 0.5


def why_below_chance(result: Evaluation) -> str:
    """Return why a result is below the ceiling without memory, by its 95 % interval; "" where it is not.

    Only answers between two cues tell memory that is read wrongly: with more, one can be wrong without it.
    """
    if math.isnan(result.ceiling) or result.interval[1] >= result.ceiling:
        return ""
    if result.answers is None or result.work is not None or result.metric != "success":
        return UNKNOWN
    answered = result.answers >= 0
    right, most = int(result.success[answered].sum()), int(answered.sum())
    if result.ceiling == _ONE_OF_TWO and most and clopper_pearson(right, most)[1] < _ONE_OF_TWO:
        return WRONG_SIGN
    return UNANSWERED if most < len(answered) / 2 else UNKNOWN


def in_words(below: Mapping[int, str]) -> str:
    """Return in a sentence at which memory lengths a result is below chance, and why; "" if at none.

    Args:
        below: Memory length, control steps -> why.
    """
    groups: dict[str, list[str]] = {}
    for length, why in below.items():
        groups.setdefault(why, []).append(f"{length:,}")
    return "; ".join(f"below chance at {', '.join(lengths)} steps: {why}" for why, lengths in groups.items())
