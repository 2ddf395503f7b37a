"""Interface of the two forms in which P is stored: the covariance itself, or a square root of it.

Axes: M rows, G groups of a bucket, B parameters of its blocks; width: parameters with padding (see
:class:`~rlmem.learning.kalman.layout.Layout`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from rlmem.learning.kalman.layout import Bucket, Layout

Blocks: TypeAlias = tuple[tuple[Tensor, ...], ...]
"""Of each bucket the tensors that hold its part of P."""


class ProjectedRows(NamedTuple):
    """Rows H multiplied by P."""

    gain: Tensor
    """[M, width] H P."""
    covariance: Tensor
    """[M, M] H P H^T."""
    factor: Tensor | None = None
    """[M, width] H A, where P = A A^T is kept as A."""

    def take(self, rows: Tensor) -> ProjectedRows:
        """Return those of some of the rows, by their indices."""
        factor = None if self.factor is None else self.factor[rows]
        return ProjectedRows(self.gain[rows], self.covariance[rows][:, rows], factor)


class Form:
    """A way to store P. It holds no state; a method whose name ends in _ changes the blocks it is given."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def shapes(self) -> list[tuple[tuple[int, ...], ...]]:
        """Return the shapes of the blocks."""
        raise NotImplementedError

    def prior(self, variances: Tensor) -> Blocks:
        """Return the diagonal P of variances [width]."""
        raise NotImplementedError

    def project(self, blocks: Blocks, rows: Tensor) -> ProjectedRows:
        """Return H P and H P H^T for rows H [M, width]."""
        raise NotImplementedError

    def contract_(
        self, blocks: Blocks, projected: ProjectedRows, whitened: Tensor, lower: Tensor, noise: Tensor, inflation: float
    ) -> None:
        """Take W W^T from P, and multiply what is left.

        Args:
            blocks: P.
            projected: H P and H P H^T of the rows.
            whitened: [M, width] W^T = L^-1 H P.
            lower: [M, M] L, where L L^T = H P H^T + R.
            noise: [M, M] R.
            inflation: What to multiply P by.
        """
        raise NotImplementedError

    def inflate_(self, blocks: Blocks, inflation: Tensor) -> None:
        """Multiply the P of each group by its own number, [groups] in the order of the buckets."""
        raise NotImplementedError

    def add_(self, blocks: Blocks, variances: Tensor) -> None:
        """Add variances [width] to the diagonal of P."""
        raise NotImplementedError

    def symmetrize_(self, blocks: Blocks) -> None:
        """Undo what rounding did to the symmetry of P; called now and then."""

    def variances(self, blocks: Blocks) -> Tensor:
        """Return the diagonal of P, [width]."""
        raise NotImplementedError

    def traces(self, blocks: Blocks) -> Tensor:
        """Return the trace of each group's P, [groups] in the order of the buckets."""
        raise NotImplementedError

    def dense(self, blocks: Blocks) -> list[Tensor]:
        """Return of each bucket P as [G, B, B]."""
        raise NotImplementedError

    def pairs(self, blocks: Blocks) -> Iterator[tuple[Bucket, tuple[Tensor, ...]]]:
        """Yield each bucket with its tensors."""
        return zip(self.layout.buckets, blocks, strict=True)

    def by_bucket(self, x: Tensor) -> list[Tensor]:
        """Return the parts of each bucket's groups of ``x`` [groups, ...]."""
        return list(torch.split(x, [len(bucket.groups) for bucket in self.layout.buckets]))

    def by_group(self, x: Tensor) -> Tensor:
        """Return sums [groups], in the order of the buckets, of values [M, width] over M and each group."""
        return torch.cat([bucket.view(x).sum((1, 2)) for bucket in self.layout.buckets])

    def of_group(self, x: Tensor) -> Tensor:
        """Return [width] each parameter's entry of ``x`` [groups], in the order of the buckets."""
        sizes = torch.tensor([bucket.size for bucket in self.layout.buckets for _ in bucket.groups])
        return x.repeat_interleave(sizes)


def join(parts: Sequence[Tensor]) -> Tensor:
    """Return [M, width] of the buckets' [G, M, B]."""
    flat = [part.transpose(0, 1).reshape(part.shape[1], -1) for part in parts]
    return flat[0] if len(flat) == 1 else torch.cat(flat, 1)
