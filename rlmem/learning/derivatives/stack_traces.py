"""Exact real-time recurrent learning of layers of known cells: traces of each layer, and those across layers.

The state of a layer depends on its own parameters as that of a cell alone does, and on those of the layers below it
through its inputs, of all steps so far: X' = (ds'/ds) X + (ds'/dx) dx/dtheta, with x the output of the layer below.

Source: Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Neural
Computation 1(2), 1989, by blocks.

Axes: N streams, D input of a layer, H hidden, K units, M parts of a unit's state, B parameters of the layers below,
P parameters, V vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep, Tensors
from rlmem.learning.derivatives.layer_traces import JoinedCarries
from rlmem.learning.derivatives.memory import Recycler
from rlmem.learning.derivatives.unit_derivative import UnitDerivative, past_state
from rlmem.networks.units import UnitStep


class StackTraces(Derivative):
    """For each layer its own traces, and M traces [N, K, B] by the parameters of all layers below.

    Args:
        layers: Exact traces of each layer, each taking as input the output of the one before.
    """

    name = "rtrl"

    def __init__(self, layers: Sequence[UnitDerivative]) -> None:
        self.layers = tuple(layers)
        self.num_parameters = sum(layer.num_parameters for layer in layers)
        self.output_size = layers[-1].output_size
        self._memory = [Recycler() for _ in layers]
        self._joint = JoinedCarries(self._start_layers(1))

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input: all traces are 0."""
        return self._joint.join(self._start_layers(num_streams))

    @torch.no_grad()
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        after: list[Carry] = []
        for i, (layer, both) in enumerate(zip(self.layers, self._joint.split(carry), strict=True)):
            own, across = self._apart(i, both)
            if episode_start.any():
                across = tuple(self._memory[i].cleared(trace, episode_start) for trace in across)
            taken, new = layer.take(x, episode_start, own)
            across = self._advance(i, taken, across, after) if i else ()
            after.append(new._replace(traces=(*new.traces, *across)))
            x = taken.output
        return DerivativeStep(x, self._joint.join(after))

    @torch.no_grad()
    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        return self.stream_gradients(carry, by_output).sum(0)

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        vectors = by_output if by_output.dim() == 3 else by_output.unsqueeze(1)
        found = self._back(self._joint.split(carry), vectors)
        return found if by_output.dim() == 3 else found.squeeze(1)

    def _back(self, carries: Sequence[Carry], vectors: Tensor) -> Tensor:
        """Return vectors [N, V, H] times the derivative of the output of the highest of some layers."""
        top = len(carries) - 1
        layer, (own, across) = self.layers[top], self._apart(top, carries[top])
        by_own = layer.stream_gradients(own, vectors)
        if not top:
            return by_own
        read = layer.read(own, vectors)
        below = self._back(carries[:top], past_state(read, vectors, layer.cell.input_size))
        for by_state, trace in zip(read.by_state, across, strict=True):
            if by_state is not None:
                below = below + torch.bmm(by_state, trace)
        return torch.cat((below, by_own), -1)

    def _advance(self, i: int, taken: UnitStep, across: Tensors, below: Sequence[Carry]) -> Tensors:
        """Return the traces of layer i by the parameters of the layers below, whose carries are already new."""
        layer, after = self.layers[i], []
        by_hidden = layer.units.by_hidden(taken.through)
        for part, (keeps, by_input) in enumerate(zip(taken.keep, layer.units.by_input(taken.drive), strict=True)):
            new = self._back(below, by_input)
            for keep, trace in zip(keeps, across, strict=True):
                if keep is not None:
                    new.addcmul_(keep.unsqueeze(-1), trace)
            if by_hidden:
                new.baddbmm_(by_hidden[part], across[0])
            after.append(new)
        return tuple(after)

    def _start_layers(self, num_streams: int) -> list[Carry]:
        carries, below = [], 0
        for i, layer in enumerate(self.layers):
            own = layer.start(num_streams)
            across = tuple(part.new_zeros(*part.shape, below) for part in own.state) if i else ()
            carries.append(own._replace(traces=(*own.traces, *across)))
            below += layer.num_parameters
        return carries

    def _apart(self, i: int, carry: Carry) -> tuple[Carry, Tensors]:
        """Return a layer's own carry, and its traces by the parameters of the layers below."""
        own = len(carry.traces) // (2 if i else 1)
        return carry._replace(traces=carry.traces[:own]), carry.traces[own:]
