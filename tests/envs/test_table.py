"""The table: touching, pressing, pushing, bounds of the hand; the object memory and the place memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import expert_action, exploit, memory_of_resets, play, task_of
from scipy import stats

from rlmem.envs.memory_task import Floats, Phase, Step
from rlmem.envs.robots.arm_urdf import TIP_RADIUS
from rlmem.envs.simulation import PHYSICS, World, pybullet
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table import scenery
from rlmem.envs.table.delayed_reach import DelayedReach, DelayedReachSettings
from rlmem.envs.table.remember_color import RememberColor, RememberColorSettings
from rlmem.envs.table.settings import HIGH, LOW
from rlmem.envs.table.targets import FAR, Targets, newly_touched, ring
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]
COLOR, SHAPE, REACH = "rlmem/RememberColor-v0", "rlmem/RememberShape-v0", "rlmem/DelayedReach-v0"


class TestTargets:
    @pytest.fixture
    def targets(self) -> Iterator[Targets]:
        made = Targets(1, 2, (0.02, 0.03, 0.04))
        world = World(lambda client: made.build(client, visuals=False), PHYSICS)
        yield made
        world.close()

    def test_distance_is_that_of_the_surfaces(self, targets: Targets) -> None:
        targets.stand(0, 0, 0.5, 0.1)
        reach = 0.02 + TIP_RADIUS
        for tip, expected in (
            ([0.5 + reach + 0.01, 0.1, 0.04], 0.01),
            ([0.5, 0.1, 0.08 + TIP_RADIUS + 0.02], 0.02),
            ([0.52 + 0.03, 0.13 + 0.04, 0.04], 0.05 - TIP_RADIUS),
            ([0.5, 0.1, 0.04], -TIP_RADIUS),
        ):
            assert targets.distance(np.array([tip]))[0, 0] == pytest.approx(expected)

    def test_distance_turns_with_the_box(self, targets: Targets) -> None:
        targets.stand(0, 0, 0.5, 0.1, yaw=np.pi / 2)
        assert targets.distance(np.array([[0.56, 0.1, 0.04]]))[0, 0] == pytest.approx(0.03 - TIP_RADIUS)

    def test_what_is_not_there_is_far(self, targets: Targets) -> None:
        targets.stand(0, 0, 0.5, 0.1)
        assert targets.distance(np.zeros((1, 3)))[0, 1] == FAR
        targets.remove(0, 0)
        assert (targets.distance(np.zeros((1, 3))) == FAR).all()

    def test_a_touch_counts_once_until_the_hand_has_left(self) -> None:
        armed, ways = np.array([True]), (0.03, 0.002, 0.001, 0.01, 0.001, 0.02, 0.001)
        seen = [int(newly_touched(np.array([[FAR, least]]), armed, 0.02)[0]) for least in ways]
        assert seen == [-1, 1, -1, -1, -1, -1, 1]

    @pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
    def test_straight_ways_across_a_ring_meet_no_third(self, count: int) -> None:
        places = ring(count, 0.12)[:, :2]
        for a in range(count):
            for b in range(count):
                way = places[a] + np.linspace(0, 1, 50)[:, None] * (places[b] - places[a])
                for c in set(range(count)) - {a, b}:
                    assert np.linalg.norm(way - places[c], axis=1).min() > 0.04


class TestHand:
    def test_stays_in_its_box_whatever_is_done(self, make: Make) -> None:
        for robot in ("panda", "kuka"):
            for control in ("end_effector", "joint"):
                env = make(COLOR, robot=robot, control=control, guard="none", memory_length=1, query_steps=200)
                task = task_of(env)
                assert isinstance(task, RememberColor)
                rng = np.random.default_rng(3)
                env.reset(seed=0)
                action = rng.uniform(-1, 1, env.action_space.shape)
                for step in range(150):
                    if step % 15 == 0:
                        action = rng.choice([-1.0, 1.0], env.action_space.shape)
                    if env.step(action)[2]:
                        env.reset()
                    slack = 0.012 if control == "end_effector" else 0.04
                    assert (task.tip[0] > LOW - slack).all()
                    assert (task.tip[0] < HIGH + slack).all()

    def test_waits_near_home_before_the_query_where_nothing_holds_it(self, make: Make) -> None:
        env = make(COLOR, guard="none", memory_length=30)
        task = task_of(env)
        assert isinstance(task, RememberColor)
        env.reset(seed=0)
        for _ in range(20):
            env.step(np.ones(3))
        np.testing.assert_allclose(task.tip[0], task._home + task.WAITING, atol=0.005)

    def test_moves_as_far_as_it_is_told(self, make: Make) -> None:
        env = make(REACH, guard="none", memory_length=30)
        task = task_of(env)
        assert isinstance(task, DelayedReach)
        env.reset(seed=0)
        before = task.tip[0].copy()
        for _ in range(4):
            env.step(np.array([0.5, -0.8, 0.0]))
        np.testing.assert_allclose(task.tip[0] - before, [0.06, -0.096, 0.0], atol=0.006)

    def test_looks_at_the_same_place_from_home_after_any_past(self, make: Make) -> None:
        env = make(COLOR)
        ends = []
        for seed in (5, 6, 5):
            episode = play(env, seed, expert_action)
            ends.append(episode.observations[-1].tolist())
        assert ends[0] == ends[2]
        assert ends[0] != ends[1]


class Pusher(DelayedReach):
    """A cube before the hand, to be pushed; the hand stays low."""

    PLANAR = True
    GRAVITY = True
    FORGET_CONTACTS = True

    def __init__(self, settings: DelayedReachSettings, num_envs: int = 1, **knobs: Any) -> None:
        self.cubes: list[int] = []
        super().__init__(settings, num_envs, **knobs)
        self._home[2] = scenery.HALF

    def build_bodies(self, index: int, client: int) -> None:
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[scenery.HALF] * 3, physicsClientId=client)
        self.cubes.append(pybullet.createMultiBody(0.2, shape, -1, [0, 0, -50], physicsClientId=client))

    def ask(self, index: int) -> None:
        place = [self.home[index, 0] + 0.08, self.home[index, 1], scenery.HALF]
        pybullet.resetBasePositionAndOrientation(
            self.cubes[index], place, [0, 0, 0, 1], physicsClientId=self.worlds[index].client
        )
        pybullet.resetBaseVelocity(self.cubes[index], [0, 0, 0], [0, 0, 0], physicsClientId=self.worlds[index].client)

    def query_reward(self, asked: Any, step: Step) -> None:
        pass

    def cube(self) -> Floats:
        return np.array(
            [
                pybullet.getBasePositionAndOrientation(cube, physicsClientId=world.client)[0]
                for cube, world in zip(self.cubes, self.worlds, strict=True)
            ]
        )


class TestFreeBodies:
    def push(self, task: Pusher) -> Floats:
        task.reset(seeds=[0] * task.num_envs)
        while (task.phase != Phase.QUERY).any():
            task.step(np.zeros((task.num_envs, 2)))
        path = []
        for step in range(20):
            task.step(np.tile([0.4 if step < 12 else 0.0, 0.0], (task.num_envs, 1)))
            path.append(np.concatenate((task.cube(), task.tip), axis=1))
        return np.array(path)

    def test_a_hand_pushes_a_cube_and_keeps_its_height(self) -> None:
        task = Pusher(DelayedReach.make_settings({"memory_length": 2, "commit_distance": 0.03}), 2)
        path = self.push(task)
        assert (path[-1, :, 0] - path[0, :, 0] > 0.05).all(), "the cube has moved ahead"
        assert np.abs(path[:, :, 2] - scenery.HALF).max() < 0.004, "on the table"
        assert np.abs(path[:, :, 5] - task._home[2]).max() < 0.008, "the hand stays at its height"
        assert np.abs(path[-1] - path[-4]).max() < 0.003, "and the cube rests when it is left alone"
        np.testing.assert_array_equal(self.push(task), path)
        task.close()


class TestRememberColor:
    @pytest.mark.parametrize(("k", "feature"), [(3, "color"), (5, "shape"), (9, "both"), (3, "both")])
    def test_the_expert_is_right_with_each_cue_and_feature(self, k: int, feature: str, make: Make) -> None:
        env = make(COLOR, k=k, feature=feature)
        for cue in range(k):
            episode = play(env, 20 + cue, expert_action, cue=cue)
            assert episode.info["is_success"]
            assert len(episode.where(Phase.QUERY)) <= 12

    def test_kinds_are_told_apart_by_both_features_only_together(self) -> None:
        for k in (3, 5, 9):
            task = RememberColor(RememberColorSettings(k=k, feature="both"))  # type: ignore[arg-type]
            assert len(set(task.looks)) == k
            assert len({color for color, _ in task.looks}) < k
            assert len({shape for _, shape in task.looks}) < k
            task.close()

    def test_what_is_seen_is_what_stands_there(self, make: Make) -> None:
        env = make(COLOR, k=5)
        names = task_of(env).observation_names
        task = task_of(env)
        assert isinstance(task, RememberColor)
        episode = play(env, 4, expert_action)
        first = episode.observations[episode.where(Phase.QUERY)[0]]
        lit = {name for name, value in zip(names, first.tolist(), strict=True) if value == 1.0}
        colors = [task.looks[kind][0] for kind in task.order[0]]
        assert lit == {"go light", *(f"slot {slot}: {color}" for slot, color in enumerate(colors))}
        assert not episode.observations[episode.where(Phase.DELAY)[0]].any(), "nothing is seen in the delay"

    def test_slots_are_shuffled_independently_of_the_cue(self) -> None:
        task = RememberColor(RememberColorSettings())
        counts = np.zeros((3, 3))
        for seed in range(900):
            task.reset(seeds=[seed])
            counts[task.cue[0], int((task.order[0] == task.cue[0]).argmax())] += 1
        task.close()
        assert stats.chisquare(counts.ravel()).pvalue > 1e-3

    def test_a_wrong_touch_ends_the_episode_and_costs_what_a_right_one_earns_on_average(self, make: Make) -> None:
        env = make(COLOR)
        answers = []
        for cue in range(3):
            episode = play(env, 2, lambda env, rng: np.array([1.0, 0.0, 0.0]), cue=cue)
            assert episode.terminated
            answers.append(sum(episode.rewards))
        assert sorted(round(answer - min(answers), 6) for answer in answers) == [0.0, 0.0, 1.5]
        assert sum(answers) / 3 == pytest.approx(0.1 - 0.01 * len(episode.where(Phase.QUERY)[1:]), abs=0.02)

    def test_objects_feel_alike(self, make: Make) -> None:
        """The same way of the hand whichever objects stand there: looks do not change what is touched."""
        paths = []
        for env_id in (COLOR, SHAPE):
            episode = play(make(env_id), 2, lambda env, rng: np.array([1.0, 0.3, 0.0]))
            paths.append(np.array(episode.observations)[:, -3:])
        np.testing.assert_array_equal(paths[0], paths[1])

    def test_commit_distance_is_what_the_hand_has_to_go(self, make: Make) -> None:
        lengths = [
            len(play(make(COLOR, commit_distance=far), 0, expert_action).where(Phase.QUERY)) for far in (0.05, 0.10)
        ]
        assert lengths[0] < lengths[1]


class TestDelayedReach:
    def test_points_are_uniform_on_the_disc_whether_their_cell_is_drawn_or_given(self) -> None:
        task = DelayedReach(DelayedReachSettings())
        for given in (False, True):
            drawn = []
            for seed in range(800):
                task.reset(seeds=[seed], cues=np.array([seed % 8]) if given else None)
                drawn.append(task.point[0].copy())
            x, y = np.array(drawn).T
            assert stats.kstest((x**2 + y**2) / task.settings.radius**2, "uniform").pvalue > 1e-3
            assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
        task.close()

    def test_moving_about_above_the_table_collects_nothing(self, make: Make) -> None:
        env = make(REACH, query_steps=60)
        episode = play(env, 0, lambda env, rng: np.append(rng.uniform(-1, 1, 2), 0.3))
        assert episode.truncated
        assert sum(episode.rewards) == pytest.approx(-0.60)

    def test_guessing_earns_nothing(self) -> None:
        """Pressing the middle, for points all over the disc."""
        task = DelayedReach(DelayedReachSettings(memory_length=1), 8)
        task.reset(seeds=list(range(8)))
        earned, ends = 0.0, 0
        while ends < 600:
            step = task.step(np.tile([0.0, 0.0, -1.0], (8, 1)))
            earned += float(step.reward.sum())
            ended = step.terminated
            ends += int(ended.sum())
            task.reset(np.flatnonzero(ended))
        task.close()
        assert earned / ends == pytest.approx(-0.02, abs=0.04)

    @pytest.mark.parametrize(("r", "big"), [(0.02, 0.10), (0.07, 0.14)])
    def test_the_ceiling_is_the_part_of_the_disc_that_a_press_covers(self, r: float, big: float) -> None:
        spec = DelayedReach.spec(DelayedReachSettings(tolerance=r, radius=big))
        assert spec.memoryless.value == pytest.approx((r / big) ** 2)
        assert 2.0**-spec.n_bits == pytest.approx(spec.memoryless.value)


class TestExploiters:
    def reached(self, env_id: str, frames: int, **knobs: Any) -> float:
        return float(exploit(env_id, frames, **knobs).score.mean())

    @pytest.mark.parametrize("env_id", [COLOR, REACH])
    def test_a_free_hand_can_serve_as_memory(self, env_id: str) -> None:
        assert self.reached(env_id, 1, guard="none") >= 0.8
        assert self.reached(env_id, 4, guard="cue") >= 0.8

    @pytest.mark.parametrize("frames", [1, 4])
    @pytest.mark.parametrize("env_id", [COLOR, REACH])
    def test_a_guarded_hand_does_not(self, env_id: str, frames: int) -> None:
        chance = task_class(env_id).spec(task_class(env_id).Settings()).memoryless.value
        assert self.reached(env_id, frames) * 96 <= stats.binom.ppf(0.999, 96, chance)
        assert self.reached(env_id, 1, guard="cue") * 96 <= stats.binom.ppf(0.999, 96, chance)


@pytest.mark.parametrize("env_id", [COLOR, REACH])
@pytest.mark.parametrize("robot", ["panda", "kuka"])
def test_the_expert_controls_joints_too(env_id: str, robot: str, make: Make) -> None:
    env = make(env_id, robot=robot, control="joint")
    assert env.action_space.shape == (7,)
    assert all(play(env, seed, expert_action).info["is_success"] for seed in range(4))


@pytest.mark.parametrize(
    ("env_id", "knobs", "message"),
    [
        (COLOR, {"k": 4}, "k must be one of 3, 5, 9, got 4"),
        (COLOR, {"commit_distance": 0.5}, "commit_distance must be from 0.05 to 0.10 m, got 0.5"),
        (REACH, {"tolerance": 0.2}, "tolerance must be at least 0.005 m and less than the radius, got 0.2"),
        (REACH, {"radius": 1.0}, "radius must be from 0.03 to 0.15 m, got 1.0"),
        (REACH, {"commit_distance": 0.01}, "commit_distance must be from 0.03 to 0.15 m, got 0.01"),
    ],
)
def test_knobs_that_cannot_be_are_refused(env_id: str, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_class(env_id).make_settings(knobs)


def test_resets_take_no_memory() -> None:
    assert memory_of_resets(COLOR, 3_000, warm_up=1_000, action=(0.3, 0.0, -1.0), guard="none") <= 16 * 1024
