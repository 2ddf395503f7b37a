"""Arms stand where their kinematics says, move as they are told, and are stopped by what is in their way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rlmem.envs.robots import ARMS, Arm
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.table.settings import HIGH, LOW, STRIDE

Built = tuple[World, Arm]


@pytest.fixture(params=ARMS)
def name(request: pytest.FixtureRequest) -> str:
    """Each arm's name."""
    return str(request.param)


def build(name: str, *, visuals: bool = False, wall_x: float | None = None) -> Built:
    arms: list[Arm] = []

    def fill(client: int) -> None:
        arms.append(ARMS[name](client, PHYSICS, visuals=visuals))
        if wall_x is not None:
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_BOX, halfExtents=[0.05, 0.3, 0.2], physicsClientId=client
            )
            pybullet.createMultiBody(0, shape, -1, [wall_x + 0.05, 0, 0.2], physicsClientId=client)

    return World(fill, PHYSICS), arms[0]


@pytest.fixture
def built(name: str) -> Iterator[Built]:
    world, arm = build(name)
    yield world, arm
    world.close()


def places(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(0).uniform(LOW, HIGH, (count, 3))


def test_the_inverse_is_exact_all_over_the_table(name: str) -> None:
    arm, there = ARMS[name].kinematics(), places(2_000)
    np.testing.assert_allclose(arm.tip(arm.posture(there)), there, atol=1e-6)


def test_postures_over_the_table_are_within_the_joints_ranges(name: str) -> None:
    arm = ARMS[name].kinematics()
    postures = arm.posture(places(2_000))
    assert (postures > arm.low + 0.01).all()
    assert (postures < arm.high - 0.01).all()


def test_the_hand_points_down_with_one_heading(name: str, built: Built) -> None:
    world, arm = built
    turns = []
    for posture in ARMS[name].kinematics().posture(places(20)).tolist():
        arm.place(posture)
        quaternion = pybullet.getLinkState(arm._body, 6, True, True, physicsClientId=world.client)[5]
        turns.append(np.array(pybullet.getMatrixFromQuaternion(quaternion)).reshape(3, 3))
    assert all(turn[2, 2] == pytest.approx(-1.0, abs=1e-6) for turn in turns)
    np.testing.assert_allclose(turns, turns[:1] * 20, atol=1e-5)


def test_kinematics_agree_with_bullet(name: str, built: Built) -> None:
    """Bullet says where the last link is; the fingertip is at a fixed place in its frame."""
    world, arm = built
    kinematics = ARMS[name].kinematics()
    rng, seen = np.random.default_rng(1), []
    for posture in rng.uniform(0.5 * kinematics.low, 0.5 * kinematics.high, (20, 7)):
        arm.place(posture.tolist())
        state = pybullet.getLinkState(arm._body, 6, True, True, physicsClientId=world.client)
        turn = np.array(pybullet.getMatrixFromQuaternion(state[5])).reshape(3, 3)
        seen.append(turn.T @ (kinematics.tip(posture[None])[0] - state[4]))
    np.testing.assert_allclose(seen, seen[:1] * 20, atol=1e-5)


def test_joints_turn_as_fast_as_they_are_told_from_the_second_control_step_on(built: Built) -> None:
    """In the first the solver, stopped after 10 iterations, still shares the acceleration out."""
    _, arm = built
    velocities = [0.5, -0.4, 0.3, 0.6, -0.5, 0.4, 0.2]
    arm.step(velocities)
    before = np.array(arm.step(velocities))
    after = np.array(arm.step(velocities))
    np.testing.assert_allclose((after - before) * PHYSICS.control_hz, velocities, atol=0.05)


def test_stays_where_it_is_put(built: Built) -> None:
    _, arm = built
    for _ in range(400):
        held = arm.step([0.0] * 7)
    np.testing.assert_allclose(held, arm.MODEL.rest, atol=1e-6)


def test_a_wall_stops_the_fingertip(name: str) -> None:
    world, arm = build(name, wall_x=0.55)
    kinematics = ARMS[name].kinematics()
    posture = kinematics.posture(np.array([[0.45, 0.0, 0.10]]))
    arm.place(posture[0].tolist())
    furthest = 0.0
    for _ in range(12):
        tip = kinematics.tip(posture)
        goal = kinematics.posture(tip + np.array([STRIDE, 0.0, 0.0]))
        posture = np.array([arm.step(((goal - posture)[0] * PHYSICS.control_hz).tolist())])
        furthest = max(furthest, float(kinematics.tip(posture)[0, 0]))
    assert 0.55 - TIP_RADIUS - 0.003 <= furthest <= 0.55 - TIP_RADIUS + 0.004
    world.close()


def test_looks_change_no_motion(name: str) -> None:
    paths = []
    for visuals in (False, True):
        world, arm = build(name, visuals=visuals)
        paths.append([arm.step([0.3, 0.2, -0.1, 0.4, 0.2, -0.3, 0.5]) for _ in range(20)])
        world.close()
    assert paths[0] == paths[1]


def test_has_seven_joints_and_nothing_else(built: Built) -> None:
    world, arm = built
    assert pybullet.getNumJoints(arm._body, physicsClientId=world.client) == 7
