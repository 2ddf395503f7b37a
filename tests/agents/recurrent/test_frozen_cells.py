"""Agents with frozen cells train all but the cells, and resume exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from memory_bandit import MemoryBandit
from ppo_cases import SMALL

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.networks.cells import CELLS


def frozen(kind: type[RecurrentOnPolicy], cell: str = "lstm") -> RecurrentOnPolicy:
    env = MemoryBandit(3, 5, action="continuous", truncate_every=4, seed=1)
    network = SMALL | {"cell": cell, "n_layers": 2}
    return kind("MlpPolicy", env, n_steps=16, policy_kwargs=network, seed=0, frozen_cells=True)


def parameters(agent: RecurrentOnPolicy) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in agent.policy.named_parameters()}


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_cells_stay_as_they_were_and_all_that_reads_them_is_trained(cell: str) -> None:
    agent = frozen(RecurrentPPO, cell)
    before = parameters(agent)
    agent.learn(96)
    for name, after in parameters(agent).items():
        in_cells = ".layers." in name
        assert torch.equal(before[name], after) is in_cells, name
    trained = sum(parameter.numel() for parameter in agent.policy.optimizer.param_groups[0]["params"])
    assert trained == sum(value.numel() for name, value in before.items() if ".layers." not in name)


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(kind: type[RecurrentOnPolicy], tmp_path: Path) -> None:
    whole = frozen(kind)
    whole.learn(96)
    whole.save(tmp_path / "half")
    whole.learn(96, reset_num_timesteps=False)
    torch.manual_seed(77)
    resumed = kind.load(tmp_path / "half", MemoryBandit(3, 5, action="continuous", truncate_every=4, seed=2))
    assert resumed.settings.frozen_cells
    resumed.learn(96, reset_num_timesteps=False)
    ours, theirs = (agent.policy.parameters_to_vector() for agent in (resumed, whole))
    assert np.array_equal(ours, theirs)
