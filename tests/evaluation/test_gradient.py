"""The gradient of a trained agent is that of its own cells on what it saw."""

import gymnasium
import numpy as np
import pytest
import torch
from remembering import Remembers
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env

from rlmem.agents.recurrent.from_sb3_contrib import from_sb3_contrib
from rlmem.envs.wrappers import hide_velocity
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.gradient import ObservationRecorder, lags_up_to, trained_cell, trained_gradient


@pytest.fixture(scope="module")
def theirs():
    env = make_vec_env(lambda: hide_velocity(gymnasium.make("CartPole-v1")), n_envs=2, seed=0)
    arguments = {"n_steps": 8, "batch_size": 16, "seed": 0, "device": "cpu"}
    return RecurrentPPO("MlpLstmPolicy", env, policy_kwargs={"lstm_hidden_size": 6, "n_lstm_layers": 2}, **arguments)


def test_the_gradient_is_torchs_own_through_its_lstm(theirs):
    observations = np.random.default_rng(0).normal(size=(9, 3, 2))
    found = trained_gradient(theirs, observations, lags=[0, 2, 8])
    lstm = theirs.policy.lstm_actor.double()
    xs, projection = torch.from_numpy(observations), torch.randn(3, 6, dtype=torch.float64, generator=seeded(xs=0))
    norms = []
    for lag in (0, 2, 8):
        start = torch.zeros(2, 3, 6, dtype=torch.float64), torch.zeros(2, 3, 6, dtype=torch.float64)
        if 9 - 1 - lag:
            _, start = lstm(xs[: 8 - lag], start)
        state = tuple(part.detach().requires_grad_() for part in start)
        output, _ = lstm(xs[8 - lag :], state)
        gradients = torch.autograd.grad((output[-1] * projection).sum(), state)
        norms.append(sum(g.square().sum().item() for g in gradients) ** 0.5)
    lstm.float()
    np.testing.assert_allclose(found.norms, np.array(norms) / norms[0], rtol=1e-4)


def seeded(xs):
    return torch.Generator().manual_seed(xs)


def test_a_model_taken_over_has_the_same_gradient(theirs):
    observations = np.random.default_rng(1).normal(size=(6, 2, 2))
    ours = trained_gradient(from_sb3_contrib(theirs), observations)
    assert ours.lags == [0, 1, 2, 5]
    np.testing.assert_allclose(ours.norms, trained_gradient(theirs, observations).norms, rtol=1e-5)


def test_what_is_seen_until_the_query_is_recorded():
    recorder = ObservationRecorder(episodes=3)
    knobs = {"robot": "planar", "memory_length": 4, "query_steps": 20}
    evaluate_on(Remembers(), "TMaze-v0", knobs=knobs, seeds=range(5), intervention=recorder)
    seen = recorder.sequences()
    assert seen.shape == (3 + 4 + 1, 3, 12)
    assert seen[:3, :, :2].any(axis=2).all()
    assert not seen[3:7].any()
    assert (seen[7, :, 2] == 1.0).all()


def test_lags_grow_to_the_longest():
    assert lags_up_to(23) == [0, 1, 2, 5, 10, 20, 23]
    assert lags_up_to(0) == [0]


def test_agents_without_cells_are_refused(theirs):
    with pytest.raises(ValueError, match="no memory cells"):
        trained_cell(Remembers())
    with pytest.raises(ValueError, match="sees the observation as it is"):
        trained_gradient(theirs, np.zeros((4, 2, 7)))
