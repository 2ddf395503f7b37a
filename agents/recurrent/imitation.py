"""Imitation beside reinforcement: an agent acts, and its actions are drawn to those of an expert that answers there.

Rewards find what an agent happens to try. Where that is too rarely right, as when a robot must first go and look, an
expert that answers in the agent's own episodes shows what to do; its weight falls to 0, so that rewards have the last
word.

Sources: Ross, Gordon and Bagnell, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning", AISTATS 2011 (the expert answers, the agent acts); Schmitt et al., "Kickstarting Deep Reinforcement
Learning", arXiv 1803.03835, 2018 (both losses at once).

Axes: N environments, M steps, A action components, P outputs of the actor's network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.errors import UserError

METHOD = "expert_action"


def check_expert(env: VecEnv) -> None:
    """Raise a UserError if the environments have no expert. It asks each of them: once a rollout is enough."""
    if not env.has_attr(METHOD):
        raise UserError(
            f"imitation_coef needs an environment with a method {METHOD}() that returns the action of an expert; this "
            "one has none"
        )


def ask_expert(env: VecEnv, policy: RecurrentPolicy) -> NDArray[Any]:
    """Return what the expert would do now in each environment, as a policy stores actions, [N, A].

    Raises:
        UserError: If its actions have another shape than the environments'.
    """
    space: Any = policy.action_space
    actions = np.asarray(env.env_method(METHOD))
    if actions.shape != (env.num_envs, *space.shape):
        raise UserError(f"{METHOD}() must return an action of shape {space.shape}, got {actions.shape[1:]}")
    if isinstance(space, spaces.Box):
        actions = np.clip(actions, space.low, space.high)
    else:
        actions = actions - getattr(space, "start", 0)
    return actions.reshape(env.num_envs, -1).astype(policy.head.action_dtype)


def imitation_loss(policy: RecurrentPolicy, outputs: Tensor, wanted: Tensor) -> Tensor:
    """Return how far the policy is from an expert's actions, mean over steps.

    Args:
        policy: That acts.
        outputs: [M, P] of the actor's network.
        wanted: [M, A] the expert's actions, as the policy stores them.

    Returns:
        Of continuous actions the squares of the distance of the mean, in halves of the space's width; of choices the
        cross entropy, nats.
    """
    if isinstance(policy.action_space, spaces.Box):
        return policy.in_half_widths(policy.means(outputs) - wanted).square().sum(-1).mean()
    return -policy.head.log_prob_and_entropy(outputs, wanted)[0].mean()
