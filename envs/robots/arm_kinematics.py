"""Forward and inverse kinematics of a 7-joint arm, for many arms at once.

Inverse kinematics is a function of the position alone, in closed form. The hand points straight down with a fixed
heading and the elbow stays in the upright plane through base and hand, which leaves joints 2, 4 and 6: two links from
shoulder to wrist, solved by the law of cosines. No iterations, no state, no drift: the same place of the hand is always
the same posture, so that the seventh joint holds no record of the way there.

Axes: N arms, 7 joints. Angles in the arm's plane are from the vertical towards the front.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from rlmem.envs.robots.arm_urdf import ArmModel, Floats, read_chain

_TURN = 2.0 * np.pi


class ArmKinematics:
    """Kinematics of one kind of arm. Get it from :func:`kinematics`.

    Args:
        model: The arm. Joints 1 and 7 turn about the vertical where the hand points down, joints 2, 4 and 6 across.

    Raises:
        ValueError: If the arm is not built so.
    """

    def __init__(self, model: ArmModel) -> None:
        joints, self._tip = read_chain(model)
        if len(joints) != 7:
            raise ValueError(f"an arm must have 7 joints that turn, {model.path} has {len(joints)}")
        self._turns, self._offsets = np.array([j.turn for j in joints]), np.array([j.offset for j in joints])
        self._offsets[0] += model.base
        self._base_x = model.base[0]
        self.low = np.array([joint.low for joint in joints])
        """[7] rad."""
        self.high = np.array([joint.high for joint in joints])
        """[7] rad."""
        self.speed = np.array([joint.speed for joint in joints])
        """[7] rad/s at most."""
        self.torque = np.array([joint.torque for joint in joints])
        """[7] N m at most."""
        self.rest = np.array(model.rest)
        """[7] rad."""
        self._measure()

    def tip(self, q: Floats) -> Floats:
        """Return where the fingertips are, [N, 3] m, for postures [N, 7] rad."""
        angles = q.T[:6, None, None].copy()
        turned = np.cos(angles) * self._cosines + np.sin(angles) * self._sines
        frames = np.empty((6, len(q), 4, 4))
        frames[...] = self._still
        frames[:, :, :3, :2] = turned.transpose(0, 3, 1, 2)
        pairs = frames[0::2] @ frames[1::2]
        place: Floats = pairs[0] @ (pairs[1] @ (pairs[2] @ self._last))
        return place[:, :3, 0]

    def posture(self, tip: Floats) -> Floats:
        """Return the postures [N, 7] rad that put fingertips at [N, 3] m, hands down.

        What is out of reach is answered with the arm stretched towards it.
        """
        x, y, z = tip.T
        x = x - self._base_x
        swing = np.arctan2(y, x)
        ahead = np.hypot(x, y) - self._wrist_ahead
        up = z - self._wrist_up
        upper, lower = self._links
        distance = np.hypot(ahead, up)
        cosine = (upper * upper + distance * distance - lower * lower) / (2.0 * upper * distance)
        first = np.arctan2(ahead, up) - np.arccos(np.minimum(np.maximum(cosine, -1.0), 1.0))
        second = np.arctan2(ahead - upper * np.sin(first), up - upper * np.cos(first))
        shoulder, elbow, wrist = self._zero
        q = np.zeros((7, len(tip)))
        np.multiply(swing, self._swings, out=q[0::6])
        q[6] += self._heading
        across = q[1:6:2]
        across[0] = first - shoulder
        across[1] = second - elbow - first + shoulder
        across[2] = np.pi - wrist - second + elbow
        across *= self._signs
        across += self._whole_turns
        return q.T

    def _measure(self) -> None:
        """Take the lengths and signs of the plane's joints from the arm with all joints at 0."""
        origins, axes, tip = self._frames(np.zeros(7))
        side = axes[[1, 3, 5], 1]
        plane = np.concatenate((origins[1:], tip[None]))[:, [0, 2]]
        flat = np.abs(origins[:, 1]).max() + np.abs(np.abs(side) - 1.0).max() + np.abs(self._tip[:2]).max()
        if flat + abs(abs(axes[0, 2]) - 1.0) > 1e-6:
            raise ValueError("joints 2, 4 and 6 must turn across an upright plane, joint 7 through the fingertip")
        shoulder, elbow, wrist = plane[0], plane[2], plane[4]
        links = np.array([elbow - shoulder, wrist - elbow])
        self._links: list[float] = np.linalg.norm(links, axis=1).tolist()
        points_out = float(np.sign((plane[6] - wrist) @ axes[6, [0, 2]]))
        tool = points_out * axes[6, [0, 2]]
        self._zero: list[float] = np.arctan2(*np.array([*links, tool]).T).tolist()
        self._swings = axes[0, 2] * np.array([[1.0], [points_out]])
        self._signs, self._heading = side[:, None], float(self.rest[6])
        turn = np.pi - self._zero[2]
        ahead, up = plane[6] - wrist
        self._wrist_ahead = ahead * np.cos(turn) + up * np.sin(turn)
        self._wrist_up = shoulder[1] - ahead * np.sin(turn) + up * np.cos(turn)
        self._last = np.append(self._turns[6] @ self._tip + self._offsets[6], 1.0)[:, None]
        self._cosines = self._turns[:6, :, :2, None].copy()
        self._sines = np.stack((self._turns[:6, :, 1], -self._turns[:6, :, 0]), axis=2)[..., None]
        self._still = np.zeros((6, 1, 4, 4))
        self._still[:, 0, :3, 2], self._still[:, 0, :3, 3] = self._turns[:6, :, 2], self._offsets[:6]
        self._still[:, 0, 3, 3] = 1.0
        self._whole_turns = np.zeros((3, 1))
        away = self.posture(self.tip(self.rest[None]))[0] - self.rest
        self._whole_turns = -_TURN * np.round(away[1:6:2, None] / _TURN)

    def _rotations(self, q: Floats) -> Floats:
        """Return each joint's rotation in the frame before, [7, N, 3, 3]."""
        cosine, sine = np.cos(q.T)[:, :, None], np.sin(q.T)[:, :, None]
        x, y, z = (self._turns[:, None, :, axis] for axis in range(3))
        rotations = np.empty((7, len(q), 3, 3))
        rotations[..., 0] = cosine * x + sine * y
        rotations[..., 1] = cosine * y - sine * x
        rotations[..., 2] = z
        return rotations

    def _frames(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        """Return origins [7, 3] and axes [7, 3] of the joints, and the fingertip [3], of one posture [7]."""
        rotation, place, origins, axes = np.eye(3), np.zeros(3), [], []
        for offset, turned in zip(self._offsets, self._rotations(q[None])[:, 0], strict=True):
            place, rotation = place + rotation @ offset, rotation @ turned
            origins.append(place)
            axes.append(rotation[:, 2])
        return np.array(origins), np.array(axes), place + rotation @ self._tip


@cache
def kinematics(model: ArmModel) -> ArmKinematics:
    """Return the kinematics of an arm, computed once a process."""
    return ArmKinematics(model)
