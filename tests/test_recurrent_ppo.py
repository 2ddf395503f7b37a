"""RecurrentPPO and RecurrentA2C: what they compute, that they learn to remember, and that they resume exactly."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from torch import nn

from rlmem.agents.recurrent_a2c import RecurrentA2C
from rlmem.agents.recurrent_on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent_ppo import RecurrentPPO
from rlmem.cells import CELLS
from rlmem.checkpoint import load_checkpoint, save_checkpoint
from rlmem.rollout import lay_out

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": [8]}


def small_ppo(env: Any, **arguments: Any) -> RecurrentPPO:
    defaults: dict[str, Any] = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seed": 0, "policy_kwargs": SMALL}
    return RecurrentPPO("MlpPolicy", env, **(defaults | arguments))


def success(agent: RecurrentOnPolicy) -> float:
    assert agent.ep_success_buffer is not None
    return float(np.mean(agent.ep_success_buffer))


class StopWhenSolved(BaseCallback):
    def _on_step(self) -> bool:
        buffer = self.model.ep_success_buffer
        assert buffer is not None
        return len(buffer) < 100 or float(np.mean(buffer)) < 0.97


def learn_bandit(
    agent: type[RecurrentOnPolicy], gap: int, action: str, cell: str, steps: int, **arguments: Any
) -> float:
    env = MemoryBandit(16, gap, action=action)
    made = agent(
        "MlpPolicy",
        env,
        n_steps=128,
        ent_coef=0.01,
        cell=cell,
        memory_length=float(gap),
        policy_kwargs={"hidden_size": 32, "net_arch": [32]},
        seed=0,
        **arguments,
    )
    made.learn(steps, StopWhenSolved())
    return success(made)


PPO_FAST: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 512, "n_epochs": 6}


@pytest.mark.parametrize(("gap", "action"), [(20, "discrete"), (20, "continuous"), (50, "discrete")])
def test_ppo_with_an_lstm_learns_to_remember(gap: int, action: str) -> None:
    assert learn_bandit(RecurrentPPO, gap, action, "lstm", 80_000, **PPO_FAST) >= 0.95


def test_ppo_with_an_lstm_that_starts_as_in_torch_does_not_learn_what_ours_does() -> None:
    env = MemoryBandit(16, 50)
    kwargs = {"hidden_size": 32, "net_arch": [32], "init": "torch"}
    made = RecurrentPPO("MlpPolicy", env, n_steps=128, ent_coef=0.01, policy_kwargs=kwargs, seed=0, **PPO_FAST)
    assert success(made.learn(60_000, StopWhenSolved())) < 0.75


def test_ppo_without_memory_stays_at_chance() -> None:
    assert 0.3 < learn_bandit(RecurrentPPO, 20, "discrete", "memoryless", 40_000, **PPO_FAST) < 0.7


def test_ppo_with_a_diagonal_cell_learns_to_remember() -> None:
    assert learn_bandit(RecurrentPPO, 20, "discrete", "lru", 80_000, **PPO_FAST) >= 0.95


def test_a2c_with_an_lstm_learns_to_remember() -> None:
    assert learn_bandit(RecurrentA2C, 10, "discrete", "lstm", 250_000, learning_rate=3e-3) >= 0.95


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("shared", [False, True])
def test_the_first_ratio_is_1_so_acting_and_training_are_the_same_network(cell: str, shared: bool) -> None:
    agent = small_ppo(
        MemoryBandit(3, 4, truncate_every=3), n_steps=12, batch_size=12, seq_len=6, cell=cell,
        policy_kwargs=SMALL | {"shared": shared, "n_layers": 2},
    )  # fmt: skip
    agent.learn(36)
    collect(agent)
    for rows in agent.minibatches(2):
        batch = agent.minibatch(rows, normalize_advantage=False)
        evaluated = agent.policy(batch.features, batch.blank, batch.states)
        log_probs, _ = agent.policy.head.log_prob_and_entropy(
            evaluated.outputs.flatten(0, 1), torch.from_numpy(batch.actions)
        )
        real = batch.mask == 1.0
        for now, then in ((log_probs, batch.log_probs), (evaluated.values.flatten(), batch.values)):
            np.testing.assert_allclose(now.detach().numpy()[real], then[real], rtol=1e-4, atol=1e-5)


def collect(agent: RecurrentOnPolicy) -> None:
    """One rollout without training."""
    _, callback = agent._setup_learn(10, None, False)
    assert agent.env is not None
    agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)


def test_advantages_bootstrap_from_the_terminal_observation_under_its_own_hidden_state() -> None:
    # gap 4 in 5 steps ends for good; every other environment's episodes are cut off after 3 steps
    class Mixed(MemoryBandit):
        def step_wait(self) -> Any:
            self.truncate_every = np.array([0, 3])
            return super().step_wait()

    agent = small_ppo(Mixed(2, 4), n_steps=7, batch_size=7, gamma=0.9, gae_lambda=0.8)
    collect(agent)
    rollout, critic, net = agent.rollout_buffer, agent.policy.network.critic, agent.policy.network.critic_net
    assert rollout.terminated[:, 0].tolist() == [False] * 4 + [True] + [False] * 2
    assert rollout.truncated[:, 1].tolist() == [False, False, True, False, False, True, False]
    observations = torch.from_numpy(np.asarray(rollout.observations))
    last = torch.from_numpy(np.asarray(agent._last_obs))
    for n, ends in ((0, [4]), (1, [2, 5])):
        state, values, after = critic.initial_state(1), [], {}
        for t in range(7):
            hidden, state = critic(observations[t, n : n + 1], state)
            values.append(net(hidden).item())
            if t in ends:
                terminal = torch.tensor([[0.0, 0.0, 1.0]])  # neither cue nor question, as after 3 steps
                after[t] = 0.0 if n == 0 else net(critic(terminal, state)[0]).item()
                state = critic.initial_state(1)
        after[6] = net(critic(last[n : n + 1], state)[0]).item()
        advantage = 0.0
        for t in reversed(range(7)):
            follows = after[t] if t in after else values[t + 1]
            delta = rollout.rewards[t, n] + 0.9 * follows - values[t]
            advantage = delta + (0.0 if t in ends else 0.72 * advantage)
            assert rollout.advantages[t, n] == pytest.approx(advantage, abs=1e-5)
            assert rollout.values[t, n] == pytest.approx(values[t], abs=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "rtu"])
def test_the_gradient_of_a_minibatch_is_that_of_its_rows_one_by_one(name: str) -> None:
    agent = small_ppo(MemoryBandit(4, 4, truncate_every=3), n_steps=24, batch_size=96, seq_len=24, cell=name)
    agent.learn(96)
    collect(agent)
    flat, rows = agent.policy.flat, np.arange(4)

    def gradient(which: np.ndarray) -> torch.Tensor:
        agent.evaluate(agent.minibatch(which, normalize_advantage=False), 0.2, None).backward()
        return flat.grad.clone()

    together = gradient(rows)
    apart = sum(gradient(rows[i : i + 1]) for i in range(4)) / 4
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clip_values", [None, 0.05])
@pytest.mark.parametrize("action", ["continuous", "multi"])
@pytest.mark.parametrize(
    "network",
    [{}, {"n_layers": 2, "shared": True}, {"activation": "relu"}, {"features_extractor_kwargs": {"features_dim": 8}}],
    ids=["one layer each", "two shared layers", "rectifiers", "images"],
)
def test_the_gradient_is_that_of_the_loss_as_the_papers_write_it(
    network: dict[str, Any], action: str, clip_values: float | None
) -> None:
    images = "features_extractor_kwargs" in network
    env = MemoryBandit(4, 4, action=action, truncate_every=3, observation="image" if images else "vector")
    agent = RecurrentPPO(
        "CnnPolicy" if images else "MlpPolicy", env, n_steps=24, batch_size=96, seq_len=24, n_epochs=2, seed=0,
        ent_coef=0.1, vf_coef=0.7, learning_rate=0.01 if images else 0.03, policy_kwargs=SMALL | network,
    )  # fmt: skip
    agent.learn(96)
    collect(agent)
    for rows in [np.arange(4)] * 3:  # away from where the ratio is 1
        update = agent.evaluate(agent.minibatch(rows, normalize_advantage=True), 0.1, clip_values)
        update.backward()
        agent._step()
    batch = agent.minibatch(np.arange(4), normalize_advantage=True)
    update = agent.evaluate(batch, 0.1, clip_values)
    update.backward()
    written_out = agent.policy.flat.grad.clone()

    real = batch.mask == 1.0
    batch = agent.minibatch(np.arange(4), normalize_advantage=True)
    evaluated = agent.policy(batch.features, batch.blank, batch.states)
    outputs = evaluated.outputs.flatten(0, 1), torch.from_numpy(batch.actions)
    parts = (*agent.policy.head.log_prob_and_entropy(*outputs), evaluated.values.flatten())
    log_probs, entropy, values = (part[torch.from_numpy(real)] for part in parts)
    old_log_probs, old_values, advantages, returns = (
        torch.from_numpy(part[real]) for part in (batch.log_probs, batch.values, batch.advantages, batch.returns)
    )
    ratio = torch.exp(log_probs - old_log_probs)
    assert images or ((ratio - 1).abs() > 0.1).any()
    policy_loss = -torch.min(advantages * ratio, advantages * ratio.clamp(0.9, 1.1)).mean()
    if clip_values is not None:
        values = old_values + (values - old_values).clamp(-clip_values, clip_values)
    loss = policy_loss - 0.1 * entropy.mean() + 0.7 * (returns - values).square().mean()
    agent.policy.flat.zero_grad()
    loss.backward()
    torch.testing.assert_close(written_out, agent.policy.flat.grad, rtol=1e-4, atol=1e-6)
    assert update.record[0] == pytest.approx(loss.item(), rel=1e-4)


def test_a_row_whose_state_was_warmed_up_starts_from_the_state_of_the_current_weights() -> None:
    agent = small_ppo(MemoryBandit(2, 30), n_steps=16, batch_size=16, seq_len=8, burn_in=8)
    collect(agent)
    with torch.no_grad():
        agent.policy.network.actor.layers[0].bias.add_(0.5)
    warm = agent.minibatch(np.array([2, 3]), normalize_advantage=False).states.actor
    observations = torch.from_numpy(np.asarray(agent.rollout_buffer.observations))
    state = agent.policy.network.actor.initial_state(2)
    for t in range(8):
        _, state = agent.policy.network.actor(observations[t], state)
    for ours, expected in zip(warm, state, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
        assert not ours.requires_grad


@pytest.mark.parametrize("seed", range(5))
def test_a_layout_holds_every_step_once_and_in_order_with_a_blank_before_every_inner_episode(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = rng.random((6, 20)) < (0.0, 0.05, 0.2, 0.5, 1.0)[seed]
    grid = lay_out(starts, np.arange(6) * 20, 1)
    assert sorted(grid.step[grid.step >= 0]) == list(range(120))
    for column, source in zip(range(grid.step.shape[1]), grid.source, strict=True):
        for slot, step in enumerate(grid.step[:, column]):
            if step < 0:
                continue
            if slot == 0:
                assert (source == step // 20 and step % 20 == 0) if not starts.flat[step] else source == -1
            elif starts.flat[step]:
                assert grid.blank is not None
                assert grid.blank[slot - 1, column]
                assert grid.step[slot - 1, column] == -1
            else:
                assert grid.step[slot - 1, column] == step - 1


@pytest.mark.parametrize("action", ["discrete", "continuous", "multi", "binary"])
@pytest.mark.parametrize("observation", ["vector", "dict", "image"])
def test_every_kind_of_observation_and_action_trains_saves_and_predicts(
    action: str, observation: str, tmp_path: Path
) -> None:
    env = MemoryBandit(2, 3, action=action, observation=observation, truncate_every=2)
    policy = {"vector": "MlpPolicy", "dict": "MultiInputPolicy", "image": "CnnPolicy"}[observation]
    extractor = {"features_extractor_kwargs": {"features_dim": 8}} if observation == "image" else {}
    agent = RecurrentPPO(policy, env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=SMALL | extractor, seed=0)
    before = agent.policy.flat.flat.detach().clone()
    agent.learn(16)
    changed = (agent.policy.flat.flat != before).float().mean().item()
    assert changed > 0.25  # rectifiers of an untrained image network are silent for many inputs
    agent.save(tmp_path / "agent")
    loaded = RecurrentPPO.load(tmp_path / "agent")
    observations = env.reset()
    for tested in (agent, loaded):
        actions, state = tested.predict(observations, deterministic=True)
        assert all(env.action_space.contains(one) for one in actions)
        assert state is not None
        assert {len(part) for part in state} == {2}
    np.testing.assert_array_equal(
        agent.predict(observations, deterministic=True)[0], loaded.predict(observations, deterministic=True)[0]
    )


def test_the_network_for_images_starts_orthogonal_as_that_of_stable_baselines3() -> None:
    env = MemoryBandit(1, 2, observation="image")
    agent = RecurrentPPO("CnnPolicy", env, n_steps=8, batch_size=8, policy_kwargs=SMALL, seed=0)
    layers = [m for m in agent.policy.features_extractor.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 4
    for layer in layers:
        weight = layer.weight.flatten(1)
        gram = weight @ weight.t() if weight.shape[0] <= weight.shape[1] else weight.t() @ weight
        torch.testing.assert_close(gram, 2 * torch.eye(len(gram)), rtol=0, atol=1e-4)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_predict_keeps_the_state_apart_and_empties_it_where_an_episode_starts() -> None:
    agent = small_ppo(MemoryBandit(3, 4))
    observations = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    _, first = agent.predict(observations)
    _, second = agent.predict(observations, first)
    _, restarted = agent.predict(observations, second, episode_start=np.array([True, False, False]))
    _, third = agent.predict(observations, second)
    assert first is not None
    assert restarted is not None
    assert third is not None
    for a, b, c in zip(restarted, first, third, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1:], c[1:])
    action, _ = agent.predict(observations[0])
    assert np.shape(action) == ()


def test_weights_written_by_hand_are_used_at_the_next_prediction() -> None:
    agent = small_ppo(MemoryBandit(2, 4, action="continuous"))
    observation = np.ones((2, 3), np.float32)
    before, _ = agent.predict(observation, deterministic=True)
    weights = {name: value + 0.1 for name, value in agent.policy.state_dict().items()}
    agent.policy.load_state_dict(weights)
    after, _ = agent.predict(observation, deterministic=True)
    assert not np.array_equal(before, after)


def run_of(agent: RecurrentOnPolicy) -> list[np.ndarray]:
    """Everything that has a say in what comes next."""
    rollout = agent.rollout_buffer
    parts = [agent.policy.flat.flat.detach().numpy(), rollout.rewards, rollout.advantages, rollout.log_probs]
    return [*parts, *(agent._actor_state or ()), *(agent._critic_state or ()), np.asarray(agent._last_obs)]


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    kind: type[RecurrentOnPolicy], normalize: bool, tmp_path: Path
) -> None:
    def make_env(seed: int) -> Any:
        env = MemoryBandit(3, 5, action="continuous", truncate_every=4, seed=seed)
        return VecNormalize(env) if normalize else env

    schedule = {"learning_rate": LinearSchedule(1e-2, 1e-3, 0.5)}
    batch = {"batch_size": 16} if kind is RecurrentPPO else {}
    whole = kind("MlpPolicy", make_env(1), n_steps=16, policy_kwargs=SMALL, seed=0, **schedule, **batch)
    whole.learn(96)
    whole.save(tmp_path / "half")
    whole.learn(96, reset_num_timesteps=False)

    np.random.seed(77)  # noqa: NPY002 - what a new process has is something else
    torch.manual_seed(77)
    resumed = kind.load(tmp_path / "half", make_env(2))
    assert resumed.num_timesteps == 96
    resumed.learn(96, reset_num_timesteps=False)
    for ours, theirs in zip(run_of(resumed), run_of(whole), strict=True):
        assert np.array_equal(ours, theirs)
    assert resumed.num_timesteps == whole.num_timesteps == 192
    assert resumed.ep_info_buffer == whole.ep_info_buffer
    assert resumed.policy.optimizer.param_groups[0]["lr"] == whole.policy.optimizer.param_groups[0]["lr"]


def test_without_the_state_of_the_environment_a_loaded_agent_starts_new_episodes(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    agent.learn(32)
    agent.save(tmp_path / "agent")
    more = small_ppo(MemoryBandit(2, 5)).__class__.load(tmp_path / "agent", MemoryBandit(5, 5))
    more.learn(80, reset_num_timesteps=False)
    assert more.num_timesteps == 32 + 80
    reset = RecurrentPPO.load(tmp_path / "agent", MemoryBandit(2, 5), force_reset=True)
    assert reset._last_obs is None


def test_schedules_of_ones_own_must_be_given_when_loading(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 5), learning_rate=lambda left: 1e-3 * left)
    agent.save(tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match="pass learning_rate="):
        RecurrentPPO.load(tmp_path / "agent.safetensors")
    assert RecurrentPPO.load(tmp_path / "agent.safetensors", learning_rate=2e-3).learning_rate == 2e-3


class Doubled(FlattenExtractor):
    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(observations)


def test_a_features_extractor_of_ones_own_must_be_given_when_loading(tmp_path: Path) -> None:
    own = {"features_extractor_class": Doubled}
    agent = small_ppo(MemoryBandit(2, 5, action="continuous"), policy_kwargs=SMALL | own)
    agent.learn(32)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match="'Doubled', and a file holds no code"):
        RecurrentPPO.load(tmp_path / "agent")
    loaded = RecurrentPPO.load(tmp_path / "agent", policy_kwargs=own)
    observation = np.ones((2, 3), np.float32)
    assert np.array_equal(
        agent.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )


class Bomb:
    def __reduce__(self) -> Any:
        return (Path("exploded").touch, ())


def test_foreign_truncated_and_malicious_files_are_refused_and_execute_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    agent = small_ppo(MemoryBandit(2, 5))
    agent.learn(32)
    agent.save("good.safetensors")
    data = Path("good.safetensors").read_bytes()
    Path("pickle.safetensors").write_bytes(pickle.dumps(Bomb()))
    Path("empty.safetensors").write_bytes(b"")
    Path("short.safetensors").write_bytes(data[: len(data) // 2])
    tensors, meta = load_checkpoint("good.safetensors")
    changes: dict[str, Any] = {
        "huge": {"network": meta["network"] | {"hidden_size": 10**9}},
        "deep": {"network": meta["network"] | {"n_layers": 10**9}},
        "other": {"agent": "os.system"},
        "policy": {"policy": "__import__('os')"},
        "space": {"action_space": {"type": "Discrete", "n": 10**12, "start": 0}},
        "argument": {"arguments": meta["arguments"] | {"callback": "x"}},
        "cell": {"network": meta["network"] | {"cell": "os.system"}},
        "state": {"state": {"dict": {}}},
        "counters": {"counters": {}},
        "no_meta": dict.fromkeys(meta),
    }
    for name, change in changes.items():
        save_checkpoint(f"{name}.safetensors", tensors, meta | change)
    missing = {name: tensor for name, tensor in tensors.items() if "critic_net" not in name}
    save_checkpoint("missing.safetensors", missing, meta)
    save_checkpoint("shape.safetensors", tensors | {"optimizer/exp_avg": np.zeros(3, np.float32)}, meta)
    names = ["pickle", "empty", "short", "missing", "shape", *changes]
    for name in names:
        with pytest.raises(ValueError, match=r".{10}"):
            RecurrentPPO.load(f"{name}.safetensors", MemoryBandit(2, 5))
    with pytest.raises(ValueError, match="holds a 'RecurrentPPO', not a RecurrentA2C"):
        RecurrentA2C.load("good.safetensors")
    with pytest.raises(ValueError, match=r".{10}"):
        agent.set_parameters("pickle.safetensors")
    agent.set_parameters("good.safetensors")
    assert not Path("exploded").exists()
    assert b"pickle" not in data
    json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def test_callbacks_logger_and_evaluation_of_stable_baselines3_work(tmp_path: Path) -> None:
    env = VecMonitor(MemoryBandit(2, 5))
    agent = small_ppo(env, tensorboard_log=None)
    evaluation = EvalCallback(VecMonitor(MemoryBandit(2, 5, seed=3)), eval_freq=16, n_eval_episodes=4,
                              best_model_save_path=str(tmp_path), verbose=0)  # fmt: skip
    agent.learn(64, [evaluation, CheckpointCallback(16, str(tmp_path), "step")], log_interval=1)
    assert evaluation.last_mean_reward >= -1.0
    assert {"train/approx_kl", "train/value_loss", "train/explained_variance"} <= set(agent.logger.name_to_value)
    assert RecurrentPPO.load(tmp_path / "best_model").num_timesteps > 0
    assert RecurrentPPO.load(tmp_path / "step_32_steps.zip").num_timesteps == 32
    mean, _ = evaluate_policy(agent, VecMonitor(MemoryBandit(2, 5)), n_eval_episodes=4)
    assert -1.0 <= mean <= 1.0


def test_an_environment_can_be_named_by_its_gymnasium_id_and_another_be_set() -> None:
    agent = RecurrentPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, n_epochs=1, policy_kwargs=SMALL)
    agent.learn(64)
    agent.set_env(gymnasium.make("CartPole-v1"))
    assert agent.learn(32, reset_num_timesteps=False).num_timesteps == 96


def test_a_callback_that_stops_leaves_the_weights_of_the_last_complete_rollout() -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    before = agent.policy.flat.flat.detach().clone()
    agent.learn(64, lambda _locals, _globals: agent.num_timesteps < 10)
    assert agent.num_timesteps == 10
    assert torch.equal(before, agent.policy.flat.flat)


def test_a_file_written_in_the_middle_of_a_rollout_holds_the_states_of_that_step(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 30))
    observations = []

    def watch(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
        observations.append(torch.from_numpy(np.asarray(_locals["observations"]).copy()))
        if agent.num_timesteps == 10:
            agent.save(tmp_path / "middle")
        return True

    weights = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    agent.learn(32, watch)
    resumed = RecurrentPPO.load(tmp_path / "middle", MemoryBandit(2, 30))
    network = agent.policy.network
    agent.policy.load_state_dict(weights)
    for trunk, found in ((network.actor, resumed._actor_state), (network.critic, resumed._critic_state)):
        state = trunk.initial_state(2)
        for observation in observations[:5]:
            _, state = trunk(observation, state)
        assert found is not None
        for ours, expected in zip(found, state, strict=True):
            np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_target_kl_stops_a_rollouts_updates() -> None:
    far, near = (
        small_ppo(MemoryBandit(2, 5), learning_rate=0.05, n_epochs=20, target_kl=kl).learn(32) for kl in (None, 0.001)
    )
    assert near._n_updates < far._n_updates == 20


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    weights = [small_ppo(MemoryBandit(2, 5), seed=seed).learn(64).policy.flat.flat for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_shared_trunk_is_trained_by_both_losses() -> None:
    agent = small_ppo(MemoryBandit(2, 5), policy_kwargs=SMALL | {"shared": True})
    collect(agent)
    batch = agent.minibatch(np.arange(2), normalize_advantage=False)
    evaluated = agent.policy(batch.features, batch.blank, batch.states)
    weight = agent.policy.network.actor.layers[0].hidden_weight
    for part in (evaluated.values, evaluated.outputs):
        agent.policy.flat.zero_grad()
        part.sum().backward(retain_graph=True)
        assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 24}, r"batch_size must be a multiple of the row length 16, got 24; nearest: 16 or 32"),
        ({"seq_len": 7}, r"seq_len must divide n_steps=16, got 7; nearest that do: 4 or 8"),
        ({"burn_in": 17}, r"burn_in must be 0 to the row length 16, got 17"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1\.5"),
        ({"n_epochs": 0}, r"n_epochs must be at least 1, got 0"),
        ({"clip_range": -0.2}, r"clip_range must be positive, got -0\.2"),
        ({"cell": "lstn"}, r"'lstn'.*Did you mean 'lstm'"),
        ({"memory_length": 1.0}, r"at least 2, got 1\.0"),
        ({"policy_kwargs": {"hiden_size": 8}}, r"Did you mean 'hidden_size'"),
        ({"policy_kwargs": {"enable_critic_lstm": False}}, r"shared_lstm=False"),
    ],
)
def test_bad_hyperparameters_are_refused_with_their_value_and_what_would_be_right(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        small_ppo(MemoryBandit(2, 5), **arguments)


def test_sb3_contribs_names_mean_the_same() -> None:
    kwargs = {"lstm_hidden_size": 16, "n_lstm_layers": 2, "shared_lstm": True, "enable_critic_lstm": False}
    agent = RecurrentPPO("MlpLstmPolicy", MemoryBandit(2, 5), policy_kwargs=kwargs)
    settings = agent.policy.network.settings
    assert (settings.hidden_size, settings.n_layers, settings.shared, settings.cell) == (16, 2, True, "lstm")
    assert isinstance(agent.action_space, spaces.Discrete)
