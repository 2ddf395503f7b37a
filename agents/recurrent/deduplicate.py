"""Deduplicate identical images before encoding: in a memory task most frames of a rollout repeat.

Axes: M images, K different ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class UniqueImages(NamedTuple):
    """The different ones among many images."""

    first: NDArray[np.intp]
    """[K] index of the first occurrence of each."""
    inverse: NDArray[np.intp]
    """[M] which of the K each image is."""


def unique_images(images: NDArray[Any]) -> UniqueImages:
    """Find images [M, ...] that are equal byte for byte."""
    known: dict[bytes, int] = {}
    inverse = [known.setdefault(image.tobytes(), len(known)) for image in images]
    return UniqueImages(np.unique(inverse, return_index=True)[1], np.array(inverse, dtype=np.intp))
