"""Flashed goal: its physics are shears, its ceilings follow and are reached, and its goal leaves no trace."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import expert_action, memory_of_resets, play
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray
from scipy import stats

from rlmem.envs.audit.bench import Bench, Played
from rlmem.envs.control import goals
from rlmem.envs.control.exploiters.flashed_goal import exploiters
from rlmem.envs.control.flashed_goal import FlashedGoal
from rlmem.envs.control.puck import FORCE, MASS, PUCK_PHYSICS, Puck, stop_at
from rlmem.envs.memory_task import Floats, Phase
from rlmem.envs.simulation import World, pybullet
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
ID = "rlmem/FlashedGoal-v0"
STEP = 1.0 / PUCK_PHYSICS.control_hz
CUE_STEPS = FlashedGoal.CUE_STEPS
QUERY_STEPS = 40


def puck_alone(axes: int) -> tuple[World, Puck]:
    pucks: list[Puck] = []
    world = World(lambda client: pucks.append(Puck(client, axes, visuals=False)), PUCK_PHYSICS)
    return world, pucks[0]


def task_of(env: MemoryEnv | MemoryVectorEnv) -> FlashedGoal:
    assert isinstance(env.task, FlashedGoal)
    return env.task


def bench(num_envs: int = 32, **knobs: Any) -> Bench:
    return Bench(FlashedGoal(FlashedGoal.make_settings(knobs), num_envs))


def run_script(frames: int, episodes: int = 192, **knobs: Any) -> Played:
    with bench(**knobs) as played_on:
        script = next(script for script in exploiters(played_on.names) if script.frames == frames)
        return played_on.play(lambda stack, _: script.act(stack), np.arange(episodes), frames=frames)


class TestPuck:
    @pytest.mark.parametrize("axes", [1, 2])
    def test_a_control_step_is_two_shears_bit_for_bit(self, axes: int) -> None:
        world, puck = puck_alone(axes)
        rng = np.random.default_rng(0)
        x, v = rng.uniform(-0.5, 0.5, (2, axes))
        puck.place(x.tolist(), v.tolist())
        for _ in range(100):
            force = rng.uniform(-FORCE, FORCE, axes)
            states = puck.step(force.tolist())
            v = v + force / MASS * STEP
            x = x + v * STEP
            np.testing.assert_array_equal([state[:2] for state in states], np.stack((x, v), axis=-1))
        world.close()

    def test_forces_of_the_position_alone_keep_areas(self) -> None:
        world, puck = puck_alone(1)

        def end(x: float, v: float) -> Floats:
            puck.place([x], [v])
            for step in range(QUERY_STEPS):
                ((x, v, *_),) = puck.step([2.0 * math.sin(9.0 * x + 0.3 * step) - x])
            return np.array([x, v])

        h = 1e-6
        for x, v in ((0.05, 0.3), (-0.08, -0.1), (0.0, 0.4)):
            jacobian = np.stack((end(x + h, v) - end(x - h, v), end(x, v + h) - end(x, v - h)), axis=-1) / (2.0 * h)
            assert np.abs(jacobian).max() > 2.0, "the map is no mere translation"
            assert np.linalg.det(jacobian) == pytest.approx(1.0, abs=1e-5)
        world.close()

    def test_the_second_axis_does_not_disturb_the_first(self) -> None:
        (world, puck), (other, both) = puck_alone(1), puck_alone(2)
        puck.place([0.1], [0.2])
        both.place([0.1, -0.3], [0.2, 0.4])
        for step in range(60):
            assert puck.step([0.1 * step - 3.0])[0][:2] == both.step([0.1 * step - 3.0, 2.0])[0][:2]
        world.close()
        other.close()


class TestGoals:
    def test_are_uniform_on_the_rail_and_on_the_disc(self) -> None:
        rng = np.random.default_rng(0)
        cells = rng.integers(goals.CELLS, size=4_000)
        rail = np.array([goals.goal_in_cell(cell, rng.random(1)) for cell in cells])
        assert stats.kstest(rail[:, 0] / goals.GOALS, stats.uniform(-1.0, 2.0).cdf).pvalue > 0.01
        disc = np.array([goals.goal_in_cell(cell, rng.random(2)) for cell in cells]) / goals.GOALS
        radius, angle = np.hypot(*disc.T), np.arctan2(*disc.T[::-1]) / math.tau
        assert stats.kstest(radius**2, stats.uniform().cdf).pvalue > 0.01
        assert stats.kstest(angle % 1.0, stats.uniform().cdf).pvalue > 0.01

    def test_ceilings_are_the_fractions_of_length_area_and_volume(self) -> None:
        assert goals.without_goal(1) == pytest.approx(0.1)
        assert goals.without_goal(2) == pytest.approx(0.01)
        assert goals.without_velocity(1) == pytest.approx(0.08 * 0.1 / (0.1 * 0.4))
        assert goals.without_velocity(2) == pytest.approx((math.pi * 0.08 * 0.1 / (4 * 0.1 * 0.4)) ** 2)

    @pytest.mark.parametrize("axes", [1, 2])
    def test_another_cue_moves_the_goal_and_not_the_release(self, axes: int, make: Make) -> None:
        env = make(ID, axes=axes, memory_length=2)
        goal, release = [], []
        for cue in range(goals.CELLS):
            env.reset(seed=5, options={"cue": cue})
            goal.append(task_of(env).goal[0].copy())
            for _ in range(CUE_STEPS + 2):
                env.step(env.action_space.sample())
            release.append(task_of(env).motion[0].copy())
        assert len(np.unique(np.round(goal, 9), axis=0)) == goals.CELLS
        assert (release == release[0]).all()

    def test_releases_fill_the_box_that_the_ceiling_counts(self, make_vec: MakeVec) -> None:
        env = make_vec(ID, 64, memory_length=1, axes=2)
        task, found = task_of(env), []
        for seed in range(0, 384, 64):
            env.reset(seed=seed)
            for _ in range(CUE_STEPS + 1):
                env.step(np.zeros((64, 2)))
            assert (task.phase == Phase.QUERY).all()
            found.append(task.motion.copy())
        scaled = np.concatenate(found) / (goals.HOME, goals.DRIFT)
        for sample in scaled.reshape(-1, 4).T:
            assert stats.kstest(sample, stats.uniform(-1.0, 2.0).cdf).pvalue > 0.001


class TestEpisodes:
    @pytest.mark.parametrize("axes", [1, 2])
    @pytest.mark.parametrize("velocity", ["hidden", "shown"])
    def test_gymnasiums_checker_finds_nothing(self, axes: int, velocity: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(ID, disable_env_checker=True, axes=axes, velocity=velocity)
            check_env(env.unwrapped, skip_render_check=True)
            env.close()

    @pytest.mark.parametrize("query_steps", [40, 55])
    def test_are_judged_once_at_a_fixed_time(self, query_steps: int, make: Make) -> None:
        env = make(ID, memory_length=7, query_steps=query_steps)
        for actor in (expert_action, lambda env, rng: 0.1 * rng.uniform(-1.0, 1.0, 1)):
            episode = play(env, 3, actor)
            assert len(episode.rewards) == CUE_STEPS + 7 + query_steps
            assert (episode.terminated, episode.truncated) == (True, False)
            assert episode.rewards[:-1] == [0.0] * (len(episode.rewards) - 1)

    @pytest.mark.parametrize(
        ("miss", "speed", "success"),
        [(0.0, 0.0, True), (0.079, 0.099, True), (-0.079, -0.099, True), (0.081, 0.0, False), (0.0, 0.101, False)],
    )
    def test_success_is_to_be_near_and_at_rest(self, miss: float, speed: float, success: bool, make: Make) -> None:
        env = make(ID, memory_length=1)
        env.reset(seed=1, options={"cue": 5})
        task = task_of(env)
        for _ in range(CUE_STEPS + QUERY_STEPS):
            env.step(np.zeros(1))
        x, v = float(task.goal[0, 0]) + miss, speed
        task.worlds[0].restore()
        task._pucks[0].place([x - v * STEP], [v])
        _, reward, terminated, _, info = env.step(np.zeros(1))
        assert terminated
        assert info["is_success"] is success
        assert info["score"] == float(success)
        assert reward == pytest.approx(0.5 * success + 0.5 * math.exp(-(abs(miss) + abs(speed)) / 0.4))

    @pytest.mark.parametrize("axes", [1, 2])
    def test_leaving_the_rail_ends_them_for_nothing(self, axes: int, make: Make) -> None:
        env = make(ID, axes=axes, memory_length=2)
        for seed in range(4):
            episode = play(env, seed, lambda env, rng: np.eye(axes)[-1])
            assert (episode.terminated, episode.truncated) == (True, False)
            assert len(episode.rewards) < CUE_STEPS + 2 + QUERY_STEPS
            assert not any(episode.rewards)
            assert not episode.info["is_success"]
            assert episode.observations[-1][-1] == 1.0

    @pytest.mark.parametrize("axes", [1, 2])
    @pytest.mark.parametrize("cue", ["flash", "always", "never"])
    def test_the_goal_is_seen_when_it_should_be_and_exactly(self, axes: int, cue: str, make: Make) -> None:
        env = make(ID, axes=axes, cue=cue, memory_length=4)
        episode = play(env, 2, expert_action)
        goal = task_of(env).goal[0].astype(np.float32)
        for observation, phase in zip(episode.observations, episode.phases, strict=True):
            shown = cue == "always" or (cue == "flash" and phase == "cue")
            np.testing.assert_array_equal(observation[:axes], goal if shown else 0.0)
            assert observation[axes : axes + 2].tolist() == [shown, phase == "query"]
            assert observation[axes + 2 :].any() == (phase == "query"), "the held puck is not sensed"

    @pytest.mark.parametrize("axes", [1, 2])
    def test_a_velocity_that_is_shown_is_the_pucks(self, axes: int, make: Make) -> None:
        env = make(ID, axes=axes, velocity="shown", memory_length=3)
        names = task_of(env).observation_names
        assert names[-axes:] == ("velocity x", "velocity y")[:axes]
        assert not any("velocity" in name for name in task_of(make(ID, axes=axes)).observation_names)
        episode = play(env, 2, expert_action)
        seen = np.array([episode.observations[index] for index in episode.where(Phase.QUERY)])
        moved = np.diff(seen[:, axes + 2 : 2 * axes + 2], axis=0) / STEP
        np.testing.assert_allclose(seen[1:, 2 * axes + 2 :] * 2.0, moved, atol=1e-5)

    @pytest.mark.parametrize("knobs", [{"axes": 3}, {"velocity": "felt"}, {"query_steps": 39}, {"axes": True}])
    def test_knobs_that_cannot_be_are_refused(self, knobs: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"{next(iter(knobs))} must be"):
            FlashedGoal.make_settings(knobs)


class TestCeilings:
    @pytest.mark.parametrize("axes", [1, 2])
    @pytest.mark.parametrize("length", [1, (2, 40)])
    def test_the_expert_reaches_every_goal(self, axes: int, length: Any) -> None:
        with bench(axes=axes, memory_length=length) as played_on:
            played = played_on.play(lambda stack, _: played_on.task.expert_action(), np.arange(200))
        assert played.success.all()
        assert played.returns.min() > 0.97

    def test_the_expert_reaches_the_furthest_goal_from_the_worst_release(self) -> None:
        world, puck = puck_alone(1)
        x, v = -goals.HOME, -goals.DRIFT
        puck.place([x], [v])
        for _ in range(QUERY_STEPS):
            action = stop_at(np.array([[goals.GOALS - x]]), np.array([[v]]))
            ((x, v, *_),) = puck.step((FORCE * action[0]).tolist())
        assert abs(goals.GOALS - x) < goals.TOLERANCE / 4
        assert abs(v) < goals.REST / 4
        world.close()

    @pytest.mark.parametrize("axes", [1, 2])
    def test_a_spring_reaches_the_ceiling_without_velocity_and_not_more(self, axes: int) -> None:
        episodes = 960
        played = run_script(1, episodes, axes=axes, cue="always", memory_length=1)
        low, high = stats.binom.ppf([0.001, 0.999], episodes, goals.without_velocity(axes))
        assert low <= played.success.sum() <= high

    def test_no_policy_of_the_position_alone_gets_past_it(self) -> None:
        """Springs of all sorts, hardening, softening, and with steps, around all sorts of middles."""
        rng, best = np.random.default_rng(3), 0
        episodes, kinds = 200, 12
        with bench(40, cue="always", memory_length=1) as played_on:
            for _ in range(kinds):
                stiff, hard, middle, step, wave = rng.uniform([0.2, -2, 0.2, -0.5, 5], [2, 2, 1, 0.5, 30])

                def act(
                    stack: NDArray[np.float32], _: Any, k: tuple[float, ...] = (stiff, hard, middle, step, wave)
                ) -> Any:
                    away = k[2] * stack[:, -1, :1] - stack[:, -1, 3:]
                    return k[0] * away + k[1] * away**3 + k[3] * np.sign(np.sin(k[4] * away))

                best = max(best, int(played_on.play(act, np.arange(episodes)).success.sum()))
        assert best <= stats.binom.ppf(1.0 - 1e-3 / kinds, episodes, goals.without_velocity(1))

    @pytest.mark.parametrize("frames", [1, 4])
    def test_a_guarded_puck_does_not_remember_for_its_policy(self, frames: int) -> None:
        played = run_script(frames)
        assert played.success.sum() <= stats.binom.ppf(0.999, len(played.success), goals.without_goal(1))

    def test_a_puck_that_is_not_guarded_does(self) -> None:
        assert run_script(4, guard="none").success.mean() > 0.9
        assert run_script(4, guard="cue").success.mean() > 0.4
        assert run_script(1, guard="none", velocity="shown").success.mean() > 0.4

    def test_velocity_is_what_regulation_must_remember(self) -> None:
        spec = FlashedGoal.spec(FlashedGoal.make_settings({"cue": "always"}))
        assert (spec.memory, spec.memory_length) == ("velocity", (1, 1))
        assert spec.memoryless.value == goals.without_velocity(1)
        assert run_script(4, cue="always").success.all(), "two positions tell it"
        seen = FlashedGoal.spec(FlashedGoal.make_settings({"cue": "always", "velocity": "shown"}))
        assert seen.memoryless.value == seen.oracle.value == 1.0
        assert run_script(1, cue="always", velocity="shown").success.all()


class TestDeterminism:
    """On the table; the rail is with all other tasks."""

    def test_a_single_environment_is_a_row_of_a_vector(self, make: Make, make_vec: MakeVec) -> None:
        single, vector = make(ID, axes=2), make_vec(ID, 3, axes=2, autoreset_mode="disabled")
        seen, alone = vector.reset(seed=[5, 6, 7])[0], single.reset(seed=6)[0]
        rng, terminated = np.random.default_rng(0), np.zeros(3, dtype=bool)
        while not terminated[1]:
            np.testing.assert_array_equal(seen[1], alone)
            actions = rng.uniform(-1.0, 1.0, (3, 2))
            seen, reward, terminated, _, _ = vector.step(actions)
            alone, alone_reward, alone_terminated, *_ = single.step(actions[1])
            assert (reward[1], terminated[1]) == (alone_reward, alone_terminated)

    @pytest.mark.parametrize("guard", ["delay", "cue", "none"])
    def test_an_environment_goes_on_from_its_state_in_another(self, guard: str, make_vec: MakeVec) -> None:
        first, second = (make_vec(ID, 3, axes=2, guard=guard, memory_length=(2, 20)) for _ in range(2))
        first.reset(seed=5)
        second.reset(seed=9)
        rng = np.random.default_rng(0)
        for _ in range(91):
            first.step(rng.uniform(-0.3, 0.3, (3, 2)))
        second.set_state(first.get_state())
        for _ in range(120):
            actions = rng.uniform(-0.3, 0.3, (3, 2))
            for ours, theirs in zip(first.step(actions)[:4], second.step(actions)[:4], strict=True):
                np.testing.assert_array_equal(ours, theirs)

    def test_resets_take_no_memory(self) -> None:
        assert memory_of_resets("rlmem/FlashedGoal-v0", 10_000, warm_up=2_000, guard="none") <= 64 * 1024


class TestSpeed:
    def test_a_guarded_delay_takes_no_physics(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        steps, counted = pybullet.stepSimulation, [0]

        def count(*args: Any, **kwargs: Any) -> Any:
            counted[0] += 1
            return steps(*args, **kwargs)

        monkeypatch.setattr(pybullet, "stepSimulation", count)
        for length in (50, 1_000):
            counted[0] = 0
            play(make(ID, memory_length=length), 0, expert_action)
            assert counted[0] == QUERY_STEPS


class TestPictures:
    @pytest.mark.parametrize("axes", [1, 2])
    @pytest.mark.parametrize("camera", ["both", "behind", "above"])
    def test_show_the_goal_in_the_cue_and_the_result_at_the_end(self, axes: int, camera: str, make: Make) -> None:
        env = make(ID, axes=axes, memory_length=2, render_mode="rgb_array", camera=camera, width=240, height=135)
        env.reset(seed=3, options={"cue": 1})

        def look(steps: int) -> tuple[int, int]:
            """Return how many pixels are yellow and green after so many more control steps."""
            for _ in range(steps):
                env.step(env.expert_action())
            picture = env.render()
            assert picture is not None
            assert picture.shape == (135, 240, 3)
            red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
            lit = (red > 200) & (green > 180) & (blue < 100)
            return int(lit.sum()), int(((green > 1.6 * red) & (green > 100)).sum())

        cue, delay, query, end = (look(steps) for steps in (0, CUE_STEPS, 2, QUERY_STEPS))
        assert cue[0] > 8
        assert max(delay[0], query[0], end[0]) < cue[0] / 4
        assert cue[1] == delay[1] == 0
        assert query[1] > 0, "the go light"
        assert end[1] > 0, "success"
