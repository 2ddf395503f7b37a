"""Interface of all derivatives of a recurrent network (BPTT, RTRL, SnAp-1): one step at a time, state as a value.

Axes: T time, N streams (environments), D input, Q outputs (H of a cell), P parameters, K vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


class Carry(NamedTuple):
    """State passed from one step to the next; nothing in it is ever changed in place."""

    state: Tensors
    """The state of the cell, each part [N, ...]."""
    traces: Tensors
    """What is known of the derivative of the state by the parameters, or the inputs to find it from, [N, ...] or
    [T, N, ...]."""
    tape: Tensors
    """What the last step left to read derivatives from, each [N, ...]."""

    def to_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Return all tensors by name, for :func:`rlmem.runs.tensors_file.save_checkpoint`."""
        return {f"{prefix}{kind}.{i}": part for kind, parts in self._asdict().items() for i, part in enumerate(parts)}

    @classmethod
    def from_dict(cls, tensors: Mapping[str, Any], prefix: str = "") -> Carry:
        """Return a carry from what :meth:`to_dict` returned, as tensors or as arrays; other names are ignored."""
        found = []
        for kind in cls._fields:
            names = (f"{prefix}{kind}.{i}" for i in range(len(tensors)))
            found.append(tuple(torch.as_tensor(tensors[name]) for name in names if name in tensors))
        return cls(*found)


class DerivativeStep(NamedTuple):
    """Result of one step."""

    output: Tensor
    """[N, Q]."""
    carry: Carry


class SequenceGradient(NamedTuple):
    """Result of a sequence."""

    outputs: Tensor
    """[T, N, Q]."""
    gradient: Tensor
    """[P] summed over time and streams."""
    carry: Carry


class Derivative(ABC):
    """Derivatives of the outputs of a network, or of a bare cell, by all its parameters.

    A step takes the parameters as they are. Read the derivatives of a step before the parameters change. If they
    change from step to step, traces hold what was exact for the parameters of their time (Williams and Zipser, "A
    Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Neural Computation 1(2), 1989);
    :func:`rlmem.learning.derivatives.stale.stale_trace_error` measures the difference.
    """

    name: str
    """One of :data:`rlmem.learning.derivatives.DERIVATIVES`."""
    num_parameters: int
    """P."""
    output_size: int
    """Q, or H of a bare cell."""

    @abstractmethod
    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input."""

    @abstractmethod
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input.

        Args:
            x: [N, D].
            episode_start: [N] bool, true where ``x`` is the first input of an episode: state and traces of that stream
                start anew.
            carry: From :meth:`start` or the last step.
        """

    @abstractmethod
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative of the last output, stream by stream.

        Args:
            carry: After a step.
            by_output: [N, Q], or [N, K, Q] for K vectors a stream.

        Returns:
            [N, P] or [N, K, P].
        """

    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss by all parameters, from its gradient [N, Q] by the last outputs."""
        return self.stream_gradients(carry, by_output).sum(0)

    def rows(self, carry: Carry) -> Tensor:
        """Return the derivative [N, Q, P] of each of the last outputs."""
        first = carry.state[0] if carry.state else carry.tape[0]
        eye = torch.eye(self.output_size, dtype=first.dtype, device=first.device)
        return self.stream_gradients(carry, eye.expand(len(first), -1, -1))

    def sequence(
        self, xs: Tensor, episode_start: Tensor, by_output: Callable[[int, Tensor], Tensor], carry: Carry | None = None
    ) -> SequenceGradient:
        """Return the gradient of a sum of losses over a sequence.

        Args:
            xs: [T, N, D].
            episode_start: [T, N] bool.
            by_output: From t and the outputs [N, Q] of step t to the gradient [N, Q] of its loss by them.
            carry: Before the first input, by default a fresh one.
        """
        carry = self.start(xs.shape[1]) if carry is None else carry
        outputs, total = [], xs.new_zeros(self.num_parameters)
        for t, x in enumerate(xs):
            output, carry = self.step(x, episode_start[t], carry)
            total += self.gradient(carry, by_output(t, output))
            outputs.append(output)
        return SequenceGradient(torch.stack(outputs), total, carry)


def check_step(x: Tensor, episode_start: Tensor, input_size: int, like: Tensor) -> None:
    """Raise ValueError if inputs [N, D] or episode starts [N] do not fit a network, or its type of numbers."""
    if x.dim() != 2 or x.shape[1] != input_size or x.dtype != like.dtype:
        raise ValueError(f"x must be {like.dtype} [N, {input_size}], got {x.dtype} {tuple(x.shape)}")
    if episode_start.shape != x.shape[:1] or episode_start.dtype != torch.bool:
        raise ValueError(
            f"episode_start must be bool ({len(x)},), got {episode_start.dtype} {tuple(episode_start.shape)}"
        )
