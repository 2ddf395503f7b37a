"""The covariance form: P itself, P <- P - W W^T.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994, section III; with W = P H^T L^-T it stays symmetric.

Axes: M rows, G groups of a bucket, B parameters of its blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.kalman import panels
from rlmem.learning.kalman.form import Blocks, Form, ProjectedRows, join


class CovarianceForm(Form):
    """Blocks are the panels of symmetric matrices. See :class:`Form`."""

    def shapes(self) -> list[tuple[tuple[int, ...], ...]]:
        """Return the shapes of the blocks."""
        return [panels.shapes(len(bucket.groups), bucket.size) for bucket in self.layout.buckets]

    def prior(self, variances: Tensor) -> Blocks:
        """Return the diagonal P of variances [width]."""
        return tuple(panels.diagonal_panels(bucket.view(variances[None])[:, 0]) for bucket in self.layout.buckets)

    def project(self, blocks: Blocks, rows: Tensor) -> ProjectedRows:
        """Return H P and H P H^T for rows H [M, width]."""
        gain = join([panels.multiply(bucket.view(rows), own) for bucket, own in self.pairs(blocks)])
        return ProjectedRows(gain, gain @ rows.T)

    def contract_(
        self, blocks: Blocks, projected: ProjectedRows, whitened: Tensor, lower: Tensor, noise: Tensor, inflation: float
    ) -> None:
        """Take W W^T from P, and multiply what is left. See :meth:`Form.contract_`."""
        for bucket, own in self.pairs(blocks):
            panels.downdate_(own, bucket.view(whitened), inflation)

    def inflate_(self, blocks: Blocks, inflation: Tensor) -> None:
        """Multiply the P of each group by its own number."""
        for part, own in zip(self.by_bucket(inflation), blocks, strict=True):
            for panel in own:
                panel.mul_(part[:, None, None])

    def add_(self, blocks: Blocks, variances: Tensor) -> None:
        """Add variances [width] to the diagonal of P."""
        for bucket, own in self.pairs(blocks):
            added = bucket.view(variances[None])[:, 0]
            start = 0
            for diagonal in panels.diagonals(own):
                end = start + diagonal.shape[1]
                diagonal += added[:, start:end]
                start = end

    def symmetrize_(self, blocks: Blocks) -> None:
        """Make the parts of P that are kept whole symmetric to the last bit."""
        for own in blocks:
            panels.symmetrize_(own)

    def variances(self, blocks: Blocks) -> Tensor:
        """Return the diagonal of P, [width]."""
        return torch.cat([torch.cat(panels.diagonals(own), 1).flatten() for own in blocks])

    def traces(self, blocks: Blocks) -> Tensor:
        """Return the trace of each group's P."""
        return torch.cat([torch.cat(panels.diagonals(own), 1).sum(1) for own in blocks])

    def dense(self, blocks: Blocks) -> list[Tensor]:
        """Return of each bucket P as [G, B, B]."""
        return [panels.dense(own) for own in blocks]
