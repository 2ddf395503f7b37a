"""Pictures of a world by Bullet's software renderer, for people drawn large and scaled down for smooth edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rlmem.envs.simulation import pybullet

_OVERSAMPLING = 1.5
_SEAM = (38, 42, 50)
"""Color between two pictures that are joined."""

Point = tuple[float, float, float]


def photograph(
    client: int,
    eye: Point,
    target: Point,
    width: int,
    height: int,
    up: Point = (0.0, 0.0, 1.0),
    *,
    shadow: bool = False,
    field_of_view: float = 50.0,
    smooth: bool = True,
) -> NDArray[np.uint8]:
    """Take a picture.

    Args:
        client: Bullet client.
        eye: Where the camera is, m.
        target: What it looks at, m.
        width: Pixels.
        height: Pixels.
        up: Which way is up in the picture.
        shadow: Draw shadows. Bullet's shadow map is made around the world's origin: far from it floors turn gray or
            striped.
        field_of_view: From top to bottom, degrees.
        smooth: Draw larger and scale down. Without, a small picture takes less time.

    Returns:
        [height, width, 3] colors.
    """
    scale = _OVERSAMPLING if smooth else 1.0
    wide, high = int(width * scale), int(height * scale)
    view = pybullet.computeViewMatrix(eye, target, up)
    projection = pybullet.computeProjectionMatrixFOV(field_of_view, wide / high, 0.05, 40.0)
    pixels = pybullet.getCameraImage(
        wide,
        high,
        view,
        projection,
        lightDirection=[-2.0, -1.5, 4.0],  # from behind the camera, so that what it looks at is lit
        lightColor=[1.0, 1.0, 1.0],
        lightAmbientCoeff=0.6,
        lightDiffuseCoeff=0.45,
        lightSpecularCoeff=0.15,
        shadow=int(shadow),
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        physicsClientId=client,
    )[2]
    colors = np.asarray(pixels, dtype=np.uint8).reshape(high, wide, 4)[:, :, :3]
    if not smooth:
        return colors
    image = Image.fromarray(colors)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def join(first: NDArray[np.uint8], second: NDArray[np.uint8], axis: int = 1) -> NDArray[np.uint8]:
    """Put two pictures [height, width, 3] side by side (axis 1) or one over the other (axis 0), with a seam between."""
    both = np.concatenate((first, second), axis=axis)
    cut = first.shape[axis]
    np.moveaxis(both, axis, 0)[cut - 1 : cut + 1] = _SEAM
    return both
