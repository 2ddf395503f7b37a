"""The loss of actions outside their bounds: what it is, that it draws means back, where it has no part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_bandit import MemoryBandit
from ppo_cases import collect

from rlmem.agents.recurrent.a2c import RecurrentA2C
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO
from rlmem.agents.sb3.vec_env import SpacesOnly
from rlmem.errors import UserError

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": (8,), "n_steps": 16, "seed": 0, "ent_coef": 0.0}


def policy_of(low: list[float], high: list[float], **arguments: Any) -> Any:
    space = spaces.Box(np.array(low, np.float32), np.array(high, np.float32))
    env = SpacesOnly(spaces.Box(-1.0, 1.0, (3,), np.float32), space, 1)
    return RecurrentPPO("MlpPolicy", env, **SMALL, **arguments).policy


def test_it_is_the_square_of_how_far_means_lie_outside_in_halves_of_the_width() -> None:
    means = torch.tensor([[0.5, 3.0], [-2.0, 11.0]])
    policy = policy_of([-1.0, 0.0], [1.0, 10.0])
    assert policy.out_of_bounds(means).item() == pytest.approx((1.0**2 + 0.2**2) / 2)


def test_state_dependent_noise_is_no_mean() -> None:
    policy = policy_of([-1.0, -1.0], [1.0, 1.0], use_sde=True)
    outputs = torch.tensor([[0.5, -0.5, *[9.0] * 8]])
    assert policy.out_of_bounds(outputs).item() == 0.0


@pytest.mark.parametrize("kind", [RecurrentPPO, RecurrentA2C])
def test_it_draws_means_back(kind: type[RecurrentOnPolicy]) -> None:
    def outside(coef: float) -> float:
        agent = kind(
            "MlpPolicy", MemoryBandit(4, 5, action="continuous"), **SMALL, learning_rate=0.01, bounds_coef=coef
        )
        with torch.no_grad():
            last: Any = agent.policy.network.actor_net[-1]
            last.bias += 3.0
        agent.learn(16 * 4 * 20)
        collect(agent)
        batch = agent.minibatch(np.arange(agent.rollout_buffer.n_rows))
        with torch.no_grad():
            return float(agent.policy.out_of_bounds(agent.evaluate(batch).outputs))

    assert outside(1.0) < 0.5 * outside(0.0)


def test_choices_have_no_bounds() -> None:
    one, other = (RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), **SMALL, bounds_coef=coef) for coef in (0.0, 1.0))
    for agent in (one, other):
        agent.learn(128)
    for part, same in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(part, same)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UserError, match="bounds_coef must be at least 0, got -1"):
        RecurrentPPO("MlpPolicy", MemoryBandit(4, 5), **SMALL, bounds_coef=-1.0)
