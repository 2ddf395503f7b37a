"""Backpropagation through time over whole sequences, full or truncated.

Sources: Werbos, "Backpropagation Through Time: What It Does and How to Do It", Proceedings of the IEEE 78(10), 1990;
Williams and Peng, "An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories",
Neural Computation 2(4), 1990: BPTT(h; h') with h the window and h' the stride.

Axes: T time, N streams, D input, Q outputs, P parameters, W window.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.derivatives.streams import stream_vjp
from rlmem.learning.network import Network
from rlmem.networks.cell import AnyCell, choose, rebuild


class Unrolled:
    """A sequence and its derivatives by backpropagation through time.

    Args:
        of: A network or a cell.
        xs: [T, N, D].
        episode_start: [T, N] bool; no gradient passes an episode start.
        state: Before ``xs[0]``, taken as constant; by default the initial state.
        window: W, the steps that a gradient passes at most, its own among them; None for all.
        stride: 1: the gradient of each step passes W steps (W times the cost). W: the sequence is cut into pieces of W
            steps, and a gradient ends where its piece begins. By default W.

    Raises:
        UserError: If the window is less than 1, or the stride neither 1 nor the window.
    """

    def __init__(
        self,
        of: Network | AnyCell,
        xs: Tensor,
        episode_start: Tensor,
        state: tuple[Tensor, ...] | None = None,
        *,
        window: int | None = None,
        stride: int | None = None,
    ) -> None:
        check_window(window, stride)
        self.of, self.xs, self.episode_start = of, xs, episode_start
        length = len(xs)
        self._window = length if window is None else min(window, length)
        self._cut = window is None or stride in (None, window) or window >= length
        self._before = [tuple(of.initial_state(xs.shape[1]) if state is None else state)]
        if self._cut:
            self._outputs = self._cut_outputs()
        else:
            self._outputs = self._step_outputs()
        self.outputs = self._outputs.detach()
        """[T, N, Q]."""

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The state after the last step, each part [N, ...]."""
        return self._before[-1]

    def gradient(self, by_outputs: Tensor) -> Tensor:
        """Return the gradient [P] of a loss, from its gradient [T, N, Q] by the outputs."""
        if by_outputs.shape != self.outputs.shape:
            raise ValueError(f"by_outputs must be {tuple(self.outputs.shape)}, got {tuple(by_outputs.shape)}")
        if self._cut:
            return flat_gradient(self.of, self._outputs, by_outputs, retain=True)
        size, length = self._window, len(self.xs)
        with torch.enable_grad():
            # the first W steps reach back to the start anyway, all later ones are one batch of windows
            first = self.of.unfold(self.xs[:size], self.episode_start[:size], self._state_before(0)).output
            total = flat_gradient(self.of, first, by_outputs[:size])
            index = torch.arange(size)[:, None] + torch.arange(1, length - size + 1)
            xs, starts = self.xs[index].flatten(1, 2), self.episode_start[index].flatten(1, 2)
            parts = zip(*(self._before[t] for t in range(1, length - size + 1)), strict=True)
            state = rebuild(self.of.initial_state(0), (torch.cat(part) for part in parts))
            last = self.of.unfold(xs, starts, state).output[-1]
            return total + flat_gradient(self.of, last, by_outputs[size:].flatten(0, 1))

    def rows(self, t: int, streams: Tensor | None = None) -> Tensor:
        """Return the derivative [N, Q, P] of each output of step t, or [M, Q, P] of M streams.

        Args:
            t: From 0 to T - 1.
            streams: Indices [M], by default all.

        Raises:
            ValueError: If there is no step t.
        """
        if not 0 <= t < len(self.xs):
            raise ValueError(f"t must be from 0 to {len(self.xs) - 1}, got {t}")
        chosen = torch.arange(self.xs.shape[1]) if streams is None else streams
        first = t // self._window * self._window if self._cut else max(0, t - self._window + 1)
        before = self._before[first // self._window] if self._cut else self._before[first]
        eye = torch.eye(self.outputs.shape[-1], dtype=self.xs.dtype, device=self.xs.device)
        return stream_vjp(
            self.of,
            self.xs[first : t + 1, chosen],
            self.episode_start[first : t + 1, chosen],
            tuple(part[chosen] for part in before),
            eye.expand(len(chosen), -1, -1),
        )

    def _cut_outputs(self) -> Tensor:
        """Unfold piece by piece with a graph, and keep the state before each."""
        outputs = []
        for at in range(0, len(self.xs), self._window):
            piece = slice(at, at + self._window)
            with torch.enable_grad():
                output, state = self.of.unfold(self.xs[piece], self.episode_start[piece], self._state_before(-1))
            outputs.append(output)
            self._before.append(tuple(part.detach() for part in state))
        return torch.cat(outputs)

    @torch.no_grad()
    def _step_outputs(self) -> Tensor:
        """Go step by step without a graph, and keep the state before each."""
        outputs = []
        fresh = self.of.initial_state(self.xs.shape[1])
        for x, start in zip(self.xs, self.episode_start, strict=True):
            output, state = self.of(x, choose(start, fresh, self._state_before(-1)))
            outputs.append(output)
            self._before.append(tuple(state))
        return torch.stack(outputs)

    def _state_before(self, i: int) -> Any:
        return rebuild(self.of.initial_state(0), self._before[i])


def check_window(window: int | None, stride: int | None) -> None:
    """Raise UserError if the window is less than 1, or the stride neither 1 nor the window."""
    if window is not None and window < 1:
        raise UserError(f"window must be at least 1 step, got {window}")
    if stride is not None and stride not in (1, window):
        raise UserError(f"stride must be 1 or the window ({window}), got {stride}")


def flat_gradient(of: Network | AnyCell, outputs: Tensor, by_outputs: Tensor, *, retain: bool = False) -> Tensor:
    """Return the gradient [P] by all parameters of outputs with a graph, weighted by ``by_outputs``."""
    parameters = list(of.parameters())
    found = torch.autograd.grad(
        outputs, parameters, by_outputs, retain_graph=retain, allow_unused=True, materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in found])
