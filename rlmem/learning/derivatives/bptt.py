"""Backpropagation through time behind the interface of one step at a time: the carry holds the inputs.

Source: Williams and Peng, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network
Trajectories", Neural Computation 2(4), 1990 (BPTT(h): at every step, h steps back).

Axes: L inputs kept, T time, N streams, D input, Q outputs, P parameters, V vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep, SequenceGradient, check_step
from rlmem.learning.derivatives.streams import stream_vjp
from rlmem.learning.derivatives.unrolled import Unrolled, check_window, flat_gradient
from rlmem.learning.network import Network
from rlmem.networks.cell import AnyCell, choose, rebuild


class BPTT(Derivative):
    """Traces: inputs [L, N, D] and episode starts [L, N] of the window, and the parts [N, ...] of the state before it.

    A step runs the whole window again with the parameters as they are, and so does a derivative: output and rows then
    belong to the same parameters also where these change at every step. (A Kalman filter whose rows come from newer
    parameters than its output takes the error of the old ones for theirs, and diverges.) Inputs before the streams'
    last episode starts are dropped. Where the window is full, the state before it moves on by one step with each input.

    Args:
        of: A network or a cell.
        window: Steps that a gradient passes at most, its own among them; None for all since the start of the episode.
        stride: For :meth:`sequence` only, see :class:`rlmem.learning.derivatives.unrolled.Unrolled`; by default 1.

    Raises:
        UserError: If the window is less than 1, or the stride neither 1 nor the window.
    """

    def __init__(self, of: Network | AnyCell, window: int | None = None, stride: int = 1) -> None:
        check_window(window, stride)
        self.of, self.window, self.stride = of, window, stride
        self.num_parameters = sum(parameter.numel() for parameter in of.parameters())
        self.output_size = of.output_size if isinstance(of, Network) else of.hidden_size
        self.name = "bptt" if window is None else "tbptt"

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input: an empty window."""
        state = tuple(self.of.initial_state(num_streams))
        like = next(self.of.parameters())
        xs = like.new_zeros(0, num_streams, self.of.input_size)
        return Carry(state, (xs, like.new_zeros(0, num_streams, dtype=torch.bool), *state), ())

    @torch.no_grad()
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        xs, starts, *before = carry.traces
        check_step(x, episode_start, self.of.input_size, xs)
        fresh: Any = self.of.initial_state(len(x))
        if self.window is not None and len(xs) == self.window:
            before = self.of(xs[0], choose(starts[0], fresh, rebuild(fresh, before)))[1]
            xs, starts = xs[1:], starts[1:]
        xs, starts = torch.cat((xs, x.unsqueeze(0))), torch.cat((starts, episode_start.unsqueeze(0)))
        first = _first_needed(starts) if episode_start.any() else 0
        xs, starts = xs[first:], starts[first:]
        outputs, after = self.of.unfold(xs, starts, rebuild(fresh, before))
        return DerivativeStep(outputs[-1], Carry(tuple(after), (xs, starts, *before), ()))

    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        xs, starts, *before = carry.traces
        if not len(xs):
            return xs.new_zeros(self.num_parameters)
        with torch.enable_grad():
            last = self.of.unfold(xs, starts, rebuild(self.of.initial_state(0), before)).output[-1]
            return flat_gradient(self.of, last, by_output)

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times the derivative; see :meth:`Derivative.stream_gradients`."""
        xs, starts, *before = carry.traces
        if not len(xs):
            return xs.new_zeros(*by_output.shape[:-1], self.num_parameters)
        vectors = by_output if by_output.dim() == 3 else by_output.unsqueeze(1)
        found = stream_vjp(self.of, xs, starts, tuple(before), vectors)
        return found if by_output.dim() == 3 else found.squeeze(1)

    def rows(self, carry: Carry) -> Tensor:
        """Return the derivative [N, Q, P] of each of the last outputs."""
        xs = carry.traces[0]
        eye = torch.eye(self.output_size, dtype=xs.dtype, device=xs.device)
        return self.stream_gradients(carry, eye.expand(xs.shape[1], -1, -1))

    def sequence(
        self, xs: Tensor, episode_start: Tensor, by_output: Callable[[int, Tensor], Tensor], carry: Carry | None = None
    ) -> SequenceGradient:
        """Return the gradient of a sum of losses over a sequence; see :meth:`Derivative.sequence`.

        One backward pass for all steps. With a stride of the window, gradients end where the sequence begins.
        """
        carry = self.start(xs.shape[1]) if carry is None else carry
        old, old_starts, *before = carry.traces
        if self.window is not None and self.stride == self.window:
            old, old_starts, before = old[:0], old_starts[:0], list(carry.state)
        whole, starts = torch.cat((old, xs)), torch.cat((old_starts, episode_start))
        unrolled = Unrolled(self.of, whole, starts, tuple(before), window=self.window, stride=self.stride)
        outputs = unrolled.outputs[len(old) :]
        by_outputs = torch.zeros_like(unrolled.outputs)
        by_outputs[len(old) :] = torch.stack([by_output(t, output) for t, output in enumerate(outputs)])
        gradient = unrolled.gradient(by_outputs)
        first = 0 if self.window is None else max(0, len(whole) - self.window)
        if first:
            with torch.no_grad():
                like = rebuild(self.of.initial_state(0), before)
                before = list(self.of.unfold(whole[:first], starts[:first], like).state)
        first += _first_needed(starts[first:])
        return SequenceGradient(outputs, gradient, Carry(unrolled.state, (whole[first:], starts[first:], *before), ()))


def _first_needed(starts: Tensor) -> int:
    """Return the first input [L, N] that belongs to the last episode of any stream."""
    steps = torch.arange(len(starts), device=starts.device).unsqueeze(1)
    return int(torch.where(starts, steps, 0).amax(0).min())
