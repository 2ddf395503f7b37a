"""Memory layout of P: groups of similar size are padded and share one batch of blocks.

A loop over the groups of an NDEKF would cost a call a group. Groups whose sizes differ by less than a quarter are
padded to one size instead, with parameters that do not exist: their rows and their variance are 0, and stay 0.

Axes: M rows, p parameters, G groups of a bucket, B parameters of its blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_LEAST_FILL = 0.8
"""A block holds at least this part of its size: padding costs at most half as much memory again."""


class Bucket(NamedTuple):
    """Blocks of one size."""

    start: int
    """The column where its first block starts; the others follow."""
    size: int
    """B."""
    groups: tuple[int, ...]
    """Which groups they are, in the order in which they were given."""

    def view(self, x: Tensor) -> Tensor:
        """Return the columns of ``x`` [M, width] as [G, M, B], in the same memory."""
        count = len(self.groups)
        end = self.start + count * self.size
        own = x if self.start == 0 and end == x.shape[1] else x[:, self.start : end]
        return own.view(x.shape[0], count, self.size).transpose(0, 1)


class Layout:
    """Places of p parameters.

    Args:
        p: Number of parameters, at least 1.
        groups: Indices of the parameters of each group, each parameter in one of them; None: all in one.

    Raises:
        ValueError: If there is no parameter or the groups are not a partition.
    """

    def __init__(self, p: int, groups: Iterable[Tensor] | None = None) -> None:
        if p < 1:
            raise ValueError(f"p must be at least 1 parameter, got {p}")
        self.p = p
        self.groups = [torch.arange(p)] if groups is None else [torch.as_tensor(group) for group in groups]
        check_partition(p, self.groups)
        self.sizes = [len(group) for group in self.groups]
        self.buckets: list[Bucket] = []
        slots = torch.empty(p, dtype=torch.long)
        start = 0
        for size, members in bucket_sizes(self.sizes):
            self.buckets.append(Bucket(start, size, members))
            for member in members:
                slots[self.groups[member]] = torch.arange(start, start + self.sizes[member])
                start += size
        self.width = start
        """Parameters with padding."""
        self.slots = None if self.width == p and torch.equal(slots, torch.arange(p)) else slots
        """[p] the column of each parameter; None where it is its own number."""

    def spread(self, rows: Tensor) -> Tensor:
        """Move the columns of rows [M, p] to their places [M, width]."""
        if self.slots is None:
            return rows.contiguous()
        return rows.new_zeros(len(rows), self.width).scatter_(1, self.slots.expand(rows.shape), rows)

    def collect(self, x: Tensor) -> Tensor:
        """Return [p] of [width]."""
        return x if self.slots is None else x[self.slots]


def bucket_sizes(sizes: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the size of each bucket's blocks, largest first, and which groups share it."""
    buckets: list[tuple[int, list[int]]] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if not buckets or sizes[index] < _LEAST_FILL * buckets[-1][0]:
            buckets.append((sizes[index], []))
        buckets[-1][1].append(index)
    return [(size, tuple(sorted(members))) for size, members in buckets]


def check_partition(p: int, groups: Sequence[Tensor]) -> None:
    """Check that each of p parameters is in exactly one group.

    Raises:
        ValueError: If not; the message names a parameter.
    """
    for number, group in enumerate(groups):
        if group.dim() != 1 or len(group) == 0 or group.dtype != torch.long:
            raise ValueError(
                f"group {number} must be a list of at least one parameter's number (int64), "
                f"got {group.dtype} {tuple(group.shape)}"
            )
    every = torch.cat(list(groups)) if groups else torch.empty(0, dtype=torch.long)
    if len(every) and not 0 <= int(every.min()) <= int(every.max()) < p:
        raise ValueError(f"groups must hold numbers from 0 to {p - 1}, got {int(every.min())} to {int(every.max())}")
    count = torch.bincount(every, minlength=p)
    wrong = torch.nonzero(count != 1)[:, 0]
    if len(wrong):
        first = int(wrong[0])
        raise ValueError(
            f"groups must be a partition of {p} parameters: parameter {first} is in {int(count[first])} groups, not 1"
        )
