"""Lesion tests: with the hidden state zeroed, swapped or frozen, success must fall to the ceiling without memory.

Where it does not fall, the score was not memory: the answer was in the observation, in the body, or in the task.

Axes: E episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        """What an agent without memory reaches; not a number where the task does not say."""
        return self.intact.spec.memoryless.value if self.intact.spec else float("nan")

    @property
    def needed_memory(self) -> bool:
        """Whether the intact agent is above the ceiling, and the lesioned one is not, by their 95 % intervals.

        Where there is no ceiling: whether the interval of the lesioned agent is below that of the intact one.
        """
        if self.intact.spec is None:
            return self.lesioned.interval[1] < self.intact.interval[0]
        return self.intact.interval[0] > self.ceiling >= self.lesioned.interval[0]

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
    lesion: Lesion | None = None,
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
        lesion: What and when; None: zero at the query.
        knobs: Of the task.
        seeds: E of them; None: the 200 test seeds.
        intact: The evaluation without lesion on the same seeds, where it is known.
        donors: Of that evaluation, for ``"swap"``.
        num_envs: Environments side by side; it changes no result of an agent that does not draw.
        deterministic: Take the mode of the policy, not a draw.
        progress: Called with the share of all episodes that have ended.

    Raises:
        UserError: If the agent has no hidden state, or the lesion never acted.
    """
    lesion = lesion or Lesion()
    arguments: dict[str, Any] = {"knobs": knobs, "seeds": seeds, "num_envs": num_envs, "deterministic": deterministic}
    begun, tell = 0.0, progress or (lambda _: None)
    if intact is None or (lesion.kind == "swap" and donors is None):
        begun, recorder = 0.5, DonorRecorder(lesion)
        intact = evaluate_on(policy, env, **arguments, intervention=recorder, progress=lambda share: tell(share / 2))
        donors = recorder.donors
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


def _never(lesion: Lesion, phases: set[str]) -> str:
    if lesion.step is not None:
        return f"no episode lasts until control step {lesion.step}: nothing was lesioned"
    known = ", ".join(sorted(phases - {""})) or "none"
    return f"no episode came to a phase {lesion.phase!r} after its first step; phases seen: {known}"
