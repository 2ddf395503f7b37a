"""SnAp-1 of a stack, layer by layer: gradients pass between layers within a step, and through time within a layer.

Source: Menick et al., "Practical Real Time Recurrent Learning with a Sparse Approximation", ICLR 2021;
between layers as in Irie, Gopalakrishnan and Schmidhuber, "Exploring the Promise and Limits of Real-Time Recurrent
Learning", ICLR 2024: what a lower layer did at earlier steps to the state of a higher one is left out.

Axes: N streams, D input, H hidden, P parameters, V vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep
from rlmem.learning.derivatives.unit_derivative import UnitDerivative


class LayerTraces(Derivative):
    """The carries of all layers, from the lowest up, as one.

    Args:
        layers: Traces of each layer, each taking as input the output of the one before.
    """

    name = "snap1"

    def __init__(self, layers: Sequence[UnitDerivative]) -> None:
        self.layers = tuple(layers)
        self.num_parameters = sum(layer.num_parameters for layer in layers)
        self.output_size = layers[-1].output_size
        self._joint = JoinedCarries([layer.start(1) for layer in layers])

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input: all traces are 0."""
        return self._joint.join([layer.start(num_streams) for layer in self.layers])

    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        after = []
        for layer, own in zip(self.layers, self._joint.split(carry), strict=True):
            x, new = layer.step(x, episode_start, own)
            after.append(new)
        return DerivativeStep(x, self._joint.join(after))

    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        found = []
        for i, (layer, own) in reversed(list(enumerate(zip(self.layers, self._joint.split(carry), strict=True)))):
            found.append(layer.gradient(own, by_output))
            if i:
                by_output = layer.input_gradient(own, by_output)
        return torch.cat(found[::-1])

    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        found = []
        for i, (layer, own) in reversed(list(enumerate(zip(self.layers, self._joint.split(carry), strict=True)))):
            found.append(layer.stream_gradients(own, by_output))
            if i:
                by_output = layer.input_gradient(own, by_output)
        return torch.cat(found[::-1], -1)

    def input_gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient by the last input, [N, D] or [N, V, D]: what passes through no earlier step."""
        for layer, own in reversed(list(zip(self.layers, self._joint.split(carry), strict=True))):
            by_output = layer.input_gradient(own, by_output)
        return by_output


class JoinedCarries:
    """Carries of several layers as one, and back.

    Args:
        carries: One of each layer, for the number of its tensors.
    """

    def __init__(self, carries: Sequence[Carry]) -> None:
        self._ends = [
            list(accumulate((len(parts) for parts in kind), initial=0)) for kind in zip(*carries, strict=True)
        ]

    def join(self, carries: Sequence[Carry]) -> Carry:
        """Return one carry."""
        return Carry(*(tuple(part for parts in kind for part in parts) for kind in zip(*carries, strict=True)))

    def split(self, carry: Carry) -> list[Carry]:
        """Return the carry of each layer."""
        kinds = ([parts[a:b] for a, b in pairwise(ends)] for parts, ends in zip(carry, self._ends, strict=True))
        return [Carry(*own) for own in zip(*kinds, strict=True)]
