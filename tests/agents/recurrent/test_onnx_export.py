"""An exported policy, run by onnxruntime, gives the actions, values and states of the agent."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from memory_bandit import MemoryBandit

from rlmem.agents.recurrent.onnx_export import export_onnx
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.networks.cell import Cell
from rlmem.networks.cells import CELLS, LSTM

N, T = 3, 9
EXPORTED = [name for name, cell in CELLS.items() if cell.onnx_step is not Cell.onnx_step]


def trained(action: str = "continuous", **kwargs: Any) -> RecurrentPPO:
    policy_kwargs = {"hidden_size": 8, "net_arch": [8], "memory_length": 10} | kwargs
    env = MemoryBandit(2, 4, action=action)
    return RecurrentPPO(
        "MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, policy_kwargs=policy_kwargs
    ).learn(32)  # fmt: skip


def assert_same_over_an_episode(agent: RecurrentPPO, path: Path, *, value: bool) -> None:
    session = onnxruntime.InferenceSession(path)
    shapes = {entry.name: entry.shape[1:] for entry in session.get_inputs()}
    states = {name: np.zeros((N, *shape), np.float32) for name, shape in shapes.items() if name.startswith("state_")}
    names = [entry.name for entry in session.get_outputs()]
    critic, expected_state = agent.policy.network.critic, None
    critic_state = critic.initial_state(N)
    rng = np.random.default_rng(0)
    for t in range(T):
        observation = rng.normal(size=(N, 3)).astype(np.float32)
        start = np.array([t == 0, t == 4, t in (0, 5)])
        found = dict(
            zip(names, session.run(None, {"observation": observation, "episode_start": start} | states), strict=True)
        )
        expected, expected_state = agent.predict(observation, expected_state, start, deterministic=True)
        np.testing.assert_allclose(found["action"], expected, rtol=1e-5, atol=1e-5)
        assert found["action"].shape == expected.shape
        if value:
            with torch.no_grad():
                critic_state = tuple(torch.where(torch.tensor(start)[:, None], 0.0, part) for part in critic_state)
                latent, critic_state = critic(torch.from_numpy(observation), critic_state)
                np.testing.assert_allclose(
                    found["value"], agent.policy.network.critic_net(latent)[:, 0].numpy(), rtol=1e-5, atol=1e-5
                )
        states = {name: found[f"next_{name}"] for name in states}


@pytest.mark.parametrize(("cell", "n_layers"), [*((name, 1) for name in EXPORTED), ("lstm", 2), ("rtu", 2)])
def test_every_cell_acts_the_same_after_export(cell: str, n_layers: int, tmp_path: Path) -> None:
    agent = trained(cell=cell, n_layers=n_layers)
    export_onnx(agent, tmp_path / "policy.onnx")
    assert_same_over_an_episode(agent, tmp_path / "policy.onnx", value=False)


@pytest.mark.parametrize(("action", "activation"), [("discrete", "relu"), ("multi", "elu"), ("binary", "gelu")])
def test_every_kind_of_action_and_activation_acts_the_same_after_export(
    action: str, activation: str, tmp_path: Path
) -> None:
    agent = trained(action, activation=activation)
    export_onnx(agent, tmp_path / "policy.onnx")
    assert_same_over_an_episode(agent, tmp_path / "policy.onnx", value=False)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "rtu"])
def test_the_value_comes_with_its_own_state_where_the_critic_has_its_own_trunk(
    cell: str, shared: bool, tmp_path: Path
) -> None:
    agent = trained(cell=cell, shared=shared)
    export_onnx(agent, tmp_path / "policy.onnx", value=True)
    assert_same_over_an_episode(agent, tmp_path / "policy.onnx", value=True)
    inputs = onnxruntime.InferenceSession(tmp_path / "policy.onnx").get_inputs()
    assert len(inputs) == 2 + (2 if shared else 4)


def test_a_graph_that_differs_from_the_policy_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LSTM, "onnx_step", lambda cell, graph, x, state: (state[1], state))
    with pytest.raises(RuntimeError, match="differs from the policy at step 0"):
        export_onnx(trained(), tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_images_and_dicts_are_refused(tmp_path: Path) -> None:
    for policy, observation in (("CnnPolicy", "image"), ("MultiInputPolicy", "dict")):
        agent = RecurrentPPO(policy, MemoryBandit(2, 4, observation=observation), n_steps=16, batch_size=16)
        with pytest.raises(ValueError, match="only policies that see vectors of numbers can be exported"):
            export_onnx(agent, tmp_path / "policy.onnx")


def test_without_onnx_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'rlmem\[onnx\]'"):
        export_onnx(trained(), tmp_path / "policy.onnx")
