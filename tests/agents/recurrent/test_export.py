"""An exported policy, run by onnxruntime or by numpy alone, gives the actions, values and states of the agent."""

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from stable_baselines3.common.vec_env import VecNormalize

from rlmem.agents.recurrent.export import export_numpy, export_onnx
from rlmem.agents.recurrent.numpy_policy import NumpyPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sac.sac import RecurrentSAC
from rlmem.agents.sb3.vec_env import SpacesOnly
from rlmem.errors import UserError
from rlmem.networks.cell import Cell
from rlmem.networks.cells import CELLS, LSTM

N, T = 3, 9
EXPORTED = [name for name, cell in CELLS.items() if cell.onnx_step is not Cell.onnx_step]
Run = Callable[[dict[str, Any]], dict[str, Any]]


def trained(action: str = "continuous", **kwargs: Any) -> RecurrentPPO:
    policy_kwargs = {"hidden_size": 8, "net_arch": [8], "memory_length": 10} | kwargs
    env = MemoryBandit(2, 4, action=action)
    return RecurrentPPO(
        "MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, policy_kwargs=policy_kwargs
    ).learn(32)  # fmt: skip


def both(agent: Any, folder: Path) -> list[tuple[dict[str, list[int]], Run]]:
    """Export in both formats; return for each the shapes of the state and what runs it."""
    export_onnx(agent, folder / "policy.onnx")
    export_numpy(agent, folder / "policy.npz")
    policy = NumpyPolicy(folder / "policy.npz")
    states = {f"state_{i}": list(part.shape[1:]) for i, part in enumerate(policy.initial_state())}
    return [with_onnx(folder / "policy.onnx"), (states, lambda inputs: policy.run(**inputs))]


def with_onnx(path: Path) -> tuple[dict[str, list[int]], Run]:
    session = onnxruntime.InferenceSession(path)
    names = [entry.name for entry in session.get_outputs()]
    states = {entry.name: entry.shape[1:] for entry in session.get_inputs() if entry.name.startswith("state_")}
    return states, lambda inputs: dict(zip(names, session.run(None, inputs), strict=True))


def assert_same_over_an_episode(agent: Any, shapes: dict[str, list[int]], run: Run, *, value: bool) -> None:
    states = {name: np.zeros((N, *shape), np.float32) for name, shape in shapes.items()}
    critic, expected_state = agent.policy.network.critic, None
    critic_state = critic.initial_state(N)
    rng = np.random.default_rng(0)
    for t in range(T):
        observation = rng.normal(size=(N, 3)).astype(np.float32)
        start = np.array([t == 0, t == 4, t in (0, 5)])
        found = run({"observation": observation, "episode_start": start} | states)
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
    for shapes, run in both(agent, tmp_path):
        assert_same_over_an_episode(agent, shapes, run, value=False)


@pytest.mark.parametrize(("action", "activation"), [("discrete", "relu"), ("multi", "elu"), ("binary", "gelu")])
def test_every_kind_of_action_and_activation_acts_the_same_after_export(
    action: str, activation: str, tmp_path: Path
) -> None:
    agent = trained(action, activation=activation)
    for shapes, run in both(agent, tmp_path):
        assert_same_over_an_episode(agent, shapes, run, value=False)


@pytest.mark.parametrize("norm_obs", [False, True])
def test_recurrent_sac_acts_the_same_after_export_within_its_bounds(norm_obs: bool, tmp_path: Path) -> None:
    bounded = spaces.Box(np.float32([-1.0, 0.0]), np.float32([3.0, 0.5]))
    env = SpacesOnly(spaces.Box(-9.0, 9.0, (3,)), bounded, 2)
    agent = RecurrentSAC("MlpPolicy", env, cell="gru", hidden_size=8, net_arch=(8,), norm_obs=norm_obs, seed=0)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    if norm_obs:
        agent.policy.count_observations(np.random.default_rng(0).normal(2.0, 3.0, (50, 3)).astype(np.float32))
    for shapes, run in both(agent, tmp_path):
        assert_same_over_an_episode(agent, shapes, run, value=False)
    for given, message in (({"value": True}, "export without the value"), ({"masks": True}, "continuous")):
        with pytest.raises(UserError, match=message):
            export_onnx(agent, tmp_path / "refused.onnx", **given)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "rtu"])
