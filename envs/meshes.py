"""Surfaces of the shapes in a Bullet world, as flat faces with four corners.

Axes: F faces, 4 corners (the last one twice for a triangle), V vertices of a file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.simulation import pybullet

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float64]

_SIDES = 16
"""Number of sides of a round shape."""
_MOST_FACES = 1_800
"""Maximum number of faces of a mesh file; finer meshes are simplified by merging vertices on a grid."""
_GRID = 0.004
"""m, initial spacing of that grid."""
_THIN = 0.003
"""m, thickness below which a box is drawn as a plate without sides."""
_FEW_FACES = 100
"""Meshes with fewer faces are textured per pixel, others get one color per face."""


class Mesh(NamedTuple):
    """A surface; its faces are counterclockwise seen from outside."""

    corners: Floats
    """[F, 4, 3] m."""
    normals: Floats
    """[F, 3] unit vectors."""
    paint: Floats | None = None
    """[F, 3] colors from 0 to 1, multiplied with the color of the shape."""
    texture: Image.Image | None = None
    coordinates: Floats | None = None
    """[F, 4, 2] texture coordinates of the corners, from 0 to 1."""


@lru_cache(maxsize=512)
def mesh(kind: int, size: tuple[float, ...], file: str) -> Mesh:
    """Return the surface of a visual shape as ``pybullet.getVisualShapeData`` describes it.

    Args:
        kind: ``pybullet.GEOM_BOX``, ``GEOM_SPHERE``, ``GEOM_CYLINDER``, ``GEOM_CAPSULE`` or ``GEOM_MESH``; other
            kinds give an empty surface.
        size: Edges of a box, radius of a sphere, length and radius of a cylinder or capsule (m); scale of a file.
        file: ``*.obj`` or ``*.stl``.
    """
    if kind == pybullet.GEOM_BOX:
        thin = int(np.argmin(size))
        # A thin plate has no sides: they would be too narrow to be seen.
        return _plain((_BOX[thin == _BOX_AXES] if size[thin] < _THIN else _BOX) * np.array(size))
    if kind == pybullet.GEOM_SPHERE:
        angles = np.linspace(-np.pi / 2, np.pi / 2, _SIDES // 2 + 1)
        return _plain(_revolve(size[0] * np.cos(angles), size[0] * np.sin(angles)))
    if kind == pybullet.GEOM_CYLINDER:
        length, radius = size[:2]
        return _plain(_revolve(np.array([0.0, radius, radius, 0.0]), length / 2 * np.array([-1.0, -1.0, 1.0, 1.0])))
    if kind == pybullet.GEOM_CAPSULE:
        length, radius = size[:2]
        angles = np.linspace(0, np.pi / 2, _SIDES // 4 + 1)
        height = length / 2 + radius * np.sin(angles)
        round_end = radius * np.cos(angles)
        return _plain(_revolve(np.r_[round_end[::-1], round_end], np.r_[-height[::-1], height]))
    if kind == pybullet.GEOM_MESH and Path(file).is_file():
        return _stl(Path(file), np.array(size)) if file.lower().endswith(".stl") else _obj(Path(file), np.array(size))
    return _plain(np.zeros((0, 4, 3)))


_BOX = 0.5 * np.array(
    [
        [[1, -1, -1], [1, 1, -1], [1, 1, 1], [1, -1, 1]],
        [[-1, 1, -1], [-1, -1, -1], [-1, -1, 1], [-1, 1, 1]],
        [[1, 1, -1], [-1, 1, -1], [-1, 1, 1], [1, 1, 1]],
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
    ]
)


_BOX_AXES = np.array([0, 0, 1, 1, 2, 2])
"""[6] axis of the normal of each face of the box."""


def _revolve(radius: Floats, height: Floats) -> Floats:
    """Return the faces [F, 4, 3] of the surface of revolution of a profile, from bottom to top, around z."""
    angles = np.linspace(0, 2 * np.pi, _SIDES + 1)
    ring = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    upward = np.broadcast_to(height[:, None, None], (len(height), _SIDES + 1, 1))
    points = np.concatenate((radius[:, None, None] * ring, upward), axis=2)
    return np.stack((points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]), axis=2).reshape(-1, 4, 3)


def _plain(corners: Floats) -> Mesh:
    """Return a mesh without texture; faces of zero area are left out."""
    normals, known = _normals(corners)
    return Mesh(corners[known], normals[known])


def _normals(corners: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return normals [F, 3] and whether each face has one [F]."""
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    length = np.linalg.norm(across, axis=1)
    return across / np.maximum(length, 1e-300)[:, None], length > 1e-12


