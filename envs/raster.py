"""Software rasterizer: draws flat faces with a depth buffer, in numpy.

Faces are scan-converted in homogeneous coordinates (Olano and Greer, "Triangle scan conversion using 2D homogeneous
coordinates", 1997), so that nothing is clipped: a pixel (x, y) lies inside a face where its four edge functions and
its inverse depth, all affine in x and y, are positive.

Axes: F faces, 4 corners, P pairs of a face and a row, H height, W width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NEAR = 0.02
"""m, near plane: nothing closer to the camera is drawn."""
_LARGE = 3_000
"""Number of pixels from which a face is drawn on its own; smaller faces are drawn together."""


class Lens(NamedTuple):
    """A pinhole camera."""

    eye: Floats
    """[3] m."""
    axes: Floats
    """[3, 3] rows: right, up, ahead in the world."""
    width: int
    height: int
    tangent: float
    """Tangent of half the vertical field of view."""

    @property
    def matrix(self) -> Floats:
        """[3, 3]: takes a point from the eye (m, world's axes) to (x w, y w, w) with pixels x, y and depth w."""
        focal = self.height / 2 / self.tangent
        to_pixels = np.array([[focal, 0, self.width / 2], [0, -focal, self.height / 2], [0, 0, 1.0]])
        return to_pixels @ self.axes


def lens(eye: Floats, target: Floats, up: Floats, width: int, height: int, field_of_view: float) -> Lens:
    """Return a camera at ``eye`` that looks at ``target`` (m), with a field of view from top to bottom (degrees)."""
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(ahead, up)
    right /= np.linalg.norm(right)
    axes = np.stack((right, np.cross(right, ahead), ahead))
    return Lens(eye, axes, width, height, float(np.tan(np.deg2rad(field_of_view) / 2)))


class Spans(NamedTuple):
    """Rows of faces: in row ``row`` the face ``face`` covers the pixels from ``start`` up to, without, ``end``. [P]."""

    face: Ints
    row: Ints
    start: Ints
    end: Ints


class Projected(NamedTuple):
    """Faces projected into an image."""

    edges: Floats
    """[5, 3, F]: affine functions of x, y that are positive inside; the last is the inverse depth, 1/m."""
    low: Ints
    """[F] first row."""
    high: Ints
    """[F] row after the last."""


def project(view: Lens, corners: Floats, normals: Floats) -> tuple[Projected, Ints]:
    """Project faces into the image of a camera.

    Args:
        view: The camera.
        corners: [F, 4, 3] m.
        normals: [F, 3] unit vectors, toward the camera.

    Returns:
        The faces that are in the image, and their indices.
    """
    away = corners - view.eye
    distance = np.einsum("fi,fi->f", normals, away[:, 0])
    points = np.ascontiguousarray((away @ view.matrix.T).transpose(1, 2, 0))  # [4, 3, F] x w, y w, w
    depth = points[:, 2]
    before = depth.min(axis=0) > _NEAR
    safe = np.where(before, depth, 1.0)
    x, y = points[:, 0] / safe, points[:, 1] / safe
    out = (x.max(axis=0) < 0) | (x.min(axis=0) > view.width) | (y.max(axis=0) < 0) | (y.min(axis=0) > view.height)
    kept = np.flatnonzero(np.where(before, ~out, depth.max(axis=0) > _NEAR) & (distance < -1e-9))
    points, before, y = points[:, :, kept], before[kept], y[:, kept]
    edges = np.empty((5, 3, len(kept)))
    edges[:4] = np.cross(points[[1, 2, 3, 0]], points, axis=1)
    edges[4] = ((normals[kept] @ np.linalg.inv(view.matrix)) / distance[kept, None]).T
    low = np.where(before, np.floor(y.min(axis=0) - 0.5), 0).clip(0, view.height).astype(np.int64)
    high = np.where(before, np.ceil(y.max(axis=0) + 0.5), view.height).clip(0, view.height).astype(np.int64)
    return Projected(edges, low, high), kept


def spans(faces: Projected, width: int) -> Spans:
    """Return the pixels that faces cover, as one span per face and row."""
    counts = np.maximum(faces.high - faces.low, 0)
    face = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts) + faces.low[face]
    edges = faces.edges.astype(np.float32)
    slope = edges[:, 0, face]  # [5, P]
    rest = edges[:, 2, face] + edges[:, 1, face] * (row.astype(np.float32) + np.float32(0.5))
    rest[4] -= 1e-3  # farther than 1 km is not drawn
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = -rest / slope
    least = np.where(slope > 0, bound, np.float32(-np.inf)).max(axis=0)
    most = np.where(slope < 0, bound, np.float32(np.inf)).min(axis=0)
    most[((slope == 0) & (rest < 0)).any(axis=0)] = -1.0
    start = np.ceil(least - 0.5).clip(0, width).astype(np.int64)
    end = (np.floor(most - 0.5) + 1).clip(0, width).astype(np.int64)
    some = np.flatnonzero(end > start)
    return Spans(face[some], row[some], start[some], end[some])


