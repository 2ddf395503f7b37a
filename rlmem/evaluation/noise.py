"""Contamination: a burst of noise in what an agent sees, in the middle of the delay. Does the memory survive it?

Axes: N environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rlmem.errors import UserError
from rlmem.evaluation.episodes import Env, Evaluation, PolicyPredictor, evaluate_on
from rlmem.evaluation.intervention import Moment


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Gaussian noise on each component of the observation for some control steps in the middle of a phase.

    Args:
        steps: Control steps it lasts.
        sigma: Standard deviation, in the units of the observation.
        phase: Which, as ``infos["phase"]`` names it.

    Raises:
        UserError: If ``steps`` is less than 1 or ``sigma`` is negative.
    """

    steps: int = 5
    sigma: float = 1.0
    phase: str = "delay"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"a burst must last at least 1 control step, got {self.steps}")
        if not self.sigma >= 0:
            raise UserError(f"sigma must be at least 0, got {self.sigma}")


class PhaseLengths:
    """Counts how long a phase lasts in each episode, the first time it comes. Changes nothing.

    Args:
        phase: Its name.
    """

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self.first: dict[int, int] = {}
        """Episode -> control step at which the phase began."""
        self.length: dict[int, int] = {}
        """Episode -> control steps it lasted."""

    def __call__(self, moment: Moment) -> Moment:
        """Count."""
        for row in np.flatnonzero((moment.episode >= 0) & (moment.phase == self._phase)).tolist():
            episode, step, since = (int(axis[row]) for axis in (moment.episode, moment.step, moment.phase_step))
            if step - since == self.first.setdefault(episode, step - since):
                self.length[episode] = since + 1
        return moment


class NoiseTest(NamedTuple):
    """An agent with and without a burst of noise."""

    burst: Burst
    intact: Evaluation
    disturbed: Evaluation


def noise_test(
    policy: PolicyPredictor,
    env: Env,
    burst: Burst | None = None,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    intact: Evaluation | None = None,
    lengths: PhaseLengths | None = None,
    num_envs: int = 25,
    deterministic: bool = True,
) -> NoiseTest:
    """Evaluate an agent with and without a burst of noise, on the same episodes.

    Args:
        policy: Acts on N environments at once.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        burst: Of what kind.
        knobs: Of the task.
        seeds: One an episode; None: the 200 test seeds.
        intact: The evaluation without noise on the same seeds, where it is known,
        lengths: and how long the phase lasted in it.
        num_envs: Environments side by side.
        deterministic: Take the mode of the policy, not a draw.

    Raises:
        UserError: If the phase never came, or observations are not numbers to which noise can be added.
    """
    burst = burst or Burst()
    arguments: dict[str, Any] = {"knobs": knobs, "seeds": seeds, "num_envs": num_envs, "deterministic": deterministic}
    if intact is None or lengths is None:
        lengths = PhaseLengths(burst.phase)
        intact = evaluate_on(policy, env, **arguments, intervention=lengths)
    if not lengths.length:
        raise UserError(f"no episode came to a phase {burst.phase!r}: no noise was added")
    return NoiseTest(burst, intact, evaluate_on(policy, env, **arguments, intervention=_Noise(burst, lengths)))


class _Noise:
    """Adds the noise; what it draws depends on episode and step alone."""

    def __init__(self, burst: Burst, lengths: PhaseLengths) -> None:
        self._burst = burst
        self._start = {
            episode: lengths.first[episode] + max(0, (length - burst.steps) // 2)
            for episode, length in lengths.length.items()
        }

    def __call__(self, moment: Moment) -> Moment:
        start = np.array([self._start.get(int(episode), -self._burst.steps) for episode in moment.episode])
        rows = np.flatnonzero((moment.step >= start) & (moment.step < start + self._burst.steps))
        if not len(rows):
            return moment
        return moment._replace(observation=self._add(moment.observation, moment, rows.tolist()))

    def _add(self, observation: Any, moment: Moment, rows: list[int]) -> Any:
        if isinstance(observation, Mapping):
            return {key: self._add(part, moment, rows) for key, part in observation.items()}
        noisy = np.array(observation)
        if noisy.dtype.kind != "f":
            raise UserError(f"noise is added to observations of real numbers, got {noisy.dtype}")
        for row in rows:
            rng = np.random.default_rng([int(moment.episode[row]), int(moment.step[row])])
            noisy[row] += self._burst.sigma * rng.standard_normal(noisy[row].shape)
        return noisy
