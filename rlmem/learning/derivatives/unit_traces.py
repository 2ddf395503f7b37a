"""One trace a unit and parameter of it: exact RTRL of diagonal cells, SnAp-1 of all others, at a cost of O(P) a step.

Sources: Menick et al., "Practical Real Time Recurrent Learning with a Sparse Approximation", ICLR 2021
(SnAp-1, here with all parts of a unit's state kept for all parameters of the unit); Irie, Gopalakrishnan and
Schmidhuber, "Exploring the Promise and Limits of Real-Time Recurrent Learning", ICLR 2024 (eLSTM);
Elelimy et al., "Real-Time Recurrent Learning using Trace Units in Reinforcement Learning", NeurIPS 2024 (RTU).

Axes: N streams, D input, H hidden, K units, M parts of a unit's state, G gates, C parameters of a unit, P parameters of
the cell, V vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Tensors
from rlmem.learning.derivatives.unit_derivative import UnitDerivative
from rlmem.networks.units import UnitStep


class UnitTraces(UnitDerivative):
    """M traces [N, K, C]: the derivative of a unit's state by its own parameters.

    Args:
        units: The cell as units.
        name: ``"rtrl"`` where that is exact, or ``"snap1"``.
    """

    @torch.no_grad()
    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        read = self.read(carry, by_output.unsqueeze(1))
        pairs = zip(read.by_state, carry.traces, strict=True)
        terms = [by.squeeze(1).unsqueeze(-1) * trace for by, trace in pairs if by is not None]
        values = [_sum(terms).sum(0).flatten()] if terms else []
        for direct in read.direct:
            left = direct.left.squeeze(1)
            values.append(left.sum(0) if direct.right is None else (left.t() @ direct.right).flatten())
        return self.units.flatten(values)

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        vectors = by_output if by_output.dim() == 3 else by_output.unsqueeze(1)
        read = self.read(carry, vectors)
        pairs = zip(read.by_state, carry.traces, strict=True)
        terms = [by.unsqueeze(-1) * trace.unsqueeze(1) for by, trace in pairs if by is not None]
        values = [_sum(terms).flatten(2)] if terms else []
        for direct in read.direct:
            left, right = direct.left, direct.right
            values.append(left if right is None else (left.unsqueeze(-1) * right[:, None, None]).flatten(2))
        flat = self.units.flatten(values)
        return flat if by_output.dim() == 3 else flat.squeeze(1)

    def _zero_traces(self, like: Tensor, num_streams: int) -> Tensors:
        return tuple(like.new_zeros(num_streams, *self.units.columns.shape) for _ in range(self._parts))

    def _advance(self, taken: UnitStep, traces: Tensors) -> Tensors:
        for part, (immediate, keeps) in enumerate(zip(taken.immediate, taken.keep, strict=True)):
            for source, (keep, trace) in enumerate(zip(keeps, traces, strict=True)):
                if source == 0 and taken.through:
                    own = self.units.hidden_weight().diagonal(dim1=0, dim2=2).t()
                    itself = (taken.through[part] * own).sum(-1)
                    keep = itself if keep is None else keep + itself
                if keep is not None:
                    immediate.addcmul_(keep.unsqueeze(-1), trace)
        return taken.immediate


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total.add_(term)
    return total
