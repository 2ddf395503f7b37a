"""A recurrent actor-critic that learns at every control step by RTRL, without storing sequences.

Actor and critic are separate recurrent networks. RTRL maintains dh/dtheta, so that the score d log pi / dtheta and the
gradient of the value are exact at every step, however long ago the cause was. Eligibility traces accumulate both, and
each temporal-difference error updates both networks at once. Memory and time per step do not depend on the length of an
episode.

Updates follow the natural gradient: F^-1 times the trace, with F a running mean of the Fisher information. The
observations at the query affect an untrained cell far more than what is left of the cue, so that with plain gradients
the policy drifts to one answer before it has learnt to distinguish the cues. Observations are scaled by their running
mean and deviation.

Sources: Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Neural
Computation 1(2), 1989 (RTRL); Sutton and Barto, "Reinforcement Learning", 2nd edition, 2018, section 13.6 (actor-critic
with eligibility traces); Elelimy et al., "Real-Time Recurrent Learning using Trace Units in Reinforcement Learning",
NeurIPS 2024 (the cell); Elsayed, Vasan and Mahmood, "Streaming Deep Reinforcement Learning Finally Works", 2024
(running scales); :mod:`rlmem.learning.natural_gradient`.

Axes: N environments, D observation, A action, Q outputs, q whitened outputs, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.controller import ControllerSettings, as_float64
from rlmem.agents.online.stepwise_actor_critic import StepwiseActorCritic
from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, make_derivative
from rlmem.learning.divergence import check_change
from rlmem.learning.kalman.likelihoods import Innovation
from rlmem.learning.natural_gradient import Fisher, FisherSettings, FisherState
from rlmem.learning.network import Network
from rlmem.learning.updates import Groups, group_indices
from rlmem.suggest import unknown

_DERIVATIVES = ("rtrl", "snap1")
_MIN_TD_SCALE = 1e-3
_TD_HORIZON = 1_000.0
"""Control steps over which squared temporal-difference errors are averaged."""


@dataclass(frozen=True, kw_only=True)
class RTRLActorCriticSettings(ControllerSettings):
    """Hyperparameters of the RTRL actor-critic. See also :class:`ControllerSettings`.

    Args:
        derivative: "rtrl", which is exact, or "snap1", its sparse approximation.
        learning_rate: Learning rate of the actor, for temporal-difference errors in units of their running root mean
            square.
        critic_rate: Learning rate of the critic. A step never overshoots the error that it corrects.
        gamma: Discount factor per control step.
        trace_decay: lambda of the eligibility traces.
        deviation: Standard deviation of actions in training, in units of half their range; not for discrete actions.
        max_kl: Largest Kullback-Leibler divergence of the policy per control step, nats.
        damping: Damping of the Fisher information.
        horizon: Control steps over which the Fisher information is averaged.
        groups: "one": one matrix over all parameters; "node", "gate" or "layer": one block for each; "auto": one if it
            is small enough, else one block per node.

    Raises:
        UserError: If a value is out of bounds.
    """

    derivative: str = "rtrl"
    learning_rate: float = 2e-4
    critic_rate: float = 0.03
    gamma: float = 0.99
    trace_decay: float = 0.97
    deviation: float = 0.6
    max_kl: float = 1e-3
    damping: float = 0.1
    horizon: int = 1_000
    groups: Groups = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.derivative not in _DERIVATIVES:
            raise UserError(unknown("derivative", self.derivative, _DERIVATIVES))
        if self.groups not in get_args(Groups):
            raise UserError(unknown("groups", self.groups, get_args(Groups)))
        for name in ("gamma", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("learning_rate", "critic_rate", "deviation", "max_kl"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        _ = self.fisher

    @property
    def fisher(self) -> FisherSettings:
        """The settings of the Fisher information."""
        return FisherSettings(damping=self.damping, horizon=self.horizon)


class _Traces(NamedTuple):
    """State that learning carries from one control step to the next for one network; never changed in place."""

    carry: Carry
    eligibility: Tensor
    """[N, P] eligibility traces."""
    fisher: FisherState


class RTRLActorCritic(StepwiseActorCritic):
    """A recurrent actor-critic that learns at every control step from reward alone. See the module's docstring."""

    name = "rtrl_actor_critic"
    Settings: ClassVar[type[Any]] = RTRLActorCriticSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: RTRLActorCriticSettings = self.settings
        self.derivative = make_derivative(settings.derivative, self.network)
        self.critic_derivative = make_derivative(settings.derivative, self.critic_network)
        self._actor_fisher, self._critic_fisher = self._fisher(self.network), self._fisher(self.critic_network)
        self._actor: _Traces | None = None
        self._critic: _Traces | None = None
        self._td_square = 1.0
        self._kl = math.nan

    def begin(self, num_envs: int) -> None:
        """Start traces and derivatives of N streams; keep the Fisher information."""

        def fresh(before: _Traces | None, carry: Carry, fisher: Fisher, size: int) -> _Traces:
            information = fisher.initial_state() if before is None else before.fisher
            return _Traces(carry, torch.zeros(num_envs, size, dtype=torch.float64), information)

        actor, critic = self.derivative, self.critic_derivative
        self._actor = fresh(self._actor, actor.start(num_envs), self._actor_fisher, actor.num_parameters)
        self._critic = fresh(self._critic, critic.start(num_envs), self._critic_fisher, critic.num_parameters)

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act and learn for some control steps. See :meth:`Controller.advance`."""
        for _ in range(self.steps_per_advance):
            x, starts = self._scaled(observation), torch.as_tensor(start)
            output, value = self._forward(x, starts)
            action = self.distribution.draw(output, self._rng)
            self._extend_traces(output, action, starts)
            observation, reward, terminated, truncated, infos = env.step(self.distribution.to_env(action))
            start = terminated | truncated
            next_value = self._next_values(observation, start, truncated & ~terminated, infos)
            error = as_float64("rewards", reward) + self.settings.gamma * next_value - value
            self._learn_from(error)
            self._count_episodes(start, infos)
        return observation, start

    def metrics(self) -> dict[str, float]:
        """Return the running root mean square of temporal-difference errors, and the divergence of the last step."""
        return {"critic/td_error": math.sqrt(self._td_square), "actor/kl": self._kl}

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives, traces, Fisher information and the generator. See :meth:`Controller.stream_state`."""
        assert self._actor is not None
        assert self._critic is not None
        numbers = {"power": self._td_square, "kl": self._kl, "rng": self._rng.bit_generator.state}
        return {"actor": _to_tree(self._actor), "critic": _to_tree(self._critic), "numbers": numbers}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        self._actor, self._critic = _from_tree(state["actor"]), _from_tree(state["critic"])
        self._td_square, self._kl = state["numbers"]["power"], state["numbers"]["kl"]
        self._rng.bit_generator.state = state["numbers"]["rng"]

    def _fisher(self, network: Network) -> Fisher:
        return Fisher(network.num_parameters, group_indices(network, self.settings.groups), self.settings.fisher)

    def _forward(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [N, Q] of the actor and values [N], for observations [N, D]."""
        assert self._actor is not None
        assert self._critic is not None
        output, carry = self.derivative.step(x, start, self._actor.carry)
        self._actor = self._actor._replace(carry=carry)
        value, carry = self.critic_derivative.step(x, start, self._critic.carry)
        self._critic = self._critic._replace(carry=carry)
        return output, value[:, 0]

    def look_ahead(self, x: Tensor) -> Tensor:
        """Return the values [N] of the next observations. See :meth:`StepwiseActorCritic.look_ahead`."""
        assert self._critic is not None
        return self.critic_derivative.step(x, torch.zeros(len(x), dtype=torch.bool), self._critic.carry).output[:, 0]

    def _extend_traces(self, output: Tensor, action: Tensor, start: Tensor) -> None:
        """Add scores of actions and gradients of values to the traces, and update the Fisher information."""
        assert self._actor is not None
        assert self._critic is not None
        decay = self.settings.gamma * self.settings.trace_decay * (~start)[:, None]
        likelihood, share = self.distribution.likelihood, len(output) ** -0.5
        rows, error = _whitened(
            likelihood.rows(self.derivative.rows(self._actor.carry)), likelihood.innovation(output, action)
        )
        self._actor = self._actor._replace(
            eligibility=decay * self._actor.eligibility + torch.einsum("nq,nqp->np", error, rows),
            fisher=self._actor_fisher.see(self._actor.fisher, share * rows.flatten(0, 1)),
        )
        gradients = self.critic_derivative.rows(self._critic.carry)[:, 0]
        self._critic = self._critic._replace(
            eligibility=decay * self._critic.eligibility + gradients,
            fisher=self._critic_fisher.see(self._critic.fisher, share * gradients),
        )

    def _learn_from(self, error: Tensor) -> None:
        """Update actor and critic by temporal-difference errors [N]."""
        assert self._actor is not None
        assert self._critic is not None
        settings: RTRLActorCriticSettings = self.settings
        self._td_square += (float(error.square().mean()) - self._td_square) / _TD_HORIZON
        scale = max(math.sqrt(self._td_square), _MIN_TD_SCALE)
        gradient = error @ self._actor.eligibility / scale
        change = settings.learning_rate * self._actor_fisher.natural(self._actor.fisher, gradient[None])[0]
        check_change("the actor", change)
        self._kl = 0.5 * settings.learning_rate * float(change @ gradient)
        traces = self._critic.eligibility
        directions = self._critic_fisher.natural(self._critic.fisher, traces)
        rate = settings.critic_rate / (1.0 + settings.critic_rate * float((directions * traces).sum()))
        correction = rate * (error @ directions)
        check_change("the critic", correction)
        self.network.theta.add_(change, alpha=min(1.0, math.sqrt(settings.max_kl / max(self._kl, 1e-300))))
        self.critic_network.theta.add_(correction)


def _whitened(rows: Tensor, seen: Innovation) -> tuple[Tensor, Tensor]:
    """Return rows [N, q, P] and errors [N, q] in coordinates in which R is the identity."""
    if seen.noise.dim() == 2:
        scale = seen.noise.rsqrt()
        return rows * scale[..., None], seen.error * scale
    root = torch.linalg.cholesky(seen.noise)
    both = torch.linalg.solve_triangular(root, torch.cat((rows, seen.error[..., None]), -1), upper=False)
    return both[..., :-1], both[..., -1]


def _to_tree(traces: _Traces) -> dict[str, Any]:
    return {"carry": traces.carry.to_dict(), "traces": traces.eligibility, "fisher": Fisher.to_tree(traces.fisher)}


def _from_tree(tree: dict[str, Any]) -> _Traces:
    eligibility = torch.as_tensor(tree["traces"])
    return _Traces(Carry.from_dict(tree["carry"]), eligibility, Fisher.from_tree(tree["fisher"]))
