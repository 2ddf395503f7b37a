"""Load arms from pybullet_data, reduced: only the fingertip collides, and links that do not move are merged.

A robot's file describes collision meshes, moving fingers and looks. None of them is needed to touch things with a
closed hand: without them a world is built thirty times faster and steps several times faster, and looks can be left out
where no picture is taken. The reduced model goes to Bullet through a temporary file.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from rlmem.envs.robots.parts import Color, Vector
from rlmem.envs.simulation import pybullet, quiet

Floats = NDArray[np.float64]

_ROD_RADIUS = 0.05
"""m, radius of the rods of a plain arm."""
_RODS, _BALLS = "0.93 0.93 0.94 1", "0.25 0.26 0.29 1"
"""Colors of the rods, and of the balls between them."""
TIP_RADIUS = 0.012
"""m, radius of the ball at the end of the hand, the only part of an arm that collides."""


@dataclass(frozen=True, kw_only=True)
class ArmModel:
    """An arm of pybullet_data.

    Args:
        path: URDF file in pybullet_data.
        hand: The link that holds the fingertip.
        tip: m, middle of the fingertip in that link's frame.
        rest: [7] rad, a posture with the elbow up and the hand about down. Inverse kinematics stays near it.
        base: m, where the arm stands; on the x axis, at a height of 0.
        stylus: Color of a rod from the link's origin to the fingertip, None for none.
    """

    path: str
    hand: str
    tip: Vector
    rest: tuple[float, ...]
    base: Vector = (0.0, 0.0, 0.0)
    stylus: Color | None = None

    def read(self) -> ET.Element:
        """Return the robot's description."""
        root: ET.Element = ET.parse(self._file).getroot()  # noqa: S314 - a file of a dependency
        return root

    @property
    def _file(self) -> Path:
        return Path(pybullet_data.getDataPath()) / self.path

    def load(self, client: int, *, visuals: bool, plain: bool = False) -> int:
        """Put the arm into a world, its base fixed; return its Bullet id. Links 0 to 6 are its joints.

        Args:
            client: The Bullet client.
            visuals: Give it its looks.
            plain: Draw all but the hand as rods between balls, which takes a tenth of the time.
        """
        root = self._trimmed(visuals=visuals)
        if visuals and plain:
            _make_plain(root, self.hand)
        text = ET.tostring(root, encoding="unicode")
        flags = pybullet.URDF_MERGE_FIXED_LINKS | pybullet.URDF_USE_INERTIA_FROM_FILE
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "arm.urdf"
            path.write_text(text)
            with quiet(), quiet(2):
                return int(
                    pybullet.loadURDF(str(path), self.base, useFixedBase=True, flags=flags, physicsClientId=client)
                )

    def _trimmed(self, *, visuals: bool) -> ET.Element:
        root = self.read()
        for link in root.findall("link"):
            for tag in ("collision", "contact") if visuals else ("collision", "contact", "visual"):
                for element in link.findall(tag):
                    link.remove(element)
            for mesh in link.iter("mesh"):
                name = mesh.get("filename", "").removeprefix("package://")
                mesh.set("filename", str(self._file.parent / name))
        for joint in root.findall("joint"):
            if joint.get("type") == "prismatic":
                joint.set("type", "fixed")
        root.append(self._fingertip(visuals=visuals))
        root.append(_fixed_joint(self.hand, "rlmem_fingertip", self.tip))
        return root

    def _fingertip(self, *, visuals: bool) -> ET.Element:
        """Return the link with the ball that collides, and the rod that carries it."""
        rod = ""
        if visuals and self.stylus is not None:
            length, color = math.dist(self.tip, (0.0, 0.0, 0.0)), " ".join(map(str, self.stylus))
            rod = (
                f'<visual><origin xyz="0 0 {-length / 2}"/><geometry><cylinder radius="{0.6 * TIP_RADIUS}" '
                f'length="{length}"/></geometry><material name="rlmem_rod"><color rgba="0.2 0.2 0.22 1"/></material>'
                f'</visual><visual><geometry><sphere radius="{TIP_RADIUS}"/></geometry>'
                f'<material name="rlmem_tip"><color rgba="{color}"/></material></visual>'
            )
        return ET.fromstring(  # noqa: S314 - written right here
            f'<link name="rlmem_fingertip"><inertial><mass value="0.01"/><inertia ixx="1e-5" iyy="1e-5" izz="1e-5" '
            f'ixy="0" ixz="0" iyz="0"/></inertial>{rod}<collision><geometry><sphere radius="{TIP_RADIUS}"/></geometry>'
            "</collision></link>"
        )


