"""The actor without PyTorch gives the actions of the agent it was saved from."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_bandit import MemoryBandit

from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.networks.numpy_cells import ARRAY_CELLS
from rlmem.runs.tensors_file import CheckpointError, save_checkpoint

N, T = 3, 9


def trained(action: str = "continuous", observation: str = "vector", **kwargs: Any) -> RecurrentPPO:
    policy = {"vector": "MlpPolicy", "dict": "MultiInputPolicy", "image": "CnnPolicy"}[observation]
    policy_kwargs = {"hidden_size": 8, "net_arch": [8], "memory_length": 10} | kwargs
    env = MemoryBandit(2, 4, action=action, observation=observation)
    agent = RecurrentPPO(policy, env, n_steps=16, batch_size=32, n_epochs=1, seed=0, policy_kwargs=policy_kwargs)
    return agent.learn(32) if observation == "vector" else agent


def assert_same_over_an_episode(agent: RecurrentPPO, actor: NumpyActor) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = None, None
    for t in range(T):
        observation = rng.normal(size=(N, 3)).astype(np.float32)
        start = np.array([t == 0, t == 4, t in (0, 5)])
        action, ours = actor.predict(observation, ours, start, deterministic=True)
        expected, theirs = agent.predict(observation, theirs, start, deterministic=True)
        np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-5)
        assert action.shape == expected.shape
        for part, expected_part in zip(ours, theirs or (), strict=True):
            np.testing.assert_allclose(part, expected_part, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("cell", "n_layers"), [*((name, 1) for name in sorted(ARRAY_CELLS)), ("lstm", 2), ("rtu", 2)])
def test_every_cell_with_a_torch_free_step_acts_as_in_pytorch(cell: str, n_layers: int, tmp_path: Path) -> None:
    agent = trained(cell=cell, n_layers=n_layers)
    agent.save(tmp_path / "agent.safetensors")
    assert_same_over_an_episode(agent, NumpyActor.load(tmp_path / "agent.safetensors"))


@pytest.mark.parametrize(("action", "activation"), [("discrete", "relu"), ("multi", "elu"), ("binary", "gelu")])
def test_every_kind_of_action_and_activation_acts_as_in_pytorch(action: str, activation: str, tmp_path: Path) -> None:
    agent = trained(action, activation=activation)
    agent.save(tmp_path / "agent.safetensors")
    assert_same_over_an_episode(agent, NumpyActor.load(tmp_path / "agent.safetensors"))


def test_acting_imports_neither_pytorch_nor_stable_baselines3(tmp_path: Path) -> None:
    trained().save(tmp_path / "agent.safetensors")
    code = """
import sys
import numpy as np
from rlmem.agents.recurrent.numpy_actor import NumpyActor
actor = NumpyActor.load(sys.argv[1])
action, state = actor.predict(np.zeros(3, np.float32))
assert action.shape == (1,) and len(state) == 2 and state[0].shape == (1, 8)
assert not {"torch", "stable_baselines3", "pybullet"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "agent.safetensors")], check=True)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
def test_sampled_actions_have_the_distribution_of_the_policy_and_come_from_the_seed(
    action: str, tmp_path: Path
) -> None:
    agent = trained(action)
    agent.save(tmp_path / "agent.safetensors")
    observation = np.repeat(np.random.default_rng(1).normal(size=(1, 3)), 4000, 0)
    drawn, again = (NumpyActor.load(tmp_path / "agent.safetensors", seed=0).predict(observation)[0] for _ in range(2))
    assert np.array_equal(drawn, again)
    expected, _ = agent.predict(observation)
    np.testing.assert_allclose(drawn.mean(0), expected.mean(0), atol=0.05)
    np.testing.assert_allclose(drawn.std(0), expected.std(0), atol=0.05)


def test_images_dicts_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for observation in ("image", "dict"):
        trained("discrete", observation, net_arch=[8]).save(tmp_path / observation)
        with pytest.raises(ValueError, match="only agents that see vectors of numbers"):
            NumpyActor.load(tmp_path / f"{observation}.zip")
    save_checkpoint(tmp_path / "foreign.safetensors", {"x": np.zeros(2)}, {"agent": "something"})
    with pytest.raises(CheckpointError, match="does not hold a complete recurrent agent"):
        NumpyActor.load(tmp_path / "foreign.safetensors")
    trained().save(tmp_path / "agent")
    with pytest.raises(ValueError, match=r"observations must have shape \(3,\)"):
        NumpyActor.load(tmp_path / "agent.safetensors").predict(np.zeros((2, 4)))
