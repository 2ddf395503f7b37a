"""A recurrent actor-critic trained by Kalman filters, or by Adam for comparison, from reward alone.

The critic's filter treats lambda-returns as noisy observations of the value. The actor's filter treats each action as a
pseudo-observation of the policy: if an action a did better than expected (advantage A > 0), the mean mu should be
nearer to it, so that the innovation is e = A (a - mu) with R = Sigma; for discrete actions, the same in log-odds. This
is the natural policy gradient, with P in place of the inverse Fisher information. Jacobian rows dy/dtheta are computed
by RTRL; there is one update per rollout.

Sources: Shashua and Mannor, "Kalman meets Bellman: Improving Policy Evaluation through Value Tracking",
arXiv:2002.07171, 2020 (KOVA, the critic); Ollivier, "Online Natural Gradient as a Kalman Filter", Electronic Journal of
Statistics 12(2), 2018; Kakade, "A Natural Policy Gradient", NIPS 2001; Schulman et al., "High-Dimensional Continuous
Control Using Generalized Advantage Estimation", ICLR 2016; and "Trust Region Policy Optimization", ICML 2015 (the bound
of a step).

Axes: T time, N environments, D observation, A action, Q outputs, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.actor_critic_controller import ActorCriticController
from rlmem.agents.online.controller import ControllerSettings, as_float64
from rlmem.agents.online.rollout_learner import AdamRolloutLearner, KalmanRolloutLearner, RolloutLearner
from rlmem.agents.recurrent.evaluate_rollout import generalized_advantages
from rlmem.errors import UserError
from rlmem.learning.derivatives import DERIVATIVES
from rlmem.learning.divergence import check_finite
from rlmem.learning.kalman import GaussianLikelihood, KalmanSettings
from rlmem.learning.kalman.likelihoods import Innovation
from rlmem.learning.network import Network
from rlmem.learning.updates import GradientSettings, Groups
from rlmem.suggest import unknown

UpdateName = Literal["kalman", "adam"]


@dataclass(frozen=True, kw_only=True)
class KalmanActorCriticSettings(ControllerSettings):
    """Hyperparameters of the Kalman actor-critic. See also :class:`ControllerSettings`.

    Args:
        update: "kalman": Kalman filters update actor and critic; "adam": Adam does, with all else the same.
        derivative: Algorithm for the Jacobian rows dy/dtheta: "rtrl", "snap1" or "tbptt".
        n_steps: Control steps of each environment per rollout and update.
        gamma: Discount factor per control step.
        gae_lambda: lambda of the lambda-returns and of generalized advantage estimation.
        deviation: Standard deviation of actions in training, in units of half their range; not for discrete actions.
        max_kl: Largest Kullback-Leibler divergence between the policies before and after an update, nats.
        p0: Prior variance of a parameter of the actor. R is the variance of the actions.
        forgetting: The actor's P is divided by this at each rollout.
        critic_p0: Prior variance of a parameter of the critic.
        critic_noise: R, variance of a lambda-return about the value.
        critic_forgetting: The critic's P is divided by this at each rollout.
        clip: Bound of the normalized innovation (Huber); None: no bound.
        groups: "one": one full P (GEKF); "node", "gate" or "layer": one block of P for each (NDEKF); "auto": one if
            it is small enough, else one block per node.
        learning_rate: Learning rate of Adam.
        max_grad_norm: With Adam: gradients are scaled down to this norm.

    Raises:
        UserError: If a value is out of bounds.
    """

    hidden_size: int = 16
    update: UpdateName = "kalman"
    derivative: str = "rtrl"
    n_steps: int = 128
    gamma: float = 0.99
    gae_lambda: float = 0.9
    deviation: float = 1.0
    max_kl: float = 0.01
    p0: float = 0.3
    forgetting: float = 0.9
    critic_p0: float = 3.0
    critic_noise: float = 0.3
    critic_forgetting: float = 0.99
    clip: float | None = 3.0
    groups: Groups = "auto"
    learning_rate: float = 1e-2
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (
            ("update", get_args(UpdateName)),
            ("derivative", DERIVATIVES),
            ("groups", get_args(Groups)),
        ):
            if getattr(self, name) not in known:
                raise UserError(unknown(name, getattr(self, name), known))
        if self.n_steps < 1:
            raise UserError(f"n_steps must be at least 1, got {self.n_steps}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("deviation", "critic_noise"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        if not self.max_kl > 0:
            raise UserError(f"max_kl must be above 0 nats (inf for no bound), got {self.max_kl}")
        _ = self.actor_filter, self.critic_filter, self.gradient

    @property
    def actor_filter(self) -> KalmanSettings:
        """The settings of the actor's filter."""
        return KalmanSettings(p0=self.p0, forgetting=self.forgetting, clip=self.clip)

    @property
    def critic_filter(self) -> KalmanSettings:
        """The settings of the critic's filter."""
        return KalmanSettings(p0=self.critic_p0, forgetting=self.critic_forgetting, clip=self.clip)

    @property
    def gradient(self) -> GradientSettings:
        """The settings of Adam."""
        return GradientSettings(learning_rate=self.learning_rate, max_grad_norm=self.max_grad_norm)


