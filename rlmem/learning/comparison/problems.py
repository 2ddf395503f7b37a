"""Sequences to learn from: recall after a delay, adding, and a robot's control with a hidden state.

Axes: T time, N sequences, D input, Q outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.kalman import Likelihood
from rlmem.learning.learner import LIKELIHOODS
from rlmem.registry import short_id
from rlmem.suggest import unknown

_HELD_OUT = 256
_WORLDS = 64
"""Of PyBullet at once: hundreds take minutes to start."""


class SequenceBatch(NamedTuple):
    """Sequences with targets."""

    xs: Tensor
    """[T, N, D] float64."""
    targets: Tensor
    """[T, N, Q] float64, or [T, N] numbers of classes."""
    weights: Tensor
    """[T, N], 0 where there is no target."""


@dataclass(frozen=True, kw_only=True)
class SequenceProblem:
    """A sequence learning task, and the error at which it counts as learnt."""

    name: str
    title: str
    input_size: int
    output_size: int
    likelihood: str
    length: int
    """T at most."""
    bar: float
    """The error at which it is learnt."""
    error_name: str
    draw: Callable[[np.random.Generator, int], SequenceBatch]
    """From a generator and N to sequences to learn from."""
    held_out: SequenceBatch
    """Sequences to be judged on, which are never learnt from."""

    def error(self, outputs: Tensor, batch: SequenceBatch) -> float:
        """Return the error of outputs [T, N, Q] over all targets."""
        weights = batch.weights / batch.weights.sum()
        if self.likelihood == "categorical":
            wrong = outputs.argmax(-1) != batch.targets
            return float((weights * wrong).sum())
        law: Likelihood = LIKELIHOODS[self.likelihood]()
        return float((weights * (law.mean(outputs) - batch.targets).square().mean(-1)).sum())


def delayed_recall(length: int = 30, choices: int = 4) -> SequenceProblem:
    """One of k symbols, then noise for T - 2 steps, then a signal: which symbol was it?

    Source of the kind of problem: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997,
    section 5.2.
    """

    def draw(rng: np.random.Generator, count: int) -> SequenceBatch:
        symbols = rng.integers(choices, size=count)
        xs = np.zeros((length, count, choices + 2))
        xs[0, np.arange(count), symbols] = 1.0
        xs[1:-1, :, choices] = rng.normal(size=(length - 2, count))
        xs[-1, :, choices + 1] = 1.0
        weights = np.zeros((length, count))
        weights[-1] = 1.0
        targets = np.broadcast_to(symbols, (length, count)).copy()
        return SequenceBatch(*(torch.from_numpy(part) for part in (xs, targets, weights)))

    return SequenceProblem(
        name="recall",
        title=f"delayed recall, {choices} symbols, {length} steps",
        input_size=choices + 2,
        output_size=choices,
        likelihood="categorical",
        length=length,
        bar=0.05,
        error_name="error rate",
        draw=draw,
        held_out=_fresh(draw),
    )


def adding(length: int = 30) -> SequenceProblem:
    """The sum of two marked numbers among T, uniform from 0 to 1; the variance of the sum is 1/6.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, section 5.4.
    """

    def draw(rng: np.random.Generator, count: int) -> SequenceBatch:
        xs = np.zeros((length, count, 2))
        xs[..., 0] = rng.random((length, count))
        first, second = rng.integers(length // 2, size=count), rng.integers(length // 2, length, size=count)
        each = np.arange(count)
        xs[first, each, 1] = xs[second, each, 1] = 1.0
        targets = np.zeros((length, count, 1))
        targets[-1, :, 0] = xs[first, each, 0] + xs[second, each, 0]
        weights = np.zeros((length, count))
        weights[-1] = 1.0
        return SequenceBatch(*(torch.from_numpy(part) for part in (xs, targets, weights)))

    return SequenceProblem(
        name="adding",
        title=f"adding, {length} steps",
        input_size=2,
        output_size=1,
        likelihood="gaussian",
        length=length,
        bar=0.02,
        error_name="mean squared error",
        draw=draw,
        held_out=_fresh(draw),
    )


def control(
    env: str = "rlmem/FlashedGoal-v0", *, episodes: int = 512, deviation: float = 0.5, **knobs: Any
) -> SequenceProblem:
    """Imitate the expert of a robot's task, from observations that hide the velocity and the goal.

    The expert drives, with normal noise on its actions so that the states are not only its own (Laskey et al., "DART",
    CoRL 2017); its answers without the noise are the targets, at every step. Both they and what is learnt are cut off
    at the bounds of the actions.

    It is learnt where half of the variance of the answers is explained. Of the default task a law that is linear but
    for the bounds leaves a tenth of it; without the velocity, or without the goal, it leaves more than 0.6: both must
    be remembered.

    Args:
        env: Id of a task with an expert, whose actions are from -1 to 1.
        episodes: How many are recorded to learn from; sequences are drawn from these. A quarter as many are held out.
        deviation: Of the noise, as a part of the actions' range.
        knobs: Of the task; by default of the flashed goal at a memory length of 10.
    """
    knobs = knobs or {"memory_length": 10}
    recorded = _episodes(env, episodes + episodes // 4, deviation, tuple(sorted(knobs.items())))
    data = SequenceBatch(*(part[:, :episodes] for part in recorded))
    variance = float(data.targets[data.weights > 0].var())

    def draw(rng: np.random.Generator, count: int) -> SequenceBatch:
        chosen = torch.from_numpy(rng.integers(episodes, size=count))
        return SequenceBatch(*(part[:, chosen] for part in data))

    return SequenceProblem(
        name="control",
        title=f"control with hidden state, {short_id(env)}",
        input_size=data.xs.shape[2],
        output_size=data.targets.shape[2],
        likelihood="censored",
        length=len(data.xs),
        bar=round(0.5 * variance, 4),
        error_name="mean squared error",
        draw=draw,
        held_out=SequenceBatch(*(part[:, episodes:] for part in recorded)),
    )


def _fresh(draw: Callable[[np.random.Generator, int], SequenceBatch]) -> SequenceBatch:
    """Return sequences from a generator of their own, of a problem that has too many to draw one twice."""
    return draw(np.random.default_rng([1, 0]), _HELD_OUT)


@lru_cache(maxsize=4)
def _episodes(env_id: str, episodes: int, deviation: float, knobs: tuple[tuple[str, Any], ...]) -> SequenceBatch:
    """Record episodes of the expert, padded to the longest."""
    env: Any = gymnasium.make_vec(env_id, num_envs=min(episodes, _WORLDS), autoreset_mode="disabled", **dict(knobs))
    rng = np.random.default_rng(0)
    try:
        parts = [_recorded(env, first, deviation, rng) for first in range(0, episodes, env.num_envs)]
    finally:
        env.close()
    longest = max(len(part.xs) for part in parts)
    padded = (SequenceBatch(*(_longer(tensor, longest) for tensor in part)) for part in parts)
    return SequenceBatch(*(torch.cat(column, 1)[:, :episodes] for column in zip(*padded, strict=True)))


def _recorded(env: Any, first: int, deviation: float, rng: np.random.Generator) -> SequenceBatch:
    """Record an episode of each environment, with seeds from the first on."""
    observation, _ = env.reset(seed=list(range(first, first + env.num_envs)))
    running = np.ones(env.num_envs, dtype=np.bool_)
    seen, answers, counts = [], [], []
    while running.any():
        label = np.asarray(env.unwrapped.expert_action()).reshape(env.num_envs, -1)
        seen.append(np.where(running[:, None], observation, 0.0))
        answers.append(np.where(running[:, None], label, 0.0))
        counts.append(running.astype(float))
        noisy = np.clip(label + deviation * rng.normal(size=label.shape), -1.0, 1.0).astype(np.float32)
        observation, _, terminated, truncated, _ = env.step(noisy)
        running = running & ~(terminated | truncated)
    return SequenceBatch(*(torch.from_numpy(np.stack(part).astype(np.float64)) for part in (seen, answers, counts)))


def _longer(tensor: Tensor, length: int) -> Tensor:
    """Return a tensor [T, ...] with zeros after it up to a length."""
    return torch.cat((tensor, tensor.new_zeros(length - len(tensor), *tensor.shape[1:])))


PROBLEMS: dict[str, Callable[[], SequenceProblem]] = {"recall": delayed_recall, "adding": adding, "control": control}
"""Name -> function that makes the problem, with its default length."""


def make_problem(name: str) -> SequenceProblem:
    """Return a problem by name.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in PROBLEMS:
        raise UserError(unknown("problem", name, PROBLEMS))
    return PROBLEMS[name]()
