"""Exact real-time recurrent learning for any cell: J' = (ds'/ds) J + ds'/dtheta, by automatic differentiation.

Source: Williams and Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks", Neural
Computation 1(2), 1989.

Axes: N streams, D input, H hidden, S numbers of state, R = S (+ H) rows, P parameters of the cell, K vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from rlmem.learning.derivatives.base import Carry, Derivative, DerivativeStep, Tensors, check_step
from rlmem.learning.derivatives.memory import Recycler
from rlmem.networks.cell import AnyCell, choose, rebuild


class GenericRTRL(Derivative):
    """J [N, R, P] of the whole state, and of the output where that is no part of the state.

    A step costs a vector-Jacobian product a row, and the product (ds'/ds) J of S R P multiplications; memory is N R P
    numbers, whatever the length of an episode. The state at the start of an episode is taken as constant.

    Args:
        cell: Any cell, also a stack.
    """

    name = "rtrl"

    def __init__(self, cell: AnyCell) -> None:
        self.cell = cell
        self.num_parameters = sum(parameter.numel() for parameter in cell.parameters())
        self.output_size = cell.hidden_size
        self._names = tuple(name for name, _ in cell.named_parameters())
        probe = cell.initial_state(1)
        self._sizes = [part[0].numel() for part in probe]
        self._state_size = sum(self._sizes)
        with torch.no_grad():
            output, after = cell(next(cell.parameters()).new_zeros(1, cell.input_size), probe)
        part = next((i for i, new in enumerate(after) if new is output), None)
        self._separate = part is None
        first = self._state_size if part is None else sum(self._sizes[:part])
        self._output = slice(first, first + cell.hidden_size)
        self._rows = self._state_size + (cell.hidden_size if self._separate else 0)
        one = jacrev(self._one, argnums=(0, 2), has_aux=True)
        self._jacobian = vmap(one, in_dims=(None, 0, 0))
        self._memory = Recycler()

    def start(self, num_streams: int) -> Carry:
        """Return the carry before the first input: J is 0."""
        state = self.cell.initial_state(num_streams)
        like = next(self.cell.parameters())
        return Carry(tuple(state), (like.new_zeros(num_streams, self._rows, self.num_parameters),), ())

    @torch.no_grad()
    def step(self, x: Tensor, episode_start: Tensor, carry: Carry) -> DerivativeStep:
        """Take one input [N, D]; see :meth:`Derivative.step`."""
        parameters = {name: parameter.detach() for name, parameter in self.cell.named_parameters()}
        check_step(x, episode_start, self.cell.input_size, parameters[self._names[0]])
        state, (jacobian,) = carry.state, carry.traces
        if episode_start.any():
            state = choose(episode_start, tuple(self.cell.initial_state(len(x))), state)
            jacobian = self._memory.cleared(jacobian, episode_start)
        (by_theta, by_state), (after, output) = self._jacobian(parameters, x, state)
        direct = self._memory.empty(tuple(jacobian.shape), jacobian)
        torch.cat([by_theta[name].reshape(*direct.shape[:2], -1) for name in self._names], -1, out=direct)
        if self._state_size:
            through = torch.cat([part.flatten(2) for part in by_state], -1)
            direct.baddbmm_(through, jacobian[:, : self._state_size])
        return DerivativeStep(output, Carry(after, (direct,), ()))

    @torch.no_grad()
    def gradient(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return the gradient [P] of a loss; see :meth:`Derivative.gradient`."""
        outputs = carry.traces[0][:, self._output]
        return torch.matmul(by_output.unsqueeze(1), outputs).sum((0, 1))

    @torch.no_grad()
    def stream_gradients(self, carry: Carry, by_output: Tensor) -> Tensor:
        """Return vectors times J; see :meth:`Derivative.stream_gradients`."""
        outputs = carry.traces[0][:, self._output]
        if by_output.dim() == 2:
            return torch.matmul(by_output.unsqueeze(1), outputs).squeeze(1)
        return torch.matmul(by_output, outputs)

    def rows(self, carry: Carry) -> Tensor:
        """Return J of the output, [N, H, P]."""
        return carry.traces[0][:, self._output].clone()

    def _one(self, parameters: dict[str, Tensor], x: Tensor, state: Tensors) -> tuple[Tensor, Any]:
        """DerivativeStep one stream: all rows [R], and state and output beside them."""
        parts = rebuild(self.cell.initial_state(0), (part.unsqueeze(0) for part in state))
        output, after = functional_call(self.cell, parameters, (x.unsqueeze(0), parts))
        rows = [part.flatten() for part in after]
        if self._separate:
            rows.append(output.flatten())
        return torch.cat(rows), (tuple(part.squeeze(0) for part in after), output.squeeze(0))
