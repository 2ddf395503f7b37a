"""Derivatives of a network from those of its cell.

Axes: N streams, D input, H hidden, Q outputs, P parameters of the network, V vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep
from rlmem.learning.derivatives.memory import Recycler
from rlmem.learning.network import Network


class NetworkDerivative(Derivative):
    """Derivatives of a network from those of its cell: y = V h + b + U x adds its own rows.

    Args:
        network: The network.
        inner: Derivatives of ``network.cell``.
    """

    def __init__(self, network: Network, inner: Derivative) -> None:
        self.network, self.inner, self.name = network, inner, inner.name
        self.num_parameters, self.output_size = network.num_parameters, network.output_size
        self._memory = Recycler()

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input."""
        carry = self.inner.start(num_streams)
        weight = self.network.readout.weight
        x = weight.new_zeros(num_streams, self.network.input_size)
        return carry._replace(tape=(weight.new_zeros(num_streams, weight.shape[1]), x, *carry.tape))

    @torch.no_grad()
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        hidden, carry = self.inner.step(x, episode_start, self._inside(carry))
        return DerivativeStep(self.network.read(hidden, x), carry._replace(tape=(hidden, x, *carry.tape)))

    @torch.no_grad()
    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        hidden, x = carry.tape[:2]
        network = self.network
        parts = [
            self.inner.gradient(self._inside(carry), by_output @ network.readout.weight),
            (by_output.t() @ hidden).flatten(),
            by_output.sum(0),
        ]
        if network.skip is not None:
            parts.append((by_output.t() @ x).flatten())
        return torch.cat(parts)

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        hidden, x = carry.tape[:2]
        if by_output.dim() == 3:
            hidden, x = hidden.unsqueeze(1), x.unsqueeze(1)
        network = self.network
        parts = [
            self.inner.stream_gradients(self._inside(carry), by_output @ network.readout.weight),
            (by_output.unsqueeze(-1) * hidden.unsqueeze(-2)).flatten(-2),
            by_output,
        ]
        if network.skip is not None:
            parts.append((by_output.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2))
        out = self._memory.empty((*by_output.shape[:-1], self.num_parameters), by_output)
        return torch.cat(parts, -1, out=out)

    def _inside(self, carry: Carry) -> Carry:
        return carry._replace(tape=carry.tape[2:])
