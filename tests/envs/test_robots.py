"""Mobile robots do what their twist says, and walls stop them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.corridor_task import STEP_LENGTH
from rlmem.envs.corridor.floor_plan import wall_segments
from rlmem.envs.memory_task import Floats
from rlmem.envs.robots import MOBILE_ROBOTS, Robot, Twist
from rlmem.envs.simulation import PHYSICS, Physics, World, pybullet

HZ = PHYSICS.control_hz
Built = tuple[World, Robot]
Build = Callable[..., Built]


@pytest.fixture(params=MOBILE_ROBOTS)
def name(request: pytest.FixtureRequest) -> str:
    """Each robot's name."""
    return str(request.param)


@pytest.fixture
def build() -> Iterator[Build]:
    """Build worlds with a robot, and walls if asked; closed when the test is over."""
    worlds: list[World] = []

    def build_one(
        name: str, arms: int = 0, physics: Physics = PHYSICS, *, visuals: bool = False
    ) -> tuple[World, Robot]:
        robots: list[Robot] = []

        def fill(client: int) -> None:
            if arms:
                scenery.build_walls(client, arms, 3.0, visuals=visuals)
            robots.append(MOBILE_ROBOTS[name](client, physics, visuals=visuals))

        worlds.append(World(fill, physics))
        return worlds[-1], robots[0]

    yield build_one
    for world in worlds:
        world.close()


def drive(world: World, robot: Robot, throttle: float, steering: float, steps: int, yaw: float = 0.0) -> list[Twist]:
    world.restore()
    robot.place(0.0, 0.0, yaw)
    return [robot.step(throttle, steering) for _ in range(steps)]


def distance_to_walls(walls: Floats, x: float, y: float) -> float:
    """Return the distance of a point to the nearest wall segment."""
    start, along = walls[:, 0], walls[:, 1] - walls[:, 0]
    to = np.array([x, y]) - start
    part = np.clip((to * along).sum(axis=1) / (along * along).sum(axis=1), 0.0, 1.0)
    return float(np.linalg.norm(to - part[:, None] * along, axis=1).min())


def test_drives_straight_open_loop_at_full_speed(name: str, build: Build) -> None:
    path = drive(*build(name), 1.0, 0.0, 200)
    assert path[-1].speed == pytest.approx(Robot.MAX_SPEED, rel=0.01)
    assert 200 * STEP_LENGTH - 0.15 <= path[-1].x <= 200 * STEP_LENGTH + 0.001
    assert abs(path[-1].y) < 0.01
    assert abs(path[-1].yaw) < 1e-3


def test_reaches_its_speed_within_a_third_of_a_second(name: str, build: Build) -> None:
    for throttle in (1.0, 0.5, -0.5, -1.0):
        path = drive(*build(name), throttle, 0.0, 7)
        assert path[-1].speed == pytest.approx(throttle * Robot.MAX_SPEED, abs=0.03)


def test_turns_at_the_rate_that_is_asked_for(name: str, build: Build) -> None:
    for steering in (1.0, 0.5, -0.25):
        path = drive(*build(name), 0.0, steering, 40)
        assert path[-1].turn_rate == pytest.approx(steering * Robot.MAX_TURN_RATE, rel=0.03)
        turned = np.unwrap([0.0, *(twist.yaw for twist in path)])[-1]
        assert turned == pytest.approx(steering * Robot.MAX_TURN_RATE * 40 / HZ, rel=0.06)
        assert math.hypot(path[-1].x, path[-1].y) < 0.02, "turns on the spot"


def test_says_speed_and_turn_rate_as_its_path_shows_them(name: str, build: Build) -> None:
    before, after = drive(*build(name), 0.6, 0.2, 60)[-2:]
    assert math.hypot(after.x - before.x, after.y - before.y) * HZ == pytest.approx(after.speed, rel=0.03)
    assert (after.yaw - before.yaw) * HZ == pytest.approx(after.turn_rate, rel=0.03)


