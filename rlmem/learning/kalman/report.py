"""Results of a Kalman filter: rows multiplied by P before an update, and statistics of an update.

Axes: N streams, q outputs, M = N q rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlmem.learning.kalman.form import ProjectedRows


class Projection(NamedTuple):
    """Rows multiplied by P. Not valid any more after the next update."""

    projected: ProjectedRows
    shape: torch.Size
    """Of the outputs: [N, q], or flat [M]."""
    updates: int
    """Of the state, to tell a stale one."""

    @property
    def covariance(self) -> Tensor:
        """H P H^T of each stream, [N, q, q]; of flat rows their variances, [M, 1, 1]."""
        streams, outputs = (*self.shape, 1)[:2]
        blocks = self.projected.covariance.view(streams, outputs, streams, outputs)
        return blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


class UpdateReport(NamedTuple):
    """Statistics of one update."""

    nis: float
    """Normalized innovation squared, |L^-1 e|^2 / M before the bound: about 1 where model and R are right. Not a number
    where no row counted."""
    log_det: float
    """Of S."""
    clipped: int
    """Innovations that were bounded, one by one or all together."""
    rows: int
    """M, rows that counted."""
    variance: Tensor
    """[N, q] (flat: [M]) the diagonal of H P H^T before the update; not a number where a row did not count."""
