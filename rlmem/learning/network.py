"""A recurrent network: a memory cell and a linear readout, with all parameters as one vector.

Axes: T time, N streams (environments), D input, H hidden, Q outputs, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rlmem.learning.parameter_groups import Block, cell_blocks, group
from rlmem.networks.cell import AnyCell, Unfolded
from rlmem.networks.flat_parameters import FlatParameters


class Network(nn.Module):
    """y = V h + b + U x with h the output of a cell; any type of numbers.

    All parameters are views into one vector :attr:`theta`, so that a change of one is a change of the other. Its order
    is that of ``named_parameters()``: those of the cell, the readout's V (row by row) and b, then U.

    Args:
        cell: Any cell, also a :class:`rlmem.networks.cells.Stack`.
        output_size: Q, at least 1.
        skip: Whether the readout also sees the input (U).

    Raises:
        ValueError: If ``output_size`` is less than 1, or a parameter is frozen.
    """

    def __init__(self, cell: AnyCell, output_size: int, *, skip: bool = True) -> None:
        super().__init__()
        if output_size < 1:
            raise ValueError(f"output_size must be at least 1, got {output_size}")
        self.cell: AnyCell = cell
        sample = next(cell.parameters(), torch.empty(0))
        kind: dict[str, Any] = {"dtype": sample.dtype, "device": sample.device}
        self.readout = nn.Linear(cell.hidden_size, output_size, **kind)
        self.skip = nn.Linear(cell.input_size, output_size, bias=False, **kind) if skip else None
        self.input_size, self.output_size = cell.input_size, output_size
        frozen = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        if frozen:
            raise ValueError(f"all parameters of a network are trained, but these are frozen: {', '.join(frozen)}")
        self.flat = FlatParameters(self)

    @property
    def theta(self) -> Tensor:
        """[P] all parameters, in memory shared with them and without a graph: change it in place."""
        return self.flat.flat.data

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.theta.numel()

    def set_theta(self, theta: Tensor) -> None:
        """Copy a vector [P] into the parameters.

        Raises:
            ValueError: If it has another shape.
        """
        if theta.shape != self.theta.shape:
            raise ValueError(f"theta must be {tuple(self.theta.shape)}, got {tuple(theta.shape)}")
        self.theta.copy_(theta)

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Return views of a vector [..., P] by the names and with the shapes of the parameters."""
        named = dict(self.named_parameters())
        parts = torch.split(vector, [parameter.numel() for parameter in named.values()], -1)
        return {
            name: part.view(*vector.shape[:-1], *parameter.shape)
            for (name, parameter), part in zip(named.items(), parts, strict=True)
        }

    def groups(self, by: str = "node") -> dict[str, Tensor]:
        """Return a partition of ``range(P)``: name of a node, gate or layer -> sorted indices.

        Args:
            by: ``"node"``: all parameters that lead into one unit, its decay rates and all its gates among them;
                ``"gate"``: those of one gate of a layer; ``"layer"``. Each output of the readout is a node.

        Raises:
            UserError: If ``by`` is something else.
        """
        nodes = [f"readout.output {i}" for i in range(self.output_size)]
        linear = [Block("readout", nodes, ["readout"] * len(nodes), self.readout.in_features)]
        linear.append(Block("readout", nodes, ["readout"] * len(nodes), 1))
        if self.skip is not None:
            linear.append(Block("readout", nodes, ["readout"] * len(nodes), self.input_size))
        return group([*cell_blocks(self.cell), *linear], by)

    def initial_state(self, num_envs: int) -> tuple[Tensor, ...]:
        """Return the cell's state at the start of an episode, each part [N, ...]."""
        state: tuple[Tensor, ...] = self.cell.initial_state(num_envs)
        return state

    def read(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return y [..., Q] of the cell's output [..., H] and the input [..., D]."""
        y: Tensor = self.readout(hidden)
        return y if self.skip is None else y + self.skip(x)

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map one input [N, D] and a state to one output [N, Q] and the next state."""
        hidden, state = self.cell(x, state)
        return self.read(hidden, x), state

    def unfold(self, xs: Tensor, episode_start: Tensor, state: tuple[Tensor, ...]) -> Unfolded[tuple[Tensor, ...]]:
        """Run over inputs [T, N, D] with episode starts [T, N] inside; see :meth:`rlmem.networks.cell.Cell.unfold`."""
        hidden, state = self.cell.unfold(xs, episode_start, state)
        return Unfolded(self.read(hidden, xs), state)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Network:
        # a change of type or device gives every parameter memory of its own
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flat = FlatParameters(self)
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        # so does a copy
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.flat = FlatParameters(self)
