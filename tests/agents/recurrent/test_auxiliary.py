"""An auxiliary loss on privileged labels: what is predicted, that it shapes the memory, exact resume, who sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from ppo_cases import collect

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.export import export_numpy
from rlmem.agents.recurrent.numpy_actor import NumpyActor
from rlmem.agents.recurrent.numpy_policy import NumpyPolicy
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.vec_env import SpacesOnly
from rlmem.environments import make_vector
from rlmem.errors import UserError
from rlmem.privileged import NamedBox, with_privileged
from rlmem.runs.loading import load_run
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": (8,), "n_steps": 16, "seed": 0}
KINDS = pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])


class Unrewarded(MemoryBandit):
    """The bandit without its reward."""

    def step_wait(self) -> Any:
        observations, rewards, *rest = super().step_wait()
        return observations, np.zeros_like(rewards), *rest


def make(kind: type[RecurrentOnPolicy] = RecurrentPPO, **arguments: Any) -> RecurrentOnPolicy:
    """An agent that predicts the bandit's cue, component 0 of its privileged observation."""
    env = arguments.pop("env", None) or MemoryBandit(4, 5, observation="privileged")
    return kind("MultiInputPolicy", env, **(SMALL | {"auxiliary": ("0",)} | arguments))


def error(agent: RecurrentOnPolicy) -> float:
    """Mean squared error of the predicted labels over a fresh rollout; 1 for whoever predicts their mean."""
    collect(agent)
    batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
    assert batch.labels is not None
    assert agent.policy.auxiliary is not None
    with torch.no_grad():
        hidden = agent.evaluate(batch).hidden
        return float(agent.policy.auxiliary.loss(hidden, batch.labels))


def test_labels_are_the_named_components_with_mean_0_and_deviation_1() -> None:
    space = with_privileged(spaces.Box(-1, 1, (3,), np.float32), NamedBox(["cue", "time", "cue", "speed"]))
    agent = RecurrentPPO(
        "MultiInputPolicy", SpacesOnly(space, spaces.Discrete(2), 1), **SMALL, auxiliary=("cue", "time")
    )
    auxiliary = agent.policy.auxiliary
    assert auxiliary is not None
    numbers = np.random.default_rng(0).normal(5.0, 3.0, (400, 4)).astype(np.float32)
    auxiliary.count({"privileged": numbers})
    labels = auxiliary.labels(torch.from_numpy(numbers))
    wanted = (numbers[:, :3] - numbers[:, :3].mean(0)) / numbers[:, :3].std(0)
    np.testing.assert_allclose(labels, wanted, atol=1e-4)


@KINDS
def test_the_memory_learns_what_is_predicted_also_where_rewards_say_nothing(kind: type[RecurrentOnPolicy]) -> None:
    agent = make(kind, env=Unrewarded(8, 5, observation="privileged"), n_steps=48, learning_rate=5e-3)
    first = error(agent)
    agent.learn(4000)
    assert error(agent) < 0.1 < 0.8 < first


def test_without_weight_training_is_as_without_it() -> None:
    one, other = make(auxiliary_coef=0.0).learn(256), make(auxiliary=()).learn(256)
    for name, value in other.policy.state_dict().items():
        torch.testing.assert_close(one.policy.state_dict()[name], value)


@KINDS
def test_a_resumed_run_equals_the_uninterrupted_one(kind: type[RecurrentOnPolicy], tmp_path: Path) -> None:
    whole = make(kind).learn(128)
    whole.save(tmp_path / "half")
    resumed = kind.load(tmp_path / "half", MemoryBandit(4, 5, observation="privileged", seed=3))
    for agent in (whole, resumed):
        agent.learn(128, reset_num_timesteps=False)
    ours, theirs = resumed.policy.state_dict(), whole.policy.state_dict()
    assert any(name.startswith("auxiliary.") for name in theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_acts_has_no_part_of_it(tmp_path: Path) -> None:
    agent = make().learn(64)
    agent.save(tmp_path / "agent.safetensors")
    seen = np.ones((2, 3), np.float32)
    wanted = agent.predict(seen, deterministic=True)[0]
    agent.policy.save(tmp_path / "policy")
    export_numpy(agent, tmp_path / "policy.npz")
    for actor in (
        NumpyActor.load(tmp_path / "agent.safetensors"),
        type(agent.policy).load(tmp_path / "policy"),
        NumpyPolicy(tmp_path / "policy.npz"),
    ):
        assert np.array_equal(actor.predict(seen, deterministic=True)[0], wanted)
    for one, other in ((make(), make(auxiliary=())), (make(auxiliary=()), make())):
        one.learn(64)
        one.save(tmp_path / "weights")
        other.init_from(tmp_path / "weights")
        assert np.array_equal(other.predict(seen, deterministic=True)[0], one.predict(seen, deterministic=True)[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="auxiliary needs a Dict observation with a part 'privileged'"):
        RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), **SMALL, auxiliary=("0",))
    with pytest.raises(UserError, match=r"unknown label of auxiliary 'cue'.* Known: 0, 1"):
        make(auxiliary="cue")
    with pytest.raises(UserError, match="auxiliary_coef must be at least 0, got -1"):
        make(auxiliary_coef=-1)


def test_tasks_name_the_components_of_their_state() -> None:
    knobs = {"memory_length": 3, "robot": "planar"}
    env = make_vector("TMaze-v0", 2, knobs, autoreset_mode="same_step", privileged=True)
    space = env.single_observation_space["privileged"]
    assert isinstance(space, NamedBox)
    state = env.reset(seed=0)[0]["privileged"]
    cue = [i for i, name in enumerate(space.names) if name == "cue"]
    assert len(cue) == 10  # which of 0 to 8 it is, and its logarithm
    np.testing.assert_array_equal(state[:, cue[:9]].argmax(1), np.round(np.expm1(state[:, cue[9]])))
    env.close()


def test_a_run_trains_with_it_and_acts_without(tmp_path: Path) -> None:
    settings = RunSettings(
        env="TMaze-v0",
        agent="recurrent_ppo",
        steps=64,
        envs=2,
        eval_every=32,
        eval_episodes=1,
        knobs={"memory_length": 3, "robot": "planar", "query_steps": 10},
        agent_settings={"n_steps": 16, "hidden_size": 8, "auxiliary": ["cue", "phase"]},
    )
    folder = train(settings, tmp_path)
    agent = load_run(folder).agent
    assert agent.information == "reward, labels: cue phase"
    train(RunSettings(**{**settings.__dict__, "steps": 96}), folder=folder, resume=True)


@pytest.mark.parametrize("names", ["cue", []])
def test_names_of_components_are_a_list(names):
    with pytest.raises(UserError, match="names must be a list with a name for each component"):
        NamedBox(names)
