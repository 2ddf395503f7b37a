"""A Kalman filter over the parameters of any model: one update from the rows H = dy/dtheta of many streams.

Equations::

    S = H P H^T + R = L L^T;   W = P H^T L^-T;   nu = L^-1 e
    theta <- theta + W nu;     P <- (P - W W^T) / lambda + Q

With one group it is the global EKF (GEKF). With more, P is block-diagonal and all blocks share one S: the
node-decoupled EKF (NDEKF). The rows of parallel streams make one update (multi-stream).

Sources: Singhal and Wu, "Training Multilayer Perceptrons with the Extended Kalman Algorithm", NIPS 1989; Puskorius and
Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent Networks", IEEE Transactions
on Neural Networks 5(2), 1994 (NDEKF); Feldkamp and Puskorius, "Training Controllers for Robustness: Multi-Stream DEKF",
ICNN 1994.

Axes: N streams, q outputs, M = N q rows, p parameters; width: p with padding. All in float64 on the processor. The
number of threads is what the caller has set with ``torch.set_num_threads``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from rlmem.learning.divergence import DivergenceError, check_change
from rlmem.learning.kalman.covariance import CovarianceForm
from rlmem.learning.kalman.form import Form, ProjectedRows
from rlmem.learning.kalman.innovation import observe, whiten
from rlmem.learning.kalman.layout import Layout
from rlmem.learning.kalman.planning import KalmanPlan, check_memory, plan
from rlmem.learning.kalman.report import Projection, UpdateReport
from rlmem.learning.kalman.settings import KalmanSettings
from rlmem.learning.kalman.square_root import SquareRootForm
from rlmem.learning.kalman.state import KalmanState, restored

_SYMMETRIZE_EVERY = 64
"""Updates from one repair of P's symmetry to the next."""


