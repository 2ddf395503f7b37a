"""State-dependent exploration: stable-baselines3's distribution, noise that is held, exact resume, export."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, collect, small_ppo
from stable_baselines3.common.distributions import StateDependentNoiseDistribution

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.export import export_numpy
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.numpy_policy import NumpyPolicy
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sac.sac import RecurrentSAC
from rlmem.errors import UserError
from rlmem.networks.held_noise import HeldNoise
from rlmem.networks.state_dependent_head import StateDependentHead

M, L, A = 7, 5, 3


def sde_ppo(env: Any = None, **arguments: Any) -> RecurrentPPO:
    return small_ppo(env or MemoryBandit(2, 5, action="continuous", truncate_every=4), use_sde=True, **arguments)


def test_probabilities_entropies_and_their_gradients_are_those_of_stable_baselines3() -> None:
    torch.manual_seed(0)
    means, latent, actions = torch.randn(M, A, requires_grad=True), torch.randn(M, L), torch.randn(M, A)
    log_std = torch.randn(L, A, requires_grad=True)
    theirs = StateDependentNoiseDistribution(A)
    theirs.latent_sde_dim = L
    theirs.proba_distribution(means, log_std, latent)
    wanted = [theirs.log_prob(actions), theirs.entropy()]
    ours = StateDependentHead(A, L, 0.0, -1)
    ours.log_std = torch.nn.Parameter(log_std.detach().clone())
    found = ours.log_prob_and_entropy(torch.cat((means, latent), -1), actions)
    weights = torch.randn(2, M)
    of_theirs = torch.autograd.grad(sum(w @ part for w, part in zip(weights, wanted, strict=True)), [means, log_std])
    of_ours = torch.autograd.grad(sum(w @ part for w, part in zip(weights, found, strict=True)), [means, ours.log_std])
    for one, other in zip((*found, *of_ours), (*wanted, *of_theirs), strict=True):
        torch.testing.assert_close(one, other)


def test_the_same_matrices_give_the_actions_of_stable_baselines3() -> None:
    torch.manual_seed(0)
    means, latent, log_std = torch.randn(M, A), torch.randn(M, L), torch.randn(L, A)
    theirs = StateDependentNoiseDistribution(A)
    theirs.latent_sde_dim = L
    theirs.sample_weights(log_std, M)
    wanted = theirs.proba_distribution(means, log_std, latent).sample()
    outputs = torch.cat((means, latent), -1).numpy()
    head = StateDependentHead(A, L, 0.0, -1)
    found = head.sample(outputs, theirs.exploration_matrices.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(head.mode(outputs), means)


@pytest.mark.parametrize(("every", "kept"), [(-1, 12), (1, 1), (4, 4)])
def test_each_environment_has_a_matrix_which_is_held_for_so_many_steps(every: int, kept: int) -> None:
    head = StateDependentHead(A, L, -2.0, every)
    rng = np.random.default_rng(0)
    matrices = np.stack(list(head.rollout_noise(rng, 12, 2)))
    assert matrices.shape == (12, 2, L, A)
    assert not np.array_equal(matrices[:, 0], matrices[:, 1])
    same = [np.array_equal(one, other) for one, other in pairwise(matrices)]
    assert same == [t % kept != 0 for t in range(1, 12)]
    assert not np.array_equal(matrices[0], next(iter(head.rollout_noise(rng, 1, 2))))  # new ones in each rollout
    assert abs(float(np.log(head.draw_noise(rng, (500,)).std())) + 2.0) < 0.05


def test_where_an_episode_starts_the_matrix_is_drawn_anew() -> None:
    head, held, rng = StateDependentHead(A, L, -2.0, -1), HeldNoise(-1), np.random.default_rng(0)

    def step(*starts: bool) -> np.ndarray:
        return held.step(lambda shape: head.draw_noise(rng, shape), 2, np.array(starts))

    first, second, third = step(True, True), step(False, True), step(False, False)
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])
    assert np.array_equal(second, third)


@pytest.mark.parametrize("net_arch", [(), (8,), (8, 6)])
def test_training_sees_the_probabilities_of_the_rollout(net_arch: tuple[int, ...]) -> None:
    agent = sde_ppo(sde_sample_freq=4, policy_kwargs=SMALL | {"net_arch": net_arch, "log_std_init": -0.5}).learn(32)
    collect(agent)
    batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
    with torch.no_grad():
        log_probs, entropy, *_ = agent.evaluate(batch)
    torch.testing.assert_close(log_probs, batch.log_probs, atol=1e-5, rtol=1e-4)
    assert entropy.std() > 0  # it depends on the state


def test_the_noise_does_not_train_the_features() -> None:
    agent = sde_ppo()
    collect(agent)
    batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
    log_probs, entropy, *_ = agent.evaluate(batch)
    network = agent.policy.network
    trunk = [*network.actor.parameters(), *network.actor_net.parameters()]
    weights = [network.head.log_std, *trunk]
    by_entropy = torch.autograd.grad(entropy.sum(), weights, retain_graph=True, allow_unused=True)
    assert by_entropy[0].any()
    assert all(part is None or not part.any() for part in by_entropy[1:])
    assert all(part.any() for part in torch.autograd.grad(log_probs.sum(), trunk))


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
@pytest.mark.parametrize("sde_sample_freq", [-1, 3])
def test_a_resumed_run_equals_the_uninterrupted_one(
    kind: type[RecurrentOnPolicy], sde_sample_freq: int, tmp_path: Path
) -> None:
    def env(seed: int) -> MemoryBandit:
        return MemoryBandit(3, 5, action="continuous", truncate_every=4, seed=seed)

    settings: dict[str, Any] = {"use_sde": True, "sde_sample_freq": sde_sample_freq, "policy_kwargs": SMALL}
    whole = kind("MlpPolicy", env(1), n_steps=16, seed=0, **settings).learn(96)
    seen = np.ones((2, 3), np.float32)
    _, state = whole.predict(seen)
    whole.save(tmp_path / "half")
    resumed = kind.load(tmp_path / "half", env(2))
    for _ in range(2):
        one, other = (agent.predict(seen, state, np.zeros(2, bool))[0] for agent in (whole, resumed))
        assert np.array_equal(one, other)
        for agent in (whole, resumed):
            agent.learn(48, reset_num_timesteps=False)
    assert np.array_equal(whole.policy.parameters_to_vector(), resumed.policy.parameters_to_vector())
    assert np.array_equal(whole.rollout_buffer.actions, resumed.rollout_buffer.actions)


def test_predict_holds_its_noise_through_an_episode_with_pytorch_and_without(tmp_path: Path) -> None:
    agent = sde_ppo(seed=1).learn(32)
    agent.save(tmp_path / "agent.safetensors")
    seen, states = np.ones((2, 3), np.float32), agent.policy.initial_state(2)
    means = agent.predict(seen, states, deterministic=True)[0]
    for actor in (agent, NumpyActor.load(tmp_path / "agent.safetensors", seed=0)):
        np.testing.assert_allclose(actor.predict(seen, states, deterministic=True)[0], means, atol=1e-6)
        calls = [actor.predict(seen, states, start)[0] for start in (None, np.zeros(2, bool), np.ones(2, bool))]
        assert np.array_equal(calls[0], calls[1])
        assert (calls[1] != calls[2]).all()
        assert (calls[0] != means).all()


def test_its_parts_are_copied_and_exported(tmp_path: Path) -> None:
    agent = sde_ppo().learn(32)
    seen, states = np.ones((2, 3), np.float32), agent.policy.initial_state(2)
    copied = pickle.loads(pickle.dumps(agent.policy))
    assert np.array_equal(agent.policy.predict(seen, states)[0], copied.predict(seen, states)[0])
    agent.policy.save(tmp_path / "policy")
    again = type(agent.policy).load(tmp_path / "policy")
    means = agent.predict(seen, states, deterministic=True)[0]
    assert np.array_equal(again.predict(seen, states, deterministic=True)[0], means)
    export_numpy(agent, tmp_path / "policy.npz")
    exported = NumpyPolicy(tmp_path / "policy.npz").predict(seen, states)[0]
    np.testing.assert_allclose(exported, means, atol=1e-6)


def test_get_distribution_gives_that_of_stable_baselines3() -> None:
    policy = sde_ppo().policy
    seen, starts = torch.randn(4, 3), torch.zeros(4)
    states = tuple(part.repeat_interleave(4, 0) for part in policy.network.actor.initial_state(1))
    found, _ = policy.get_distribution(seen, states, starts)
    assert isinstance(found, StateDependentNoiseDistribution)
    actions = torch.randn(4, 1)
    features = policy.extract_features(seen)
    outputs = policy.network.actor_outputs(policy.network.actor.scan(features[None], None, states).output[0])
    torch.testing.assert_close(found.log_prob(actions), policy.head.log_prob_and_entropy(outputs, actions)[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"use_sde is for continuous actions, got Discrete\(2\): leave it off"):
        small_ppo(MemoryBandit(2, 5), use_sde=True)
    with pytest.raises(UserError, match="sde_sample_freq must be at least 1 control step, or -1"):
        sde_ppo(sde_sample_freq=0)
    with pytest.raises(UserError, match="use_expln must be False"):
        sde_ppo(policy_kwargs={"use_expln": True})
    with pytest.raises(UserError, match="use_sde must be False in recurrent SAC"):
        RecurrentSAC("MlpPolicy", "Pendulum-v1", use_sde=True)
