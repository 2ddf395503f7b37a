"""A network that is updated once per rollout from pseudo-observations of its outputs, by a Kalman filter or Adam.

Both see the same rows H = dy/dtheta of every step of the rollout, innovations e and noises R. The Kalman filter makes
of them its update, Adam a step along the mean of H^T R^-1 e, which is the gradient that both follow.

Axes: N streams, D input, Q outputs, q observed, M steps of all streams, P parameters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rlmem.learning.derivatives import Carry, make_derivative
from rlmem.learning.kalman import GaussianLikelihood, KalmanSettings, Likelihood
from rlmem.learning.kalman.likelihoods import Innovation
from rlmem.learning.network import Network
from rlmem.learning.updates import GradientSettings, GradientUpdate, Groups, make_filter

_AT_ONCE = 256
"""Rows whose variance is taken together: of all there would be as many covariances as pairs."""


class RolloutLearner(ABC):
    """A network with the derivatives of its outputs along N streams.

    Args:
        network: Changed in place.
        derivative: "rtrl", "snap1" or "tbptt".
    """

    def __init__(self, network: Network, derivative: str) -> None:
        self.network, self.derivative = network, make_derivative(derivative, network)
        self._carry: Carry | None = None
        self._rows: list[Tensor] = []

    def begin(self, num_streams: int) -> None:
        """Start the derivatives of N streams."""
        self._carry, self._rows = self.derivative.start(num_streams), []

    def step(self, x: Tensor, start: Tensor) -> Tensor:
        """Take inputs [N, D] and episode starts [N]; return outputs [N, Q] and keep their rows."""
        assert self._carry is not None
        output, self._carry = self.derivative.step(x, start, self._carry)
        self._rows.append(self.derivative.rows(self._carry))
        return output

    def peek(self, x: Tensor, start: Tensor) -> Tensor:
        """Return the outputs [N, Q] for inputs that the streams do not go on from."""
        assert self._carry is not None
        return self.derivative.step(x, start, self._carry).output

    def move(self, likelihood: Likelihood, seen: Innovation, max_kl: float = math.inf) -> dict[str, float]:
        """Move the parameters by what was observed at all steps since the last move.

        Args:
            likelihood: Of the observations; it says in which coordinates they are.
            seen: Innovations [M, q] and noises, of the steps in their order.
            max_kl: The move is shortened until the mean Kullback-Leibler divergence of the outputs' distributions, to
                second order, is no more than this, nats.

        Returns:
            Metrics by name.
        """
        rows, self._rows = likelihood.rows(torch.cat(self._rows)), []
        before = self.network.theta.clone()
        after, metrics = self.propose(rows, seen)
        change = after - before
        moved = rows @ change
        divergence = 0.5 * float((moved * _precisely(seen.noise, moved)).sum(-1).mean())
        share = 1.0 if divergence <= max_kl else math.sqrt(max_kl / divergence)
        self.network.set_theta(after if share == 1.0 else before + share * change)
        return metrics | {"kl": share**2 * divergence}

    @abstractmethod
    def propose(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Return new parameters [P] from rows [M, q, P] and what was seen, and what is worth watching."""

    def state(self) -> dict[str, Any]:
        """Return derivatives and what the update remembers, between two rollouts."""
        assert self._carry is not None
        return {"carry": self._carry.to_dict(), "update": self.memory()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self._carry = Carry.from_dict(state["carry"])
        self.remember(state["update"])

    @abstractmethod
    def memory(self) -> dict[str, Tensor]:
        """Return what the update remembers."""

    @abstractmethod
    def remember(self, memory: dict[str, Any]) -> None:
        """Take back what :meth:`memory` gave."""


class KalmanRolloutLearner(RolloutLearner):
    """Moved by an extended Kalman filter: one update a rollout, with the rows of all its steps.

    With innovations e = A F^-1 grad log pi and noise R = F^-1, with F the Fisher information of the outputs and A
    advantages, it is a step of the natural policy gradient: P is the inverse of the Fisher information of the
    parameters, summed over past rollouts with forgetting.

    Source: Ollivier, "Online Natural Gradient as a Kalman Filter", Electronic Journal of Statistics 12(2), 2018.

    Args:
        network: Changed in place.
        derivative: "rtrl", "snap1" or "tbptt".
        groups: Of the filter.
        settings: Of the filter; it forgets once a rollout.
    """

    def __init__(self, network: Network, derivative: str, groups: Groups, settings: KalmanSettings) -> None:
        super().__init__(network, derivative)
        self.clip = settings.clip
        self.filter = make_filter(network, groups, replace(settings, clip=None))
        self.belief = self.filter.initial_state()

    def propose(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Run one Kalman update. See :meth:`RolloutLearner.propose`."""
        white, errors = _whitened(rows, seen)
        if self.clip is not None:
            parts = torch.split(white, _AT_ONCE)
            variance = torch.cat([self.filter.project(self.belief, part).covariance[:, 0, 0] for part in parts])
            bound = self.clip * (1.0 + variance).sqrt()
            errors = errors.clamp(-bound, bound)
        count, left = len(errors), 0.0
        if count > len(self.network.theta):
            white, errors, left = _compressed(white, errors)
        theta, self.belief, report = self.filter.update(self.network.theta, self.belief, white, errors, 1.0)
        return theta, {"nis": (report.nis * len(errors) + left) / count}

    def memory(self) -> dict[str, Tensor]:
        """Return the covariance. See :meth:`RolloutLearner.memory`."""
        return self.belief.tensors()

    def remember(self, memory: dict[str, Any]) -> None:
        """Take back the covariance."""
        self.belief = self.filter.restore(memory)


class AdamRolloutLearner(RolloutLearner):
    """Moved by one step of Adam a rollout, along the mean of H^T R^-1 e.

    Args:
        network: Changed in place.
        derivative: "rtrl", "snap1" or "tbptt".
        settings: Of the optimizer.
    """

    def __init__(self, network: Network, derivative: str, settings: GradientSettings) -> None:
        super().__init__(network, derivative)
        self.update = GradientUpdate(network, GaussianLikelihood(), settings)

    def propose(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Take a step of Adam. See :meth:`RolloutLearner.propose`."""
        by_output = _precisely(seen.noise, seen.error) / len(rows)
        metrics = self.update.apply(-torch.einsum("mq,mqp->p", by_output, rows))
        return self.network.theta.clone(), metrics

    def memory(self) -> dict[str, Tensor]:
        """Return the optimizer's state. See :meth:`RolloutLearner.memory`."""
        return self.update.tensors()

    def remember(self, memory: dict[str, Any]) -> None:
        """Take back the optimizer's state."""
        self.update.restore(memory)


def _precisely(noise: Tensor, error: Tensor) -> Tensor:
    """Return R^-1 e [M, q] from variances [M, q] or covariances [M, q, q]."""
    if noise.dim() == error.dim():
        return error / noise
    precise: Tensor = torch.linalg.solve(noise, error.unsqueeze(-1))
    return precise.squeeze(-1)


def _whitened(rows: Tensor, seen: Innovation) -> tuple[Tensor, Tensor]:
    """Return rows [M q, P] and innovations [M q] in units of the noise's deviations."""
    error, noise = seen
    if noise.dim() == error.dim():
        precision = noise.rsqrt()
        return (precision.unsqueeze(-1) * rows).flatten(0, 1), (precision * error).flatten()
    both = torch.cat((rows, error.unsqueeze(-1)), -1)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(noise), both, upper=False).flatten(0, 1)
    return white[:, :-1], white[:, -1]


def _compressed(rows: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return P rows [P, P] and innovations [P] that say the same as more of them of noise 1, and what they leave out.

    A rotation of the rows changes nothing in an update, and one makes all but the first P rows 0. What is left out is
    the square of the innovations that no parameter explains.
    """
    triangle = torch.linalg.qr(torch.cat((rows, errors.unsqueeze(-1)), -1), mode="r").R
    size = rows.shape[1]
    return triangle[:size, :size], triangle[:size, size], float(triangle[size:, size].square().sum())