class KalmanFilter:
    """Updates of p parameters. It holds what never changes; the state is a value.

    Args:
        p: Number of parameters.
        settings: Hyperparameters.
        groups: Of each group the numbers of its parameters (int64), a partition of ``range(p)``; None: one group.
        scale: [p] or one number: variances of the parameters relative to ``settings.p0`` and ``settings.q``.

    Raises:
        ValueError: If the groups are not a partition or the scale is not finite and positive.
    """

    def __init__(
        self,
        p: int,
        settings: KalmanSettings | None = None,
        *,
        groups: Iterable[Tensor] | None = None,
        scale: Tensor | float = 1.0,
    ) -> None:
        self.settings = settings = settings or KalmanSettings()
        self.layout = Layout(p, groups)
        self.form: Form = (CovarianceForm if settings.form == "covariance" else SquareRootForm)(self.layout)
        scale = torch.as_tensor(scale, dtype=torch.float64)
        if scale.shape not in ((), (p,)) or not bool((scale.isfinite() & (scale > 0)).all()):
            raise ValueError(f"scale must be one number or [{p}], finite and above 0, got {list(scale.shape)}: {scale}")
        self._scale = self.layout.spread(scale.expand(1, p))[0]
        self._process_noise = settings.q * self._scale
        self._prior_trace = settings.p0 * self.form.by_group(self._scale[None])
        self._cap = settings.trace_cap * self._prior_trace

    def initial_state(self) -> KalmanState:
        """Return the state before any update: p0 times scale on the diagonal of P.

        Raises:
            UserError: If P takes more than half of the free memory.
        """
        check_memory(self.layout.sizes, self.settings.form)
        return KalmanState(self.form.prior(self.settings.p0 * self._scale), 0, 0, 0)

    def plan(self, rows: int) -> KalmanPlan:
        """Return what updates with so many rows cost; printed, it is one line."""
        return plan(self.layout.sizes, rows=rows, form=self.settings.form)

    def restore(self, tensors: Mapping[str, Any]) -> KalmanState:
        """Return the state that :meth:`KalmanState.tensors` gave, bit for bit.

        Raises:
            ValueError: If it is the state of a filter of another form, grouping or size.
        """
        return restored(self.form, tensors)

    @torch.no_grad()
    def project(self, state: KalmanState, rows: Tensor) -> Projection:
        """Return what P makes of rows: the variance of the outputs, and what :meth:`update` takes in place of the rows.

        Args:
            state: Not changed.
            rows: [N, q, p] H = dy/dtheta, or flat [M, p].

        Raises:
            ValueError: If the shape is another.
        """
        self._check_rows(rows)
        return Projection(self._projected(state, rows, None), rows.shape[:-1], state.updates)

    @torch.no_grad()
    def update(
        self,
        theta: Tensor,
        state: KalmanState,
        rows: Tensor | Projection,
        innovation: Tensor,
        noise: Tensor | float,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, KalmanState, UpdateReport]:
        """Move the parameters towards the targets, all rows at once.

        Where no row counts nothing changes, neither by forgetting nor by process noise.

        Args:
            theta: [p] float64. Not changed.
            state: Used up: its memory is the new state's.
            rows: [N, q, p] H = dy/dtheta, or flat [M, p]; or what :meth:`project` made of them and this state.
            innovation: [N, q] e = target - output, or flat [M].
            noise: R: one variance; or variances [N, q] (flat [M]); or covariances [N, q, q] (flat [M, M]).
            weights: [N] (flat [M]); false or 0 is as if the stream were not there, other numbers divide its R. None:
                all count in full.

        Returns:
            The new theta, the new state, and what the update saw.

        Raises:
            ValueError: If a shape or type does not fit, or a noise or weight is out of bounds.
            DivergenceError: If S is not positive definite, a number is not finite, or errors grow far beyond what the
                filter expects. Theta and P are as they were.
        """
        shape = self._check(theta, state, rows, innovation)
        observed = observe(innovation, noise, weights)
        count = observed.errors.shape[0]
        if count == 0:
            nothing = torch.full(shape, math.nan, dtype=torch.float64)
            return theta.detach(), state, UpdateReport(math.nan, 0.0, 0, 0, nothing)
        projected = self._projected(state, rows, observed.kept)

        lower, failed = torch.linalg.cholesky_ex(projected.covariance + observed.noise)
        white = whiten(observed.errors, lower, self.settings.clip)
        log_det = math.nan if failed.item() else 2.0 * sum(map(math.log, lower.diagonal().tolist()))
        if not math.isfinite(white.nis + log_det):
            raise DivergenceError(
                "the rows or the innovation are not finite, or S = H P H^T + R is not positive definite (P0 / R may be "
                'too large for this form; form="square_root" bears more): '
                f"largest variance {projected.covariance.max().item():.3g}, "
                f"largest innovation {observed.errors.abs().max().item():.3g}"
            )
        # solved from the right, the result lies row by row
        gain = torch.linalg.solve_triangular(lower.mT, projected.gain.mT, upper=True, left=False).mT
        theta = theta.detach() + self.layout.collect(white.values @ gain)
        check_change("the network", theta)
        error = float((observed.errors.square() / observed.noise.diagonal()).mean())
        consistency = state.consistency.seen(white.nis, error)
        consistency.check(self.settings.max_nis)
        clipped = state.clipped + white.clipped
        after = KalmanState(state.blocks, state.updates + 1, state.rows + count, clipped, consistency)
        self._contract_(after, projected, gain, lower, observed.noise)

        variance = projected.covariance.diagonal()
        if observed.kept is not None:
            variance = variance.new_full((shape.numel(),), math.nan).index_copy_(0, observed.kept, variance)
        return theta, after, UpdateReport(white.nis, log_det, white.clipped, count, variance.view(shape))

    def variances(self, state: KalmanState) -> Tensor:
        """Return the diagonal of P, [p]."""
        return self.layout.collect(self.form.variances(state.blocks)).clone()

    def covariances(self, state: KalmanState) -> list[Tensor]:
        """Return P of each group [n, n], in the order of the groups and of the parameters in each."""
        found: dict[int, Tensor] = {}
        for bucket, dense in zip(self.layout.buckets, self.form.dense(state.blocks), strict=True):
            for group, block in zip(bucket.groups, dense, strict=True):
                size = self.layout.sizes[group]
                found[group] = block[:size, :size]
        return [found[group] for group in range(len(found))]

    def _contract_(
        self, state: KalmanState, projected: ProjectedRows, gain: Tensor, lower: Tensor, noise: Tensor
    ) -> None:
        """Take W W^T from P, forget, and add process noise; the last two no further than each group's cap."""
        settings, blocks = self.settings, state.blocks
        inflation, each = 1.0 / settings.forgetting, None
        if inflation > 1:
            traces = self.form.traces(blocks)
            if bool((traces * inflation > self._cap).any()):
                left = traces - self.form.by_group(gain.square())
                each = (self._cap / left.clamp_min(1e-300)).clamp(1.0, inflation)
                inflation = 1.0
        self.form.contract_(blocks, projected, gain, lower, noise, inflation)
        if each is not None:
            self.form.inflate_(blocks, each)
        if settings.q > 0:
            added, room = self._process_noise, self._cap - self.form.traces(blocks)
            part = room / (self._prior_trace * (settings.q / settings.p0))
            if bool((part < 1).any()):
                added = added * self.form.of_group(part.clamp(0.0, 1.0))
            self.form.add_(blocks, added)
        if state.updates % _SYMMETRIZE_EVERY == 0:
            self.form.symmetrize_(blocks)
            least = float(self.layout.collect(self.form.variances(blocks)).min())
            if not least > 0:
                raise DivergenceError(
                    f"P lost its positive sign: its least variance is {least:.3g}. "
                    'Lower p0 / R, or use form="square_root", which cannot lose it'
                )

    def _projected(self, state: KalmanState, rows: Tensor | Projection, kept: Tensor | None) -> ProjectedRows:
        """Return H P and H P H^T for the rows that count."""
        if isinstance(rows, Projection):
            return rows.projected if kept is None else rows.projected.take(kept)
        flat = rows.detach().to(torch.float64).reshape(-1, self.layout.p)
        return self.form.project(state.blocks, self.layout.spread(flat if kept is None else flat[kept]))

    def _check_rows(self, rows: Tensor) -> None:
        if rows.dim() not in (2, 3) or rows.shape[-1] != self.layout.p or 0 in rows.shape:
            p = self.layout.p
            raise ValueError(f"rows must be [N, q, {p}] or [M, {p}] with a row at least, got {list(rows.shape)}")

    def _check(self, theta: Tensor, state: KalmanState, rows: Tensor | Projection, innovation: Tensor) -> torch.Size:
        """Return the shape of the outputs, [N, q] or [M]."""
        p = self.layout.p
        if theta.shape != (p,) or theta.dtype != torch.float64:
            raise ValueError(f"theta must be float64 [{p}], got {theta.dtype} {list(theta.shape)}")
        if not isinstance(rows, Projection):
            self._check_rows(rows)
            shape = rows.shape[:-1]
        else:
            shape = rows.shape
            if rows.updates != state.updates:
                raise ValueError(f"the projection is of update {rows.updates}, the state of {state.updates}")
        if innovation.shape != shape:
            raise ValueError(f"the innovation must be {list(shape)} as the rows, got {list(innovation.shape)}")
        return shape
