"""Stream AC(lambda) with memory: an actor-critic that learns at every control step, each step bounded by its own size.

Actor and critic are separate recurrent networks, whose derivatives are carried forward by RTRL. Eligibility traces and
the step size "ObGD" are those of the source: a step is shortened so that kappa such steps would not overshoot the error
that they correct. The weights start sparse, the cell's output is normalized over its units, and observations and
rewards are scaled by running statistics. No sequence is stored.

Sources: Elsayed, Vasan and Mahmood, "Streaming Deep Reinforcement Learning Finally Works", arXiv:2410.14606, 2024;
Elelimy et al., "Real-Time Recurrent Learning using Trace Units in Reinforcement Learning", NeurIPS 2024 (the cell).
Deviations: a recurrent cell in place of two hidden layers; observations are scaled by
:class:`rlmem.learning.running_moments.RunningMoments`, which has a floor and a bound.

Axes: N environments, D observation, A action, H hidden, Q outputs, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from torch import Tensor
from torch.nn.functional import layer_norm

from rlmem.agents.base import Array
from rlmem.agents.online.controller import ControllerSettings, as_float64
from rlmem.agents.online.learned_actions import make_learned_actions
from rlmem.agents.online.stepwise_actor_critic import StepwiseActorCritic
from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, Derivative, make_derivative
from rlmem.learning.divergence import check_change
from rlmem.learning.network import Network
from rlmem.learning.running_moments import RunningMoments
from rlmem.suggest import unknown

_DERIVATIVES = ("rtrl", "snap1")
_EPSILON = 1e-5
"""Added to the variance over the units."""


@dataclass(frozen=True, kw_only=True)
class StreamActorCriticSettings(ControllerSettings):
    """Hyperparameters of stream AC(lambda), by default those of the source. See also :class:`ControllerSettings`.

    Args:
        derivative: "rtrl", which is exact, or "snap1", its sparse approximation.
        learning_rate: Largest step along the traces.
        actor_kappa: The actor's steps are bounded to 1 / actor_kappa of what would overshoot.
        critic_kappa: The same of the critic.
        gamma: Discount factor per control step.
        trace_decay: lambda of the eligibility traces.
        entropy: Weight of the entropy of the policy.
        sparsity: Share of the weights into each unit that start at 0.

    Raises:
        UserError: If a value is out of bounds.
    """

    derivative: str = "rtrl"
    learning_rate: float = 1.0
    actor_kappa: float = 3.0
    critic_kappa: float = 2.0
    gamma: float = 0.99
    trace_decay: float = 0.8
    entropy: float = 0.01
    sparsity: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.derivative not in _DERIVATIVES:
            raise UserError(unknown("derivative", self.derivative, _DERIVATIVES))
        for name in ("gamma", "trace_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("learning_rate", "actor_kappa", "critic_kappa"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        if not 0 <= self.entropy < math.inf:
            raise UserError(f"entropy must be a finite number of at least 0, got {self.entropy}")
        if not 0 <= self.sparsity < 1:
            raise UserError(f"sparsity must be at least 0 and below 1, got {self.sparsity}")


class LayerNormNetwork(Network):
    """y = V n + b + U x with n the output of a cell, normalized over its units. See :class:`Network`."""

    def read(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return y [..., Q] of the cell's output [..., H] and the input [..., D]."""
        return super().read(layer_norm(hidden, hidden.shape[-1:], eps=_EPSILON), x)

    @torch.no_grad()
    def gradients(self, by_output: Tensor, hidden: Tensor, x: Tensor, derivative: Derivative, carry: Carry) -> Tensor:
        """Return vectors times the derivative of the outputs by all parameters, [N, P].

        Args:
            by_output: [N, Q] the vectors.
            hidden: [N, H] the cell's output.
            x: [N, D] the input.
            derivative: Of the cell.
            carry: Of the cell, after this step.
        """
        deviation = (hidden.var(-1, correction=0, keepdim=True) + _EPSILON).sqrt()
        normalized = (hidden - hidden.mean(-1, keepdim=True)) / deviation
        by_normalized = by_output @ self.readout.weight
        along = (by_normalized * normalized).mean(-1, keepdim=True)
        by_hidden = (by_normalized - by_normalized.mean(-1, keepdim=True) - normalized * along) / deviation
        parts = [derivative.stream_gradients(carry, by_hidden)]
        parts += [(by_output[:, :, None] * normalized[:, None]).flatten(1), by_output]
        if self.skip is not None:
            parts.append((by_output[:, :, None] * x[:, None]).flatten(1))
        return torch.cat(parts, -1)


