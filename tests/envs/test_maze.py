"""Mazes hang together, the lidar sees what is there, walls hold, and memory is what the expert has over the scripts."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from conftest import memory_of_resets

from rlmem.envs.audit.bench import Bench
from rlmem.envs.ground.exploiters.maze_recall import exploiters
from rlmem.envs.ground.lidar import BEAM_ANGLES, BEAMS, MAX_RANGE, Lidar
from rlmem.envs.ground.maze_plan import CELL, Maze, cell_at, draw_maze, middle_of, step_along, steps_to
from rlmem.envs.ground.maze_recall import PILLAR_COLORS, MazeRecall, drive_towards
from rlmem.envs.ground.maze_settings import SIZES
from rlmem.envs.memory_task import Bools, Floats


def drawn(size: str, seed: int) -> Maze:
    plan = SIZES[size]
    return draw_maze(np.random.default_rng(seed), plan.cells, plan.pillars, plan.rooms)


class TestMaze:
    @pytest.mark.parametrize("size", SIZES)
    def test_every_open_cell_is_reached_and_the_border_is_closed(self, size: str) -> None:
        for seed in range(20):
            maze = drawn(size, seed)
            assert maze.walls.shape == (SIZES[size].cells + 2,) * 2
            assert ((steps_to(maze.walls, maze.start) >= 0) == ~maze.walls).all()
            assert maze.walls[[0, -1]].all()
            assert maze.walls[:, [0, -1]].all()

    @pytest.mark.parametrize("size", SIZES)
    def test_pillars_stand_on_the_way_apart_from_each_other_and_from_the_start(self, size: str) -> None:
        for seed in range(20):
            maze = drawn(size, seed)
            assert len(maze.pillars) == SIZES[size].pillars
            assert not maze.walls[maze.pillars[:, 0], maze.pillars[:, 1]].any()
            for axis in (0, 1):
                assert len(set(maze.pillars[:, axis].tolist())) == len(maze.pillars)
            assert list(maze.start) not in maze.pillars.tolist()

    def test_mazes_of_different_seeds_differ_and_of_one_seed_do_not(self) -> None:
        again, other = drawn("9x9", 3), drawn("9x9", 4)
        np.testing.assert_array_equal(drawn("9x9", 3).walls, again.walls)
        assert (again.walls != other.walls).any()

    def test_following_the_steps_arrives_by_the_shortest_way(self) -> None:
        maze = drawn("13x13", 1)
        target = (int(maze.pillars[0, 0]), int(maze.pillars[0, 1]))
        steps, here, taken = steps_to(maze.walls, target), maze.start, 0
        while here != target:
            i, j = step_along(steps, here)
            here, taken = (here[0] + i, here[1] + j), taken + 1
            assert not maze.walls[here]
        assert taken == steps[maze.start]


def marched(walls: Bools, x: float, y: float, angle: float) -> float:
    """Return the range of a ray by small steps, m."""
    for step in range(int(MAX_RANGE / 1e-3)):
        away = step * 1e-3
        if walls[cell_at(x + away * math.cos(angle), y + away * math.sin(angle))]:
            return away
    return MAX_RANGE


class TestLidar:
    def test_reads_the_walls_as_marching_along_the_ray_does(self) -> None:
        rng = np.random.default_rng(0)
        lidar = Lidar(4, 11, np.zeros((0, 3)))
        mazes = [drawn("9x9", seed) for seed in range(4)]
        places = np.array([middle_of(np.array(maze.start)) for maze in mazes]) + rng.uniform(-0.25, 0.25, (4, 2))
        yaw = rng.uniform(-3.0, 3.0, 4)
        for index, maze in enumerate(mazes):
            lidar.set_maze(index, maze.walls, np.zeros((0, 2)))
        ranges, _ = lidar(places[:, 0], places[:, 1], yaw)
        for index, maze in enumerate(mazes):
            expected = [marched(maze.walls, *places[index], yaw[index] + angle) for angle in BEAM_ANGLES]
            np.testing.assert_allclose(ranges[index], expected, atol=2e-3)

    def room(self, pillar: tuple[float, float]) -> tuple[Floats, Floats]:
        """Return what is read in the middle of an empty room of 9 x 9 cells, looking along x."""
        walls = np.ones((11, 11), dtype=np.bool_)
        walls[1:-1, 1:-1] = False
        lidar = Lidar(1, 11, np.array([[1.0, 0.0, 0.0]]))
        lidar.set_maze(0, walls, np.array([pillar]))
        middle = np.array([5.5 * CELL])
        return lidar(middle, middle, np.zeros(1))

    @pytest.mark.parametrize("bearing", [0.0, 10.0, -10.0, 80.0, -135.0, 179.0])
    def test_a_pillar_in_sight_is_read_by_the_beam_that_it_stands_in(self, bearing: float) -> None:
        angle = math.radians(bearing)
        place = (5.5 * CELL + 1.5 * math.cos(angle), 5.5 * CELL + 1.5 * math.sin(angle))
        ranges, colors = self.room(place)
        red = np.flatnonzero((colors[0] == [1.0, 0.0, 0.0]).all(axis=1))
        assert len(red) == 1
        apart = math.remainder(float(BEAM_ANGLES[red[0]]) - angle, math.tau)
        assert abs(apart) <= math.pi / BEAMS + 1e-9
        assert ranges[0, red[0]] == pytest.approx(1.5)

    def test_a_wall_hides_a_pillar(self) -> None:
        walls = np.ones((11, 11), dtype=np.bool_)
        walls[1:-1, 1:-1] = False
        walls[6, :] = True
        lidar = Lidar(1, 11, np.array([[1.0, 0.0, 0.0]]))
        lidar.set_maze(0, walls, np.array([[8.5 * CELL, 5.5 * CELL]]))
        middle = np.array([4.5 * CELL]), np.array([5.5 * CELL])
        _, colors = lidar(*middle, np.zeros(1))
        assert not (colors == [1.0, 0.0, 0.0]).all(axis=2).any()


class TestMazeRecall:
    @pytest.mark.parametrize("robot", ["planar", "diff_drive"])
    def test_no_robot_leaves_the_way(self, robot: str) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "5x5", "robot": robot}), 4)
        task.reset(seeds=range(4))
        rng = np.random.default_rng(0)
        for _ in range(120):
            task.step(rng.uniform([0.3, -1.0], 1.0, (4, 2)))
            for index in range(4):
                x, y = task.pose[index, :2].tolist()
                assert not task.mazes[index].walls[cell_at(x, y)]
        task.close()

    def test_reaching_the_named_pillar_pays_and_names_another(self) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "7x7"}), 1)
        task.reset(seeds=[1])
        paid = 0.0
        for _ in range(150):
            before = int(task.cue[0])
            reward = float(task.step(task.expert_action()).reward[0])
            assert (int(task.cue[0]) != before) == (reward == 1.0)
            paid += reward
        assert paid == task.score[0] > 0
        task.close()

    def test_the_named_color_is_shown_and_the_way_only_where_it_should(self) -> None:
        for cue in ("flash", "always"):
            task = MazeRecall(MazeRecall.make_settings({"size": "5x5", "cue": cue}), 2)
            task.reset(seeds=[0, 1])
            seen = task.observe()
            for index in range(2):
                assert tuple(seen[index, 80:83]) == PILLAR_COLORS[task.cue_names[task.cue[index]]]
            assert (np.hypot(*seen[:, -2:].T) > 0.99).all() == (cue == "always")
            task.close()

    def test_the_full_state_tells_the_way_and_where_the_pillars_are(self) -> None:
        env = gymnasium.make_vec("rlmem/MazeRecall-v0", 3, size="5x5", cue="always", privileged=True)
        names = np.array(env.single_observation_space["privileged"].names)
        seen, _ = env.reset(seed=0)
        for _ in range(30):
            seen, *_ = env.step(env.action_space.sample())
        way, bearings = (
            np.sign(part) * np.expm1(np.abs(part))  # the full state shows logarithms
            for part in (seen["privileged"][:, names == name] for name in ("path_direction", "bearings"))
        )
        np.testing.assert_allclose(way, seen["observation"][:, -2:], atol=1e-5)
        distance, cosine, sine = np.moveaxis(bearings.reshape(3, 2, 3), -1, 0)
        assert (distance > 0.2).all()
        np.testing.assert_allclose(cosine**2 + sine**2, 1.0, atol=1e-5)
        env.close()

    def test_the_place_is_seen_from_the_start(self) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "5x5"}), 3)
        task.reset(seeds=range(3))
        start = task.pose.copy()
        np.testing.assert_array_equal(task.place, [[0.0, 0.0, 1.0, 0.0]] * 3)
        for _ in range(60):
            task.step(task.expert_action())
        ahead, left, cosine, sine = task.place.T
        moved = (task.pose[:, 0] - start[:, 0]) + 1j * (task.pose[:, 1] - start[:, 1])
        assert (np.abs(moved) > 0.1).any()
        np.testing.assert_allclose((ahead + 1j * left) * np.exp(1j * start[:, 2]), moved, atol=1e-9)
        np.testing.assert_allclose((cosine + 1j * sine) * np.exp(1j * start[:, 2]), np.exp(1j * task.pose[:, 2]))
        task.close()

    def test_beams_tell_of_the_named_pillar_what_the_colors_do(self) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "5x5"}), 4)
        task.reset(seeds=range(4))
        moments = []
        for _ in range(40):
            task.step(task.expert_action())
            moments.append(task.observe())
        task.close()
        seen = np.concatenate(moments)
        colors = seen[:, 16:64].reshape(-1, 16, 3)
        named = (colors == seen[:, None, 80:83]).all(axis=2)
        assert named.any(axis=1).mean() > 0.1
        np.testing.assert_array_equal(seen[:, 64:80], named)

    def test_where_the_way_is_shown_a_policy_without_memory_does_as_the_expert(self) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "5x5", "cue": "always"}), 8)
        with Bench(task) as bench:

            def follow(stack: Floats, _: object) -> Floats:
                return drive_towards(np.arctan2(stack[:, -1, -1], stack[:, -1, -2]).astype(np.float64))

            shown = bench.play(follow, np.arange(8)).score.mean()
            best = bench.play(lambda *_: task.expert_action(), np.arange(8)).score.mean()
        assert shown == pytest.approx(best, rel=0.05)

    def test_the_expert_has_what_no_script_without_memory_has(self) -> None:
        task = MazeRecall(MazeRecall.make_settings({"size": "7x7"}), 8)
        with Bench(task) as bench:
            scripts = [
                bench.play(lambda stack, _, script=script: script.act(stack), np.arange(8)).score.mean()
                for script in exploiters(bench.names)
            ]
            best = bench.play(lambda *_: task.expert_action(), np.arange(8)).score.mean()
        assert best > 2.0 * max(scripts)

    @pytest.mark.parametrize("task", ["MazeRecall-v0", "HiddenPolarity-v0", "HopperPosition-v0", "AntVelocity-v0"])
    def test_resets_take_no_memory(self, task: str) -> None:
        """Nor do those of the other tasks of the ground and the locomotion world: at most what a page or two is."""
        assert memory_of_resets(f"rlmem/{task}", 3_000, warm_up=1_000) <= 64 * 1024

    def test_a_size_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(ValueError, match="size must be one of '5x5'"):
            MazeRecall.make_settings({"size": "8x8"})
