"""Groups of parameters by unit, gate or layer, for Kalman filters decoupled by node.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994 (node-decoupled EKF).

Axes: K units of a layer; every parameter is [G K, ...], one block of K rows a gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.networks.cell import AnyCell
from rlmem.networks.cells import Stack

Grouping = Literal["node", "gate", "layer"]
"""By unit with all its gates, by gate with all its units, or by layer."""


class Block(NamedTuple):
    """One parameter of a layer, as rows that each lead into one node."""

    layer: str
    nodes: list[str]
    """Of each row."""
    gates: list[str]
    """Of each row."""
    row_size: int


def cell_blocks(cell: AnyCell, name: str = "cell") -> Iterator[Block]:
    """Yield the parameters of a cell in the order of ``cell.parameters()``.

    Row i of a parameter leads into unit i modulo the number of units; a parameter whose rows are no multiple of the
    units is a node of its own. To which gates the rows belong, :attr:`rlmem.networks.cell.Cell.gates` says.
    """
    if isinstance(cell, Stack):
        for i, layer in enumerate(cell.layers):
            yield from cell_blocks(layer, f"{name}.{i}")  # type: ignore[arg-type]
        return
    state = cell.initial_state(0)
    units = state[0].shape[-1] if state else cell.hidden_size
    for key, parameter in cell.named_parameters():
        rows = parameter.shape[0] if parameter.dim() else 1
        nodes = cell.hidden_size if key in cell.output_parameters else units
        gates = cell.gates.get(key, (key,))
        node = "output" if key in cell.output_parameters else "unit"
        names = [f"{node} {row % nodes}" for row in range(rows)] if rows % nodes == 0 else [key] * rows
        yield Block(
            name,
            [f"{name}.{own}" for own in names],
            [f"{name}.{gates[row * len(gates) // rows]}" for row in range(rows)],
            parameter.numel() // rows,
        )


def group(blocks: list[Block], by: str) -> dict[str, Tensor]:
    """Return name -> sorted indices [n], a partition of the parameters of all blocks in their order.

    Args:
        blocks: The parameters, one after the other.
        by: One of :data:`Grouping`.

    Raises:
        UserError: If ``by`` is none of them.
    """
    if by not in get_args(Grouping):
        raise UserError(f"parameters are grouped by one of {get_args(Grouping)}, got {by!r}")
    groups: dict[str, list[Tensor]] = {}
    at = 0
    for block in blocks:
        rows = {"node": block.nodes, "gate": block.gates, "layer": [block.layer] * len(block.nodes)}[by]
        for name in rows:
            groups.setdefault(name, []).append(torch.arange(at, at + block.row_size))
            at += block.row_size
    return {name: torch.cat(parts) for name, parts in groups.items()}
