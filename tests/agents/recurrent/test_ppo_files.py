"""RecurrentPPO and RecurrentA2C resume exactly from a file, and refuse a bad one."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sb3_contrib
import torch
from memory_bandit import MemoryBandit
from ppo_cases import SMALL, small_ppo
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecNormalize

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.errors import UserError
from rlmem.runs.tensors_file import load_checkpoint, save_checkpoint


def run_of(agent: RecurrentOnPolicy) -> list[np.ndarray]:
    """Everything that has a say in what comes next."""
    rollout = agent.rollout_buffer
    parts = [agent.policy.parameters_to_vector(), rollout.rewards, rollout.advantages, rollout.log_probs]
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


def test_another_scale_of_observations_or_rewards_than_in_training_is_warned_of(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "agent.safetensors"
    agent = small_ppo(VecNormalize(MemoryBandit(2, 5))).learn(32)
    agent.save(path)
    RecurrentPPO.load(path, VecNormalize(MemoryBandit(2, 5)))
    RecurrentPPO.load(path, VecNormalize(MemoryBandit(2, 5), norm_reward=False, training=False))
    agent.set_env(VecNormalize(MemoryBandit(2, 5)))
    assert not recwarn.list
    with pytest.warns(UserWarning, match="trained under VecNormalize .* its observations have another scale"):
        loaded = RecurrentPPO.load(path)
    with pytest.warns(UserWarning, match="observations and rewards have"):
        RecurrentPPO.load(path, MemoryBandit(2, 5))
    with pytest.warns(UserWarning, match="give predict observations that are normalized"):
        NumpyActor.load(path)
    loaded.set_env(VecNormalize(MemoryBandit(2, 5)))
    assert not recwarn.list
    with pytest.warns(UserWarning, match="trained under"):
        agent.set_env(MemoryBandit(2, 5))
    small_ppo(MemoryBandit(2, 5)).learn(32).save(path)
    with pytest.warns(UserWarning, match="trained without VecNormalize and is now under it"):
        RecurrentPPO.load(path, VecNormalize(MemoryBandit(2, 5)))


def test_without_the_state_of_the_environment_a_loaded_agent_starts_new_episodes(tmp_path: Path) -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    agent.learn(32)
    agent.save(tmp_path / "agent")
    more = small_ppo(MemoryBandit(2, 5)).__class__.load(tmp_path / "agent", MemoryBandit(5, 5))
    more.learn(80, reset_num_timesteps=False)
    assert more.num_timesteps == 32 + 80
    reset = RecurrentPPO.load(tmp_path / "agent", MemoryBandit(2, 5), force_reset=True)
    assert reset._last_obs is None


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


@pytest.mark.parametrize("name", ["learning_rate", "clip_range"])
def test_an_agent_with_a_schedule_of_ones_own_is_loaded_to_act_and_must_be_given_it_to_learn(
    name: str, tmp_path: Path
) -> None:
    agent = small_ppo(MemoryBandit(2, 5), **{name: lambda left: 1e-3 * left})
    agent.learn(64)
    agent.save(tmp_path / "agent")
    loaded, observation = RecurrentPPO.load(tmp_path / "agent", MemoryBandit(2, 5)), MemoryBandit(2, 5).reset()
    ours, theirs = (model.predict(observation, deterministic=True)[0] for model in (agent, loaded))
    np.testing.assert_array_equal(ours, theirs)
    loaded.save(tmp_path / "again")
    for file in ("agent", "again"):
        with pytest.raises(UserError, match=f"pass {name}=... when loading"):
            RecurrentPPO.load(tmp_path / file, MemoryBandit(2, 5)).learn(64)
    RecurrentPPO.load(tmp_path / "again", MemoryBandit(2, 5), **{name: 2e-3}).learn(64)


def test_a_file_is_what_its_name_says_and_is_found_by_every_name_that_stable_baselines3_has_for_it(
    tmp_path: Path,
) -> None:
    agent = small_ppo(MemoryBandit(2, 5))
    for name, written in (("plain", "plain.zip"), ("own.safetensors", "own.safetensors"), ("a.b.zip", "a.b.zip")):
        agent.save(tmp_path / name)
        assert zipfile.is_zipfile(tmp_path / written) is written.endswith(".zip")
        base = name.removesuffix(".zip").removesuffix(".safetensors")
        for typed in (base, f"{base}.zip", f"{base}.safetensors"):
            assert np.array_equal(
                RecurrentPPO.load(tmp_path / typed).policy.parameters_to_vector(), agent.policy.parameters_to_vector()
            )
    sb3_contrib.RecurrentPPO("MlpLstmPolicy", MemoryBandit(2, 5), n_steps=8).save(tmp_path / "theirs")
    with pytest.raises(ValueError, match=r"theirs.zip is a file of stable-baselines3: .*from_sb3_contrib takes over"):
        RecurrentPPO.load(tmp_path / "theirs")


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
        "huge": {"settings": meta["settings"] | {"hidden_size": 10**9}},
        "deep": {"settings": meta["settings"] | {"n_layers": 10**9}},
        "other": {"agent": "os.system"},
        "policy": {"policy": "__import__('os')"},
        "space": {"action_space": {"type": "Discrete", "n": 10**12, "start": 0}},
        "argument": {"settings": meta["settings"] | {"callback": "x"}},
        "cell": {"settings": meta["settings"] | {"cell": "os.system"}},
        "state": {"state": {}},
        "counters": {"state": meta["state"] | {"counters": {"dict": {}}}},
        "no_meta": dict.fromkeys(meta),
    }
    for name, change in changes.items():
        save_checkpoint(f"{name}.safetensors", tensors, meta | change)
    missing = {name: tensor for name, tensor in tensors.items() if "critic_net" not in name}
    save_checkpoint("missing.safetensors", missing, meta)
    save_checkpoint("shape.safetensors", tensors | {"optimizer/0/exp_avg": np.zeros(3, np.float32)}, meta)
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


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentPolicy])
def test_a_cell_that_a_file_names_is_not_imported(
    kind: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cell_in_a_file.py").write_text("raise SystemExit('this ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "agent.safetensors"
    agent = small_ppo(MemoryBandit(2, 5))
    (agent if kind is RecurrentPPO else agent.policy).save(path)
    tensors, meta = load_checkpoint(path)
    save_checkpoint(path, tensors, meta | {"settings": meta["settings"] | {"cell": "cell_in_a_file:Cell"}})
    with pytest.raises(UserError, match="import cell_in_a_file first"):
        kind.load(path)
