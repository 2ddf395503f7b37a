"""The range sensor reads what rays in the simulated world read, and the plan is what it should be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rlmem.envs.corridor import scenery
from rlmem.envs.corridor.floor_plan import (
    ARM_LENGTH,
    HALF_WIDTH,
    MAX_RANGE,
    RAY_ANGLES,
    RangeSensor,
    arm_directions,
    wall_segments,
)
from rlmem.envs.memory_task import Floats
from rlmem.envs.simulation import Physics, World, pybullet

CORRIDOR = 6.0
BACK_WALL_X = -3.0
ARMS = [1, 2, 3, 4]


def places_inside(arms: int, count: int, seed: int) -> Floats:
    """Draw places and headings [count, 3] in corridor, junction and arms, 5 cm from walls at least."""
    rng = np.random.default_rng(seed)
    ways = [(np.array([-1.0, 0.0]), 2.9), *((direction, ARM_LENGTH - 0.05) for direction in arm_directions(arms))]
    places = []
    for _ in range(count):
        along, length = ways[rng.integers(len(ways))]
        across = np.array([-along[1], along[0]])
        x, y = along * rng.uniform(0.0, length) + across * rng.uniform(-1.0, 1.0) * (HALF_WIDTH - 0.05)
        places.append((x, y, rng.uniform(-math.pi, math.pi)))
    return np.array(places)


@pytest.mark.parametrize("arms", ARMS)
def test_rays_read_what_bullets_rays_read(arms: int) -> None:
    world = World(lambda client: scenery.build_walls(client, arms, CORRIDOR, visuals=False), Physics())
    back_wall = scenery.build_back_wall(world.client, visuals=False)
    scenery.move_back_wall(world.client, back_wall, BACK_WALL_X)
    places = places_inside(arms, 400, seed=arms)
    sensor = RangeSensor(wall_segments(arms, CORRIDOR), len(places))
    for index in range(len(places)):
        sensor.set_back_wall(index, BACK_WALL_X)
    read = sensor(*places.T)
    differ = []
    for (x, y, yaw), ranges in zip(places.tolist(), read, strict=True):
        ends = [(x + MAX_RANGE * math.cos(yaw + ray), y + MAX_RANGE * math.sin(yaw + ray), 0.1) for ray in RAY_ANGLES]
        hits = pybullet.rayTestBatch([(x, y, 0.1)] * len(ends), ends, physicsClientId=world.client)
        differ.append(np.abs(ranges - [MAX_RANGE * hit[2] for hit in hits]))
    assert np.median(differ) < 1e-5
    if arms == 4:
        assert np.mean(np.array(differ) > 0.01) < 0.04, "the sharp corners between four arms stick out by 2 cm"
    else:
        assert np.max(differ) < 0.01, "grazing rays meet the margin of a box"
    world.close()


@pytest.mark.parametrize("arms", ARMS)
def test_a_reading_depends_on_its_own_environment_only(arms: int) -> None:
    places = places_inside(arms, 50, seed=9)
    together = RangeSensor(wall_segments(arms, CORRIDOR), len(places))(*places.T)
    for index, place in enumerate(places):
        alone = RangeSensor(wall_segments(arms, CORRIDOR), 1)(*place[:, None])
        np.testing.assert_array_equal(alone[0], together[index])


def test_in_the_middle_of_the_corridor_walls_are_where_they_are() -> None:
    sensor = RangeSensor(wall_segments(2, 20.0), 1)
    sensor.set_back_wall(0, -11.0)
    diagonal = HALF_WIDTH * math.sqrt(2)
    ahead = sensor(np.array([-10.0]), np.zeros(1), np.zeros(1))[0]
    np.testing.assert_allclose(ahead, [HALF_WIDTH, diagonal, MAX_RANGE, diagonal, HALF_WIDTH])
    behind = sensor(np.array([-10.0]), np.zeros(1), np.array([math.pi]))[0]
    np.testing.assert_allclose(behind, [HALF_WIDTH, diagonal, 1.0, diagonal, HALF_WIDTH])


def test_from_the_junction_a_ray_tells_left_from_right() -> None:
    """An arm is shorter than the range, so that leaning to a side shows."""
    sensor = RangeSensor(wall_segments(2, 20.0), 1)
    sensor.set_back_wall(0, -11.0)
    left, *_, right = sensor(np.zeros(1), np.array([0.1]), np.zeros(1))[0]
    assert (left, right) == pytest.approx((ARM_LENGTH - 0.1, ARM_LENGTH + 0.1))


@pytest.mark.parametrize("arms", ARMS)
def test_the_plan_is_closed_and_runs_clockwise(arms: int) -> None:
    walls = wall_segments(arms, CORRIDOR)
    np.testing.assert_allclose(walls[:, 1], np.roll(walls[:, 0], -1, axis=0))
    x, y = walls[:, 0].T
    area = 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    assert area < 0.0
    ways = CORRIDOR + arms * ARM_LENGTH
    assert -area == pytest.approx(2 * HALF_WIDTH * ways, rel=0.15)


@pytest.mark.parametrize("arms", ARMS)
def test_arms_are_spread_from_left_to_right(arms: int) -> None:
    directions = arm_directions(arms)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    angles = np.degrees(np.arctan2(directions[:, 1], directions[:, 0]))
    assert (np.diff(angles) < 0).all()
    np.testing.assert_allclose(angles, -angles[::-1], atol=1e-9)


@pytest.mark.parametrize("arms", ARMS)
def test_a_single_robot_reads_what_many_read(arms: int) -> None:
    places = np.concatenate((places_inside(arms, 200, seed=arms), [[0.0, 0.0, 0.0], [-1.0, 0.0, math.pi]]))
    many, single = (RangeSensor(wall_segments(arms, CORRIDOR), count, panels=1) for count in (len(places), 1))
    for index in range(len(places)):
        many.set_back_wall(index, BACK_WALL_X)
        many.set_panel(index, 0, -0.6, 1)
    single.set_back_wall(0, BACK_WALL_X)
    single.set_panel(0, 0, -0.6, 1)
    for place, ranges in zip(places, many(*places.T), strict=True):
        angles = place[2] + RAY_ANGLES
        rays = list(zip(np.cos(angles).tolist(), np.sin(angles).tolist(), strict=True))
        assert single.single(float(place[0]), float(place[1]), rays) == ranges.tolist()
