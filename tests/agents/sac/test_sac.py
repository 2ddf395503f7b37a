"""RecurrentSAC: what its losses aim at, its sequences, exact resume, and that it learns to remember."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.vec_env import VecNormalize

from rlmem.agents import RecurrentSAC
from rlmem.agents.sac.batch import make_batch, remembered
from rlmem.agents.sac.learner import actor_loss, critic_targets
from rlmem.errors import UserError
from rlmem.runs.tensors_file import load_checkpoint

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": (16,)}


def small_sac(env: Any, **arguments: Any) -> RecurrentSAC:
    defaults = {
        "seed": 0,
        "learning_starts": 60,
        "batch_size": 32,
        "seq_len": 8,
        "burn_in": 4,
        "buffer_size": 600,
        "gradient_steps": 2,
        "train_freq": 8,
        "policy_kwargs": SMALL,
    }
    return RecurrentSAC("MlpPolicy", env, **(defaults | arguments))


def bandit(seed: int = 0, gap: int = 5, truncate_every: int = 4, n_envs: int = 3) -> MemoryBandit:
    return MemoryBandit(n_envs, gap, action="continuous", truncate_every=truncate_every, seed=seed)


def one_batch(agent: RecurrentSAC, rows: int = 12) -> Any:
    assert agent.replay_buffer is not None
    windows = agent.replay_buffer.draw(np.random.default_rng(0), rows)
    assert windows is not None
    return windows, make_batch(agent.policy, agent.replay_buffer, windows)


def test_critics_and_actor_aim_at_what_the_paper_says() -> None:
    agent = small_sac(bandit(gap=3, truncate_every=0)).learn(120)
    _, batch = one_batch(agent)
    rng, count = np.random.default_rng(1), len(batch.rewards)
    values, log_probs = rng.normal(size=(2, count)).astype(np.float32), rng.normal(size=count).astype(np.float32)
    weight = torch.tensor(0.3)
    found = critic_targets(batch, torch.from_numpy(values), torch.from_numpy(log_probs), weight, 0.9)
    goes_on = 1.0 - batch.terminated.numpy()
    expected = batch.rewards.numpy() + 0.9 * goes_on * (values.min(0) - 0.3 * log_probs)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert 0 < goes_on.mean() < 1
    loss = actor_loss(torch.from_numpy(values), torch.from_numpy(log_probs), weight)
    np.testing.assert_allclose(loss, (0.3 * log_probs - values.min(0)).mean(), rtol=1e-5)


def test_log_probabilities_are_those_of_squashed_normal_actions() -> None:
    head = small_sac(bandit()).policy.network.head
    outputs = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    noise = head.draw_noise(np.random.default_rng(1), (50,))
    actions, log_probs = head.sample_with_log_prob(torch.from_numpy(outputs), torch.from_numpy(noise))
    np.testing.assert_allclose(actions, head.sample(outputs, noise), rtol=1e-5, atol=1e-6)
    mean, std = outputs[:, :1].astype(float), np.exp(outputs[:, 1:].astype(float))
    raw = np.arctanh(actions.numpy().astype(float))
    density = np.exp(-0.5 * ((raw - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi)) / (1 - np.tanh(raw) ** 2)
    np.testing.assert_allclose(log_probs, np.log(density[:, 0]), rtol=1e-2, atol=1e-2)


class Recorder(BaseCallback):
    """Keeps what the agent saw, and the last observations of episodes that were cut off."""

    def _on_training_start(self) -> None:
        self.seen, self.starts, self.last = [], [], []

    def _on_step(self) -> bool:
        self.seen.append(np.array(self.model._last_obs))
        self.starts.append(np.array(self.model._last_episode_starts, bool))
        self.last.append([info.get("terminal_observation") for info in self.locals["infos"]])
        return True


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("burn_in", [0, 4])
def test_stored_states_are_those_of_a_fresh_unroll_while_weights_do_not_change(shared: bool, burn_in: int) -> None:
    agent = small_sac(
        bandit(gap=9, truncate_every=7), learning_starts=10**6, shared=shared, burn_in=burn_in, cell="gru"
    )
    recorder = Recorder()
    agent.learn(240, recorder)
    seen, starts = torch.from_numpy(np.array(recorder.seen)), torch.from_numpy(np.array(recorder.starts))
    windows, batch = one_batch(agent)
    network = agent.policy.network
    n_actor = agent.learner.n_actor
    for trunk, kept in ((network.actor, slice(n_actor)), (network.critic, slice(-n_actor, None))):
        found = remembered(trunk, batch, batch.burn_in.states[kept])
        whole = trunk.unfold(seen, starts, trunk.initial_state(3)).output
        expected = {}
        for step, env in zip(windows.step[burn_in:].T.ravel(), np.repeat(windows.env, 8), strict=True):
            # after the step: the observation that follows, of a truncated episode its last one
            state = trunk.initial_state(1)
            first = max(t for t in range(step + 1) if starts[t, env])
            ended = recorder.last[step][env]
            row = [*seen[first : step + 1, env], seen[step + 1, env] if ended is None else torch.from_numpy(ended)]
            for x in row:
                output, state = trunk(x[None], state)
            expected[step, env] = whole[step, env], output[0]
        ours = sorted(map(tuple, torch.cat((found[batch.slot], found[batch.next_slot]), 1).tolist()))
        theirs = [torch.cat(expected[key]).tolist() for key in zip(*_steps(windows, burn_in), strict=True)]
        np.testing.assert_allclose(ours, sorted(map(tuple, theirs)), rtol=1e-4, atol=1e-5)


def _steps(windows: Any, burn_in: int) -> tuple[list[int], list[int]]:
    steps = windows.step[burn_in:]
    return steps.ravel().tolist(), np.tile(windows.env, len(steps)).tolist()


@pytest.mark.parametrize("shared", [False, True])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(shared: bool, tmp_path: Path) -> None:
    whole = small_sac(bandit(1), shared=shared, norm_obs=True, buffer_size=200).learn(240)
    whole.save(tmp_path / "half")
    whole.learn(240, reset_num_timesteps=False)
    torch.manual_seed(77)
    resumed = RecurrentSAC.load(tmp_path / "half", bandit(2))
    assert resumed.num_timesteps == 240
    resumed.learn(240, reset_num_timesteps=False)
    resumed.save(tmp_path / "resumed")
    whole.save(tmp_path / "whole")
    ours, theirs = (load_checkpoint(tmp_path / f"{name}.zip") for name in ("resumed", "whole"))
    assert whole._n_updates > 20
    assert ours.meta["state"] == theirs.meta["state"]
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert any(name.startswith("replay") for name in ours.tensors)
    for name, tensor in ours.tensors.items():
        np.testing.assert_array_equal(tensor, theirs.tensors[name], err_msg=name)


def test_a_file_may_leave_the_replay_buffer_out_and_learning_goes_on(tmp_path: Path) -> None:
    agent = small_sac(bandit(1), save_replay=False).learn(120)
    agent.save(tmp_path / "small")
    assert not any("replay" in name for name in load_checkpoint(tmp_path / "small.zip").tensors)
    loaded = RecurrentSAC.load(tmp_path / "small", bandit(2), force_reset=True)
    before = loaded._n_updates
    loaded.learn(120, reset_num_timesteps=False)
    assert loaded._n_updates > before
    observation = np.ones((3, 3), np.float32)
    acting = RecurrentSAC.load(tmp_path / "small")
    assert acting.predict(observation)[0].shape == (3, 1)


class Stop(BaseCallback):
    def _on_step(self) -> bool:
        return self.model.num_timesteps % 100 < 97


def test_checkpoints_of_stable_baselines3_hold_the_replay_buffer(tmp_path: Path) -> None:
    callback = CheckpointCallback(40, str(tmp_path), save_replay_buffer=True)
    with pytest.warns(UserWarning, match="the replay buffer is saved with the agent") as warned:
        agent = small_sac(bandit()).learn(360, callback)
    assert len({(one.filename, one.lineno) for one in warned}) == 1  # so that Python shows it once
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"rl_model_{n}_steps.zip" for n in (120, 240, 360)]
    loaded = RecurrentSAC.load(tmp_path / "rl_model_360_steps.zip", bandit())
    assert loaded.replay_buffer is not None
    assert agent.replay_buffer is not None
    written = agent.replay_buffer.actions[:119]  # callbacks come before the step at hand is written
    np.testing.assert_array_equal(loaded.replay_buffer.actions[:119], written)
    assert written.any()
    with pytest.raises(UserError, match="loaded with the agent"):
        loaded.load_replay_buffer(tmp_path / "rl_model_replay_buffer_360_steps.pkl")
    with pytest.warns(UserWarning, match="save_replay=False leaves the replay buffer out"):
        small_sac(bandit(), save_replay=False).save_replay_buffer(tmp_path / "replay")


def test_a_trained_agent_can_be_pickled_and_learns_on_as_the_one_it_was_made_from() -> None:
    agent = small_sac(bandit()).learn(120)
    copied = pickle.loads(pickle.dumps(agent))
    after = [one.learn(48, reset_num_timesteps=False).policy.parameters_to_vector() for one in (agent, copied)]
    np.testing.assert_array_equal(*after)
    assert copied.num_timesteps == agent.num_timesteps > 120


def test_a_callback_stops_learning_and_what_comes_next_begins_with_new_episodes() -> None:
    agent = small_sac(bandit(gap=30, truncate_every=0)).learn(1_000, Stop())
    assert agent.num_timesteps < 120
    agent.learn(300, reset_num_timesteps=False)
    windows, batch = one_batch(agent, 200)
    assert len(batch.rewards) < windows.step[4:].size  # the step that was broken off is left out


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="continuous actions"):
        small_sac(MemoryBandit(2, 5))
    with pytest.raises(ValueError, match="not images"):
        small_sac(MemoryBandit(2, 5, action="continuous", observation="image"))
    with pytest.raises(ValueError, match="norm_obs=True instead of VecNormalize"):
        small_sac(VecNormalize(bandit())).learn(10)
    unbounded = bandit()
    unbounded.action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    with pytest.raises(ValueError, match="actions must have finite bounds"):
        small_sac(unbounded)
    with pytest.raises(ValueError, match=r"buffer_size must be above 48"):
        small_sac(bandit(), buffer_size=40).learn(10)
    for name, value, message in (
        ("gamma", 2.0, "gamma must be from 0 to 1"),
        ("ent_coef", "loud", "ent_coef must be a number or begin with 'auto'"),
        ("ent_coef", "auto_0", "above 0 where it is learned"),
        ("train_freq", (1, "episode"), "train_freq must be a number of control steps"),
        ("n_critics", 0, "n_critics must be a whole number of at least 1"),
        ("alpha", 1.0, "unknown hyperparameter 'alpha'"),
    ):
        with pytest.raises(ValueError, match=message):
            small_sac(bandit(), **{name: value})


def test_actions_fill_the_space_and_names_are_those_of_stable_baselines3() -> None:
    env = gymnasium.make("Pendulum-v1")
    agent = RecurrentSAC(
        "MlpPolicy", env, ent_coef="auto_0.5", policy_kwargs={"net_arch": {"pi": [8], "qf": [12]}}, seed=0, tau=0.01
    )
    assert (agent.settings.net_arch, agent.settings.critic_arch, agent.tau) == ((8,), (12,), 0.01)
    assert agent.learner.log_weight.exp().item() == pytest.approx(0.5)
    actions, state = agent.predict(np.zeros((200, 3), np.float32))
    again, _ = agent.predict(np.zeros((200, 3), np.float32), state, np.ones(200, bool), deterministic=True)
    assert actions.shape == (200, 1)
    assert 1.0 < np.abs(actions).max() <= 2.0
    assert np.ptp(again) == 0


class StopWhenSolved(BaseCallback):
    def _on_step(self) -> bool:
        buffer = self.model.ep_success_buffer
        assert buffer is not None
        return len(buffer) < 100 or float(np.mean(buffer)) < 0.95


@pytest.mark.parametrize(("cell", "least", "most"), [("gru", 0.95, 1.0), ("memoryless", 0.3, 0.7)])
def test_it_learns_to_remember_and_without_memory_it_does_not(cell: str, least: float, most: float) -> None:
    agent = RecurrentSAC(
        "MlpPolicy",
        MemoryBandit(16, 5, action="continuous"),
        cell=cell,
        memory_length=5,
        seq_len=12,
        burn_in=0,
        gamma=0.95,
        learning_rate=3e-3,
        learning_starts=500,
        gradient_steps=40,
        policy_kwargs={"hidden_size": 16, "net_arch": [32]},
        seed=0,
    )
    agent.learn(6_000 if cell == "gru" else 1_500, StopWhenSolved())
    assert agent.ep_success_buffer is not None
    assert least <= np.mean(agent.ep_success_buffer) <= most
