"""A network updated once per rollout from pseudo-observations of its outputs, by a Kalman filter or by Adam.

Both use the same Jacobian rows H = dy/dtheta of every step of the rollout, innovations e and noises R. Adam takes a
step along the mean of H^T R^-1 e, which is also the gradient that the Kalman filter follows.

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

_CHUNK = 256
"""Rows whose variances are computed together; for all at once the covariance would be too large."""


class RolloutLearner(ABC):
    """A recurrent network, and the derivatives of its outputs along N streams.

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
        """Return outputs [N, Q] for inputs [N, D] and episode starts [N], and keep their Jacobian rows."""
        assert self._carry is not None
        output, self._carry = self.derivative.step(x, start, self._carry)
        self._rows.append(self.derivative.rows(self._carry))
        return output

    def peek(self, x: Tensor, start: Tensor) -> Tensor:
        """Return outputs [N, Q] for inputs [N, D] without advancing the streams."""
        assert self._carry is not None
        return self.derivative.step(x, start, self._carry).output

    def update(self, likelihood: Likelihood, seen: Innovation, max_kl: float = math.inf) -> dict[str, float]:
        """Update the parameters from the pseudo-observations at all steps since the last update.

        Args:
            likelihood: Likelihood of the observations, which defines their coordinates.
            seen: Innovations [M, q] and noises of the steps, in their order.
            max_kl: Bound of the mean Kullback-Leibler divergence between the distributions before and after, to second
                order, nats; longer steps are shortened to it.

        Returns:
            Metrics by name.
        """
        rows, self._rows = likelihood.rows(torch.cat(self._rows)), []
        before = self.network.theta.clone()
        after, metrics = self.unbounded_step(rows, seen)
        change = after - before
        output_change = rows @ change
        divergence = 0.5 * float((output_change * _times_precision(seen.noise, output_change)).sum(-1).mean())
        share = 1.0 if divergence <= max_kl else math.sqrt(max_kl / divergence)
        self.network.set_theta(after if share == 1.0 else before + share * change)
        return metrics | {"kl": share**2 * divergence}

    @abstractmethod
    def unbounded_step(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Return new parameters [P] from rows [M, q, P] and innovations, before the bound ``max_kl``; and metrics."""

    def state(self) -> dict[str, Any]:
        """Return the state of derivatives and update, between two rollouts."""
        assert self._carry is not None
        return {"carry": self._carry.to_dict(), "update": self.update_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self._carry = Carry.from_dict(state["carry"])
        self.restore_update_state(state["update"])

    @abstractmethod
    def update_state(self) -> dict[str, Tensor]:
        """Return the state of the update, such as covariances."""

    @abstractmethod
    def restore_update_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`update_state` returned."""


class KalmanRolloutLearner(RolloutLearner):
    """A network updated by an extended Kalman filter: one update per rollout, with the rows of all its steps.

    With innovations e = A F^-1 grad log pi and noise R = F^-1, with F the Fisher information of the outputs and A
    advantages, it is a step of the natural policy gradient: P is the inverse of the parameters' Fisher information,
    summed over past rollouts with forgetting.

    Source: Ollivier, "Online Natural Gradient as a Kalman Filter", Electronic Journal of Statistics 12(2), 2018.

    Args:
        network: Changed in place.
        derivative: "rtrl", "snap1" or "tbptt".
        groups: Blocks of the filter's covariance.
        settings: Settings of the filter; forgetting applies once per rollout.
    """

    def __init__(self, network: Network, derivative: str, groups: Groups, settings: KalmanSettings) -> None:
        super().__init__(network, derivative)
        self.clip = settings.clip
        self.filter = make_filter(network, groups, replace(settings, clip=None))
        self.belief = self.filter.initial_state()

    def unbounded_step(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Run one Kalman update. See :meth:`RolloutLearner.unbounded_step`."""
        white, errors = _whitened(rows, seen)
        if self.clip is not None:
            parts = torch.split(white, _CHUNK)
            variance = torch.cat([self.filter.project(self.belief, part).covariance[:, 0, 0] for part in parts])
            bound = self.clip * (1.0 + variance).sqrt()
            errors = errors.clamp(-bound, bound)
        count, remainder = len(errors), 0.0
        if count > len(self.network.theta):
            white, errors, remainder = _compressed(white, errors)
        theta, self.belief, report = self.filter.update(self.network.theta, self.belief, white, errors, 1.0)
        return theta, {"nis": (report.nis * len(errors) + remainder) / count}

    def update_state(self) -> dict[str, Tensor]:
        """Return the covariance. See :meth:`RolloutLearner.update_state`."""
        return self.belief.tensors()

    def restore_update_state(self, state: dict[str, Any]) -> None:
        """Restore the covariance."""
        self.belief = self.filter.restore(state)


class AdamRolloutLearner(RolloutLearner):
    """A network updated by one step of Adam per rollout, along the mean of H^T R^-1 e.

    Args:
        network: Changed in place.
        derivative: "rtrl", "snap1" or "tbptt".
        settings: Settings of the optimizer.
    """

    def __init__(self, network: Network, derivative: str, settings: GradientSettings) -> None:
        super().__init__(network, derivative)
        self.adam = GradientUpdate(network, GaussianLikelihood(), settings)

    def unbounded_step(self, rows: Tensor, seen: Innovation) -> tuple[Tensor, dict[str, float]]:
        """Take a step of Adam. See :meth:`RolloutLearner.unbounded_step`."""
        weighted = _times_precision(seen.noise, seen.error) / len(rows)
        metrics = self.adam.apply(-torch.einsum("mq,mqp->p", weighted, rows))
        return self.network.theta.clone(), metrics

    def update_state(self) -> dict[str, Tensor]:
        """Return the optimizer's state. See :meth:`RolloutLearner.update_state`."""
        return self.adam.tensors()

    def restore_update_state(self, state: dict[str, Any]) -> None:
        """Restore the optimizer's state."""
        self.adam.restore(state)


def _times_precision(noise: Tensor, error: Tensor) -> Tensor:
    """Return R^-1 e [M, q] from variances [M, q] or covariances [M, q, q]."""
    if noise.dim() == error.dim():
        return error / noise
    solution: Tensor = torch.linalg.solve(noise, error.unsqueeze(-1))
    return solution.squeeze(-1)


def _whitened(rows: Tensor, seen: Innovation) -> tuple[Tensor, Tensor]:
    """Return rows [M q, P] and innovations [M q] scaled so that the noise has unit covariance."""
    error, noise = seen
    if noise.dim() == error.dim():
        precision = noise.rsqrt()
        return (precision.unsqueeze(-1) * rows).flatten(0, 1), (precision * error).flatten()
    both = torch.cat((rows, error.unsqueeze(-1)), -1)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(noise), both, upper=False).flatten(0, 1)
    return white[:, :-1], white[:, -1]


def _compressed(rows: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, float]:
    """Compress more than P rows of unit noise to P rows [P, P] and innovations [P] with the same Kalman update.

    A rotation of the rows does not change the update, and QR finds one after which all but the first P rows are 0. The
    third value is the sum of squares of the remaining innovations, which no change of parameters can explain.
    """
    triangle = torch.linalg.qr(torch.cat((rows, errors.unsqueeze(-1)), -1), mode="r").R
    size = rows.shape[1]
    return triangle[:size, :size], triangle[:size, size], float(triangle[size:, size].square().sum())
