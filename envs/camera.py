"""Cameras: images for people, drawn by :mod:`rlmem.envs.scene`, and for agents, by Bullet's software renderer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.raster import lens
from rlmem.envs.scene import Frames, Scene
from rlmem.envs.simulation import pybullet, scenes

_OVERSAMPLING = 2
_SEAM = (38, 42, 50)
"""Color of the line between two images that are joined."""

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
    frames: Frames | None = None,
) -> NDArray[np.uint8]:
    """Render an image for people, drawn twice as large and scaled down for smooth edges.

    Args:
        client: Bullet client, after all bodies have been created.
        eye: Where the camera is, m.
        target: What it looks at, m.
        width: Pixels.
        height: Pixels.
        up: Which way is up in the picture.
        shadow: Draw shadows on the plane z = 0.
        frames: See :class:`rlmem.envs.scene.Scene`.

    Returns:
        [height, width, 3] colors.
    """
    from PIL import Image  # only pictures need it, not those who read a task's knobs

    if client not in scenes:
        scenes[client] = Scene(client, frames or {})
    size = _OVERSAMPLING * width, _OVERSAMPLING * height
    view = lens(np.array(eye), np.array(target), np.array(up), *size, field_of_view=50.0)
    drawn = scenes[client].picture(view, shadow_on=0.0 if shadow else None)
    image = Image.frombuffer("RGBX", size, drawn.tobytes(), "raw", "RGBX", 0, 1).reduce(_OVERSAMPLING)
    return np.ascontiguousarray(np.asarray(image)[:, :, :3])


def agent_picture(client: int, eye: Point, target: Point, size: int, field_of_view: float) -> NDArray[np.uint8]:
    """Render a small square image for an agent.

    Args:
        client: Bullet client.
        eye: Where the camera is, m.
        target: What it looks at, m.
        size: Pixels along each side.
        field_of_view: From top to bottom, degrees.

    Returns:
        [size, size, 3] colors.
    """
    pixels = pybullet.getCameraImage(
        size,
        size,
        pybullet.computeViewMatrix(eye, target, (0.0, 0.0, 1.0)),
        pybullet.computeProjectionMatrixFOV(field_of_view, 1.0, 0.05, 40.0),
        lightDirection=[-2.0, -1.5, 4.0],  # from behind the camera, so that what it looks at is lit
        lightColor=[1.0, 1.0, 1.0],
        lightAmbientCoeff=0.6,
        lightDiffuseCoeff=0.45,
        lightSpecularCoeff=0.15,
        shadow=0,
        renderer=pybullet.ER_TINY_RENDERER,
        flags=pybullet.ER_NO_SEGMENTATION_MASK,
        physicsClientId=client,
    )[2]
    return np.asarray(pixels, dtype=np.uint8).reshape(size, size, 4)[:, :, :3]


def join(first: NDArray[np.uint8], second: NDArray[np.uint8], axis: int = 1) -> NDArray[np.uint8]:
    """Put two images [height, width, 3] side by side (axis 1) or one over the other (axis 0), with a seam between."""
    both = np.concatenate((first, second), axis=axis)
    cut = first.shape[axis]
    np.moveaxis(both, axis, 0)[cut - 1 : cut + 1] = _SEAM
    return both
