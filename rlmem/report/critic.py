"""What an agent's critic expects at each step of an episode.

Axes: T control steps, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlmem.errors import UserError
from rlmem.report.trace import Trace


@torch.no_grad()
def critic_values(agent: Any, episode: Trace) -> list[float]:
    """Return the values [T] of an episode by the critic of an agent.

    Where the episode was lesioned, the critic's own memory is emptied at the same step.

    Args:
        agent: A recurrent agent of this package, or one of stable-baselines3 without memory.
        episode: What it saw.

    Raises:
        UserError: If the agent has no critic that is known here.
    """
    policy: Any = getattr(getattr(agent, "model", agent), "policy", None)
    network: Any = getattr(policy, "network", None)
    if getattr(policy, "privileged", False):
        raise UserError(f"the critic of {type(agent).__name__} sees the full state, which an episode does not hold")
    seen = _joined(episode.observations)
    if hasattr(network, "critic_net") and hasattr(policy, "encode"):
        features = torch.from_numpy(np.asarray(policy.encode(seen))).to(policy.device)[:, None]
        lesioned, fresh = episode.lesioned or 0, network.critic.initial_state(1)
        parts = [part for part in (features[:lesioned], features[lesioned:]) if len(part)]
        values = network.critic_net(torch.cat([network.critic.scan(part, None, fresh).output for part in parts]))
    elif hasattr(policy, "predict_values") and hasattr(policy, "obs_to_tensor") and not hasattr(policy, "lstm_actor"):
        try:
            values = policy.predict_values(policy.obs_to_tensor(seen)[0])
        except (TypeError, RuntimeError, AssertionError) as error:
            raise UserError(f"the critic of {type(agent).__name__} does not take what the agent sees") from error
    else:
        raise UserError(f"{type(agent).__name__} has no critic whose value is known at each step")
    listed: list[float] = values.flatten().cpu().numpy().astype(float).tolist()
    return listed


def _joined(observations: list[Any]) -> Any:
    """Return observations [T, ...] of T of them [1, ...]."""
    if isinstance(observations[0], dict):
        return {key: np.concatenate([part[key] for part in observations]) for key in observations[0]}
    return np.concatenate(observations)
