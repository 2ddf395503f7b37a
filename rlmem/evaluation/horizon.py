"""Memory horizon: memory score against memory length, and the lengths at which it has fallen to 0.5 and 0.9.

Axes: P points of a curve, E episodes, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.evaluation.episodes import Env, EnvMaker, Evaluation, PolicyPredictor, evaluate_on, make_test_env
from rlmem.evaluation.lesion import Lesion, lesion_test

Floats = NDArray[np.float64]
LENGTHS = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Memory lengths of a whole curve, control steps."""
_RESAMPLES = 2_000


class Point(NamedTuple):
    """Evaluation at one value of a knob."""

    knob: Any
    result: Evaluation


def sweep(
    policy: PolicyPredictor | Callable[[Any], PolicyPredictor],
    env: str | EnvMaker,
    knob: str,
    values: Sequence[Any],
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
    progress: Callable[[float], object] | None = None,
) -> list[Point]:
    """Evaluate at several values of a knob.

    Args:
        policy: Acts; or a function that makes what acts for an environment, where observations change with the knob.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        knob: Its name.
        values: Of the knob.
        knobs: All others.
        seeds: One an episode; None: the 200 test seeds.
        num_envs: Environments side by side.
        progress: Called with the share of the values that are done.

    Raises:
        UserError: If the task has no such knob, or it cannot have such a value.
    """
    points = []
    for number, value in enumerate(values):
        if progress is not None:
            progress(number / len(values))
        chosen = {**(knobs or {}), knob: value}
        acting = policy if hasattr(policy, "predict") else _made(policy, env, chosen)
        points.append(Point(value, evaluate_on(acting, env, knobs=chosen, seeds=seeds, num_envs=num_envs)))
    return points


