"""Search policies without a hidden state by the cross-entropy method: a test of ceilings that needs no script.

Source: Rubinstein, "The cross-entropy method for combinatorial and continuous optimization", Methodology and
Computing in Applied Probability 1, 1999. Each generation plays new episodes, the same for all candidates, and each seed
once with every cue: a policy that does not use the cue is then right exactly as often as chance, and the least use of
the cue stands out.

Axes: C candidates, E episodes, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.bench import Act, Bench, Played
from rlmem.envs.audit.policies import Family, imitate
from rlmem.envs.memory_task import Floats, Ints
from rlmem.errors import UserError
from rlmem.spec import TaskSpec

_KEEP_MEAN, _KEEP_SPREAD = 0.2, 0.5
"""Part of the last generation's mean and variance that the next one keeps."""
_FLOOR = 2.5
"""Least length of the sampling noise, in units of the first standard deviation, whatever the number of weights, so
that a search does not converge before it has found anything."""
_ENOUGH = 0.95
"""Part of the way from the memoryless ceiling to the oracle at which a search stops: it has found a leak."""
_FITTEST = 8
"""Generations whose best policy is validated at the end, beside the mean."""
_VALIDATION = 16
"""Seeds, each played with every cue, on which the best policy of all generations is chosen."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How hard to search.

    Args:
        candidates: C, policies in a generation; even.
        generations: Most generations.
        episodes: Seeds in a generation, each played by every candidate with every cue.
        env_steps: Control steps after which no further generation begins, once there have been ``least`` generations.
        least: See ``env_steps``.
        sigma: Standard deviation of the first generation, in standardized weights.
        elite: Part of the candidates that the next generation is drawn around.

    Raises:
        UserError: If a value is out of range.
    """

    candidates: int = 32
    generations: int = 24
    episodes: int = 6
    env_steps: int = 400_000
    least: int = 6
    sigma: float = 0.5
    elite: float = 0.2

    def __post_init__(self) -> None:
        if self.candidates < 4 or self.candidates % 2:
            raise UserError(f"candidates must be even and at least 4, got {self.candidates}")
        if min(self.generations, self.episodes, self.env_steps, self.least) < 1:
            raise UserError(f"generations, episodes, env_steps and least must be at least 1, got {self}")
        if self.sigma <= 0.0 or not 0.0 < self.elite <= 0.5:
            raise UserError(f"sigma must be positive and elite in (0, 0.5], got {self.sigma} and {self.elite}")

    def steps(self, cues: int, length: float) -> float:
        """Return about how many control steps a search takes in episodes of a length."""
        generation = self.candidates * self.episodes * cues * length
        count = min(max(math.ceil(self.env_steps / max(generation, 1.0)), self.least), self.generations)
        return count * generation + (_FITTEST + 1) * _VALIDATION * cues * length


@dataclass(frozen=True)
class Found:
    """The best policy of a search."""

    family: Family
    parameters: Floats
    """[P]"""
    generations: int
    """Generations that were played."""
    validation: float
    """Success or score on the episodes on which it was chosen."""

    def act(self, stack: NDArray[np.float32], _: Ints) -> Floats:
        """Return actions [N, A] for observations [N, F, D]."""
        return self.family.act(np.broadcast_to(self.parameters, (len(stack), self.family.size)), stack)


@dataclass
class _Trainer:
    """Plays candidates on episodes that no other generation has played, each with every cue."""

    bench: Bench
    spec: TaskSpec
    family: Family
    next_seed: int
    fittest: list[Floats] = field(default_factory=list)

    def play(self, candidates: Floats, episodes: int) -> tuple[Floats, Floats]:
        """Return [C] fitness, and [C] success or score, of candidates [C, P]."""
        cues = self.bench.task.num_cues
        count, each = len(candidates), episodes * cues
        seeds = np.tile(np.repeat(self.next_seed + np.arange(episodes), cues), count)
        self.next_seed += episodes
        act: Act = lambda stack, who: self.family.act(candidates[who // each], stack)  # noqa: E731
        shown = np.tile(np.arange(cues), episodes * count)
        played = self.bench.play(act, seeds, shown, frames=self.family.frames)
        values = played.value(self.spec.metric).reshape(count, each).mean(axis=1)
        return _fitness(played, self.spec).reshape(count, each).mean(axis=1), values


def search(
    bench: Bench, spec: TaskSpec, first_seed: int, *, frames: int, hidden: int, settings: SearchSettings
) -> Found:
    """Search for a policy without a hidden state that does well.

    Args:
        bench: Where to play.
        spec: Says what the ceilings count, and how much is enough.
        first_seed: Of the training episodes.
        frames: F, observations that the policy sees; 1 is memoryless.
        hidden: H, hidden units; 0 is linear.
        settings: How hard to search.
    """
    rng, begun = np.random.default_rng(first_seed), bench.env_steps
    num_envs = bench.task.num_envs
    family, mean = imitate(bench, first_seed + np.arange(num_envs), frames=frames, hidden=hidden)
    trainer = _Trainer(bench, spec, family, first_seed + num_envs, [mean])
    sigma = np.full(family.size, settings.sigma)
    floor = min(1.0, _FLOOR / np.sqrt(family.size)) * settings.sigma
    span = spec.oracle.value - spec.memoryless.value
    enough = spec.memoryless.value + _ENOUGH * span if span > 0.0 else np.inf
    generation = 0
    for generation in range(1, settings.generations + 1):
        half = sigma * rng.normal(size=(settings.candidates // 2, family.size))
        candidates = np.concatenate((mean + half, mean - half))
        candidates[0] = mean
        fitness, values = trainer.play(candidates, settings.episodes)
        order = np.argsort(-fitness, kind="stable")[: max(2, round(settings.elite * settings.candidates))]
        elite = candidates[order]
        trainer.fittest.append(elite[0])
        if values[order[:2]].mean() >= enough:
            best, value = _choose(trainer, elite)
            if value >= enough:
                return Found(family, best, generation, value)
        mean = _KEEP_MEAN * mean + (1.0 - _KEEP_MEAN) * elite.mean(axis=0)
        sigma = np.sqrt(_KEEP_SPREAD * sigma**2 + (1.0 - _KEEP_SPREAD) * elite.var(axis=0)).clip(floor)
        if generation >= settings.least and bench.env_steps - begun >= settings.env_steps:
            break
    best, value = _choose(trainer, np.stack((mean, *trainer.fittest[-_FITTEST:])))
    return Found(family, best, generation, value)


def _choose(trainer: _Trainer, candidates: Floats) -> tuple[Floats, float]:
    """Return the fittest candidate [P] on new episodes, and its success or score."""
    fitness, values = trainer.play(candidates, _VALIDATION)
    best = int(fitness.argmax())
    return candidates[best], float(values[best])


def _fitness(played: Played, spec: TaskSpec) -> Floats:
    """Return [E] what the search maximizes: success or score, and half the return, which helps it to get started."""
    return played.value(spec.metric) + 0.5 * played.returns
