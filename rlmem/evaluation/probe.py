"""Linear probes of the cue: how well it can be read from the hidden state at each step of an episode.

Multinomial logistic regression on the standardized state, fitted and judged for each moment by cross-validation over
episodes. The state is read with a precision of 1 %: without noise in what is seen, a difference of 1e-12 could be read
long after it is of any use. Source: Alain and Bengio, "Understanding intermediate layers using linear classifier
probes", ICLR Workshop 2017. A probe shows what the state holds, not what the agent uses: that is for
:mod:`rlmem.evaluation.lesion`.

Axes: N environments, M samples (episodes), F features, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from rlmem.errors import UserError
from rlmem.evaluation.episodes import Env, PolicyPredictor, clopper_pearson, evaluate_on
from rlmem.evaluation.hidden_state import state_features
from rlmem.evaluation.intervention import Moment

Floats = NDArray[np.float64]
_FOLDS = 5
_FEWEST = 20
"""Episodes without which no probe is fitted."""
_MOST_CLASSES = 64
_PENALTY = 1.0
_PRECISION = 0.01
"""Noise on the state, as a part of its root mean square: what differs only in far digits is no memory to act on."""
_DENSE = 4
"""Steps of a phase of which each is looked at; later ones grow by :data:`_GROWTH`."""
_GROWTH = 1.25


def moments(most: int) -> list[int]:
    """Return the steps of a phase that are looked at: the first few, then ever fewer, up to ``most``."""
    steps, step = list(range(min(_DENSE, most + 1))), float(_DENSE)
    while round(step) <= most:
        steps.append(round(step))
        step = max(step * _GROWTH, step + 1)
    return steps


class LinearProbe(NamedTuple):
    """A fitted probe."""

    classes: NDArray[Any]
    """[K] cues."""
    mean: Floats
    """[F]"""
    scale: Floats
    """[F] standard deviations; features that never change have scale 1."""
    weights: Floats
    """[F, K]"""
    bias: Floats
    """[K]"""

    def belief(self, features: NDArray[Any]) -> Floats:
        """Return probabilities [M, K] of each cue from states [M, F]."""
        beliefs: Floats = softmax((features - self.mean) / self.scale @ self.weights + self.bias, axis=-1)
        return beliefs


def fit_probe(features: NDArray[Any], cues: NDArray[Any], *, penalty: float = _PENALTY) -> LinearProbe:
    """Fit a probe.

    Args:
        features: [M, F].
        cues: [M].
        penalty: Half of it times the squared norm of the weights is added to the sum of negative log-likelihoods.
    """
    classes, index = np.unique(cues, return_inverse=True)
    data = np.asarray(features, dtype=np.float64)
    mean, scale = data.mean(axis=0), data.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x, (m, k) = (data - mean) / scale, (len(data), len(classes))
    # all that the weights can use lies in the span of the samples: at most M directions
    basis = np.linalg.svd(x, full_matrices=False)[2] if x.shape[1] > m else np.eye(x.shape[1])
    reduced, rank = x @ basis.T, len(basis)
    one_hot = np.eye(k)[index]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(rank + 1, k)
        logs = log_softmax(reduced @ weights[:-1] + weights[-1], axis=1)
        off = np.exp(logs) - one_hot
        gradient = np.concatenate((reduced.T @ off + penalty * weights[:-1], off.sum(axis=0)[None]))
        return -float((logs * one_hot).sum()) + 0.5 * penalty * float((weights[:-1] ** 2).sum()), gradient.ravel()

    found = minimize(loss, np.zeros((rank + 1) * k), jac=True, method="L-BFGS-B").x.reshape(rank + 1, k)
    return LinearProbe(classes, mean, scale, basis.T @ found[:-1], found[-1])


class ProbePoint(NamedTuple):
    """How well the cue can be read at one moment."""

    phase: str
    phase_step: int
    step: float
    """Control steps since the episode began, the mean over episodes."""
    accuracy: float
    low: float
    high: float
    episodes: int


@dataclass(frozen=True, kw_only=True)
class CueProbe:
    """The cue, read from the hidden state over time."""

    points: list[ProbePoint]
    """In the order of time. The state at a moment is the one that the agent brings to it: it has not seen the
    observation of that moment yet."""
    probes: dict[tuple[str, int], LinearProbe]
    """(phase, step of the phase) -> probe fitted on all episodes."""
    chance: float
    """Accuracy of always naming the commonest cue."""

    def at(self, phase: str, phase_step: int = 0) -> ProbePoint | None:
        """Return the last point of a phase that is not after a step, None if there is none."""
        found = [point for point in self.points if point.phase == phase and point.phase_step <= phase_step]
        return found[-1] if found else None

    def belief(self, features: NDArray[Any], phase: str, phase_step: int) -> Floats | None:
        """Return probabilities [M, K] of each cue from states [M, F], by the nearest earlier probe of the phase."""
        point = self.at(phase, phase_step)
        return None if point is None else self.probes[phase, point.phase_step].belief(features)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"chance": self.chance, "points": [point._asdict() for point in self.points]}


class StateRecorder:
    """Intervention that records hidden state and cue at some steps of each phase, the first time that it comes.

    Args:
        most: Control steps of a phase after which nothing is noted.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._steps = np.array(moments(most))
        self._began: dict[tuple[int, str], int] = {}
        self.samples: dict[tuple[str, int], dict[int, tuple[int, Any, NDArray[np.float32]]]] = {}
        """(phase, step of the phase) -> episode -> step of the episode, cue, features [F]."""
        self.knows_cue = True
        self.phases: set[str] = set()
        """Names of phases that were seen."""

    def __call__(self, moment: Moment) -> Moment:
        """Record."""
        if moment.phase[0]:
            self.phases.update(moment.phase.tolist())
        if moment.cue is None:
            self.knows_cue = False
            return moment
        wanted = (moment.episode >= 0) & (moment.step > 0) & np.isin(moment.phase_step, self._steps)
        if moment.state is None or not wanted.any():
            return moment
        features = state_features(moment.state, len(moment.episode))
        for row in np.flatnonzero(wanted).tolist():
            episode, phase = int(moment.episode[row]), str(moment.phase[row])
            step, since = int(moment.step[row]), int(moment.phase_step[row])
            if self._began.setdefault((episode, phase), step - since) == step - since:
                sample = (step, moment.cue[row].tolist(), features[row])
                self.samples.setdefault((phase, since), {})[episode] = sample
        return moment