@dataclass(frozen=True, kw_only=True)
class HorizonCurve:
    """Memory scores S(L) over memory lengths L."""

    points: list[Point]
    l50: HorizonLength
    """Memory length at which the memory score has fallen to 0.5; infinite where it is not seen to fall so far, 0 where
    it is below at the first length already."""
    l90: HorizonLength
    """The same for 0.9."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [{"memory_length": point.knob, **point.result.as_dict()} for point in self.points]
        lengths = [point.knob for point in self.points]
        ends = {name: getattr(self, name)._asdict() for name in ("l50", "l90")}
        words = {f"{name}_in_words": length_in_words(getattr(self, name), lengths) for name in ends}
        return {"points": rows, **ends, **words}


def horizon_curve(
    policy: PolicyPredictor,
    env: str | EnvMaker,
    lengths: Sequence[int] = LENGTHS,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
    knob: str = "memory_length",
    progress: Callable[[float], object] | None = None,
) -> HorizonCurve:
    """Measure the memory score over memory lengths, with L50 and L90 and their 95 % intervals over episodes.

    Args:
        policy: Acts.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        lengths: Rising.
        knobs: All other knobs.
        seeds: One an episode; None: the 200 test seeds.
        num_envs: Environments side by side.
        knob: Name of the knob that is the length.
        progress: Called with the share of the lengths that are done, long ones counted as short ones.

    Raises:
        UserError: If lengths do not rise, or the task has no memory score at these knobs.
    """
    if not lengths or list(lengths) != sorted(set(lengths)):
        raise UserError(f"lengths must rise, got {list(lengths)}")
    points = sweep(policy, env, knob, lengths, knobs=knobs, seeds=seeds, num_envs=num_envs, progress=progress)
    scores = np.stack([episode_scores(point.result) for point in points])
    if np.isnan(scores).any():
        raise UserError("this task has no memory score at these knobs: it is not harder without memory than with it")
    l50, l90 = (length_at(lengths, scores, level) for level in (0.5, 0.9))
    return HorizonCurve(points=points, l50=l50, l90=l90)


def span_curve(
    policy: PolicyPredictor,
    env: Env,
    *,
    intact: Evaluation,
    spans: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Point]:
    """Evaluate with the hidden state zeroed every k control steps, so that nothing older than k steps is remembered.

    This measures on any environment how far back memory matters to success or return: where the curve over k comes
    close to the intact agent, nothing older is used.

    Args:
        policy: Any agent whose ``predict`` hands on a state of arrays.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        intact: The evaluation without lesion on the same seeds.
        spans: k, rising; None: 1, 2, 5, 10, 20, ... below the median length of an episode.
        seeds: One an episode; None: the 200 test seeds.

    Raises:
        UserError: If the agent has no hidden state, or no episode is as long as a span.
    """
    longest = int(np.median(intact.lengths))
    listed = [step for step in (1, 2, *LENGTHS) if step < longest] if spans is None else spans
    tests = [lesion_test(policy, env, Lesion(every=span), seeds=seeds, intact=intact) for span in listed]
    return [Point(span, test.lesioned) for span, test in zip(listed, tests, strict=True)]


def length_generalization(
    policy: PolicyPredictor,
    env: str | EnvMaker,
    trained: int,
    *,
    factors: Sequence[int] = (1, 2, 5, 10),
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
) -> dict[int, Evaluation]:
    """Evaluate at multiples of the longest memory length that an agent was trained on.

    Args:
        policy: Acts.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        trained: Control steps.
        factors: Of that.
        knobs: All other knobs.
        seeds: One an episode; None: the 200 test seeds.
        num_envs: Environments side by side.

    Returns:
        Factor -> evaluation at so many times the length.
    """
    lengths = [factor * trained for factor in factors]
    points = sweep(policy, env, "memory_length", lengths, knobs=knobs, seeds=seeds, num_envs=num_envs)
    return {factor: point.result for factor, point in zip(factors, points, strict=True)}


def episode_scores(result: Evaluation) -> Floats:
    """Return the memory score of each episode, [E], whose mean is that of the evaluation."""
    values = result.success.astype(np.float64) if result.metric == "success" else result.score
    if result.spec is None:
        return np.full(len(values), np.nan)
    floor, span = result.spec.memoryless.value, result.spec.oracle.value - result.spec.memoryless.value
    scores: Floats = (values - floor) / span if span else np.full(len(values), np.nan)
    return scores


class HorizonLength(NamedTuple):
    """Memory length at which a curve first falls below a level, with its interval."""

    value: float
    low: float
    high: float
    reached: tuple[tuple[float, float], ...] = ()
    """First and last length of each stretch of measured lengths at which the curve is not below. A curve that begins
    below, or rises again, has stretches that one length does not describe."""


class Crossing(NamedTuple):
    """Where a curve first falls below a level."""

    value: float
    """Linear in log L between the two lengths; infinite if it never falls below, 0 if it begins below."""
    after: float
    """The last length at which it is not below, 0 if there is none."""
    before: float
    """The first length at which it is, infinite if there is none."""


def crossing(lengths: Sequence[float], curve: Floats, level: float) -> Crossing:
    """Return where a curve [P] over rising lengths first falls below a level."""
    below = np.flatnonzero(curve < level)
    if not len(below):
        return Crossing(math.inf, lengths[-1], math.inf)
    index = int(below[0])
    if index == 0:
        return Crossing(0.0, 0.0, lengths[0])
    upper, lower = float(curve[index - 1]), float(curve[index])
    part, left, right = (upper - level) / (upper - lower), lengths[index - 1], lengths[index]
    return Crossing(left * (right / left) ** part, left, right)


def length_at(
    lengths: Sequence[float], scores: Floats, level: float, *, confidence: float = 0.95, seed: int = 0
) -> HorizonLength:
    """Return where a curve first falls below a level, with a bootstrap interval between measured lengths.

    Between two lengths nothing was measured, so the interval reaches from the lower quantile of the last lengths that
    are not below to the upper quantile of the first lengths that are.

    Args:
        lengths: [P], rising.
        scores: [P, E] memory scores of episodes, or of runs.
        level: Such as 0.5.
        confidence: From 0 to 1.
        seed: Of the resamples.
    """
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, scores.shape[1], scores.shape) for _ in range(_RESAMPLES))
    found = [crossing(lengths, np.take_along_axis(scores, pick, axis=1).mean(axis=1), level) for pick in picks]
    low = np.quantile([one.after for one in found], (1 - confidence) / 2, method="inverted_cdf")
    high = np.quantile([one.before for one in found], (1 + confidence) / 2, method="inverted_cdf")
    curve = scores.mean(axis=1)
    value = crossing(lengths, curve, level).value
    return HorizonLength(value, float(low), float(high), stretches(lengths, curve >= level))


def stretches(lengths: Sequence[float], holds: Sequence[bool] | NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return the first and the last length of each stretch of neighboring lengths at which something holds."""
    found: list[tuple[float, float]] = []
    for number, length in enumerate(lengths):
        if holds[number]:
            goes_on = number > 0 and holds[number - 1]
            found.append((found.pop()[0], length) if goes_on else (length, length))
    return tuple(found)


def stretches_in_words(found: Sequence[tuple[float, float]]) -> str:
    """Return stretches of lengths in words, such as ``"5 to 1,000, 10,000"``."""
    return ", ".join(f"{first:,.0f} to {last:,.0f}" if first < last else f"{first:,.0f}" for first, last in found)


def length_in_words(estimate: HorizonLength, lengths: Sequence[float]) -> str:
    """Return a length with its interval, such as ``"143 (100 to 200)"`` or ``"above 200"``.

    Of a curve that begins below the level or rises again, the lengths at which it is not below: ``"only 50 to 200"``.
    """
    if estimate.reached and (len(estimate.reached) > 1 or estimate.reached[0][0] > lengths[0]):
        return f"only {stretches_in_words(estimate.reached)}"
    if math.isinf(estimate.value) and estimate.low >= lengths[-1]:
        return f"above {lengths[-1]:,.0f}"
    if not estimate.value and estimate.high <= lengths[0]:
        return f"below {lengths[0]:,.0f}"
    return f"{_one(estimate.value, lengths)} ({_one(estimate.low, lengths)} to {_one(estimate.high, lengths)})"


def _one(value: float, lengths: Sequence[float]) -> str:
    if math.isinf(value):
        return f"above {lengths[-1]:,.0f}"
    if not value:
        return f"below {lengths[0]:,.0f}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def _made(policy: Any, env: str | EnvMaker, knobs: Mapping[str, Any]) -> PolicyPredictor:
    """Let a function make what acts in an environment."""
    example = make_test_env(env, 1, knobs)
    try:
        made: PolicyPredictor = policy(example)
    finally:
        example.close()
    return made