def _stl(path: Path, scale: Floats) -> Mesh:
    """Read a binary STL file."""
    layout = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = np.frombuffer(path.read_bytes(), layout, offset=84)["corners"].astype(np.float64) * scale
    return _plain(corners[:, [0, 1, 2, 2]])


def _obj(path: Path, scale: Floats) -> Mesh:
    """Read an OBJ file, with the texture that its material names."""
    vertices, places, faces, libraries = [], [], [], []
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("v "):
            vertices.append(line.split()[1:4])
        elif line.startswith("vt "):
            places.append(line.split()[1:3])
        elif line.startswith("mtllib "):
            libraries.append(line.split()[1])
        elif line.startswith("f "):
            corners = [corner.split("/") for corner in line.split()[1:]]
            points = [(int(c[0]) - 1, int(c[1]) - 1 if len(c) > 1 and c[1] else 0) for c in corners]
            faces += [(points[0], points[i], points[i + 1], points[i + 1]) for i in range(1, len(points) - 1)]
    at, index = np.array(vertices, dtype=np.float64) * scale, np.array(faces)
    corners = at[index[..., 0]]
    texture = _texture(path, libraries)
    if texture is None or not places:
        return _plain(corners)
    coordinates = np.array(places, dtype=np.float64)[index[..., 1]]
    normals, known = _normals(corners)
    if len(corners) < _FEW_FACES:
        return Mesh(corners[known], normals[known], None, texture, coordinates[known])
    pixels = np.asarray(texture, dtype=np.float64) / 255.0
    u, v = (coordinates[:, :3].mean(axis=1) % 1.0).T
    row, column = (1.0 - v) * (pixels.shape[0] - 1), u * (pixels.shape[1] - 1)
    return _simplified(corners[known], pixels[row.astype(int), column.astype(int)][known])


def _simplified(corners: Floats, paint: Floats) -> Mesh:
    """Merge vertices on coarser and coarser grids until a surface has at most ``_MOST_FACES`` faces.

    Vertices of different colors are not merged. Darker faces are moved outward by half a grid cell, since they are
    thin covers on top of lighter ones.
    """
    _, color = np.unique(paint.round(1), axis=0, return_inverse=True)
    grid, colors = _GRID, color.ravel()[:, None]
    while True:
        x, y, z = np.moveaxis(np.round(corners / grid).astype(np.int64) + 2**15, 2, 0)
        _, merged = np.unique(((colors * 2**16 + x) * 2**16 + y) * 2**16 + z, return_inverse=True)
        merged = merged.reshape(-1, 4)
        kept = (merged[:, :3] != merged[:, [1, 2, 0]]).all(axis=1)
        if kept.sum() <= _MOST_FACES:
            break
        grid *= 1.25
    vertices = np.stack([_mean(merged, corners[..., axis]) for axis in range(3)], axis=1)
    index, paint = merged[kept], paint[kept]
    normals, known = _normals(vertices[index])
    out = np.stack([_mean(index, np.repeat(normals[:, [axis]], 4, axis=1), len(vertices)) for axis in range(3)], axis=1)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    dark = (paint.mean(axis=1) < paint.max() - 0.3)[:, None, None]
    return Mesh((vertices[index] + 0.5 * grid * dark * out[index])[known], normals[known], paint[known])


def _mean(groups: NDArray[np.intp], values: Floats, count: int = 0) -> Floats:
    """Return the mean of the values of each group."""
    weights = np.bincount(groups.ravel(), minlength=count)
    return np.bincount(groups.ravel(), values.ravel(), minlength=count) / np.maximum(weights, 1)


def _texture(path: Path, libraries: list[str]) -> Image.Image | None:
    """Return the texture image that the materials of an OBJ file name."""
    files = [path.parent / name for name in libraries if (path.parent / name).is_file()]
    lines = [line for file in files for line in file.read_text(encoding="latin-1").splitlines()]
    names = [line.split()[1] for line in lines if line.strip().startswith("map_Kd") and len(line.split()) > 1]
    files = [path.parent / name for name in names if (path.parent / name).is_file()]
    if not files:
        return None
    from PIL import Image  # only pictures need it, not those who read a task's knobs

    return Image.open(files[0]).convert("RGB")
