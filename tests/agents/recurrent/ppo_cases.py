"""Small agents for the tests of RecurrentPPO and RecurrentA2C."""

from __future__ import annotations

from typing import Any

from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.ppo import RecurrentPPO

SMALL: dict[str, Any] = {"hidden_size": 8, "net_arch": (8,)}
"""Of a network that is quick to train."""


def small_ppo(env: Any, **arguments: Any) -> RecurrentPPO:
    defaults: dict[str, Any] = {
        "n_steps": 16,
        "batch_size": 32,
        "n_epochs": 2,
        "seed": 0,
        "norm_obs": False,
        "policy_kwargs": SMALL,
    }
    return RecurrentPPO("MlpPolicy", env, **(defaults | arguments))


def collect(agent: RecurrentOnPolicy) -> None:
    """One rollout without training."""
    _, callback = agent._setup_learn(10, None, False)
    assert agent.env is not None
    agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