def fragments(faces: Projected, which: Spans, width: int) -> tuple[Ints, NDArray[np.float32], Ints]:
    """Return pixel (row * W + column), inverse depth and face of each pixel that spans cover."""
    counts = which.end - which.start
    skip = np.cumsum(counts) - counts
    along_x, along_y, rest = faces.edges[4][:, which.face]
    first = along_x * (which.start + 0.5) + along_y * (which.row + 0.5) + rest
    along = np.arange(counts.sum())
    pixel = along + np.repeat(which.row * width + which.start - skip, counts)
    inverse = np.repeat(first - along_x * skip, counts) + np.repeat(along_x, counts) * along
    return pixel, inverse.astype(np.float32), np.repeat(which.face, counts)


def draw(faces: Projected, numbers: Ints, depth: NDArray[np.float32], item: NDArray[np.int32]) -> None:
    """Draw faces into a depth buffer and an index buffer.

    Args:
        faces: From :func:`project`.
        numbers: [F] the value to write for each face.
        depth: [H, W] inverse depth, 1/m; changed.
        item: [H, W] number of the nearest face; changed.
    """
    width = depth.shape[1]
    all_spans = spans(faces, width)
    area = np.bincount(all_spans.face, weights=all_spans.end - all_spans.start, minlength=len(numbers))
    small = area[all_spans.face] < _LARGE
    order = np.flatnonzero(~small)
    for part in np.split(order, np.flatnonzero(np.diff(all_spans.face[order])) + 1) if len(order) else ():
        face = all_spans.face[part[0]]
        _draw_large(faces.edges[4, :, face], Spans(*(column[part] for column in all_spans)), numbers[face], depth, item)
    pixel, inverse, face = fragments(faces, Spans(*(column[small] for column in all_spans)), width)
    flat_depth, flat_item = depth.reshape(-1), item.reshape(-1)
    np.maximum.at(flat_depth, pixel, inverse)
    nearest = inverse == flat_depth[pixel]
    flat_item[pixel[nearest]] = numbers[face[nearest]]


def _draw_large(plane: Floats, rows: Spans, number: int, depth: NDArray[np.float32], item: NDArray[np.int32]) -> None:
    """Draw one large face."""
    left, right, first = int(rows.start.min()), int(rows.end.max()), int(rows.row[0])
    block = slice(first, int(rows.row[-1]) + 1), slice(left, right)
    tall = block[0].stop - first
    start, end = np.zeros((tall, 1), dtype=np.int16), np.zeros((tall, 1), dtype=np.int16)
    start[rows.row - first, 0], end[rows.row - first, 0] = rows.start, rows.end
    columns = np.arange(left, right, dtype=np.int16)
    down = (plane[1] * (np.arange(first, first + tall) + 0.5) + plane[2]).astype(np.float32)[:, None]
    inverse = down + (plane[0] * (columns + 0.5)).astype(np.float32)
    inside = columns >= start
    inside &= columns < end
    inside &= inverse > depth[block]
    np.copyto(depth[block], inverse, where=inside)
    np.copyto(item[block], number, where=inside)
