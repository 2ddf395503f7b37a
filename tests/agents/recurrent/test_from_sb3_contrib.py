"""Weights taken over from sb3-contrib give its actions, values and gradients."""

from typing import Any

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from sb3_contrib import RecurrentPPO as ContribPPO
from sb3_contrib.common.recurrent.type_aliases import RNNStates

from rlmem.agents.recurrent.from_sb3_contrib import from_sb3_contrib
from rlmem.networks.actor_critic import Trunks

T, N = 9, 4


def contrib(action: str, **policy_kwargs: Any) -> ContribPPO:
    torch.manual_seed(0)
    kwargs = {"lstm_hidden_size": 16, "n_lstm_layers": 2, "net_arch": {"pi": [8], "vf": [8, 8]}} | policy_kwargs
    space, _, gsde = action.partition(", ")
    env = MemoryBandit(N, 4, action=space)
    model = ContribPPO("MlpLstmPolicy", env, n_steps=T, batch_size=T * N, policy_kwargs=kwargs, use_sde=bool(gsde))
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("action", ["discrete", "continuous", "continuous, gSDE", "multi"])
def test_actions_and_states_over_an_episode_are_those_of_sb3_contrib(action: str) -> None:
    theirs = contrib(action)
    ours = from_sb3_contrib(theirs)
    our_state, their_state = None, None
    rng = np.random.default_rng(0)
    for t in range(T):
        observation = rng.normal(size=(N, 3)).astype(np.float32)
        start = np.array([t == 0, t == 4, False, t == 5])
        our_action, our_state = ours.predict(observation, our_state, start, deterministic=True)
        their_action, their_state = theirs.predict(observation, their_state, start, deterministic=True)
        np.testing.assert_allclose(our_action, their_action, atol=1e-5)
        assert our_action.shape == their_action.shape
    np.testing.assert_allclose(our_state[2], their_state[0][1], atol=1e-5)  # upper layer, hidden


@pytest.mark.parametrize("action", ["discrete", "continuous", "continuous, gSDE", "multi"])
def test_values_log_probs_and_gradients_are_those_of_sb3_contrib(action: str) -> None:
    theirs = contrib(action)
    ours = from_sb3_contrib(theirs)
    observations = torch.randn(T, N, 3)
    head = ours.policy.head
    outputs = np.zeros((T * N, head.size), np.float32)
    actions = torch.from_numpy(head.sample(outputs, head.draw_noise(np.random.default_rng(0), (T * N,))))
    weights = torch.randn(3, T * N)
    zeros = torch.zeros(2, N, 16)

    env_major = observations.transpose(0, 1).reshape(N * T, 3)
    their_actions = actions.view(T, N, -1).transpose(0, 1).reshape(N * T, -1)
    if action == "discrete":
        their_actions = their_actions.flatten()
    values, log_probs, entropy = theirs.policy.evaluate_actions(
        env_major, their_actions, RNNStates((zeros, zeros), (zeros, zeros)), torch.zeros(N * T)
    )
    their_parts = [part.view(N, T).t().flatten() for part in (values, log_probs, entropy)]

    network = ours.policy.network
    states = Trunks(network.actor.initial_state(N), network.critic.initial_state(N))
    our_log_probs, our_entropy, our_values, *_ = ours.policy(observations, observations, None, states, None, actions)
    our_parts = [our_values, our_log_probs, our_entropy]

    for parts in (our_parts, their_parts):
        sum((weight * part).sum() for weight, part in zip(weights, parts, strict=True)).backward()
    for our_part, their_part in zip(our_parts, their_parts, strict=True):
        torch.testing.assert_close(our_part, their_part, rtol=1e-5, atol=1e-5)
    pairs = [
        (network.actor_net[2], theirs.policy.action_net),
        (network.actor_net[0], theirs.policy.mlp_extractor.policy_net[0]),
        (network.critic_net[2], theirs.policy.mlp_extractor.value_net[2]),
        (network.critic_net[4], theirs.policy.value_net),
    ]
    gradients = [(a.weight.grad, b.weight.grad) for a, b in pairs] + [(a.bias.grad, b.bias.grad) for a, b in pairs]
    for trunk, lstm in ((network.actor, theirs.policy.lstm_actor), (network.critic, theirs.policy.lstm_critic)):
        for i, layer in enumerate(trunk.layers):
            gradients.append((layer.input_weight.grad, getattr(lstm, f"weight_ih_l{i}").grad))
            gradients.append((layer.hidden_weight.grad, getattr(lstm, f"weight_hh_l{i}").grad))
            gradients.append((layer.bias.grad, getattr(lstm, f"bias_ih_l{i}").grad))
    if action.startswith("continuous"):
        gradients.append((head.log_std.grad, theirs.policy.log_std.grad))
    for our_gradient, their_gradient in gradients:
        scale = their_gradient.abs().max().item()
        torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-5, atol=1e-5 * max(scale, 1.0))


def test_two_features_extractors_are_taken_over() -> None:
    kwargs = {
        "share_features_extractor": False,
        "features_extractor_kwargs": {"features_dim": 8},
        "lstm_hidden_size": 4,
    }
    env = MemoryBandit(2, 3, observation="image")
    small = kwargs | {"lstm_hidden_size": 4}
    theirs = ContribPPO("CnnLstmPolicy", env, n_steps=8, batch_size=16, policy_kwargs=small)
    ours = from_sb3_contrib(theirs)
    seen, starts = torch.from_numpy(env.reset()), torch.ones(2)
    nothing = (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))
    torch.testing.assert_close(ours.policy.predict_values(seen), theirs.policy.predict_values(seen, nothing, starts))
    (ours_acts, _), (theirs_acts, _) = (m.predict(seen.numpy(), deterministic=True) for m in (ours, theirs))
    np.testing.assert_array_equal(ours_acts, theirs_acts)


def test_training_goes_on_with_the_hyperparameters_of_sb3_contrib() -> None:
    theirs = contrib("discrete")
    ours = from_sb3_contrib(theirs, n_epochs=2)
    assert (ours.n_steps, ours.batch_size, ours.gamma, ours.n_epochs) == (T, T * N, theirs.gamma, 2)
    before = ours.policy.parameters_to_vector()
    ours.learn(T * N)
    assert not np.array_equal(before, ours.policy.parameters_to_vector())


def test_what_cannot_be_taken_over_is_refused() -> None:
    with pytest.raises(ValueError, match="critic without memory"):
        from_sb3_contrib(contrib("discrete", enable_critic_lstm=False))
    with pytest.raises(ValueError, match="dropout"):
        from_sb3_contrib(contrib("discrete", lstm_kwargs={"dropout": 0.1}))