def probe_cue(
    policy: PolicyPredictor,
    env: Env,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = 25,
) -> CueProbe:
    """Run episodes and fit probes of the cue to the hidden state; see :func:`probe_states`.

    Args:
        policy: Any agent whose ``predict`` hands on a state of arrays.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        knobs: Of the task.
        seeds: One an episode; None: the 200 test seeds.
        num_envs: Environments side by side.

    Raises:
        UserError: If there is no state or no cue to read, or too few episodes.
    """
    recorder = StateRecorder()
    evaluate_on(policy, env, knobs=knobs, seeds=seeds, num_envs=num_envs, intervention=recorder)
    return probe_states(recorder)


def probe_states(recorder: StateRecorder) -> CueProbe:
    """Fit probes to what was recorded, and judge them by cross-validation over episodes.

    Raises:
        UserError: If there is no state or no cue to read, or too few episodes.
    """
    if not recorder.knows_cue:
        raise UserError("the environment does not say what its cue is (an attribute cue would)")
    if not any(len(features) for found in recorder.samples.values() for _, _, features in found.values()):
        raise UserError("the agent has no hidden state")
    points, probes, chance, most = [], {}, 0.0, 0
    for (phase, since), found in recorder.samples.items():
        samples = [found[episode] for episode in sorted(found)]
        cues, features = np.array([cue for _, cue, _ in samples]), _read(np.stack([row for _, _, row in samples]))
        if cues.ndim != 1:
            raise UserError(f"the probe reads cues that are one of a few, got arrays of shape {cues.shape[1:]}")
        counts = np.unique(cues, return_counts=True)[1]
        if len(counts) > _MOST_CLASSES or (len(samples) >= _FEWEST and len(counts) > len(samples) // 2):
            raise UserError(f"the probe reads cues that are one of a few, got {len(counts)} different ones")
        if len(samples) < _FEWEST or len(counts) < 2 or counts.min() < _FOLDS:
            continue
        right = _cross_validated(features, cues)
        low, high = clopper_pearson(int(right.sum()), len(right))
        mean_step = float(np.mean([step for step, _, _ in samples]))
        points.append(ProbePoint(phase, since, mean_step, float(right.mean()), low, high, len(right)))
        probes[phase, since] = fit_probe(features, cues)
        if len(samples) > most:
            most, chance = len(samples), float(counts.max() / counts.sum())
    if not points:
        raise UserError(f"a probe needs at least {_FEWEST} episodes, and {_FOLDS} of each cue: take more episodes")
    return CueProbe(points=sorted(points, key=lambda point: point.step), probes=probes, chance=chance)


def _read(features: NDArray[np.float32]) -> Floats:
    """Return states [M, F] as they are read, with noise."""
    data = features.astype(np.float64)
    noise = np.random.default_rng(0).standard_normal(data.shape)
    read: Floats = data + _PRECISION * np.sqrt(np.mean(data**2)) * noise
    return read


def _cross_validated(features: NDArray[Any], cues: NDArray[Any]) -> NDArray[np.bool_]:
    """Return [M] whether the probe that was fitted without an episode reads its cue."""
    fold = np.random.default_rng(0).permutation(len(cues)) % _FOLDS
    right = np.zeros(len(cues), dtype=np.bool_)
    for number in range(_FOLDS):
        held_out = fold == number
        probe = fit_probe(features[~held_out], cues[~held_out])
        right[held_out] = probe.classes[probe.belief(features[held_out]).argmax(axis=1)] == cues[held_out]
    return right
