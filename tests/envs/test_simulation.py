"""A world starts anew exactly, is quiet, and gives back what it took."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import memory_of_resets, modest_knobs, run_python

from rlmem.envs.robots import MOBILE_ROBOTS, Robot, Twist
from rlmem.envs.simulation import Physics, World, pybullet, quiet


def world_with(name: str) -> tuple[World, Robot]:
    robots: list[Robot] = []
    physics = Physics()
    world = World(lambda client: robots.append(MOBILE_ROBOTS[name](client, physics, visuals=False)), physics)
    return world, robots[0]


def run(world: World, robot: Robot, steps: int) -> list[Twist]:
    world.restore()
    robot.place(0.3, -0.2, 0.5)
    return [robot.step(0.9 - 0.1 * (step % 17), 0.1 * (step % 13) - 0.6) for step in range(steps)]


@pytest.mark.parametrize("name", MOBILE_ROBOTS)
def test_a_restored_world_goes_the_same_way_bit_for_bit(name: str) -> None:
    world, robot = world_with(name)
    first = run(world, robot, 80)
    run(world, robot, 37)
    assert run(world, robot, 80) == first
    other_world, other_robot = world_with(name)
    assert run(other_world, other_robot, 80) == first
    world.close()
    other_world.close()


def test_worlds_do_not_feel_each_other() -> None:
    world, robot = world_with("diff_drive")
    alone = run(world, robot, 40)
    other_world, other_robot = world_with("diff_drive")
    world.restore()
    robot.place(0.3, -0.2, 0.5)
    other_world.restore()
    other_robot.place(0.3, -0.2, 0.5)
    together = []
    for step in range(40):
        other_robot.step(1.0, -1.0)
        together.append(robot.step(0.9 - 0.1 * (step % 17), 0.1 * (step % 13) - 0.6))
    assert together == alone
    world.close()
    other_world.close()


def test_closing_disconnects_and_twice_does_nothing() -> None:
    world, _ = world_with("planar")
    client = world.client
    assert pybullet.isConnected(client)
    world.close()
    assert not pybullet.isConnected(client)
    world.close()


def test_closing_leaves_a_client_alone_that_took_its_place() -> None:
    """Bullet hands out the numbers of closed clients again."""
    first, _ = world_with("planar")
    client = first.client
    first.close()
    second, _ = world_with("planar")
    assert second.client == client
    first.close()
    assert pybullet.isConnected(second.client)
    second.close()


@pytest.mark.parametrize("knobs", [{"control_hz": 0.0}, {"substeps": 0}, {"solver_iterations": 0}])
def test_physics_that_cannot_be_is_refused(knobs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, got"):
        Physics(**knobs)


def test_a_window_without_a_screen_is_warned_about_and_left_out(world_id: str) -> None:
    code = f"""
import os, warnings
os.environ.pop("DISPLAY", None), os.environ.pop("WAYLAND_DISPLAY", None)
import gymnasium, rlmem
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    env = gymnasium.make({world_id!r}, render_mode="human", **{modest_knobs(world_id)!r})
assert [True for warning in caught if "there is no screen here" in str(warning.message)] == [True]
env.reset(seed=0)
env.step(env.action_space.sample())
env.close()
"""
    run_python(code)


def test_quiet_silences_c_code_and_gives_output_back() -> None:
    code = """
import os
from rlmem.envs.simulation import quiet
print("before")
with quiet():
    os.write(1, b"unheard\\n")
    print("unheard too", flush=True)
print("after")
"""
    assert run_python(code).stdout == "before\nafter\n"


def test_quiet_works_where_standard_output_is_closed() -> None:
    code = "import sys; sys.stdout.close(); import gymnasium, rlmem; gymnasium.make('rlmem/TMaze-v0').close()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_environments_made_in_threads_leave_standard_output_alone() -> None:
    code = """
import gymnasium, rlmem
from concurrent.futures import ThreadPoolExecutor
from rlmem.envs.simulation import quiet
def work(_):
    gymnasium.make("rlmem/RememberColor-v0").close()
    with quiet():
        pass
list(ThreadPoolExecutor(4).map(work, range(12)))
print("heard")
"""
    assert run_python(code).stdout == "heard\n"


def test_quiet_leaks_no_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with quiet():
            pass
        with quiet(2):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("robot", MOBILE_ROBOTS)
def test_resets_take_no_memory(robot: str) -> None:
    """Over 10,000 resets, each followed by a step, after a warm-up: no trend, at most what a page or two is."""
    assert memory_of_resets("rlmem/TMaze-v0", 10_000, warm_up=2_000, guard="none", robot=robot) <= 64 * 1024


def test_closed_environments_leave_no_clients_behind() -> None:
    code = """
import gymnasium, rlmem, pybullet
connected = lambda: sum(pybullet.isConnected(client) for client in range(100))
for _ in range(5):
    envs = [gymnasium.make("rlmem/TMaze-v0"), gymnasium.make_vec("rlmem/TMaze-v0", 4)]
    assert connected() == 5
    for env in envs:
        env.close()
    assert connected() == 0
workers = gymnasium.make_vec("rlmem/TMaze-v0", 4, workers=2)
assert connected() == 0, "worlds of workers are in the workers"
workers.close()
"""
    run_python(code)


def test_an_environment_that_is_dropped_unclosed_leaves_no_client_behind() -> None:
    code = """
import gc
import gymnasium, rlmem, pybullet
connected = lambda: sum(pybullet.isConnected(client) for client in range(100))
for make in (gymnasium.make, gymnasium.make_vec):
    env = make("rlmem/TMaze-v0")
    env.reset(seed=0)
    del env
    gc.collect()
    assert connected() == 0, make
"""
    run_python(code)
