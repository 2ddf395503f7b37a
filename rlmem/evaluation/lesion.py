"""Lesion tests: with the hidden state zeroed, swapped or frozen, success must fall to the ceiling without memory.

Where it does not fall, the score was not memory: the answer was in the observation, in the body, or in the task.

Axes: E episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.digits import short_number
from rlmem.errors import UserError
from rlmem.evaluation.episodes import Env, Evaluation, PolicyPredictor, Progress, clopper_pearson, evaluate_on
from rlmem.evaluation.lesioning import KINDS, Donor, DonorRecorder, Kind, Lesion, Lesioned

__all__ = ["KINDS", "Kind", "Lesion", "LesionTest", "lesion_test"]


@dataclass(frozen=True, kw_only=True)
class LesionTest:
    """An agent with and without a lesion."""

    lesion: Lesion
    intact: Evaluation
    lesioned: Evaluation
    acted: int
    """Episodes in which the lesion acted."""
    same_cue: NDArray[np.bool_]
    """Success of episodes whose donor had the same cue."""
    other_cue: NDArray[np.bool_]
    """Success of episodes whose donor had another cue: near 0 where the agent acts on the memory it was given."""

    @property
    def ceiling(self) -> float:
        """What an agent without memory reaches; not a number where that is not known."""
        return self.intact.ceiling

    @property
    def needed_memory(self) -> bool:
        """Whether the intact agent is above the ceiling, and the lesioned one is not, by their 95 % intervals.

        Where no ceiling is known: whether the interval of the lesioned agent is below that of the intact one.
        """
        if math.isnan(self.ceiling):
            return self.lesioned.interval[1] < self.intact.interval[0]
        return self.intact.interval[0] > self.ceiling >= self.lesioned.interval[0]

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        if math.isnan(self.ceiling):
            return without_ceiling(self.intact, [self.lesion.words] if self.needed_memory else [])
        ceiling = f"the ceiling {short_number(self.ceiling)}"
        if self.needed_memory:
            return f"so it was memory: without it, {self.intact.quantity} is not above {ceiling}"
        if self.intact.interval[0] <= self.ceiling:
            return f"no memory to test: the intact agent is not above {ceiling}"
        return f"it is still above {ceiling}: this lesion does not show that memory is used"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        low, high = self.lesioned.interval
        row: dict[str, Any] = {"lesion": self.lesion.kind, "when": self.lesion.when, "value": self.lesioned.value}
        row |= {"low": low, "high": high, "memory_score": self.lesioned.memory_score, "acted": self.acted}
        for name, success in (("same_cue", self.same_cue), ("other_cue", self.other_cue)):
            if len(success):
                low, high = clopper_pearson(int(success.sum()), len(success))
                row[name] = {"value": float(success.mean()), "low": low, "high": high, "episodes": len(success)}
        return row


def lesion_test(
    policy: PolicyPredictor,
    env: Env,
    lesion: Lesion | Kind = "zero",
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    intact: Evaluation | None = None,
    donors: Mapping[tuple[int, int], Donor] | None = None,
    num_envs: int = 25,
    deterministic: bool = True,
    progress: Progress | None = None,
) -> LesionTest:
    """Evaluate an agent with and without a lesion, on the same episodes.

    Args:
        policy: Any agent whose ``predict`` hands on a state of arrays, see :mod:`rlmem.evaluation.hidden_state`.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        lesion: What and when. A kind alone is made as the query begins, or in the cue where it is ``"freeze"``; where
            no episode comes there, from the middle of an episode on, as :attr:`LesionTest.lesion` then says.
        knobs: Of the task.
        seeds: E of them; None: the 200 test seeds.
        intact: The evaluation without lesion on the same seeds, where it is known; made again where ``lesion`` is a
            kind alone.
        donors: Of that evaluation, for ``"swap"``.
        num_envs: Environments side by side; it changes no result of an agent that does not draw.
        deterministic: Take the mode of the policy, not a draw.
        progress: Called with the share of all episodes that have ended.

    Raises:
        UserError: If the agent has no hidden state, or the lesion never acted.
    """
    free = isinstance(lesion, str)
    lesion = usual_lesion(lesion) if isinstance(lesion, str) else lesion
    arguments: dict[str, Any] = {"knobs": knobs, "seeds": seeds, "num_envs": num_envs, "deterministic": deterministic}
    begun, tell = 0.0, progress or (lambda _: None)
    if intact is None or free or (lesion.kind == "swap" and donors is None):
        begun, recorder = 0.5, DonorRecorder(lesion)
        intact = evaluate_on(policy, env, **arguments, intervention=recorder, progress=lambda share: tell(share / 2))
        donors = recorder.donors
        if not recorder.comes and not free:
            raise UserError(_never(lesion, recorder.phases))
        if not recorder.comes:
            arguments["intact"] = None if lesion.kind == "swap" else intact
            lesion = Lesion(kind=lesion.kind, step=middle(intact))
            return lesion_test(policy, env, lesion, **arguments, progress=lambda share: tell(0.5 + share / 2))
    if not donors and lesion.kind == "swap":
        raise UserError(_never(lesion, set()))
    lesioning = Lesioned(lesion, donors)
    lesioned = evaluate_on(
        policy, env, **arguments, intervention=lesioning, progress=lambda share: tell(begun + share * (1 - begun))
    )
    if not lesioning.acted:
        raise UserError(_never(lesion, lesioning.phases))
    if lesioning.stateless:
        raise UserError("the agent has no hidden state")
    known = lesioning.same_cue if intact.metric == "success" else {}
    same = {flag: [episode for episode, equal in known.items() if equal is flag] for flag in (True, False)}
    return LesionTest(
        lesion=lesion,
        intact=intact,
        lesioned=lesioned,
        acted=len(lesioning.acted),
        same_cue=lesioned.success[same[True]],
        other_cue=lesioned.success[same[False]],
    )


def usual_lesion(kind: Kind) -> Lesion:
    """Return a lesion as the query begins, when what was remembered is needed; a freeze in the cue, when it is seen."""
    return Lesion(kind=kind, phase="cue" if kind == "freeze" else "query")


def middle(intact: Evaluation) -> int:
    """Return half of the median length of episodes, control steps, at least 1."""
    return max(1, int(np.median(intact.lengths)) // 2)


def without_ceiling(intact: Evaluation, worse: Sequence[str]) -> str:
    """Return what lesions show where no ceiling is known: the intervals with and without them are compared.

    Args:
        intact: The evaluation without lesion.
        worse: Lesions after which the interval is below that of the intact agent, in words.
    """
    if not worse:
        said = f"no use of the hidden state shown: {intact.quantity} is not lower after a lesion, by the 95 % intervals"
        return f"{said}. {intact.why_no_ceiling}"
    return (
        f"it uses its hidden state: {intact.quantity} falls once that is {' or '.join(worse)} (95 % intervals apart). "
        f"{intact.why_no_ceiling}, so how much of it needs memory is not known"
    )


def _never(lesion: Lesion, phases: set[str]) -> str:
    if lesion.step is not None:
        return f"no episode lasts until control step {lesion.step}: nothing was lesioned"
    return (
        f"no episode begins a phase {lesion.phase!r} after its first step, before which there is no memory; phases "
        f"seen: {', '.join(sorted(phases)) or 'none'}. Name a control step instead: --lesion-step N, or Lesion(step=N)"
    )
