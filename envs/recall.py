"""The ceilings of a task that is done by recalling a cue: all with it, chance without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rlmem.envs.memory_task import RecallSettings
from rlmem.spec import Ceiling, TaskSpec

_GUARANTEES = {"delay": ("G1", "G2", "G3"), "cue": ("G1", "G2"), "none": ()}
"""Guard -> which of its exact properties hold. The first does not where the cue is shown throughout."""


def recall_spec(
    settings: RecallSettings,
    *,
    memory: str,
    n_bits: float,
    chance: float,
    query_steps: int,
    guess: str,
    random: str,
    always: str,
    oracle: str,
    never: str,
    partial: Mapping[str, Ceiling] | None = None,
    metric: Literal["success", "score"] = "success",
) -> TaskSpec:
    """Return the ceilings at some knobs. With ``cue="always"`` no memory is needed, with ``cue="never"`` none helps.

    Args:
        settings: Guard, cue and length of the memory.
        memory: Kind of memory.
        n_bits: Bits of the cue.
        chance: What is reached without the cue.
        query_steps: Most control steps between a decision and its reward.
        guess: Why no more than chance is reached without memory.
        random: Why no more is reached by actions drawn at random.
        always: Why no memory is needed where the cue is shown throughout.
        oracle: How all is reached.
        never: Why there is nothing to remember where the cue is not shown.
        partial: Ceilings of agents that remember a part; they hold where the cue flashes, and are left out elsewhere.
        metric: What the ceilings count.
    """
    shown = settings.cue == "always"
    return TaskSpec(
        memory=memory,
        memory_length=settings.lengths,
        credit_length=(1, query_steps),
        n_bits=n_bits,
        metric=metric,
        random=Ceiling(chance, random),
        memoryless=Ceiling(1.0, always) if shown else Ceiling(chance, guess),
        oracle=Ceiling(chance, never) if settings.cue == "never" else Ceiling(1.0, oracle),
        guarantees=_GUARANTEES[settings.guard][int(shown) :],
        partial=dict(partial or {}) if settings.cue == "flash" else {},
    )
