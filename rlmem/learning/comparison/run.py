"""One learner on one problem: how many sequences, and CPU seconds, until the error is below the bar."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlmem.errors import UserError
from rlmem.learning.comparison.methods import METHODS
from rlmem.learning.comparison.problems import SequenceProblem, make_problem

_TUNING_SEED = 10_000
"""Runs that choose hyperparameters have seeds from here on."""


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """Limits of one run.

    Args:
        batch: Sequences in a batch: streams of an online learner.
        sequences: At most.
        seconds: CPU seconds at most.
        eval_every: Batches between two evaluations on held-out sequences, which cost no CPU seconds here.

    Raises:
        UserError: If a number is out of bounds.
    """

    batch: int = 8
    sequences: int = 8_000
    seconds: float = 120.0
    eval_every: int = 5

    def __post_init__(self) -> None:
        for name in ("batch", "sequences", "eval_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0.0 < self.seconds < math.inf:
            raise UserError(f"seconds must be a finite number above 0, got {self.seconds}")


class RunResult(NamedTuple):
    """Result of one run."""

    sequences: float
    """Until the bar, infinite if it was not reached."""
    cpu_seconds: float
    """Of learning, until the bar or the end."""
    error: float
    """The last, on held-out sequences."""
    curve: list[tuple[int, float, float]]
    """(sequences, CPU seconds, error) at each look."""

    @property
    def solved(self) -> bool:
        """Whether the bar was reached."""
        return math.isfinite(self.sequences)


def run(
    problem: SequenceProblem, method: str, cell: str, hidden_size: int, value: float, seed: int, budget: RunLimits
) -> RunResult:
    """Train until the error on held-out sequences is below the bar in two evaluations in a row."""
    learner = METHODS[method].learner(problem, cell, hidden_size, value, seed)
    held_out = problem.held_out
    rng = np.random.default_rng([0, seed])
    spent, below, seen = 0.0, 0, 0
    curve: list[tuple[int, float, float]] = []
    error = math.nan
    while True:
        if (seen // budget.batch) % budget.eval_every == 0:
            error = problem.error(learner.predict(held_out.xs), held_out)
            curve.append((seen, spent, error))
            below = below + 1 if error <= problem.bar else 0
            if below == 2:
                first = curve[-2]
                return RunResult(float(first[0]), first[1], error, curve)
            if not math.isfinite(error) or seen >= budget.sequences or spent >= budget.seconds:
                return RunResult(math.inf, spent, error, curve)
        batch = problem.draw(rng, budget.batch)
        started = time.process_time()
        learner.fit(batch.xs, batch.targets, weights=batch.weights)
        spent += time.process_time() - started
        seen += budget.batch


def tune(problem: str, method: str, cell: str, hidden_size: int, budget: RunLimits, seeds: int = 2) -> float:
    """Return the value of a method's grid that needs the fewest sequences on seeds kept for that."""
    made, best, chosen = make_problem(problem), (math.inf, math.inf), math.nan
    for value in METHODS[method].grid():
        outcomes = [run(made, method, cell, hidden_size, value, _TUNING_SEED + seed, budget) for seed in range(seeds)]
        # unsolved runs count as twice the budget, and then by their error
        cost = float(np.mean([min(outcome.sequences, 2.0 * budget.sequences) for outcome in outcomes]))
        error = float(np.nan_to_num(np.mean([outcome.error for outcome in outcomes]), nan=math.inf))
        if (cost, error) < best or math.isnan(chosen):
            best, chosen = (cost, error), value
    return chosen
