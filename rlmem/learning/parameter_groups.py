"""Which parameters belong to a unit, a gate or a layer of a network: for Kalman filters decoupled by node.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994 (node-decoupled EKF).

Axes: K units of a layer; every parameter is [G K, ...], one block of K rows a gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from rlmem.networks.cell import AnyCell
from rlmem.networks.cells import CELLS, Stack

Grouping = Literal["node", "gate", "layer"]
"""By unit with all its gates, by gate with all its units, or by layer."""

_LSTM = ("input", "forget", "candidate", "output")
_GRU = ("reset", "update", "candidate")
_ELSTM = ("forget", "candidate", "output")
_COMPLEX: dict[str, tuple[str, ...]] = {
    "log_decay": ("decay",),
    "log_angle": ("angle",),
    "input_weight": ("real input", "imaginary input"),
}
_MIN_GRU = ("update", "candidate")

GATES: dict[str, Mapping[str, tuple[str, ...]]] = {
    "memoryless": {"linear.weight": ("drive",), "linear.bias": ("drive",)},
    "elman": {"input_weight": ("drive",), "hidden_weight": ("drive",), "bias": ("drive",)},
    "gru": {"input_weight": _GRU, "hidden_weight": _GRU, "bias": _GRU, "candidate_bias": ("candidate",)},
    "lstm": {"input_weight": _LSTM, "hidden_weight": _LSTM, "bias": _LSTM},
    "rtu": _COMPLEX,
    "lru": {**_COMPLEX, "log_gain": ("gain",), "output_weight": ("output",), "skip_weight": ("output",)},
    "min_gru": {"linear.weight": _MIN_GRU, "linear.bias": _MIN_GRU},
    "elstm": {
        "input_weight": _ELSTM,
        "bias": _ELSTM,
        "forget_weight": ("forget",),
        "candidate_weight": ("candidate",),
        "output_weight": ("output",),
    },
}
"""Cell -> parameter -> the gate of each of its blocks of rows."""

_READS = {"lru": ("output_weight", "skip_weight")}
"""Parameters of a linear layer above the units: its rows are nodes of their own."""


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

    A cell that is not in :data:`GATES` has one gate a parameter, and row i of a parameter leads into unit i modulo the
    number of units.
    """
    if isinstance(cell, Stack):
        for i, layer in enumerate(cell.layers):
            yield from cell_blocks(layer, f"{name}.{i}")  # type: ignore[arg-type]
        return
    kind = next((key for key, known in CELLS.items() if type(cell) is known), "")
    state = cell.initial_state(0)
    units = state[0].shape[-1] if state else cell.hidden_size
    for key, parameter in cell.named_parameters():
        rows = parameter.shape[0] if parameter.dim() else 1
        gates = GATES.get(kind, {}).get(key, (key,))
        node = "output" if key in _READS.get(kind, ()) else "unit"
        yield Block(
            name,
            [f"{name}.{node} {row % units}" for row in range(rows)],
            [f"{name}.{gates[row * len(gates) // rows]}" for row in range(rows)],
            parameter.numel() // rows,
        )


def group(blocks: list[Block], by: str) -> dict[str, Tensor]:
    """Return name -> sorted indices [n], a partition of the parameters of all blocks in their order.

    Args:
        blocks: The parameters, one after the other.
        by: One of :data:`Grouping`.

    Raises:
        ValueError: If ``by`` is none of them.
    """
    if by not in get_args(Grouping):
        raise ValueError(f"parameters are grouped by one of {get_args(Grouping)}, got {by!r}")
    groups: dict[str, list[Tensor]] = {}
    at = 0
    for block in blocks:
        rows = {"node": block.nodes, "gate": block.gates, "layer": [block.layer] * len(block.nodes)}[by]
        for name in rows:
            groups.setdefault(name, []).append(torch.arange(at, at + block.row_size))
            at += block.row_size
    return {name: torch.cat(parts) for name, parts in groups.items()}
