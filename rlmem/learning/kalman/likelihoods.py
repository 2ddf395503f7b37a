"""Likelihoods of targets given outputs: from outputs and targets to an innovation and its noise R.

An exponential family in its natural parameters z (logits) is a Kalman filter's observation of z + F^-1 (y - mu) with
noise R = F^-1, where mu is the mean and F the Fisher information dmu/dz. One update is then a step of the natural
gradient. F is floored, or a confident mistake would count as a rare accident and teach nothing.

Source: Ollivier, "Online Natural Gradient as a Kalman Filter", Electronic Journal of Statistics 12(2), 2018.

Axes: N streams, q outputs, p parameters, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rlmem.errors import UserError

FLOOR = 1e-2
"""Least Fisher information, and least probability of a class where it makes R."""
_BOUND = 9.0
"""A squared normalized error counts up to 3^2 where R is estimated; that takes 0.5 % off R."""
_UNSEEN = 1e6
"""Times R is the noise of what is not seen."""


class Innovation(NamedTuple):
    """Innovation and noise of one update."""

    error: Tensor
    """[N, q] e."""
    noise: Tensor
    """R: variances [N, q], or covariances [N, q, q]."""


class Likelihood(Protocol):
    """Distribution of targets given the outputs of a network."""

    def rows(self, rows: Tensor) -> Tensor:
        """Return the rows of what is observed, [N, q', p], from the rows of the outputs [N, q, p]."""

    def innovation(self, outputs: Tensor, targets: Tensor) -> Innovation:
        """Return innovation and noise in the coordinates of :meth:`rows`."""

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the expected target, for predictions."""

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gradient [N, q] of the log-likelihood by the outputs; of normal errors in units of 1 / R."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianLikelihood:
    """The outputs are means; the errors are normal.

    Args:
        variance: R: one number, or [q].
        rate: At which :meth:`adapted` moves R; 0 keeps it.

    Raises:
        UserError: If a variance is not finite and above 0, or the rate not in [0, 1).
    """

    variance: Tensor | float = 1.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        variance = torch.as_tensor(self.variance, dtype=torch.float64)
        if variance.dim() > 1 or not bool((variance.isfinite() & (variance > 0)).all()):
            raise UserError(f"variance must be one number or [q], finite and above 0, got {self.variance}")
        if not 0 <= self.rate < 1:
            raise UserError(f"rate must be at least 0 and below 1, got {self.rate}")
        object.__setattr__(self, "variance", variance)

    def rows(self, rows: Tensor) -> Tensor:
        """Return the rows as they are."""
        return rows

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs as they are."""
        return outputs

    def innovation(self, outputs: Tensor, targets: Tensor) -> Innovation:
        """Return target - output and R, each [N, q]."""
        error = _double(self.score(outputs, targets))
        return Innovation(error, torch.as_tensor(self.variance).expand(outputs.shape))

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return target - output [N, q]."""
        _same(outputs, targets)
        return targets - outputs

    def adapted(self, error: Tensor, variance: Tensor) -> GaussianLikelihood:
        """Return the likelihood with R moved towards what an update saw.

        R <- (1 - rate) R + rate mean(r^2 + H P+ H^T), with the error r = (R / S) e that is left after the update and
        H P+ H^T = R - R^2 / S, both of one output alone. This is never negative, and rests where e^2 is S on average.

        Source: Akhlaghi, Zhou and Huang, "Adaptive Adjustment of Noise Covariance in Kalman Filter for Dynamic State
        Estimation", IEEE PES General Meeting 2017.

        Args:
            error: [N, q] innovation.
            variance: [N, q] diagonal of H P H^T from the update's report; not a number where a row did not count.
        """
        noise = torch.as_tensor(self.variance)
        counts = variance.isfinite()
        if self.rate == 0 or not bool(counts.any()):
            return self
        total = variance + noise
        seen = noise + noise.square() / total * ((_double(error).square() / total).clamp_max(_BOUND) - 1.0)
        if noise.dim():
            number = counts.sum(0)
            mean = torch.where(number > 0, torch.where(counts, seen, 0.0).sum(0) / number.clamp_min(1), noise)
        else:
            mean = seen[counts].mean()
        return replace(self, variance=noise + self.rate * (mean - noise))


@dataclass(frozen=True, kw_only=True, eq=False)
class CensoredLikelihood(GaussianLikelihood):
    """Means with normal errors, of which only what lies between two bounds is seen, as of an actuator's command.

    A target at a bound says that the truth is there or beyond. An output that is beyond it too is not wrong, however
    far it is, and next to nothing is learnt from it; without this, a regulator that is right to saturate would be
    taught not to. It is the Tobit model in the limit of small errors.

    Source: Tobin, "Estimation of Relationships for Limited Dependent Variables", Econometrica 26(1), 1958.

    Args:
        low: Least target.
        high: Largest target.

    Raises:
        UserError: If ``low`` is not below ``high``, or a variance is out of bounds.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise UserError(f"low must be below high, got {self.low} and {self.high}")

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs, cut off at the bounds."""
        return outputs.clamp(self.low, self.high)

    def innovation(self, outputs: Tensor, targets: Tensor) -> Innovation:
        """Return target - output and R, each [N, q]; where both are at a bound or beyond it, 0 and a huge R."""
        error, noise = super().innovation(outputs, targets)
        return Innovation(error, torch.where(self._right(outputs, targets), _UNSEEN * noise, noise))

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return target - output [N, q], and 0 where both are at the same bound or beyond it."""
        _same(outputs, targets)
        return torch.where(self._right(outputs, targets), 0.0, targets - outputs)

    def _right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        above = (targets >= self.high) & (outputs >= self.high)
        return above | ((targets <= self.low) & (outputs <= self.low))


@dataclass(frozen=True, kw_only=True)
class BernoulliLikelihood:
    """The outputs are logits of independent yes-or-no targets.

    Args:
        floor: Least Fisher information mu (1 - mu).

    Raises:
        UserError: If the floor is not above 0 and at most 1/4.
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 0.25:
            raise UserError(f"floor must be above 0 and at most 0.25, got {self.floor}")

    def rows(self, rows: Tensor) -> Tensor:
        """Return the rows as they are."""
        return rows

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of yes."""
        return torch.sigmoid(outputs)

    def innovation(self, outputs: Tensor, targets: Tensor) -> Innovation:
        """Return F^-1 (y - mu) and F^-1, each [N, q], for targets from 0 to 1."""
        _same(outputs, targets)
        mean = torch.sigmoid(_double(outputs))
        fisher = (mean * (1.0 - mean)).clamp_min(self.floor)
        return Innovation((_double(targets) - mean) / fisher, 1.0 / fisher)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return y - mu [N, q]."""
        _same(outputs, targets)
        return targets - torch.sigmoid(outputs)


@dataclass(frozen=True, kw_only=True)
class CategoricalLikelihood:
    """The outputs are the logits of K classes, of which one is true.

    Logits have one direction too many: adding a number to all changes nothing, and F = diag(mu) - mu mu^T is singular
    along it. Observed are therefore the K - 1 contrasts z_k - z_K. In them F^-1 is that of independent noise 1 / mu_k
    on each logit, R = diag(1 / mu_k) + 1 / mu_K, and e_k = y_k / mu_k - y_K / mu_K. Nothing depends on which class is
    last, nor on a number added to all logits. Where R and e divide by a probability, it is at least the floor.

    Args:
        floor: Least probability of a class that R is made of.

    Raises:
        UserError: If the floor is not above 0 and at most 1/4.
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        if not 0 < self.floor <= 0.25:
            raise UserError(f"floor must be above 0 and at most 0.25, got {self.floor}")

    def rows(self, rows: Tensor) -> Tensor:
        """Return the rows [N, K - 1, p] of the contrasts."""
        if rows.dim() != 3 or rows.shape[1] < 2:
            raise ValueError(f"rows must be [N, K, p] with at least 2 classes, got {list(rows.shape)}")
        return rows[:, :-1] - rows[:, -1:]

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the probabilities of the classes [N, K]."""
        return torch.softmax(outputs, -1)

    def innovation(self, outputs: Tensor, targets: Tensor) -> Innovation:
        """Return innovation [N, K - 1] and noise [N, K - 1, K - 1] of the contrasts.

        Args:
            outputs: [N, K] logits.
            targets: [N] numbers of classes, or [N, K] probabilities that sum to 1.
        """
        if outputs.dim() != 2 or outputs.shape[1] < 2:
            raise ValueError(f"outputs must be logits [N, K] of at least 2 classes, got {list(outputs.shape)}")
        targets = _probabilities(targets, outputs)
        mean = torch.softmax(_double(outputs), -1)
        fisher = mean.clamp_min(self.floor)
        error = (_double(targets) - mean) / fisher
        noise = torch.diag_embed(1.0 / fisher[:, :-1]) + (1.0 / fisher[:, -1])[:, None, None]
        return Innovation(error[:, :-1] - error[:, -1:], noise)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return y - mu [N, K], by all K logits; targets as in :meth:`innovation`."""
        return _probabilities(targets, outputs) - torch.softmax(outputs, -1)


def _probabilities(targets: Tensor, outputs: Tensor) -> Tensor:
    """Return targets as probabilities [N, K], from these or from numbers of classes [N]."""
    classes = outputs.shape[1]
    if targets.shape == outputs.shape[:1] and not targets.is_floating_point():
        if not bool(((targets >= 0) & (targets < classes)).all()):
            raise ValueError(f"targets must be classes from 0 to {classes - 1}, got {targets.tolist()}")
        targets = torch.nn.functional.one_hot(targets.long(), classes).to(outputs.dtype)
    _same(outputs, targets)
    return targets


def _double(x: Tensor) -> Tensor:
    return x.detach().to(torch.float64)


def _same(outputs: Tensor, targets: Tensor) -> None:
    if outputs.shape != targets.shape:
        raise ValueError(f"targets must be {list(outputs.shape)} as the outputs, got {list(targets.shape)}")