class KalmanActorCritic(ActorCriticController):
    """A recurrent actor-critic trained by Kalman filters from reward alone. See the module's docstring."""

    name = "kalman_actor_critic"
    Settings: ClassVar[type[Any]] = KalmanActorCriticSettings
    init_scale = 0.01

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: KalmanActorCriticSettings = self.settings
        self.actor = self._rollout_learner(self.network, settings.actor_filter)
        self.critic = self._rollout_learner(self.critic_network, settings.critic_filter)
        self._returns = GaussianLikelihood(variance=settings.critic_noise)
        self._update_metrics: dict[str, float] = {}

    @property
    def steps_per_advance(self) -> int:
        """T, control steps of each environment in a rollout."""
        steps: int = self.settings.n_steps
        return steps

    def begin(self, num_envs: int) -> None:
        """Start the derivatives of N streams. See :meth:`Controller.begin`."""
        self.actor.begin(num_envs)
        self.critic.begin(num_envs)

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Collect a rollout, then update critic and actor. See :meth:`Controller.advance`."""
        shape = (self.settings.n_steps, env.num_envs)
        rewards, values, following = np.zeros((3, *shape))
        terminated, truncated = np.zeros((2, *shape), dtype=np.bool_)
        outputs, actions = [], []
        for t in range(len(rewards)):
            x, starts = as_float64("observations", observation), torch.as_tensor(start)
            output, value = self.actor.step(x, starts), self.critic.step(x, starts)
            values[t] = value[:, 0].numpy()
            action = self.distribution.draw(output, self._rng)
            outputs.append(output)
            actions.append(action)
            observation, rewards[t], terminated[t], truncated[t], infos = env.step(self.distribution.to_env(action))
            check_finite("rewards", rewards[t])
            start = terminated[t] | truncated[t]
            if truncated[t].any():
                following[t] = self._final_values(infos, truncated[t], shape=observation.shape)
            self._count_episodes(start, infos)
        last = self.critic.peek(as_float64("observations", observation), torch.as_tensor(start))[:, 0].numpy()
        next_values = np.where(truncated, following, np.concatenate((values[1:], last[None])))
        advantages, returns = generalized_advantages(
            rewards.astype(np.float32),
            values.astype(np.float32),
            next_values.astype(np.float32),
            terminated,
            truncated,
            gamma=self.settings.gamma,
            gae_lambda=self.settings.gae_lambda,
        )
        tensors = (torch.from_numpy(part).double() for part in (values, returns, advantages))
        self._update(torch.cat(outputs), torch.cat(actions), *tensors)
        return observation, start

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the last update, such as normalized innovations squared and divergence."""
        return self._update_metrics

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives, covariances or moments, and the generator. See :meth:`Controller.stream_state`."""
        rng = self._rng.bit_generator.state
        return {
            "actor": self.actor.state(),
            "critic": self.critic.state(),
            "rng": rng,
            "moved": self._update_metrics,
        }

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        self.actor.restore(state["actor"])
        self.critic.restore(state["critic"])
        self._rng.bit_generator.state = state["rng"]
        self._update_metrics = state["moved"]

    def _rollout_learner(self, network: Network, filter_settings: KalmanSettings) -> RolloutLearner:
        settings: KalmanActorCriticSettings = self.settings
        if settings.update == "adam":
            return AdamRolloutLearner(network, settings.derivative, settings.gradient)
        return KalmanRolloutLearner(network, settings.derivative, settings.groups, filter_settings)

    def _final_values(self, infos: dict[str, Any], where: Array, shape: tuple[int, ...]) -> Array:
        """Return the values [N] of the last observations of truncated episodes, 0 elsewhere."""
        last = np.zeros(shape)
        for index in np.flatnonzero(where):
            last[index] = infos["final_obs"][index]
        values = self.critic.peek(as_float64("observations", last), torch.zeros(len(last), dtype=torch.bool))[
            :, 0
        ].numpy()
        kept: Array = np.where(where, values, 0.0)
        return kept

    def _update(self, outputs: Tensor, actions: Tensor, values: Tensor, returns: Tensor, advantages: Tensor) -> None:
        """Update the critic towards returns [T, N] and the actor along advantages [T, N]."""
        seen = self._returns.innovation(values.reshape(-1, 1), returns.reshape(-1, 1))
        critic = self.critic.update(self._returns, seen)
        scaled = ((advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)).reshape(-1, 1)
        error, noise = self.distribution.likelihood.innovation(outputs, actions)
        actor = self.actor.update(self.distribution.likelihood, Innovation(scaled * error, noise), self.settings.max_kl)
        unexplained = float((returns - values).var() / returns.var().clamp_min(1e-12))
        self._update_metrics = {f"critic/{name}": value for name, value in critic.items()}
        self._update_metrics |= {f"actor/{name}": value for name, value in actor.items()}
        self._update_metrics["critic/explained_variance"] = 1.0 - unexplained
