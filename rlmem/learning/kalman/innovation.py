"""The innovation of an update: the noise of its rows as one matrix, and its whitening with Huber's bound.

Axes: N streams, q outputs, M = N q rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Observed(NamedTuple):
    """The rows that count."""

    errors: Tensor
    """[m] e."""
    noise: Tensor
    """[m, m] R."""
    kept: Tensor | None
    """[m] their numbers among the M rows; None: all."""


def observe(innovation: Tensor, noise: Tensor | float, weights: Tensor | None) -> Observed:
    """Return errors and noise of the rows whose weight is not 0.

    Args:
        innovation: [N, q], or flat [M].
        noise: A variance for all outputs; or as many variances as the innovation has entries; or the covariances of the
            outputs of each stream, [N, q, q] (flat: [M, M]).
        weights: [N] (flat: [M]) bool, or numbers by which R is divided; None: all count in full.

    Raises:
        ValueError: If a shape does not fit, a weight is negative or not finite, or a noise that counts is not positive.
    """
    matrix = _noise_matrix(noise, innovation.shape)
    errors, kept = innovation.detach().to(torch.float64).reshape(-1), None
    if weights is not None:
        every = _row_weights(weights, innovation.shape)
        if every is not None:
            kept = torch.nonzero(every)[:, 0]
            scale = every[kept].rsqrt()
            errors, matrix = errors[kept], matrix[kept][:, kept] * scale * scale[:, None]
    if torch.linalg.cholesky_ex(matrix).info.item():
        raise ValueError(
            "noise must be variances above 0, or positive definite covariances: "
            f"the least variance is {matrix.diagonal().min().item()}"
        )
    return Observed(errors, matrix, kept)


def _noise_matrix(noise: Tensor | float, shape: torch.Size) -> Tensor:
    """Return R as [M, M]."""
    size, outputs = shape.numel(), shape[-1]
    if not isinstance(noise, Tensor) or noise.dim() == 0:
        return torch.eye(size, dtype=torch.float64).mul_(float(noise))
    noise = noise.detach().to(torch.float64)
    if noise.shape == shape:
        return torch.diag(noise.reshape(size))
    if noise.shape == (*shape, outputs):
        blocks = noise.reshape(-1, outputs, outputs)
        matrix = blocks.new_zeros(len(blocks), outputs, len(blocks), outputs)
        matrix.diagonal(dim1=0, dim2=2).copy_(blocks.permute(1, 2, 0))
        return matrix.view(size, size)
    raise ValueError(
        f"noise must be one variance, variances {list(shape)} or covariances {[*shape, outputs]}, "
        f"got {list(noise.shape)}"
    )


def _row_weights(weights: Tensor, shape: torch.Size) -> Tensor | None:
    """Return the weight of each row, [M] float64; None where all count in full."""
    if weights.shape != shape[:1]:
        raise ValueError(f"weights must be one for each stream, {list(shape[:1])}, got {list(weights.shape)}")
    if bool((weights == 1).all()):
        return None
    weights = weights.detach().to(torch.float64)
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError(f"weights must be finite and at least 0, got {weights.tolist()}")
    return weights.repeat_interleave(shape.numel() // shape[0])


class Whitened(NamedTuple):
    """An innovation in units of its own predicted deviation."""

    values: Tensor
    """[M] nu = L^-1 e, bounded."""
    nis: float
    """|nu|^2 / M before the bound."""
    clipped: int
    """How many were bounded, one by one or all together."""


def whiten(innovation: Tensor, lower: Tensor, clip: float | None) -> Whitened:
    """Return nu = L^-1 e with Huber's bound, which does not depend on the order of the rows.

    First each e_i is bounded to ``clip`` of its own predicted deviations sqrt(S_ii): an outlier in one stream leaves
    the others their say. Then nu as a whole is shrunk to |nu|^2 <= clip^2 M, where rows that P takes to be alike
    contradict each other. In the metric of P the step W nu is at most |nu| long, so at most clip sqrt(M). For one row
    both are Huber's influence function. P contracts as without a bound.

    Source of the bound: Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35(1),
    1964.

    Args:
        innovation: [M] e.
        lower: [M, M] L, the Cholesky factor of S.
        clip: The bound, or None.
    """
    values = torch.linalg.solve_triangular(lower, innovation[:, None], upper=False)[:, 0]
    square, rows = (values @ values).item(), innovation.shape[0]
    nis = square / rows
    # e_i / sqrt(S_ii) is never larger than |nu|
    if clip is None or not square > clip * clip:
        return Whitened(values, nis, 0)
    bound = clip * torch.linalg.vector_norm(lower, dim=1)
    clipped = int((innovation.abs() > bound).sum())
    if clipped:
        bounded = innovation.clamp(-bound, bound)
        values = torch.linalg.solve_triangular(lower, bounded[:, None], upper=False)[:, 0]
        square = (values @ values).item()
    if square > clip * clip * rows:
        values, clipped = values * (clip * (rows / square) ** 0.5), rows
    return Whitened(values, nis, clipped)
