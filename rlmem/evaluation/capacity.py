"""How much an agent remembers, and whether it can replace what it remembers.

Axes: E episodes, N corridors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.evaluation.episodes import EnvMaker, Evaluation, PolicyPredictor, clopper_pearson, evaluate_on
from rlmem.evaluation.horizon import sweep
from rlmem.evaluation.statistics import Estimate

Floats = NDArray[np.float64]


class Capacity(NamedTuple):
    """What came through of a number of bits."""

    asked: float
    """Bits that the task asks to remember."""
    recalled: Estimate
    """Bits that the answers must at least have come from, with a 95 % interval."""


def bits_recalled(success: float, n_bits: float) -> float:
    """Return the least information, in bits, between cue and answer, at a rate of success.

    Fano's inequality, an equality where all wrong answers are equally likely: log2 k - h(e) - e log2(k - 1), for
    k = 2^n_bits cues that are equally likely, and the rate of errors e. At and below chance it is 0. Source: Cover and
    Thomas, "Elements of Information Theory", 2nd edition, 2006, equation 2.130.

    Args:
        success: Rate, from 0 to 1.
        n_bits: Bits asked for, above 0.
    """
    k, error = 2.0**n_bits, 1.0 - success
    if success <= 1.0 / k or n_bits <= 0:
        return 0.0
    entropy = -sum(p * math.log2(p) for p in (error, success) if p > 0)
    return n_bits - entropy - (error * math.log2(k - 1) if error and k > 2 else 0.0)


def capacity(result: Evaluation) -> Capacity:
    """Return the bits that an evaluation shows to be remembered.

    Raises:
        UserError: If the task is not one of success with bits to remember.
    """
    spec = result.spec
    if spec is None or spec.metric != "success" or not spec.n_bits > 0:
        raise UserError("capacity in bits is measured where a task counts success and asks for bits to be remembered")
    low, high = result.interval
    bits = [bits_recalled(rate, spec.n_bits) for rate in (result.value, low, high)]
    return Capacity(spec.n_bits, Estimate(*bits))


def capacity_curve(
    policy: PolicyPredictor | Callable[[Any], PolicyPredictor],
    env: str | EnvMaker,
    knob: str,
    values: Sequence[Any],
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
) -> list[Capacity]:
    """Measure the bits recalled against the bits asked for; arguments as in :func:`rlmem.evaluation.horizon.sweep`."""
    points = sweep(policy, env, knob, values, knobs=knobs, seeds=seeds, num_envs=num_envs)
    return [capacity(point.result) for point in points]


class Rewriting(NamedTuple):
    """Whether an agent can replace a memory, from episodes of many cues one after the other."""

    first: Estimate
    """Rate of right answers to the first cue of an episode."""
    later: Estimate
    """Rate of right answers to all that came after, where the agent came so far."""
    score: float
    """Of the later ones: 0 at chance, 1 if all are right."""
    by_corridor: Floats
    """[N] rate of right answers in each corridor to those who came there; not a number where none did."""


def rewriting(result: Evaluation) -> Rewriting:
    """Split the answers of an evaluation on ``TMazeEndless`` into first and later corridors.

    An agent that remembers the first cue for good is right at first and at chance later.

    Raises:
        UserError: If the score of the task does not count corridors.
    """
    spec = result.spec
    if spec is None or spec.memory != "rewriting":
        raise UserError("rewriting is measured on tasks that ask for it, such as TMazeEndless-v0")
    passed = result.score.astype(np.int64)
    number = int(spec.oracle.value)
    came = np.array([(passed >= corridor).sum() for corridor in range(number)])
    right = np.array([(passed > corridor).sum() for corridor in range(number)])
    rates = np.divide(right, came, out=np.full(number, np.nan), where=came > 0)
    chance, later = 2.0**-spec.n_bits, _rate(int(right[1:].sum()), int(came[1:].sum()))
    return Rewriting(_rate(int(right[0]), int(came[0])), later, (later.value - chance) / (1 - chance), rates)


def _rate(right: int, of: int) -> Estimate:
    if not of:
        return Estimate(float("nan"), 0.0, 1.0)
    return Estimate(right / of, *clopper_pearson(right, of))


class HeatMap(NamedTuple):
    """A measure over two axes, such as memory length and credit length."""

    x: list[float]
    y: list[float]
    values: Floats
    """[len(y), len(x)] means, not a number where there is none."""


def heat_map(measured: Iterable[tuple[float, float, float]]) -> HeatMap:
    """Lay out (x, y, value) on a grid; the mean where several have the same place.

    Raises:
        UserError: If there is nothing.
    """
    listed = list(measured)
    if not listed:
        raise UserError("there is nothing to lay out")
    x, y = (sorted({point[axis] for point in listed}) for axis in (0, 1))
    values = np.full((len(y), len(x)), np.nan)
    for row, column in np.ndindex(values.shape):
        found = [value for across, up, value in listed if (across, up) == (x[column], y[row])]
        if found:
            values[row, column] = np.mean(found)
    return HeatMap(x, y, values)


def memory_credit_map(
    policy: PolicyPredictor | Callable[[int, int], PolicyPredictor],
    env: str | EnvMaker,
    memory_lengths: Sequence[int],
    credit_lengths: Sequence[int],
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
) -> HeatMap:
    """Measure memory scores over memory lengths and credit lengths, on a task that has both as knobs.

    How late an answer is paid matters to learning: give a function that returns the agent trained at two lengths, and
    the map says where learning gives out. A single agent that is only tested shows how it takes other lengths.

    Args:
        policy: Acts; or a function of memory length and credit length that returns what acts there.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        memory_lengths: Control steps.
        credit_lengths: Control steps.
        knobs: All others.
        seeds: One an episode; None: the 200 test seeds.
        num_envs: Environments side by side.

    Raises:
        UserError: If there are no lengths, or the task has no such knobs or no memory score.
    """
    points = []
    for memory, credit in product(memory_lengths, credit_lengths):
        acting = policy if hasattr(policy, "predict") else policy(memory, credit)
        chosen = {**(knobs or {}), "memory_length": memory, "credit_length": credit}
        result = evaluate_on(acting, env, knobs=chosen, seeds=seeds, num_envs=num_envs)
        if not math.isfinite(result.memory_score):
            raise UserError(f"the task has no memory score at memory length {memory} and credit length {credit}")
        points.append((float(memory), float(credit), result.memory_score))
    return heat_map(points)
