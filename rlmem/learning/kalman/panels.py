"""Symmetric matrices of which only one half is kept, as panels: half the memory, and twice the speed where P is large.

A panel holds c rows of the upper half, from its diagonal on: of G matrices of size B, panel k is [G, c, B - s] with s
rows above it. What a product needs of the lower half it takes from the same panel, which is still in the cache. A
matrix that fits the cache is one panel, kept whole.

Axes: G matrices, M rows, B size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Panels: TypeAlias = tuple[Tensor, ...]
_ROWS = 256
"""Rows of a panel; twice as many are kept whole. Measured: smaller ones cost calls, larger ones leave the cache."""


def shapes(count: int, size: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the panels of so many matrices of so many rows."""
    if size <= 2 * _ROWS:
        return ((count, size, size),)
    return tuple((count, min(_ROWS, size - start), size - start) for start in range(0, size, _ROWS))


def diagonal_panels(diagonal: Tensor) -> Panels:
    """Return diagonal matrices, of diagonals [G, B]."""
    panels, start = [], 0
    for shape in shapes(*diagonal.shape):
        panel = diagonal.new_zeros(shape)
        panel.diagonal(dim1=1, dim2=2).copy_(diagonal[:, start : start + shape[1]])
        panels.append(panel)
        start += shape[1]
    return tuple(panels)


def diagonals(panels: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts [G, c] of the diagonals, as views."""
    return [panel.diagonal(dim1=1, dim2=2) for panel in panels]


def multiply(rows: Tensor, panels: Sequence[Tensor]) -> Tensor:
    """Return rows [G, M, B] times the matrices, [G, M, B]."""
    if len(panels) == 1:
        return torch.bmm(rows, panels[0])
    product = torch.zeros(rows.shape, dtype=rows.dtype)
    for panel in panels:
        here = panel.shape[1]
        start = rows.shape[2] - panel.shape[2]
        end = start + here
        product[..., start:].baddbmm_(rows[..., start:end], panel)
        if here < panel.shape[2]:
            product[..., start:end].baddbmm_(rows[..., end:], panel[..., here:].mT)
    return product


def downdate_(panels: Sequence[Tensor], rows: Tensor, factor: float) -> None:
    """Take rows^T rows, of [G, M, B], from the matrices and multiply what is left by ``factor``, in place."""
    if len(panels) == 1:
        panels[0].baddbmm_(rows.mT, rows, beta=factor, alpha=-factor)
        return
    for panel in panels:
        start = rows.shape[2] - panel.shape[2]
        mine = rows[..., start : start + panel.shape[1]]
        panel.baddbmm_(mine.mT, rows[..., start:], beta=factor, alpha=-factor)


def symmetrize_(panels: Sequence[Tensor]) -> None:
    """Make the squares on the diagonal, which are kept whole, symmetric to the last bit, in place.

    A matrix product rounds its two halves differently. P - W W^T never mends the difference, and forgetting makes it
    grow.
    """
    for panel in panels:
        square = panel[..., : panel.shape[1]]
        square.copy_((square + square.mT).mul_(0.5))


def dense(panels: Sequence[Tensor]) -> Tensor:
    """Return the matrices [G, B, B], symmetric to the last bit."""
    size = panels[0].shape[2]
    upper = torch.cat([torch.nn.functional.pad(panel, (size - panel.shape[2], 0)) for panel in panels], 1).triu()
    return upper + upper.triu(1).mT
