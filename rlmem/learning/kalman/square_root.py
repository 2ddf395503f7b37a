"""The square-root form: a factor A of each block, P = A A^T, so that P cannot lose its positive sign.

One row at a time the update is Potter's; Andrews' takes all rows at once. With F = A^T H^T, R = V V^T and
S = F^T F + R = L L^T (V and L lower Cholesky factors)::

    A <- A - (A F L^-T) (L + V)^-1 F^T.

In an NDEKF the other groups' part of S is noise to a group: for its own A, V V^T = S - F^T F with its own F. It is
summed up from R and the other groups, not subtracted from S, so that nothing is lost where its own part is large.

Source: Andrews, "A Square Root Formulation of the Kalman Covariance Equations", AIAA Journal 6(6), 1968;
for one row Potter, in Battin, "Astronautical Guidance", McGraw-Hill 1964.

Axes: M rows, G groups of a bucket, B parameters of its blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.kalman.form import Blocks, Form, ProjectedRows, join


class SquareRootForm(Form):
    """A block is one factor [G, B, B]. See :class:`Form`."""

    def shapes(self) -> list[tuple[tuple[int, ...], ...]]:
        """Return the shapes of the blocks."""
        return [((len(bucket.groups), bucket.size, bucket.size),) for bucket in self.layout.buckets]

    def prior(self, variances: Tensor) -> Blocks:
        """Return the factors of the diagonal P of variances [width]."""
        return tuple((torch.diag_embed(bucket.view(variances.sqrt()[None])[:, 0]),) for bucket in self.layout.buckets)

    def project(self, blocks: Blocks, rows: Tensor) -> ProjectedRows:
        """Return H P and H P H^T for rows H [M, width]."""
        factors = [torch.bmm(bucket.view(rows), own) for bucket, (own,) in self.pairs(blocks)]
        gain = join([torch.bmm(factor, own.mT) for factor, (own,) in zip(factors, blocks, strict=True)])
        factor = join(factors)
        return ProjectedRows(gain, factor @ factor.T, factor)

    def contract_(
        self, blocks: Blocks, projected: ProjectedRows, whitened: Tensor, lower: Tensor, noise: Tensor, inflation: float
    ) -> None:
        """Take W W^T from P = A A^T, and multiply what is left. See :meth:`Form.contract_`."""
        assert projected.factor is not None
        views = [bucket.view(projected.factor) for bucket in self.layout.buckets]
        root = inflation**0.5
        sums = lower + torch.linalg.cholesky(self._noise(views, noise))
        for (bucket, (own,)), view, total in zip(self.pairs(blocks), views, self.by_bucket(sums), strict=True):
            solved = torch.linalg.solve_triangular(total, view, upper=False)
            own.baddbmm_(bucket.view(whitened).mT, solved, beta=root, alpha=-root)

    def _noise(self, views: list[Tensor], noise: Tensor) -> Tensor:
        """Return [groups, M, M] the noise that each group sees: R and the other groups' part of H P H^T."""
        if sum(len(view) for view in views) == 1:
            return noise[None]
        own = torch.cat([torch.bmm(view, view.mT) for view in views])
        none = torch.zeros_like(own[:1])
        before = torch.cat((none, own[:-1])).cumsum(0)
        after = torch.cat((own[1:], none)).flip(0).cumsum(0).flip(0)
        return before + after + noise

    def inflate_(self, blocks: Blocks, inflation: Tensor) -> None:
        """Multiply the P of each group by its own number."""
        for part, (own,) in zip(self.by_bucket(inflation.sqrt()), blocks, strict=True):
            own.mul_(part[:, None, None])

    def variances(self, blocks: Blocks) -> Tensor:
        """Return the diagonal of P, [width]."""
        return torch.cat([own.square().sum(2).flatten() for (own,) in blocks])

    def traces(self, blocks: Blocks) -> Tensor:
        """Return the trace of each group's P."""
        return torch.cat([own.square().sum((1, 2)) for (own,) in blocks])

    def dense(self, blocks: Blocks) -> list[Tensor]:
        """Return of each bucket P as [G, B, B]."""
        products = [own @ own.mT for (own,) in blocks]
        return [(product + product.mT) / 2 for product in products]
