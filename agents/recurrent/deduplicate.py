"""Equal pictures are looked at once: in a memory task most of them are, for what was seen is gone.

Axes: M pictures, K different ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Distinct(NamedTuple):
    """Which pictures of many are different."""

    first: NDArray[np.intp]
    """[K] where each stands first."""
    which: NDArray[np.intp]
    """[M] which of the K each is."""


def distinct(pictures: NDArray[Any]) -> Distinct:
    """Find pictures [M, ...] that are equal byte for byte."""
    known: dict[bytes, int] = {}
    which = [known.setdefault(picture.tobytes(), len(known)) for picture in pictures]
    return Distinct(np.unique(which, return_index=True)[1], np.array(which, dtype=np.intp))
