"""Docks: the robot drives itself, and nothing but a memory gets the cue through a dock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import ENV_IDS, exploit, knob_choices, modest_knobs, play, task_of
from scipy import stats

from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.certificate import Finding
from rlmem.envs.audit.dock import check_dock
from rlmem.envs.corridor.t_maze import TMaze
from rlmem.envs.memory_task import Indices, Phase
from rlmem.envs.single import MemoryEnv
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]
DOCK_IDS = [env_id for env_id in ENV_IDS if "dock" in knob_choices(env_id, "guard") and "Concentration" not in env_id]
"""Tasks with docks. Concentration shows tiles that are open after a dock too, see its own test."""


def checked(env_id: str, **knobs: Any) -> Finding:
    """Return whether the dock washes."""
    cls = task_class(env_id)
    known = {name: value for name, value in knobs.items() if name in cls.Settings.__dataclass_fields__}
    with Bench(cls(cls.make_settings(modest_knobs(env_id, guard="dock", **known)), 16)) as bench:
        return check_dock(bench, 5, episodes=3, claimed=True)


@pytest.mark.parametrize(("env_id", "every"), [*((env_id, 4) for env_id in DOCK_IDS), ("rlmem/TMaze-v0", 0)])
def test_nothing_done_before_a_dock_changes_anything_after_it(env_id: str, every: int) -> None:
    finding = checked(env_id, dock_every=every, memory_length=10)
    assert finding.result == "holds", finding.detail


def test_wheels_are_washed_too() -> None:
    assert checked("rlmem/TMaze-v0", robot="diff_drive", dock_every=3).result == "holds"


def test_a_robot_that_is_left_where_it_was_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TMaze, "start_query", lambda self, indices: None)
    finding = checked("rlmem/TMaze-v0")
    assert finding.result == "broken"
    assert "control steps after the dock began" in finding.detail


def test_a_trace_of_the_cue_behind_the_dock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = TMaze.start_query

    def start_query(self: TMaze, indices: Indices) -> None:
        sound(self, indices)
        self.pose[indices, 1] += 1e-6 * self.cue[indices]

    monkeypatch.setattr(TMaze, "start_query", start_query)
    assert checked("rlmem/TMaze-v0").result == "broken"


def test_it_is_dark_for_the_steps_asked_for_and_actions_do_nothing(make: Make) -> None:
    env = make("rlmem/TMaze-v0", guard="dock", dock_steps=7, dock_every=10, memory_length=25)
    episode = play(env, 3, lambda env, rng: np.array([1.0, rng.uniform(-0.2, 0.2)]))
    docked = np.array(episode.phases) == "dock"
    begins = np.flatnonzero(np.diff(docked.astype(int)) == 1)
    assert len(begins) == 3, "one after each ten steps of the way, and one before the junction"
    for begin in begins.tolist():
        seen = np.array(episode.observations[begin + 1 : begin + 9])
        assert not seen[:7].any()
        assert seen[7].any()
        assert episode.rewards[begin + 1 : begin + 8] == [0.0] * 7


def test_the_robot_drives_itself_and_senses_the_way(make: Make) -> None:
    env = make("rlmem/TMaze-v0", guard="dock", memory_length=30)
    task = task_of(env)
    assert isinstance(task, TMaze)
    env.reset(seed=1)
    while task.phase[0] == Phase.CUE:
        env.step(np.zeros(2))
    before = task.pose[0, 0]
    seen, *_ = env.step(np.array([1.0, 0.0]))
    assert task.pose[0, 0] > before
    assert seen[3:].any()


def test_a_robot_that_does_not_drive_gets_nowhere(make: Make) -> None:
    episode = play(make("rlmem/TMaze-v0", guard="dock"), 0, lambda env, rng: np.zeros(2))
    assert episode.truncated
    assert "dock" not in episode.phases


@pytest.mark.parametrize(("task", "knobs"), [("TMaze", {"robot": "planar"}), ("RememberColor", {})])
def test_a_window_as_long_as_a_dock_is_no_memory(task: str, knobs: dict[str, Any]) -> None:
    chance = task_class(task).spec(task_class(task).Settings()).memoryless.value
    assert exploit(task, 4, guard="cue", episodes=32, **knobs).success.mean() >= 0.8
    wins = exploit(task, 4, guard="dock", dock_steps=4, **knobs).success.sum()
    assert stats.binom.ppf(0.001, 96, chance) <= wins <= stats.binom.ppf(0.999, 96, chance)
