"""Pictures for people: what is seen is where Bullet has it."""

from __future__ import annotations

from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest

from rlmem.envs.camera import photograph
from rlmem.envs.prop import Prop
from rlmem.envs.raster import lens
from rlmem.envs.robots import parts
from rlmem.envs.scene import Scene
from rlmem.envs.simulation import Physics, World, pybullet

RED, BLUE, GRAY = (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0), (0.6, 0.6, 0.6, 1.0)
EYE, TARGET = (-2.0, 0.0, 1.0), (0.0, 0.0, 0.0)


class _Things:
    """A floor that reaches behind the camera, a red box on it, and a blue ball."""

    def __init__(self, client: int) -> None:
        self.floor = Prop(client, [parts.box((20.0, 20.0, 0.01), GRAY, (0.0, 0.0, -0.011))])
        self.box = Prop(client, [parts.box((0.2, 0.2, 0.2), RED)])
        self.ball = Prop(client, [parts.sphere(0.15, BLUE)])
        self.floor.show(0.0, 0.0)
        self.box.show(0.0, 0.0, 0.2)


@pytest.fixture
def world() -> Iterator[tuple[World, _Things]]:
    things: list[_Things] = []
    made = World(lambda client: things.append(_Things(client)), Physics())
    made.restore()
    yield made, things[0]
    made.close()


def _picture(world: World, *, shadow: bool = False) -> np.ndarray:
    return photograph(world.client, EYE, TARGET, 64, 48, shadow=shadow)


def _center(picture: np.ndarray) -> str:
    return "rgb"[int(picture[24, 32].argmax())] if np.ptp(picture[24, 32]) > 40 else "gray"


def test_the_nearest_thing_hides_what_is_behind_it(world: tuple[World, _Things]) -> None:
    world, things = world
    assert _center(_picture(world)) == "r"
    things.ball.show(-1.0, 0.0, 0.5)
    assert _center(_picture(world)) == "b"
    things.ball.park()
    things.box.park()
    assert _center(_picture(world)) == "gray"


def test_a_floor_that_reaches_behind_the_camera_fills_the_picture_below_the_horizon(
    world: tuple[World, _Things],
) -> None:
    picture = _picture(world[0])
    assert (picture[8:].min(axis=2) < 250).all()
    assert (picture[0] == 255).all(), "the floor ends 20 m away"


def test_a_picture_does_not_depend_on_the_pictures_before_it(world: tuple[World, _Things]) -> None:
    world, things = world
    for number in range(6):
        things.ball.show(-1.0, 0.1 * number, 0.5, color=RED if number == 4 else BLUE)
        view = lens(np.array(EYE), np.array(TARGET), np.array([0.0, 0.0, 1.0]), 128, 96, 50.0)
        fresh = Scene(world.client, {}).picture(view)[..., :3]
        again = photograph(world.client, EYE, TARGET, 64, 48)
        assert np.abs(fresh.reshape(48, 2, 64, 2, 3).mean(axis=(1, 3)) - again).max() <= 1.0


def test_shadows_darken_the_floor_away_from_the_light(world: tuple[World, _Things]) -> None:
    plain = _picture(world[0])
    lit = photograph(world[0].client, EYE, TARGET, 64, 48, shadow=True)
    darker = (lit.astype(int) - plain).sum(axis=2) < -30
    columns = np.nonzero(darker)[1]
    assert 5 < darker.sum() < 200
    assert columns.mean() < 32, "the light comes from the right, so that shadows fall to the left"


def test_a_world_that_takes_the_place_of_a_closed_one_is_drawn_anew() -> None:
    first = World(lambda client: Prop(client, [parts.box((0.2, 0.2, 0.2), RED)]).show(0.0, 0.0), Physics())
    assert _center(_picture(first)) == "r"
    first.close()
    second = World(lambda client: Prop(client, [parts.box((0.2, 0.2, 0.2), BLUE)]).show(0.0, 0.0), Physics())
    assert _center(_picture(second)) == "b"
    second.close()


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("RememberColor-v0", {}),
        ("RememberColor-v0", {"robot": "kuka"}),
        ("AntPosition-v0", {}),
        ("Walker2DPosition-v0", {}),
        ("TMaze-v0", {}),
    ],
)
def test_robots_are_seen_where_bullet_sees_them(name: str, knobs: dict[str, str]) -> None:
    env = gymnasium.make(f"rlmem/{name}", render_mode="rgb_array", camera="behind", width=96, height=72, **knobs)
    env.reset(seed=0)
    for _ in range(10):
        env.step(env.unwrapped.expert_action())
    env.render()
    task = env.unwrapped.task
    client = task.worlds[0].client
    bodies = [pybullet.getBodyUniqueId(i, client) for i in range(pybullet.getNumBodies(client))]
    body = max(bodies, key=lambda one: pybullet.getNumJoints(one, client))  # the robot: all else has no joints
    lower, upper = pybullet.getAABB(body, -1, physicsClientId=client)
    target = (np.array(lower) + upper) / 2
    eye = target + np.array([-1.5, -1.2, 1.2])
    capsules = task._walkers[0].capsules if hasattr(task, "_walkers") else {}
    scene = Scene(client, capsules)
    pose = scene.pose()
    own = np.array([shape[0] == body for shape in scene.shapes])
    view = lens(eye, target, np.array([0.0, 0.0, 1.0]), 160, 120, 50.0)
    drawn = scene._draw(None, view, pose, own, None).depth > 1.01e-3
    seen = pybullet.getCameraImage(
        160,
        120,
        pybullet.computeViewMatrix(eye.tolist(), target.tolist(), (0.0, 0.0, 1.0)),
        pybullet.computeProjectionMatrixFOV(50.0, 160 / 120, 0.05, 40.0),
        renderer=pybullet.ER_TINY_RENDERER,
        physicsClientId=client,
    )[4]
    env.close()
    robot = np.reshape(seen, (120, 160)) == body
    assert (robot & ~drawn).sum() < 0.1 * robot.sum(), "what Bullet sees of the robot is drawn"
    assert robot.sum() > 100