def test_both_robots_mean_the_same_by_a_twist(build: Build) -> None:
    for throttle, steering in ((0.8, 0.25), (0.5, -0.5), (-0.6, 0.1)):
        ends = [drive(*build(name), throttle, steering, 30, yaw=0.4)[-1] for name in MOBILE_ROBOTS]
        assert math.dist(ends[0][:2], ends[1][:2]) < 0.08
        assert ends[0].yaw == pytest.approx(ends[1].yaw, abs=0.15)


def test_stands_still_with_no_throttle(name: str, build: Build) -> None:
    """Within a millimeter a second: wheels that are held by friction creep."""
    end = drive(*build(name), 0.0, 0.0, 400, yaw=0.7)[-1]
    assert math.hypot(end.x, end.y) < 0.02
    assert end.yaw == pytest.approx(0.7, abs=0.002)
    assert abs(end.speed) < 1e-3


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_walls_stop_it_at_full_speed_without_tunnelling(name: str, arms: int, build: Build) -> None:
    world, robot = build(name, arms)
    walls = wall_segments(arms, 3.0)
    least = {"planar": 0.16, "diff_drive": 0.115}[name]
    for number, yaw in enumerate(np.linspace(-math.pi, math.pi, 12, endpoint=False).tolist()):
        path = drive(world, robot, 1.0, 0.15 * (number % 2), 60, yaw)
        near = min(distance_to_walls(walls, twist.x, twist.y) for twist in path)
        assert near > least
        assert all(math.isfinite(value) for twist in path for value in twist)


def test_stays_upright_whatever_it_does_at_walls(build: Build) -> None:
    world, robot = build("diff_drive", 2)
    rng = np.random.default_rng(0)
    world.restore()
    robot.place(0.0, 0.0, 0.0)
    for _ in range(600):
        robot.step(*rng.choice([-1.0, 1.0], 2))
    (_, _, height), turn = pybullet.getBasePositionAndOrientation(robot._body, physicsClientId=world.client)  # type: ignore[attr-defined]
    roll, pitch, _ = pybullet.getEulerFromQuaternion(turn)
    assert abs(roll) < 0.05
    assert abs(pitch) < 0.05
    assert abs(height - robot._rest_height) < 0.01  # type: ignore[attr-defined]


def test_looks_change_no_motion(name: str, build: Build) -> None:
    plain = drive(*build(name, 2), 1.0, 0.1, 60, 0.5)
    assert plain == drive(*build(name, 2, visuals=True), 1.0, 0.1, 60, 0.5)


def test_can_be_put_anywhere_at_rest(name: str, build: Build) -> None:
    world, robot = build(name)
    drive(world, robot, 1.0, 0.3, 20)
    robot.place(-2.0, 0.1, -0.9)
    rested = robot.step(0.0, 0.0)
    assert rested[:3] == pytest.approx((-2.0, 0.1, -0.9), abs=2e-3)
    assert rested[3:] == pytest.approx((0.0, 0.0), abs=0.02)


def test_headings_stay_within_half_a_turn(name: str, build: Build) -> None:
    assert all(-math.pi <= twist.yaw <= math.pi for twist in drive(*build(name), 0.0, 1.0, 100))


def test_one_call_of_several_physics_steps_equals_several_calls(name: str, build: Build) -> None:
    """Bullet lets motors push ``substeps`` times as hard in one call; the robots write that much less force."""
    coarse_world, coarse = build(name, physics=PHYSICS)
    fine_world, fine = build(name, physics=Physics(control_hz=PHYSICS.control_hz * PHYSICS.substeps, substeps=1))
    for world, robot in ((coarse_world, coarse), (fine_world, fine)):
        world.restore()
        robot.place(0.0, 0.0, 0.3)
    for throttle in (1.0, 1.0, 1.0, -0.4, -1.0, 0.2) * 5:
        coarse.step(throttle, 0.0)
        for _ in range(PHYSICS.substeps - 1):
            fine.step(throttle, 0.0)
        reached = fine.step(throttle, 0.0)
    assert coarse.step(0.0, 0.0)[:3] == pytest.approx(reached[:3], abs=0.02)
