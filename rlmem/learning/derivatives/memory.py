"""Reuse of memory blocks for large traces.

A step returns new traces and leaves the old ones as they are, so every step needs as much memory as the traces have.
Memory fresh from the operating system is slow to touch for the first time, in some virtual machines slower than the
mathematics.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST = 6
"""Blocks kept: the traces of two steps, of two parts each, and two that a caller keeps."""
_SMALL = 1 << 16
"""Numbers below which memory is not worth keeping."""


class Recycler:
    """Blocks of memory of one size, each handed out again when no tensor refers to it any more.

    That is seen from the number of references to the array behind a tensor: each tensor that shares its memory, also
    as a view, keeps one alive.
    """

    def __init__(self) -> None:
        self._blocks: list[NDArray[Any]] = []

    def empty(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return a tensor of a shape, with the type and place of another, and whatever was in its memory."""
        kind = _KINDS.get(like.dtype)
        if kind is None or like.device.type != "cpu" or math.prod(shape) < _SMALL:
            return torch.empty(shape, dtype=like.dtype, device=like.device)
        self._blocks = [block for block in self._blocks if block.shape == tuple(shape) and block.dtype == kind]
        for i in range(len(self._blocks)):
            if sys.getrefcount(self._blocks[i]) == 2:  # the list and the call
                return torch.from_numpy(self._blocks[i])
        block = np.empty(shape, kind)
        if len(self._blocks) < _MOST:
            self._blocks.append(block)
        return torch.from_numpy(block)

    def cleared(self, traces: Tensor, episode_start: Tensor) -> Tensor:
        """Return a copy of traces [N, ...] with zeros in the streams [N] where an episode starts."""
        copy = self.empty(tuple(traces.shape), traces).copy_(traces)
        copy[episode_start] = 0.0
        return copy


_KINDS: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
