"""Pictures of a world by Bullet's software renderer, drawn large and scaled down for smooth edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rlmem.envs.simulation import pybullet

_OVERSAMPLING = 1.5
_FIELD_OF_VIEW = 50.0

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
) -> NDArray[np.uint8]:
    """Take a picture.

    Args:
        client: Bullet client.
        eye: Where the camera is, m.
        target: What it looks at, m.
        width: Pixels.
        height: Pixels.
        up: Which way is up in the picture.
        shadow: Draw shadows. Bullet's shadow map is made around the world's origin: far from it floors turn grey or
            striped.

    Returns:
        [height, width, 3] colours.
    """
    wide, high = int(width * _OVERSAMPLING), int(height * _OVERSAMPLING)
    view = pybullet.computeViewMatrix(eye, target, up)
    projection = pybullet.computeProjectionMatrixFOV(_FIELD_OF_VIEW, wide / high, 0.05, 40.0)
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
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8).reshape(high, wide, 4)[:, :, :3])
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
