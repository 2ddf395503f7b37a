"""A learning rate of their own for the memory cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from ppo_cases import SMALL

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.errors import UserError

KINDS = pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])


def make(kind: type[RecurrentOnPolicy], seed: int = 1, **arguments: Any) -> RecurrentOnPolicy:
    settings: dict[str, Any] = {"n_steps": 16, "learning_rate": 1e-2, "policy_kwargs": SMALL, "seed": 0} | arguments
    return kind("MlpPolicy", MemoryBandit(3, 5, truncate_every=4, seed=seed), **settings)


def moved(agent: RecurrentOnPolicy) -> dict[str, float]:
    """How far each part of the network moved in training."""
    before = {name: value.detach().clone() for name, value in agent.policy.network.named_parameters()}
    agent.learn(96)
    far: dict[str, float] = {}
    for name, value in agent.policy.network.named_parameters():
        part = name.partition(".")[0]
        far[part] = max(far.get(part, 0.0), float((value.detach() - before[name]).abs().max()))
    return far


@KINDS
@pytest.mark.parametrize("shared", [False, True])
def test_cells_move_by_their_own_rate_and_all_else_by_the_other(kind: type[RecurrentOnPolicy], shared: bool) -> None:
    by = moved(make(kind, trunk_learning_rate=1e-9, policy_kwargs=SMALL | {"shared": shared}))
    assert by["actor"] < 1e-6
    assert shared or by["critic"] < 1e-6
    assert min(by["actor_net"], by["critic_net"]) > 1e-3


@KINDS
def test_the_same_rate_is_none_of_their_own(kind: type[RecurrentOnPolicy]) -> None:
    one, other = make(kind).learn(96), make(kind, trunk_learning_rate=1e-2).learn(96)
    assert np.array_equal(one.policy.parameters_to_vector(), other.policy.parameters_to_vector())


@KINDS
def test_a_resumed_run_equals_the_uninterrupted_one_and_both_rates_fall(
    kind: type[RecurrentOnPolicy], tmp_path: Path
) -> None:
    whole = make(kind, trunk_learning_rate=1e-3, lr_schedule="linear").learn(96)
    whole.save(tmp_path / "half")
    resumed = kind.load(tmp_path / "half", MemoryBandit(3, 5, truncate_every=4, seed=2))
    for agent in (whole, resumed):
        agent.learn(96, reset_num_timesteps=False)
        agent._current_progress_remaining = 0.25
        agent._update_learning_rate(agent.policy.optimizer)
        rates = {group["trunk"]: group["lr"] for group in agent.policy.optimizer.param_groups}
        assert rates == pytest.approx({False: 2.5e-3, True: 2.5e-4})
    assert np.array_equal(whole.policy.parameters_to_vector(), resumed.policy.parameters_to_vector())


def test_a_file_is_resumed_with_another_rate(tmp_path: Path) -> None:
    agent = make(RecurrentPPO).learn(96)
    agent.save(tmp_path / "agent")
    resumed = RecurrentPPO.load(tmp_path / "agent", trunk_learning_rate=1e-3)
    for name, parameter in agent.policy.named_parameters():
        ours = resumed.policy.optimizer.state[dict(resumed.policy.named_parameters())[name]]
        assert torch.equal(ours["exp_avg"], agent.policy.optimizer.state[parameter]["exp_avg"])


def test_an_optimizer_of_ones_own_and_a_schedule_are_taken() -> None:
    own = SMALL | {"optimizer_class": torch.optim.SGD}
    agent = make(RecurrentPPO, trunk_learning_rate=lambda progress: 1e-3 * progress, policy_kwargs=own).learn(96)
    rates = {group["trunk"]: group["lr"] for group in agent.policy.optimizer.param_groups}
    assert rates[False] == 1e-2
    assert 0 <= rates[True] < 1e-3


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="leave out trunk_learning_rate"):
        make(RecurrentPPO, trunk_learning_rate=1e-3, frozen_cells=True)
    with pytest.raises(UserError, match="trunk_learning_rate must be above 0, got 0"):
        make(RecurrentPPO, trunk_learning_rate=0)