def test_the_value_comes_with_its_own_state_where_the_critic_has_its_own_trunk(
    cell: str, shared: bool, tmp_path: Path
) -> None:
    agent = trained(cell=cell, shared=shared)
    export_onnx(agent, tmp_path / "policy.onnx", value=True)
    shapes, run = with_onnx(tmp_path / "policy.onnx")
    assert_same_over_an_episode(agent, shapes, run, value=True)
    assert len(shapes) == (2 if shared else 4)


def test_observations_are_normalized_inside(tmp_path: Path) -> None:
    env = VecNormalize(MemoryBandit(1, 4, action="continuous"), clip_obs=1.5)
    kwargs = {"hidden_size": 8, "net_arch": [8], "memory_length": 10}
    agent = RecurrentPPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0, policy_kwargs=kwargs)
    agent.learn(32)
    observation, start = np.array([[2.0, -3.0, 0.1]], np.float32), np.array([True])
    expected, _ = agent.predict(env.normalize_obs(observation), None, start, deterministic=True)
    for shapes, run in both(agent, tmp_path):
        states = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
        found = run({"observation": observation, "episode_start": start} | states)
        np.testing.assert_allclose(found["action"], expected, rtol=1e-5, atol=1e-5)


def test_the_metadata_are_in_both_files(tmp_path: Path) -> None:
    metadata = {"control_hz": 20.0, "observation_names": ["left", "right"], "rlmem_version": "1"}
    export_onnx(trained(), tmp_path / "policy.onnx", metadata=metadata)
    export_numpy(trained(), tmp_path / "policy.npz", metadata=metadata)
    assert NumpyPolicy(tmp_path / "policy.npz").metadata == metadata
    found = onnx.load(tmp_path / "policy.onnx").metadata_props
    assert {entry.key: json.loads(entry.value) for entry in found} == metadata


def test_the_runner_is_one_file_that_needs_numpy_only(tmp_path: Path) -> None:
    export_numpy(trained(), tmp_path / "policy.npz")
    code = """
import sys
import numpy as np
from numpy_policy import NumpyPolicy
action, state = NumpyPolicy("policy.npz").predict(np.zeros(3, np.float32))
assert action.shape == (1,) and len(state) == 2 and state[0].shape == (1, 8)
assert not {"torch", "rlmem", "scipy", "gymnasium"} & set(sys.modules), sorted(sys.modules)
"""
    (tmp_path / "robot.py").write_text(code)
    subprocess.run([sys.executable, "robot.py"], check=True, cwd=tmp_path)


def test_wrong_observations_and_foreign_files_are_refused(tmp_path: Path) -> None:
    export_numpy(trained(), tmp_path / "policy.npz")
    policy = NumpyPolicy(tmp_path / "policy.npz")
    with pytest.raises(ValueError, match=r"observations must have shape \(3,\)"):
        policy.predict(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"state must be what the last call returned"):
        policy.predict(np.zeros((2, 3)), policy.initial_state(1))
    with pytest.raises(ValueError, match="takes the likeliest action"):
        policy.predict(np.zeros(3), deterministic=False)
    np.savez(tmp_path / "foreign.npz", x=np.zeros(2))
    (tmp_path / "policy.onnx").write_bytes(b"a graph")
    whole = (tmp_path / "policy.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[:-200])
    (tmp_path / "damaged.npz").write_bytes(whole[:2_000] + bytes(500) + whole[2_500:])
    (tmp_path / "empty.npz").write_bytes(b"")
    packed = bytearray(whole)
    packed[whole.rindex(b"PK\x01\x02") + 10] = 99  # a way of packing that zip does not know
    (tmp_path / "packed.npz").write_bytes(packed)
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", policy=json.dumps({"metadata": {}}))
    files = ("foreign.npz", "policy.onnx", "short.npz", "damaged.npz", "empty.npz", "packed.npz", "array.npy")
    for foreign in (*files, "other.npz"):
        with pytest.raises(ValueError, match="is no policy"):
            NumpyPolicy(tmp_path / foreign)


@pytest.mark.parametrize("export", [export_onnx, export_numpy])
def test_a_graph_that_differs_from_the_policy_is_not_written(
    export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LSTM, "onnx_step", lambda cell, graph, x, state: (state[1], state))
    with pytest.raises(RuntimeError, match="differs from the policy at step 0"):
        export(trained(), tmp_path / "policy")
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
    with pytest.raises(ValueError, match=r"pip install 'rlmem\[onnx\]'"):
        export_onnx(trained(), tmp_path / "policy.onnx")