class _Stream(NamedTuple):
    """State that learning carries from one control step to the next for one network; never changed in place."""

    carry: Carry
    eligibility: Tensor
    """[N, P] eligibility traces."""


class StreamActorCritic(StepwiseActorCritic):
    """Stream AC(lambda) with a recurrent actor and critic. See the module's docstring."""

    name = "stream_actor_critic"
    Settings: ClassVar[type[Any]] = StreamActorCriticSettings
    network: LayerNormNetwork
    critic_network: LayerNormNetwork

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.derivative = make_derivative(self.settings.derivative, self.network.cell)
        self.critic_derivative = make_derivative(self.settings.derivative, self.critic_network.cell)
        self._actor: _Stream | None = None
        self._critic: _Stream | None = None
        self._returns = np.zeros(0)
        """[N] discounted sums of rewards, whose deviation is the unit of rewards."""
        self._return_moments = RunningMoments.start(1)
        self._error = math.nan

    def outputs_of(self, action: spaces.Space[Any]) -> int:
        """Return Q: means and deviations, or the logits of choices. See :meth:`Controller.outputs_of`."""
        self.distribution = self.actions = make_learned_actions(action)
        return self.distribution.size

    def make_network(self, inputs: int, outputs: int) -> LayerNormNetwork:
        """Return a network with sparse weights. See :meth:`Controller.make_network`."""
        network = LayerNormNetwork(super().make_network(inputs, outputs).cell, outputs)
        layers = [network.readout.weight, getattr(network.cell, "input_weight", None)]
        layers.append(None if network.skip is None else network.skip.weight)
        for weight in layers:
            if isinstance(weight, Tensor) and weight.dim() == 2:
                _start_sparse(weight, self.settings.sparsity)
        with torch.no_grad():
            network.readout.bias.zero_()
        return network

    def begin(self, num_envs: int) -> None:
        """Start traces and derivatives of N streams. See :meth:`Controller.begin`."""
        self._actor, self._critic = (
            _Stream(derivative.start(num_envs), torch.zeros(num_envs, network.num_parameters, dtype=torch.float64))
            for derivative, network in ((self.derivative, self.network), (self.critic_derivative, self.critic_network))
        )
        self._returns = np.zeros(num_envs)

    def advance(self, env: VectorEnv[Any, Any, Any], observation: Array, start: Array) -> tuple[Array, Array]:
        """Act and learn for some control steps. See :meth:`Controller.advance`."""
        settings: StreamActorCriticSettings = self.settings
        assert self._actor is not None
        assert self._critic is not None
        for _ in range(self.steps_per_advance):
            x, starts = self._scaled(observation), torch.as_tensor(start)
            hidden, carry = self.derivative.step(x, starts, self._actor.carry)
            self._actor = self._actor._replace(carry=carry)
            critic_hidden, carry = self.critic_derivative.step(x, starts, self._critic.carry)
            self._critic = self._critic._replace(carry=carry)
            with torch.no_grad():
                output, value = self.network.read(hidden, x), self.critic_network.read(critic_hidden, x)
            action = self.distribution.draw(output, self._rng)
            observation, reward, terminated, truncated, infos = env.step(self.distribution.to_env(action))
            start = terminated | truncated
            next_value = self._next_values(observation, start, truncated & ~terminated, infos)
            error = self._reward(reward, start) + settings.gamma * next_value - value[:, 0]
            by_output = self.actions.score(output, action)
            by_output += settings.entropy * error.sign()[:, None] * self.actions.entropy_slope(output)
            decay = settings.gamma * settings.trace_decay * (~starts)[:, None]
            step = self.network.gradients(by_output, hidden, x, self.derivative, self._actor.carry)
            self._actor = self._actor._replace(eligibility=decay * self._actor.eligibility + step)
            step = self.critic_network.gradients(
                torch.ones_like(value), critic_hidden, x, self.critic_derivative, self._critic.carry
            )
            self._critic = self._critic._replace(eligibility=decay * self._critic.eligibility + step)
            self._learn(error)
            self._count_episodes(start, infos)
        return observation, start

    def look_ahead(self, x: Tensor) -> Tensor:
        """Return the values [N] of the next observations. See :meth:`StepwiseActorCritic.look_ahead`."""
        assert self._critic is not None
        going_on = torch.zeros(len(x), dtype=torch.bool)
        hidden = self.critic_derivative.step(x, going_on, self._critic.carry).output
        with torch.no_grad():
            return self.critic_network.read(hidden, x)[:, 0]

    def metrics(self) -> dict[str, float]:
        """Return the size of the last temporal-difference error, in units of the deviation of returns."""
        return {"critic/td_error": self._error}

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives, traces, the scale of rewards and the generator. See :meth:`Controller.stream_state`."""
        assert self._actor is not None
        assert self._critic is not None
        parts = {"actor": self._actor, "critic": self._critic}
        state: dict[str, Any] = {
            name: {"carry": part.carry.to_dict(), "traces": part.eligibility} for name, part in parts.items()
        }
        number, mean, squares = self._return_moments
        state["returns"] = {"now": self._returns, "number": number, "mean": mean, "squares": squares}
        return state | {"rng": self._rng.bit_generator.state, "error": self._error}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        self._actor, self._critic = (
            _Stream(Carry.from_dict(state[name]["carry"]), torch.as_tensor(state[name]["traces"]))
            for name in ("actor", "critic")
        )
        returns = state["returns"]
        self._returns = np.array(returns["now"])
        self._return_moments = RunningMoments(
            float(returns["number"]), np.array(returns["mean"]), np.array(returns["squares"])
        )
        self._rng.bit_generator.state, self._error = state["rng"], float(state["error"])

    def _reward(self, reward: Array, ended: Array) -> Tensor:
        """Return rewards [N] in units of the running standard deviation of discounted sums of rewards."""
        rewards = as_float64("rewards", reward)
        self._returns = self.settings.gamma * self._returns + rewards.numpy()
        self._return_moments = self._return_moments.seen(self._returns[:, None])
        self._returns = np.where(ended, 0.0, self._returns)
        number, _, squares = self._return_moments
        variance = float(squares[0]) / (number - 1.0) if number > 1.0 else 1.0
        return rewards / math.sqrt(variance + 1e-8)

    def _learn(self, error: Tensor) -> None:
        """Take a bounded step along the traces of both networks, by temporal-difference errors [N]."""
        assert self._actor is not None
        assert self._critic is not None
        settings: StreamActorCriticSettings = self.settings
        self._error = float(error.abs().mean())
        for name, network, stream, kappa in (
            ("the actor", self.network, self._actor, settings.actor_kappa),
            ("the critic", self.critic_network, self._critic, settings.critic_kappa),
        ):
            change = bounded_step(error, stream.eligibility, settings.learning_rate, kappa)
            check_change(name, change)
            network.theta.add_(change)


def bounded_step(error: Tensor, eligibility: Tensor, learning_rate: float, kappa: float) -> Tensor:
    """Return the change of the parameters [P] by ObGD, the mean over streams.

    Args:
        error: [N] temporal-difference errors.
        eligibility: [N, P] traces.
        learning_rate: Largest step size.
        kappa: How many times a step may be repeated before it overshoots.
    """
    reach = learning_rate * kappa * error.abs().clamp_min(1.0) * eligibility.abs().sum(-1)
    change: Tensor = (learning_rate * error / reach.clamp_min(1.0)) @ eligibility / len(error)
    return change


@torch.no_grad()
def _start_sparse(weight: Tensor, sparsity: float) -> None:
    """Set weights [out, in] to U(-1, 1) / sqrt(in), and a share of those into each output to 0."""
    inputs = weight.shape[1]
    weight.uniform_(-(inputs**-0.5), inputs**-0.5)
    for row in weight:
        row[torch.randperm(inputs)[: min(math.ceil(sparsity * inputs), inputs - 1)]] = 0.0
