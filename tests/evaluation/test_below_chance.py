"""To be wrong more often than by guessing takes memory, or silence; a report says which."""

from dataclasses import replace

import numpy as np
import pytest
from remembering import TASK, BodyReader, Remembers, drive

from rlmem.evaluation.below_chance import UNANSWERED, UNKNOWN, WRONG_SIGN, in_words, why_below_chance
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.memory import measure_memory
from rlmem.spec import Ceiling

SEEDS = range(30)


class TurnsTheWrongWay(Remembers):
    """Remembers the cue, and turns away from it."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        _, state = super().predict(observation, state, episode_start)
        return drive(observation, np.where(state[0] > 0.0, -1.0, 1.0)), state


class Stands:
    """Gives no answer."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.zeros((len(observation), 2)), None


@pytest.mark.parametrize(
    ("agent", "why"),
    [(TurnsTheWrongWay(), WRONG_SIGN), (Stands(), UNANSWERED), (Remembers(), ""), (BodyReader(), "")],
    ids=["wrong way", "no answer", "right", "without memory"],
)
def test_a_wrong_sign_is_told_from_silence(agent, why):
    assert why_below_chance(evaluate_on(agent, **TASK, seeds=SEEDS)) == why


def test_nothing_is_concluded_from_wrong_answers_among_more_than_two():
    result = evaluate_on(TurnsTheWrongWay(), **TASK, seeds=SEEDS)
    among_four = replace(result, spec=replace(result.spec, memoryless=Ceiling(0.25, "one of four")))
    assert why_below_chance(result) == WRONG_SIGN
    assert why_below_chance(among_four) == UNKNOWN


def test_a_memory_report_tells_the_lengths():
    report = measure_memory(TurnsTheWrongWay(), **TASK, seeds=SEEDS, lengths=[3, 6])
    assert report.below_chance == {3: WRONG_SIGN, 6: WRONG_SIGN}
    assert report.as_dict()["below_chance"]["6"] == WRONG_SIGN
    assert in_words(report.below_chance) == f"below chance at 3, 6 steps: {WRONG_SIGN}"
