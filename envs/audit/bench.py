"""Play policies on N worlds of one task, episode by episode, with given seeds and cues.

Axes: E episodes, N worlds, F frames, D observation, A action.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from rlmem.envs.batch import Batch
from rlmem.envs.memory_task import Bools, Floats, Ints, MemoryTask, Phase

Act = Callable[[NDArray[np.float32], Ints], Floats]
"""(observations [N, F, D], the newest last; index of the episode that each world plays [N]) -> actions [N, A]."""

_BLOCKS = 8
"""Blocks along each side of a picture, whose mean colors stand for it."""
SEEDS_APART = 1_000_000
"""Distance between the first seeds of different purposes."""


class Seeds(NamedTuple):
    """First seed of each purpose; the ranges do not overlap."""

    exact: int
    train: int
    probe: int
    test: int

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """Return the first seeds for an audit with this seed."""
        return cls(*((4 * seed + part) * SEEDS_APART for part in range(4)))


@dataclass(frozen=True)
class Played:
    """Results of E episodes, and what was observed when the query of each began. Arrays [E, ...]."""

    success: Bools
    score: Floats
    returns: Floats
    """Undiscounted sum of rewards."""
    cue: Ints
    """The (first) cue of the episode."""
    reached: Bools
    """Whether a query began; the arrays below are meaningless where none did."""
    observation: NDArray[np.float32]
    """[E, D] the first observation of the (first) query."""
    reward: Floats
    """The reward that came with that observation."""
    elapsed: Ints
    """Control steps from the episode's start to that observation."""

    def value(self, metric: str) -> Floats:
        """Return [E] what the ceilings count: ``"success"`` or ``"score"``."""
        return self.success.astype(np.float64) if metric == "success" else self.score


_BLOCK_NAMES = tuple(
    f"{color} of block {row}, {column}"
    for row in range(_BLOCKS)
    for column in range(_BLOCKS)
    for color in ("red", "green", "blue")
)


def as_numbers(observation: NDArray[Any]) -> NDArray[np.float32]:
    """Return observations as numbers [N, D]: pictures become the mean colors of 8 x 8 blocks."""
    if observation.ndim == 2:
        return observation
    n, high, wide, colors = observation.shape
    blocks = observation.reshape(n, _BLOCKS, high // _BLOCKS, _BLOCKS, wide // _BLOCKS, colors)
    means: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1) / 255.0
    return means


class Bench:
    """N worlds to play policies on; counts episodes and control steps.

    Args:
        task: The task; closed with the bench.
    """

    def __init__(self, task: MemoryTask[Any]) -> None:
        self.task = task
        self.batch = Batch(task, AutoresetMode.DISABLED, None, every_step=True)
        self.env_steps = 0
        self.episodes = 0
        self.on_step: Callable[[], object] = lambda: None
        """Called after each step of the worlds, for showing progress."""
        self.pictures = len(task.observation_space.shape) == 3
        """Whether observations are pictures."""
        self.names = _BLOCK_NAMES if self.pictures else task.observation_names
        """Names of the D numbers that policies see."""
        task.reset(seeds=[0] * task.num_envs)
        task.enter(task.everyone, Phase.OVER)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.task.close()

    def count(self, steps: int) -> None:
        """Count control steps of the worlds."""
        self.env_steps += steps
        self.on_step()

    def play(self, act: Act, seeds: Ints, cues: Ints | None = None, *, frames: int = 1) -> Played:
        """Play one episode for each seed.

        Args:
            act: The policy.
            seeds: [E].
            cues: [E] cues to show instead of the ones drawn.
            frames: F, how many observations the policy sees; zeros stand for those before the first.
        """
        task, count, size = self.task, len(seeds), self.task.num_envs
        played = Played(
            success=np.zeros(count, dtype=np.bool_),
            score=np.zeros(count),
            returns=np.zeros(count),
            cue=np.zeros(count, dtype=np.int64),
            reached=np.zeros(count, dtype=np.bool_),
            observation=np.zeros((count, len(self.names)), dtype=np.float32),
            reward=np.zeros(count),
            elapsed=np.zeros(count, dtype=np.int64),
        )
        for first in range(0, count, size):
            who = np.arange(first, min(first + size, count))
            self._play_together(act, seeds[who], None if cues is None else cues[who], who, frames, played)
        assert (task.phase == Phase.OVER).all()
        return played

    def _play_together(self, act: Act, seeds: Ints, cues: Ints | None, who: Ints, frames: int, played: Played) -> None:
        """Play at most N episodes and write their results into ``played`` at ``who``."""
        task, size, n = self.task, self.task.num_envs, len(who)
        mask = np.arange(size) < n
        shown = None if cues is None else np.concatenate((cues, np.zeros(size - n, dtype=np.int64)))
        all_seeds: list[int | None] = [*seeds.tolist(), *[None] * (size - n)]
        self.episodes += n
        seen, phase = self.batch.reset(mask, all_seeds, shown)
        observation = as_numbers(seen)
        played.cue[who] = task.cue[:n]
        stack = np.zeros((size, frames, observation.shape[1]), dtype=np.float32)
        padded = np.concatenate((who, np.full(size - n, who[0])))
        steps = 0
        while (phase[:n] != Phase.OVER).any():
            stack[:, :-1] = stack[:, 1:]
            stack[:, -1] = observation
            running = phase[:n] != Phase.OVER
            self.count(int(running.sum()))
            step = self.batch.step(np.clip(act(stack, padded), -1.0, 1.0))
            observation, phase, steps = as_numbers(step.observation), step.phase, steps + 1
            played.returns[who] += step.reward[:n]
            queried = (phase[:n] == Phase.QUERY) & ~played.reached[who]
            if queried.any():
                asked = who[queried]
                played.reached[asked], played.elapsed[asked] = True, steps
                played.observation[asked], played.reward[asked] = observation[:n][queried], step.reward[:n][queried]
            if step.ends is not None:
                ended = step.ends.ended[:n]
                played.success[who[ended]] = task.success[:n][
                    ended
                ]  # the ceilings are about the answer, not about work
                played.score[who[ended]] = task.score[:n][ended]
                phase = task.phase


class Stopwatch:
    """CPU seconds and control steps since it was made."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._steps, self._seconds = bench, bench.env_steps, time.process_time()

    def read(self) -> tuple[int, float]:
        """Return (control steps, CPU seconds)."""
        return self._bench.env_steps - self._steps, time.process_time() - self._seconds