def _make_plain(root: ET.Element, hand: str) -> None:
    """Replace the looks of all links but the hand and what it holds by rods and balls."""
    joints = root.findall("joint")
    kept = {hand}
    for _ in joints:
        kept |= {_child(joint) for joint in joints if _parent(joint) in kept}
    for link in root.findall("link"):
        looks = link.findall("visual")
        if link.get("name") in kept or not looks:
            continue
        for look in looks:
            link.remove(look)
        link.append(_look("0 0 0", "0 0 0", f'<sphere radius="{1.2 * _ROD_RADIUS}"/>', _BALLS))
        for x, y, z in (_origin(joint)[0].tolist() for joint in joints if _parent(joint) == link.get("name")):
            length = math.hypot(x, y, z)
            if length > _ROD_RADIUS:
                middle, turn = f"{x / 2} {y / 2} {z / 2}", f"0 {math.acos(z / length)} {math.atan2(y, x)}"
                link.append(_look(middle, turn, f'<cylinder radius="{_ROD_RADIUS}" length="{length}"/>', _RODS))


def _look(xyz: str, rpy: str, geometry: str, color: str) -> ET.Element:
    return ET.fromstring(  # noqa: S314 - written right here
        f'<visual><origin xyz="{xyz}" rpy="{rpy}"/><geometry>{geometry}</geometry>'
        f'<material name="rlmem_{color.replace(" ", "_")}"><color rgba="{color}"/></material></visual>'
    )


@dataclass(frozen=True)
class Joint:
    """One of the seven that turn, about the z axis of its frame."""

    offset: Floats
    """[3] m, from the frame before."""
    turn: Floats
    """[3, 3] from the frame before."""
    low: float
    """rad."""
    high: float
    """rad."""
    speed: float
    """rad/s at most."""
    torque: float
    """N m at most."""


def read_chain(model: ArmModel) -> tuple[list[Joint], Floats]:
    """Return the joints that turn, base first, and the fingertip [3], m, in the frame of the last."""
    parents = {_child(joint): joint for joint in model.read().findall("joint")}
    tip, link, joints = np.array(model.tip), model.hand, list[Joint]()
    while link in parents:
        joint = parents[link]
        offset, turn = _origin(joint)
        if joint.get("type") == "revolute":
            limit = joint.find("limit")
            assert limit is not None
            low, high, speed, torque = (float(limit.get(key, "")) for key in ("lower", "upper", "velocity", "effort"))
            joints.insert(0, Joint(offset, turn, low, high, speed, torque))
        elif not joints:
            tip = turn @ tip + offset
        link = _parent(joint)
    return joints, tip


def _child(joint: ET.Element) -> str:
    return _end(joint, "child")


def _parent(joint: ET.Element) -> str:
    return _end(joint, "parent")


def _end(joint: ET.Element, which: str) -> str:
    end = joint.find(which)
    return "" if end is None else end.get("link", "")


def _origin(joint: ET.Element) -> tuple[Floats, Floats]:
    """Return offset [3] and turn [3, 3] of a joint's frame."""
    origin = joint.find("origin")
    numbers = {"xyz": "0 0 0", "rpy": "0 0 0"} if origin is None else dict(origin.attrib)
    xyz, rpy = ([float(word) for word in numbers.get(key, "0 0 0").split()] for key in ("xyz", "rpy"))
    matrix = pybullet.getMatrixFromQuaternion(pybullet.getQuaternionFromEuler(rpy))
    return np.array(xyz), np.array(matrix).reshape(3, 3)


def _fixed_joint(parent: str, child: str, xyz: Sequence[float]) -> ET.Element:
    x, y, z = xyz
    return ET.fromstring(  # noqa: S314 - written right here
        f'<joint name="{child}_joint" type="fixed"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{x} {y} {z}" rpy="0 0 0"/></joint>'
    )
