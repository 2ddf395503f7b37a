"""Exact real-time recurrent learning of Elman, GRU and LSTM: every unit's state by all parameters.

Source: Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Neural
Computation 1(2), 1989. What a step adds to the derivative is sparse: a parameter reaches its unit only.

Axes: N streams, H hidden, K = H units, M parts of a unit's state, C parameters of a unit, P = K C parameters of the
cell, V vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Tensors
from rlmem.learning.derivatives.unit_derivative import UnitDerivative
from rlmem.networks.units import UnitStep


class DenseTraces(UnitDerivative):
    """M traces [N, K, P]; the product (ds'/dh) dh/dtheta costs M K^2 P multiplications a step.

    Args:
        units: A cell as units, with weights between them, all of its parameters those of units, and the first part of
            the state as its output.
        name: ``"rtrl"``.
    """

    @torch.no_grad()
    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        return by_output.flatten() @ carry.traces[0].flatten(0, 1)

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        if by_output.dim() == 3:
            return torch.bmm(by_output, carry.traces[0])
        return torch.bmm(by_output.unsqueeze(1), carry.traces[0]).squeeze(1)

    def rows(self, carry: Carry) -> Tensor:
        """Return the derivative of the output, [N, H, P]."""
        return carry.traces[0].clone()

    def _zero_traces(self, like: Tensor, num_streams: int) -> Tensors:
        shape = num_streams, self.output_size, self.num_parameters
        return tuple(like.new_zeros(shape) for _ in range(self._parts))

    def _advance(self, taken: UnitStep, traces: Tensors) -> Tensors:
        after, spread = [], self.units.by_hidden(taken.through)
        for immediate, keeps, by_hidden in zip(taken.immediate, taken.keep, spread, strict=True):
            new = torch.bmm(by_hidden, traces[0], out=self._memory.empty(tuple(traces[0].shape), traces[0]))
            for keep, trace in zip(keeps, traces, strict=True):
                if keep is not None:
                    new.addcmul_(keep.unsqueeze(-1), trace)
            after.append(new.scatter_add_(2, self.units.columns.expand_as(immediate), immediate))
        return tuple(after)
