"""A burst of noise falls in the middle of the delay, in every episode the same."""

import numpy as np
import pytest
from remembering import TASK, Remembers

from rlmem.evaluation.noise import Burst, noise_test


class Watches(Remembers):
    """Notes the steps at which it sees anything in the delay."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        self.seen.append(observation.copy())
        return super().predict(observation, state, episode_start)


def test_noise_comes_in_the_middle_of_the_delay_and_nowhere_else():
    agent = Watches()
    test = noise_test(agent, **TASK, seeds=range(1), burst=Burst(steps=2))
    disturbed = np.array(agent.seen[test.intact.env_steps :])[:, 0]
    dark = np.flatnonzero(disturbed[3:9].any(axis=1))
    assert dark.tolist() == [2, 3]
    assert np.std(disturbed[5:7]) == pytest.approx(1.0, abs=0.4)
    np.testing.assert_array_equal(disturbed[:3], np.array(agent.seen[:3])[:, 0])


def test_a_memory_that_any_light_overwrites_does_not_survive_noise_and_no_noise_changes_nothing():
    test = noise_test(Remembers(), **TASK, seeds=range(40))
    assert test.intact.value == 1.0
    assert test.disturbed.value < 0.8
    same = noise_test(Remembers(), **TASK, seeds=range(10), burst=Burst(sigma=0.0)).disturbed
    assert same.value == 1.0


def test_noise_does_not_depend_on_how_many_run_side_by_side():
    one, many = (noise_test(Remembers(), **TASK, seeds=range(8), num_envs=n).disturbed for n in (1, 5))
    np.testing.assert_array_equal(one.success, many.success)


def test_what_cannot_be_disturbed_is_explained():
    with pytest.raises(ValueError, match="no episode came to a phase 'apples'"):
        noise_test(Remembers(), **TASK, seeds=range(1), burst=Burst(phase="apples"))
    with pytest.raises(ValueError, match="at least 1 control step"):
        Burst(steps=0)
    with pytest.raises(ValueError, match="sigma must be at least 0"):
        Burst(sigma=-1.0)
