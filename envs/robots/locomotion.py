"""Bullet's walking robots: Hopper, Walker2D, HalfCheetah and Ant, with the state and the reward of Bullet's own tasks.

The models are the MJCF files of the package ``pybullet_data``. State, reward and termination give the same numbers as
``WalkerBaseBulletEnv`` and its robots in ``pybullet_envs`` (after Roboschool): tests compare with recorded episodes of
the originals.

Axes: J driven joints, F feet, S = 8 + 2 J + F components of the state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from rlmem.envs.memory_task import Floats
from rlmem.envs.robots import parts
from rlmem.envs.simulation import Physics, pybullet

WALKER_PHYSICS = Physics(control_hz=1.0 / 0.0165, substeps=4, solver_iterations=5)
"""A control step is 16.5 ms."""
_STEP = 0.0165
_TARGET_X = 1_000.0
"""m, x of the target; so far that its direction hardly changes."""
_GRAVITY = -9.8
_CONTACT_ERP = 0.9
_FLOOR_FRICTION, _FLOOR_RESTITUTION = 0.8, 0.5
_ELECTRICITY, _STALL, _AT_LIMIT = -2.0, -0.1, -0.1
"""Weights in the reward of mean power, of the mean square of the torque, and of each joint at its limit."""
_LIMIT = 0.99
"""Position of a joint, as a part of its range, from which it counts as being at its limit."""
_BOUND = 5.0
"""The state is clipped to [-5, 5]."""
_SPEED_SCALE, _JOINT_SPEED_SCALE = 0.3, 0.1


@dataclass(frozen=True)
class Model:
    """File, joints, torques and falling conditions of one robot."""

    file: str
    """Name in ``pybullet_data/mjcf``."""
    joints: tuple[str, ...]
    """Driven joints, in the order of actions and state."""
    torques: tuple[float, ...]
    """N m, torque of each joint at full action."""
    feet: tuple[str, ...]
    """Links whose contact with the floor is observed."""
    least_height: float = -math.inf
    """m, height of the torso below which the robot has fallen."""
    most_pitch: float = math.inf
    """rad, pitch of the torso above which the robot has fallen."""
    shins: tuple[str, ...] = ()
    """Those of ``feet`` that must not touch the floor."""
    ends: bool = True
    """Whether falling ends the episode."""


MODELS = {
    "hopper": Model(
        "hopper.xml",
        ("thigh_joint", "leg_joint", "foot_joint"),
        (75.0, 75.0, 75.0),
        ("foot",),
        least_height=0.8,
        most_pitch=1.0,
    ),
    "walker2d": Model(
        "walker2d.xml",
        ("thigh_joint", "leg_joint", "foot_joint", "thigh_left_joint", "leg_left_joint", "foot_left_joint"),
        (40.0, 40.0, 12.0, 40.0, 40.0, 12.0),
        ("foot", "foot_left"),
        least_height=0.8,
        most_pitch=1.0,
    ),
    "half_cheetah": Model(
        "half_cheetah.xml",
        ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
        (108.0, 81.0, 54.0, 126.0, 54.0, 27.0),
        ("ffoot", "fshin", "fthigh", "bfoot", "bshin", "bthigh"),
        most_pitch=1.0,
        shins=("fshin", "fthigh", "bshin", "bthigh"),
        ends=False,
    ),
    "ant": Model(
        "ant.xml",
        ("hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3", "hip_4", "ankle_4"),
        (250.0,) * 8,
        ("front_left_foot", "front_right_foot", "left_back_foot", "right_back_foot"),
        least_height=0.26,
    ),
}


def state_names(model: Model) -> tuple[str, ...]:
    """Return the names of the S components of the state."""
    joints = [f"{what} of {name}" for name in model.joints for what in ("angle", "speed")]
    return (
        "height above the start",
        "sine of the direction to the target",
        "cosine of the direction to the target",
        "forward velocity (of 3.3 m/s)",
        "leftward velocity (of 3.3 m/s)",
        "upward velocity (of 3.3 m/s)",
        "roll",
        "pitch",
        *joints,
        *(f"{name} on the floor" for name in model.feet),
    )


class Outcome(NamedTuple):
    """Result of a control step."""

    reward: float
    fallen: bool


class Walker:
    """One walking robot and its floor in one Bullet client.

    Args:
        client: The Bullet client to build the bodies in.
        model: The robot.
        visuals: Hide the floor's collision shape from cameras.
    """

    def __init__(self, client: int, model: Model, *, visuals: bool) -> None:
        self._client, self.model = client, model
        pybullet.setGravity(0, 0, _GRAVITY, physicsClientId=client)
        pybullet.setDefaultContactERP(_CONTACT_ERP, physicsClientId=client)
        plane = pybullet.createCollisionShape(pybullet.GEOM_PLANE, physicsClientId=client)
        hidden = parts.nothing(client) if visuals else -1
        self._floor = pybullet.createMultiBody(0, plane, hidden, physicsClientId=client)
        pybullet.changeDynamics(
            self._floor, -1, lateralFriction=_FLOOR_FRICTION, restitution=_FLOOR_RESTITUTION, physicsClientId=client
        )
        flags = pybullet.URDF_USE_SELF_COLLISION | pybullet.URDF_USE_SELF_COLLISION_EXCLUDE_ALL_PARENTS
        path = Path(pybullet_data.getDataPath(), "mjcf", model.file)
        (self.body,) = pybullet.loadMJCF(
            str(path), flags=flags | pybullet.URDF_GOOGLEY_UNDEFINED_COLORS, physicsClientId=client
        )
        self.capsules = _capsules(client, self.body, path) if visuals else {}
        """Poses of visual shapes in their links; see :class:`rlmem.envs.scene.Scene`."""
        self._links = list(range(pybullet.getNumJoints(self.body, physicsClientId=client)))
        infos = [pybullet.getJointInfo(self.body, link, physicsClientId=client) for link in self._links]
        by_joint = {info[1].decode(): info for info in infos}
        by_link = {info[12].decode(): info[0] for info in infos}
        self._torso: int | None = by_link.get("torso")
        self._joints = [by_joint[name][0] for name in model.joints]
        lower, upper = (np.array([by_joint[name][which] for name in model.joints]) for which in (8, 9))
        self._middle, self._half = (lower + upper) / 2.0, (upper - lower) / 2.0
        feet = [by_link[name] for name in model.feet]
        self._feet = {link: number for number, link in enumerate(feet)}
        self._shins = [model.feet.index(name) for name in model.shins]
        self._torques = np.array(model.torques)
        self._contacts = np.zeros(len(feet))
        self._joint_speeds = np.zeros(len(model.joints))
        self._at_limit = 0
        self._start_height, self._potential, self._direction = 0.0, 0.0, 0.0
        self._rpy = self._velocity = (0.0, 0.0, 0.0)
        self.position = (0.0, 0.0, 0.0)
        """m, position of the torso."""
        self.state: NDArray[np.float32] = np.zeros(8 + 2 * len(model.joints) + len(feet), dtype=np.float32)
        """[S] the observation of Bullet's own tasks."""
        self._disable_motors()

    def start(self, angles: Floats) -> None:
        """Begin an episode; the world has just been restored.

        Args:
            angles: [J] rad, of the joints.
        """
        for joint, angle in zip(self._joints, angles.tolist(), strict=True):
            pybullet.resetJointState(self.body, joint, angle, 0.0, physicsClientId=self._client)
        self._disable_motors()
        self._contacts[:] = 0.0
        self._start_height = self._read_links()
        self.state = self._read_joints()

    def step(self, action: Floats) -> Outcome:
        """Run one control step.

        Args:
            action: [J] in [-1, 1], parts of the torques.
        """
        client, body, before = self._client, self.body, self._potential
        pybullet.setJointMotorControlArray(
            body,
            self._joints,
            pybullet.TORQUE_CONTROL,
            forces=(self._torques * action).tolist(),
            physicsClientId=client,
        )
        pybullet.stepSimulation(physicsClientId=client)
        self._read_links()
        self.state = self._read_joints()
        upright = self._upright(float(self.state[0]) + self._start_height)
        self._read_contacts()
        power = float(np.abs(action * self._joint_speeds).mean())
        reward = (
            (1.0 if upright else -1.0)
            + (self._potential - before)
            + (_ELECTRICITY * power + _STALL * float(np.square(action).mean()))
            + _AT_LIMIT * self._at_limit
        )
        return Outcome(reward, not upright and self.model.ends)

    def _upright(self, height: float) -> bool:
        model = self.model
        return (
            height > model.least_height
            and abs(self._rpy[1]) < model.most_pitch
            and not self._contacts[self._shins].any()
        )

    def _read_links(self) -> float:
        """Read the positions of the links and the torso's velocity; return the torso's height, m."""
        client, body = self._client, self.body
        links = pybullet.getLinkStates(body, self._links, computeLinkVelocity=1, physicsClientId=client)
        places = [link[0] for link in links]
        if self._torso is None:
            place, turn = pybullet.getBasePositionAndOrientation(body, physicsClientId=client)
            velocity = pybullet.getBaseVelocity(body, physicsClientId=client)[0]
            places.append(place)
        else:
            torso = links[self._torso]
            place, turn, velocity = torso[0], torso[1], torso[6]
        # In the original the floor, at the origin, counts as one of the links.
        count = len(places) + 1
        x = sum(place[0] for place in places) / count
        y = sum(place[1] for place in places) / count
        self._rpy = pybullet.getEulerFromQuaternion(turn)
        self.position, self._velocity = place, velocity
        self._direction = math.atan2(-y, _TARGET_X - x) - self._rpy[2]
        self._potential = -math.hypot(_TARGET_X - x, y) / _STEP
        height: float = place[2]
        return height

    def _read_joints(self) -> NDArray[np.float32]:
        """Read the joints, and return the state [S]; called after :meth:`_read_links`."""
        joints = pybullet.getJointStates(self.body, self._joints, physicsClientId=self._client)
        angles = (np.array([joint[0] for joint in joints]) - self._middle) / self._half
        speeds = np.array([joint[1] for joint in joints]) * _JOINT_SPEED_SCALE
        self._joint_speeds = speeds.astype(np.float32)
        self._at_limit = int((np.abs(angles.astype(np.float32)) > _LIMIT).sum())
        roll, pitch, yaw = self._rpy
        velocity_x, velocity_y, velocity_z = self._velocity
        cosine, sine = math.cos(yaw), math.sin(yaw)
        state: NDArray[np.float32] = np.empty(len(self.state), dtype=np.float32)
        state[:8] = (
            self.position[2] - self._start_height,
            math.sin(self._direction),
            math.cos(self._direction),
            _SPEED_SCALE * (cosine * velocity_x + sine * velocity_y),
            _SPEED_SCALE * (cosine * velocity_y - sine * velocity_x),
            _SPEED_SCALE * velocity_z,
            roll,
            pitch,
        )
        state[8 : 8 + 2 * len(angles) : 2] = angles
        state[9 : 9 + 2 * len(angles) : 2] = speeds
        state[8 + 2 * len(angles) :] = self._contacts
        return np.clip(state, -_BOUND, _BOUND)

    def _read_contacts(self) -> None:
        """Read which feet touch the floor, for the next state."""
        self._contacts[:] = 0.0
        for contact in pybullet.getContactPoints(self.body, self._floor, physicsClientId=self._client):
            foot = self._feet.get(contact[3])
            if foot is not None:
                self._contacts[foot] = 1.0

    def _disable_motors(self) -> None:
        """Switch off the motors by which Bullet holds all joints; restoring a snapshot switches them on again."""
        pybullet.setJointMotorControlArray(
            self.body,
            self._links,
            pybullet.POSITION_CONTROL,
            targetPositions=[0.0] * len(self._links),
            forces=[0.0] * len(self._links),
            physicsClientId=self._client,
        )


def _capsules(client: int, body: int, path: Path) -> dict[tuple[int, int], tuple[list[float], list[float]]]:
    """Read the poses of capsules given by end points in an MJCF file: body and link -> position, quaternion."""
    found = {}
    geoms = ET.parse(path).iter("geom")  # noqa: S314 - pybullet's own file
    ends = [geom.attrib["fromto"] for geom in geoms if "fromto" in geom.attrib]
    shapes = pybullet.getVisualShapeData(body, physicsClientId=client)
    links = [shape[1] for shape in shapes if shape[2] == pybullet.GEOM_CAPSULE and not any(shape[5])]
    for link, numbers in zip(links, ends, strict=True):
        start, end = np.array(numbers.split(), dtype=np.float64).reshape(2, 3)
        along = (end - start) / np.linalg.norm(end - start)
        # The quaternion that turns z to the capsule's direction.
        turn = np.array([-along[1], along[0], 0.0, 1.0 + along[2]]) if along[2] > -0.99 else np.array([1.0, 0, 0, 0])
        found[body, link] = ((start + end) / 2).tolist(), (turn / np.linalg.norm(turn)).tolist()
    return found
