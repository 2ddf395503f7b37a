"""Renders the visual shapes of a Bullet world with :mod:`rlmem.envs.raster`.

This is about ten times faster than Bullet's software renderer. Shapes that do not move in front of a fixed camera are
drawn once and kept as a background.

Axes: S shapes, F faces, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.meshes import mesh
from rlmem.envs.raster import Floats, Ints, Lens, draw, fragments, project, spans
from rlmem.envs.simulation import pybullet

Bools = NDArray[np.bool_]
Frames = Mapping[tuple[int, int], tuple[Sequence[float], Sequence[float]]]
"""Body and link -> position (m) and quaternion (x, y, z, w) of its visual shape."""

_LIGHT = np.array([-2.0, -1.5, 4.0]) / np.linalg.norm([-2.0, -1.5, 4.0])
"""Direction to the light, which is behind most cameras, so that visible sides are lit."""
_AMBIENT, _DIFFUSE, _SHADE = 0.68, 0.46, 0.8
_FLAT = 0.008
"""m, height below which shapes cast no shadow."""
_TOUCH = 0.004
"""Tolerance of depth, as a fraction of the distance, within which a shadow falls on a surface."""


class Pose(NamedTuple):
    """Poses and colors of shapes."""

    rotation: Floats
    """[S, 3, 3]."""
    position: Floats
    """[S, 3] m."""
    color: Floats
    """[S, 3] from 0 to 1."""

    def same(self, other: Pose) -> Bools:
        """Return which shapes [S] have the same pose and color as in ``other``."""
        still: Bools = (self.position == other.position).all(axis=1) & (self.color == other.color).all(axis=1)
        still &= (self.rotation == other.rotation).all(axis=(1, 2))
        return still


class Layer(NamedTuple):
    """An image with its depth buffer."""

    depth: NDArray[np.float32]
    """[H, W] inverse depth, 1/m."""
    color: NDArray[np.uint32]
    """[H * W] red, green, blue, 255 as bytes."""
    shaded: Bools
    """[H * W] where a shadow lies."""

    def copy(self) -> Layer:
        """Return a copy that can be drawn on."""
        return Layer(self.depth.copy(), self.color.copy(), self.shaded.copy())


@dataclass
class _Shot:
    """The last image of one camera, and a background of the shapes that did not move."""

    pose: Pose
    color: NDArray[np.uint32] | None = None
    background: Layer | None = None
    still: Bools | None = None
    """[S] which shapes are in the background."""


class Scene:
    """The visual shapes of one Bullet world.

    Args:
        client: Bullet client, with all its bodies in it.
        frames: Poses of shapes within their link, for those that Bullet does not report: capsules that an MJCF file
            defines by their end points.
    """

    def __init__(self, client: int, frames: Frames) -> None:
        self._client = client
        self._bodies = [
            pybullet.getBodyUniqueId(number, physicsClientId=client)
            for number in range(pybullet.getNumBodies(physicsClientId=client))
        ]
        self._links, self._inertial = [], []
        shapes = []
        for body in self._bodies:
            found = pybullet.getVisualShapeData(body, physicsClientId=client)
            shapes += found
            self._links.append(sorted({shape[1] for shape in found} - {-1}))
            self._inertial.append(pybullet.getDynamicsInfo(body, -1, physicsClientId=client)[3:5])
        meshes = [
            mesh(shape[2], shape[3] if shape[2] != pybullet.GEOM_SPHERE else shape[3][:1], shape[4].decode())
            for shape in shapes
        ]
        self.shapes = [shape[:2] for shape in shapes]
        """[S] body and link of each shape."""
        links = [(body, link) for body, own in zip(self._bodies, self._links, strict=True) for link in (-1, *own)]
        number = {link: place for place, link in enumerate(links)}
        self._of_link = np.array([number[shape] for shape in self.shapes], dtype=np.int64)
        # [S] place of each shape's link among all links.
        places = [frames[shape[:2]] if shape[:2] in frames and not any(shape[5]) else shape[5:7] for shape in shapes]
        self._offset = np.array([offset for offset, _ in places])
        self._local = _matrices(np.array([turn for _, turn in places]))
        self._meshes = meshes
        self._shape = np.repeat(np.arange(len(shapes)), [len(m.corners) for m in meshes])
        # [F] shape of each face.
        self._corners = np.concatenate([m.corners for m in meshes])
        self._normals = np.concatenate([m.normals for m in meshes])
        self._distance = (self._normals * self._corners[:, 0]).sum(axis=1)
        self._paint = np.concatenate([np.ones_like(m.normals) if m.paint is None else m.paint for m in meshes])
        self._first = np.searchsorted(self._shape, np.arange(len(shapes)))
        self._textured = np.array([m.texture is not None for m in meshes])
        self._radius = np.array([np.sqrt((m.corners**2).sum(axis=2).max(initial=0.0)) for m in meshes])
        self._shots: dict[tuple[object, ...], _Shot] = {}

    def picture(self, view: Lens, shadow_on: float | None = None) -> NDArray[np.uint8]:
        """Render the current state of the world.

        Args:
            view: The camera.
            shadow_on: Height of the plane that shadows fall on, m; None for no shadows.

        Returns:
            [H, W, 4] colors.
        """
        pose = self.pose()
        everything = np.ones(len(self._radius), dtype=np.bool_)
        key = (*view.eye, *view.axes.ravel(), view.width, view.height, shadow_on)
        last = self._shots.pop(key, None) or _Shot(pose)
        still = last.pose.same(pose)
        if last.color is None:  # perhaps of a camera that moves on
            last.color = self._draw(None, view, pose, everything, shadow_on).color
        elif not still.all():
            if last.background is None or last.still is None or not still[last.still].all():
                last.background, last.still = self._draw(None, view, pose, still, shadow_on), still
            last.color = self._draw(last.background.copy(), view, pose, ~last.still, shadow_on).color
        last.pose = pose
        self._shots = dict([*self._shots.items(), (key, last)][-2:])
        return last.color.view(np.uint8).reshape(view.height, view.width, 4)

    def pose(self) -> Pose:
        """Return poses and colors of all shapes."""
        client = self._client
        places, turns, colors = [], [], []
        for body, links, (offset, turn) in zip(self._bodies, self._links, self._inertial, strict=True):
            base = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
            if any(offset) or turn[3] != 1.0:
                base = pybullet.multiplyTransforms(*base, *pybullet.invertTransform(offset, turn))
            states = pybullet.getLinkStates(body, links, physicsClientId=client) if links else ()
            for place, direction in (base, *(state[4:6] for state in states)):
                places.append(place)
                turns.append(direction)
            colors += [shape[7] for shape in pybullet.getVisualShapeData(body, physicsClientId=client)]
        rotations, positions = _matrices(np.array(turns))[self._of_link], np.array(places)[self._of_link]
        where = positions + np.einsum("sij,sj->si", rotations, self._offset)
        return Pose(rotations @ self._local, where, np.array(colors)[:, :3])

    def _draw(self, under: Layer | None, view: Lens, pose: Pose, which: Bools, shadow_on: float | None) -> Layer:
        """Draw some shapes [S] on a layer, or on a white background."""
        layer = _white(view) if under is None else under
        away = (pose.position - view.eye) @ view.axes.T
        slant = np.hypot(1.0, view.tangent)
        wide = view.tangent * view.width / view.height
        near = which & (away[:, 2] > -self._radius)
        seen = near & (np.abs(away[:, 1]) < view.tangent * away[:, 2].clip(0) + slant * self._radius)
        seen &= np.abs(away[:, 0]) < wide * away[:, 2].clip(0) + np.hypot(1.0, wide) * self._radius
        faces, corners, normals = self._faces(pose, seen, view.eye)
        projected, kept = project(view, corners, normals)
        projected.edges[4] *= 1.0 + 1e-6 * self._shape[faces[kept]]  # so that surfaces in one place do not mix
        item = np.zeros(layer.depth.shape, dtype=np.int32)
        draw(projected, kept + 1, layer.depth, item)
        shape = self._shape[faces]
        light = _AMBIENT + _DIFFUSE * (normals @ _LIGHT).clip(0)
        palette = np.full((len(faces) + 1, 4), 255, dtype=np.uint8)  # of the ground, if there is none, white
        palette[1:, :3] = (255 * (pose.color[shape] * self._paint[faces] * light[:, None])).clip(0, 255)
        flat = item.reshape(-1)
        if under is None:
            palette.view(np.uint32)[:, 0].take(flat, out=layer.color, mode="clip")  # faster than checking numbers
        else:
            drawn = np.flatnonzero(flat)
            layer.color[drawn] = palette.view(np.uint32)[:, 0][flat[drawn]]
            layer.shaded[drawn] = False
        for number in np.flatnonzero(self._textured[shape] & (np.bincount(flat, minlength=len(faces) + 1)[1:] > 0)):
            tint = light[number] * pose.color[shape[number]]
            pixel = np.flatnonzero(flat == number + 1)
            self._apply_texture(layer, view, pixel, int(faces[number]), corners[number], tint)
        if shadow_on is not None:
            self._shade(layer, view, pose, which, shadow_on)
        return layer

    def _faces(self, pose: Pose, which: Bools, eye: Floats) -> tuple[Ints, Floats, Floats]:
        """Return the faces of some shapes [S] that point towards ``eye`` [3].

        Returns:
            Numbers [F], corners [F, 4, 3] and normals [F, 3] in the world.
        """
        own_eye = np.einsum("sij,si->sj", pose.rotation, eye - pose.position)
        own_eye[~which] = np.nan
        faces = np.flatnonzero(np.einsum("fi,fi->f", self._normals, own_eye[self._shape]) > self._distance)
        shape = self._shape[faces]
        turn = pose.rotation[shape].transpose(0, 2, 1)
        corners = self._corners[faces] @ turn + pose.position[shape][:, None]
        return faces, corners, (self._normals[faces][:, None] @ turn)[:, 0]

    def _apply_texture(self, layer: Layer, view: Lens, pixel: Ints, face: int, corners: Floats, tint: Floats) -> None:
        """Apply the texture of one face to the pixels that show it."""
        own = self._meshes[self._shape[face]]
        assert own.texture is not None
        assert own.coordinates is not None
        place = own.coordinates[face - self._first[self._shape[face]]]
        edges = corners[1:3] - corners[0]
        across = np.linalg.lstsq(edges, place[1:3] - place[0], rcond=None)[0]  # [3, 2]
        row, column = np.divmod(pixel, view.width)
        inside = np.stack((column + 0.5, row + 0.5, np.ones(len(pixel))), axis=1) @ np.linalg.inv(view.matrix).T
        spot = view.eye + inside / layer.depth.reshape(-1)[pixel, None] - corners[0]
        u, v = (spot @ across + place[0]).T
        pixels = np.asarray(own.texture)
        rows = ((1.0 - v % 1.0) * (pixels.shape[0] - 1)).astype(int)
        colors = pixels[rows, (u % 1.0 * (pixels.shape[1] - 1)).astype(int)]
        layer.color.view(np.uint8).reshape(-1, 4)[pixel, :3] = (colors * tint).clip(0, 255)

    def _shade(self, layer: Layer, view: Lens, pose: Pose, which: Bools, height: float) -> None:
        """Draw the shadows of shapes [S] on a plane."""
        above = which & (self._radius < 1.0) & (pose.position[:, 2] + self._radius > height + _FLAT)
        _, corners, _ = self._faces(pose, above, 1e4 * _LIGHT)
        lit = np.flatnonzero(corners[..., 2].max(axis=1) > height + _FLAT)
        cast = corners[lit] - (corners[lit, :, 2:] - height).clip(0) / _LIGHT[2] * _LIGHT
        projected, _ = project(view, cast, np.broadcast_to([0.0, 0.0, 1.0], (len(cast), 3)))
        width = layer.depth.shape[1]
        pixel, inverse, _ = fragments(projected, spans(projected, width), width)
        depth = layer.depth.reshape(-1)[pixel]
        pixel = pixel[np.abs(inverse - depth) < _TOUCH * depth]
        dark = np.zeros(layer.shaded.size, dtype=np.bool_)
        dark[pixel] = True
        dark &= ~layer.shaded
        layer.shaded[dark] = True
        where = np.flatnonzero(dark)
        colors = layer.color.view(np.uint8).reshape(-1, 4)
        colors[where, :3] = colors[where, :3] * _SHADE


def _white(view: Lens) -> Layer:
    """Return an empty layer; the least inverse depth is that of 1 km."""
    depth = np.full((view.height, view.width), 1e-3, dtype=np.float32)
    return Layer(depth, np.full(depth.size, 0xFFFFFFFF, dtype=np.uint32), np.zeros(depth.size, dtype=np.bool_))


def _matrices(turns: Floats) -> Floats:
    """Return rotation matrices [S, 3, 3] of quaternions [S, 4] (x, y, z, w)."""
    x, y, z, w = (turns / np.linalg.norm(turns, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
