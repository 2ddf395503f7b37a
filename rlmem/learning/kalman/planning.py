"""Memory and time that a Kalman filter will take, estimated before it is made.

Axes: M rows, p parameters, B parameters of a block.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

from rlmem.errors import UserError
from rlmem.learning.kalman import panels
from rlmem.learning.kalman.layout import bucket_sizes
from rlmem.learning.kalman.settings import Form

GEKF_LIMIT = 3_000
"""Parameters up to which one P over all of them is worth its time: about 10 ms an update with 8 rows."""
_SHARE = 0.5
"""P may take so much of the free memory."""
_BYTES = 8

# Nanoseconds, fitted to benchmarks/kalman.py: of a call, of a batch of blocks, of a number of P once and again for each
# row, where P is in the cache or not, and of a number of W.
_CALL, _BATCH = 35e3, 25e3
_CACHE = 8_000_000
_CACHED, _CACHED_ROW = 0.3, 0.12
_STREAMED, _STREAMED_ROW = 0.85, 0.19
_PROJECTED = 6.0
_ROOT, _ROOT_PROJECTED = 1.5, 2.0
"""How much longer the square root takes."""


class KalmanPlan(NamedTuple):
    """Cost of a filter; as a string one line."""

    parameters: int
    groups: int
    rows: int
    memory: int
    """Bytes of P or its factor, with padding."""
    flops: float
    """Additions and multiplications of an update."""
    milliseconds: float
    """Of an update on one thread of a present processor: an estimate within about a factor of two."""

    def __str__(self) -> str:
        """Return one line for a log."""
        kind = "GEKF" if self.groups == 1 else f"NDEKF in {_counted(self.groups, 'group')}"
        return (
            f"{kind}: {self.parameters:,} parameters, P {_in_words(self.memory)}; an update with "
            f"{_counted(self.rows, 'row')} {self.flops / 1e6:,.1f} Mflop, about {_short(self.milliseconds)} ms"
        )


def plan(sizes: Sequence[int], *, rows: int = 1, form: Form = "covariance") -> KalmanPlan:
    """Return the cost of a filter with groups of these sizes, for updates with so many rows.

    The flops are those of H P, of P - W W^T (of half of it where a half is kept), and of S and W.

    Raises:
        ValueError: If there is no group, one is empty, or there are no rows.
    """
    if not sizes or min(sizes) < 1 or rows < 1:
        raise ValueError(f"sizes must be at least one, each at least 1, and rows at least 1, got {list(sizes)}, {rows}")
    buckets = [(size, len(members)) for size, members in bucket_sizes(sizes)]
    whole = sum(count * size**2 for size, count in buckets)
    width = sum(count * size for size, count in buckets)
    kept = stored(sizes, form)
    product = 2.0 * whole * (1 if form == "covariance" else 2)
    flops = rows * (product + 2.0 * kept) + 3.0 * rows**2 * width
    once, each = (_CACHED, _CACHED_ROW) if _BYTES * kept <= _CACHE else (_STREAMED, _STREAMED_ROW)
    of_p, of_w = kept * (once + each * rows), _PROJECTED * width * rows
    if form == "square_root":
        of_p, of_w = _ROOT * of_p, _ROOT_PROJECTED * of_w
    nanoseconds = _CALL + _BATCH * len(buckets) + of_p + of_w
    return KalmanPlan(sum(sizes), len(sizes), rows, _BYTES * kept, flops, 1e-6 * nanoseconds)


def stored(sizes: Sequence[int], form: Form) -> int:
    """Return how many numbers P or its factor is kept as."""
    buckets = [(len(members), size) for size, members in bucket_sizes(sizes)]
    if form == "covariance":
        return sum(prod(shape) for bucket in buckets for shape in panels.shapes(*bucket))
    return sum(count * size**2 for count, size in buckets)


def check_memory(sizes: Sequence[int], form: Form) -> None:
    """Check that P takes no more than half of the free memory, where the system tells how much that is.

    Raises:
        UserError: If it takes more.
    """
    needed, free = _BYTES * stored(sizes, form), free_memory()
    if free is not None and needed > _SHARE * free:
        raise UserError(
            f"P of {sum(sizes):,} parameters in {_counted(len(sizes), 'group')} takes {_in_words(needed)}, more than "
            f"half of the {_in_words(free)} of free memory: take smaller groups (by node) or fewer parameters"
        )


def free_memory() -> int | None:
    """Return the bytes that can be had without swapping, with the container's limit; None where unknown."""
    found = []
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = info.read_text(encoding="ascii", errors="replace").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    elif {"SC_AVPHYS_PAGES", "SC_PAGE_SIZE"} <= set(getattr(os, "sysconf_names", {})):
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file():
        most = limit.read_text(encoding="ascii").strip()
        if most.isdigit():
            found.append(max(0, int(most) - int(used.read_text(encoding="ascii"))))
    return min(found, default=None)


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _in_words(size: int) -> str:
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"
