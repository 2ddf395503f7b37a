"""The probe reads what the state holds, for as long as it holds it, and no more."""

import numpy as np
import pytest
from remembering import TASK, BodyReader, Remembers

from rlmem.evaluation.probe import fit_probe, moments, probe_cue

SEEDS = range(60)


def test_the_cue_is_read_as_long_as_it_is_remembered():
    probe = probe_cue(Remembers(lasts=3), **TASK, seeds=SEEDS)
    assert probe.at("delay").accuracy == 1.0
    assert probe.at("delay", 2).accuracy == 1.0
    assert probe.at("query").accuracy < 0.7
    assert probe.at("query").phase_step == 0
    assert probe.at("query").step == 9
    assert 0.5 <= probe.chance < 0.65
    assert [point.step for point in probe.points] == sorted(point.step for point in probe.points)


def test_a_difference_in_far_digits_is_not_a_memory():
    class Whispers(Remembers):
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            loud = None if state is None else (np.round((state[0] - 1.0) * 1e9), state[1])
            actions, (side, age) = super().predict(observation, loud, episode_start)
            return actions, (1.0 + 1e-9 * side, age)

    probe = probe_cue(Whispers(), **TASK, seeds=SEEDS)
    assert probe.at("query").accuracy < 0.7


def test_beliefs_are_probabilities_and_name_the_cue():
    probe = probe_cue(Remembers(), **TASK, seeds=SEEDS)
    left, right = probe.belief(np.array([[1.0, 3.0], [-1.0, 3.0]]), "delay", 3)
    assert left.sum() == pytest.approx(1.0)
    assert left[0] > 0.9
    assert right[1] > 0.9
    assert probe.belief(np.zeros((1, 2)), "apples", 0) is None


def test_a_fitted_probe_is_at_the_minimum_of_its_loss():
    rng = np.random.default_rng(2)
    x, cues = rng.normal(size=(50, 4)), rng.integers(0, 3, 50)
    probe = fit_probe(x, cues, penalty=0.7)
    z = (x - x.mean(0)) / x.std(0)
    off = probe.belief(x) - np.eye(3)[cues]
    np.testing.assert_allclose(z.T @ off + 0.7 * probe.weights, 0.0, atol=2e-3)
    np.testing.assert_allclose(off.sum(axis=0), 0.0, atol=2e-3)


def test_many_features_and_few_samples_give_the_same_probe_as_the_space_they_span():
    rng = np.random.default_rng(3)
    x, cues = rng.normal(size=(12, 40)), np.arange(12) % 2
    wide = fit_probe(x, cues).belief(x)
    z = (x - x.mean(0)) / x.std(0)
    basis = np.linalg.svd(z, full_matrices=False)[2]
    assert wide.argmax(1).tolist() == cues.tolist()
    np.testing.assert_allclose(fit_probe(x, cues).weights, basis.T @ basis @ fit_probe(x, cues).weights, atol=1e-9)


def test_moments_are_dense_at_first_and_ever_rarer():
    steps = moments(10_000)
    assert steps[:6] == [0, 1, 2, 3, 4, 5]
    assert steps == sorted(set(steps))
    assert len(steps) < 50
    assert moments(0) == [0]


class NoState(BodyReader):
    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return super().predict(observation)[0], None


def test_what_cannot_be_probed_is_explained():
    with pytest.raises(ValueError, match="has no hidden state"):
        probe_cue(NoState(), **TASK, seeds=range(20))
    with pytest.raises(ValueError, match="at least 20 episodes"):
        probe_cue(Remembers(), **TASK, seeds=range(5))
