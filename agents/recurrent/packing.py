"""Lay episodes out side by side, so that one call of a network runs over all of them.

Rows of steps are cut where episodes start, and the pieces are packed into the columns of a grid, as even as they fit,
with a blank before each piece that does not stand at the top: no step is computed twice, hardly one for nothing.

Axes: R rows, L steps of a row, P pieces, S slots of a column, B columns.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Grid(NamedTuple):
    """Rows laid out for one call."""

    step: IntArray
    """[S, B] which step (t N + n) stands in each slot, -1 where none does."""
    blank: BoolArray | None
    """[S, B] where the state is emptied, or None if nowhere."""
    source: IntArray
    """[B] the row (index into the minibatch) whose state a column starts from, -1 for the start of an episode."""


def lay_out(starts: BoolArray, first_step: IntArray, stride: int) -> Grid:
    """Cut rows at episode starts and lay the pieces out as even columns.

    The longest piece sets the height; the others fill columns best-fit, longest first. A piece that continues an
    episode from before its row stands at the top of a column, where its state enters.

    Args:
        starts: [R, L] where an episode starts.
        first_step: [R] the number of each row's first step.
        stride: What the number of a step grows by with time.
    """
    row, _, size, continues = pieces = cut_rows(starts)
    column, top = fill_columns(size, continues)
    step, blank = make_grid(size, column, top, pieces.steps(first_step, stride))
    source = np.full(step.shape[1], -1, np.int64)
    source[column[continues]] = row[continues]
    return Grid(step, blank, source)


class Pieces(NamedTuple):
    """Rows cut at episode starts: P pieces in the order of rows, then of time."""

    row: IntArray
    """[P] the row of each piece."""
    begin: IntArray
    """[P] where in its row it begins."""
    size: IntArray
    """[P] its steps."""
    continues: BoolArray
    """[P] where its episode began before the row."""

    def steps(self, first_step: IntArray, stride: int) -> IntArray:
        """Return the numbers of all steps, one piece after the other, of rows that begin with ``first_step`` [R]."""
        within = np.arange(self.size.sum()) - np.repeat(np.cumsum(self.size) - self.size, self.size)
        steps: IntArray = np.repeat(first_step[self.row] + self.begin * stride, self.size) + within * stride
        return steps


def cut_rows(starts: BoolArray) -> Pieces:
    """Cut rows [R, L] where episodes start."""
    cut = starts.copy()
    cut[:, 0] = True
    row, begin = np.nonzero(cut)
    size = np.diff(np.append(row * starts.shape[1] + begin, starts.size))
    return Pieces(row, begin, size, ~starts[row, begin])


def fill_columns(size: IntArray, continues: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the column and the first slot of pieces [P], in columns as high as the longest of them."""
    order = np.lexsort((-size, ~continues))
    height = int(size.max())
    sizes, column, top = size.tolist(), np.empty(len(size), np.int64), np.empty(len(size), np.int64)
    room: list[tuple[int, int]] = []
    n_columns = 0
    for piece in order.tolist():
        need = sizes[piece] + 1
        at = len(room) if continues[piece] else bisect_left(room, (need, -1))
        if at == len(room):
            left, where = height, n_columns
            n_columns += 1
            need -= 1
        else:
            left, where = room.pop(at)
        column[piece], top[piece] = where, height - left + need - sizes[piece]
        left -= need
        room.insert(bisect_left(room, (left, where)), (left, where))
    return column, top


def make_grid(size: IntArray, column: IntArray, top: IntArray, numbers: IntArray) -> tuple[IntArray, BoolArray | None]:
    """Write the numbers of all pieces' steps, one piece after the other, into a grid.

    Returns:
        The grid [S, B], -1 where no step stands, and the blanks [S, B]: one before each piece that is not at the top.
    """
    step = np.full((int((top + size).max()), int(column.max()) + 1), -1, np.int64)
    within = np.arange(len(numbers)) - np.repeat(np.cumsum(size) - size, size)
    step[np.repeat(top, size) + within, np.repeat(column, size)] = numbers
    under = top > 0
    if not under.any():
        return step, None
    blank = np.zeros(step.shape, bool)
    blank[top[under] - 1, column[under]] = True
    return step, blank
