"""Corridors with work in the delay: gates, obstacles and lamps that distract change nothing about the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import play, task_of
from scipy import stats

from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.dock import check_dock
from rlmem.envs.audit.properties import check_property
from rlmem.envs.corridor.flashes import flashing
from rlmem.envs.corridor.t_maze import TMaze
from rlmem.envs.memory_task import Phase
from rlmem.envs.single import MemoryEnv
from rlmem.errors import UserError
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]
WORK: dict[str, Any] = {"guard": "dock", "robot": "planar", "gates": 5, "obstacles": 5, "distractors": 0.3}
EACH = [
    ("TMaze-v0", "diff_drive"),
    ("TMazeActive-v0", "planar"),
    ("TMazeEndless-v0", "planar"),
]


@pytest.mark.parametrize(("name", "robot"), EACH)
def test_docks_wash_and_the_cue_leaves_no_trace_while_the_robot_works(name: str, robot: str) -> None:
    cls = task_class(f"rlmem/{name}")
    knobs = WORK | {"robot": robot, "memory_length": 30, "dock_every": 20, "query_steps": 20}
    with Bench(cls(cls.make_settings(knobs), 16)) as bench:
        for finding in (
            check_dock(bench, 5, episodes=2, claimed=True),
            check_property("G1", bench, 5, episodes=2, claimed=True),
        ):
            assert finding.result == "holds", finding.detail


def outcomes(act: Callable[[Any], Any], episodes: int, name: str = "TMaze-v0", **knobs: Any) -> dict[str, Any]:
    """Return work, success and score of episodes."""
    env: Any = gymnasium.make_vec(f"rlmem/{name}", episodes, autoreset_mode="disabled", **knobs)
    env.reset(seed=0)
    found = {key: np.full(episodes, np.nan) for key in ("work", "is_success", "score")}
    while np.isnan(found["score"]).any():
        *_, infos = env.step(act(env))
        for key, values in found.items():
            if key in infos:
                values[infos[f"_{key}"]] = infos[key][infos[f"_{key}"]]
    env.close()
    return found


@pytest.mark.parametrize(("name", "robot"), EACH)
def test_the_expert_does_the_work_and_answers(name: str, robot: str) -> None:
    knobs = WORK | {"robot": robot, "memory_length": 60, "dock_every": 40}
    knobs |= {"corridors": 2} if name == "TMazeEndless-v0" else {}
    found = outcomes(lambda env: env.expert_action(), 4, name, **knobs)
    assert (found["work"] >= 0.99).all()
    assert found["is_success"].all()


def test_a_right_answer_without_the_work_does_not_count() -> None:
    def answer_only(env: Any) -> Any:
        asked = env.task.phase[:, None] == Phase.QUERY
        return np.where(asked, env.expert_action(), [1.0, 0.0])

    found = outcomes(answer_only, 8, guard="dock", robot="planar", gates=4, memory_length=60)
    assert (found["work"] < 0.8).any()
    assert (found["is_success"] == (found["work"] >= 0.8)).all()


def test_a_gate_pays_the_less_the_further_the_robot_passes_beside_it(make: Make) -> None:
    env = make("rlmem/TMaze-v0", guard="dock", robot="planar", gates=4, memory_length=80)
    task = task_of(env)
    assert isinstance(task, TMaze)
    assert task.gates is not None

    def paid(offset: float, side: int) -> float:
        """Return what passing the next gate on that side pays, the robot ``offset`` m to the left of the middle."""
        assert task.gates is not None
        for seed in range(20):
            env.reset(seed=seed)
            while task.phase[0] != Phase.DELAY:
                env.step(np.zeros(2))
            if task.gates.next_side[0] == side:
                break
        task.place(0, float(task.gates.next_x[0]) - 0.01, offset, 0.0)
        return float(env.step(np.array([1.0, 0.0]))[1])

    left = [paid(offset, 1) for offset in (0.13, 0.06, 0.0, -0.06, -0.2)]
    assert left == pytest.approx([paid(-offset, -1) for offset in (0.13, 0.06, 0.0, -0.06, -0.2)], abs=0.02)
    assert left[0] == pytest.approx(left[1], abs=0.01) == pytest.approx(0.3, abs=0.03)
    assert left[1] > left[2] + 0.04 > left[3] + 0.08
    assert left[4] < 0.03


def test_waiting_before_a_dock_costs_as_much_as_waiting_at_the_junction(make: Make) -> None:
    env = make("rlmem/TMaze-v0", guard="dock", robot="planar", memory_length=30, dock_every=10, query_steps=15)
    task = task_of(env)
    env.reset(seed=0)
    while task.phase[0] != Phase.DELAY:
        env.step(np.zeros(2))
    paid, ended = [], False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(np.zeros(2))
        paid.append(float(reward))
        ended = terminated or truncated
    assert len(paid) == 3 * 10 + 15
    assert paid == pytest.approx([0.0] * 10 + [-0.01] * 35, abs=1e-3)


def test_an_agent_without_memory_that_works_is_at_the_ceiling() -> None:
    def work_and_guess(env: Any) -> Any:
        task = env.task
        side = np.where(task.pose[:, 1] + 0.3 * task.pose[:, 2] > 0, 1.0, -1.0)
        turn = task.steer_to(side * np.pi / 2)
        return np.where(task.phase[:, None] == Phase.QUERY, turn, env.expert_action())

    found = outcomes(work_and_guess, 32, memory_length=20, **WORK)
    assert (found["work"][~np.isnan(found["work"])] == 1.0).all()
    assert stats.binom.ppf(0.001, 32, 0.5) <= found["is_success"].sum() <= stats.binom.ppf(0.999, 32, 0.5)


@pytest.mark.parametrize("robot", ["planar", "diff_drive"])
def test_an_obstacle_stops_a_robot_that_does_not_drive_around_it(make: Make, robot: str) -> None:
    env = make("rlmem/TMaze-v0", guard="dock", robot=robot, obstacles=4, memory_length=30, query_steps=10)
    task = task_of(env)
    assert isinstance(task, TMaze)
    assert task.obstacles is not None

    def bump(env: MemoryEnv, rng: np.random.Generator) -> Any:
        assert task.obstacles is not None
        lane = 0.12 * task.obstacles.side[0, 1]
        return np.array([1.0, 2.0 * (np.clip(lane - task.pose[0, 1], -0.3, 0.3) - task.pose[0, 2])])

    episode = play(env, 2, bump)
    assert episode.truncated
    assert task.pose[0, 0] < task.obstacles.x[0, 1]
    near = [name for name in task.observation_names if name.startswith("obstacle")]
    places = [task.observation_names.index(name) for name in near]
    assert sum(episode.observations[-1][places]) > 0.85


def test_the_bell_rings_with_the_cue_alone_and_other_lamps_flash(make: Make) -> None:
    env = make("rlmem/TMaze-v0", distractors=0.5, memory_length=60, robot="planar")
    episode = play(env, 1, lambda env, rng: np.array([0.0, 0.0]))
    seen, names = np.array(episode.observations[:63]), task_of(env).observation_names
    bell, lamps = seen[:, names.index("bell")], seen[:, :2].max(axis=1)
    assert bell[:3].all()
    assert not bell[3:].any()
    assert lamps[:3].all()
    assert 0 < lamps[3:].sum() < 60


def test_lamps_flash_as_often_as_asked_and_each_as_often() -> None:
    lamp = flashing(np.full(30_000, 7), np.zeros(30_000, dtype=np.int64), np.arange(30_000), 0.2, 3)
    assert np.bincount(lamp + 1) / 30_000 == pytest.approx([0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3], abs=0.01)


def test_work_needs_a_robot_that_drives_itself() -> None:
    with pytest.raises(UserError, match="add guard='dock'"):
        TMaze.make_settings({"gates": 4})
    assert TMaze.make_settings({"preset": "hard", "arms": 3}).gates > 0
