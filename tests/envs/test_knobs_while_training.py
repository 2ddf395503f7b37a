"""Knobs that change from one episode to the next, as a curriculum does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
T_MAZE = "rlmem/TMaze-v0"


def delays(env: Any, count: int) -> int:
    """Return the control steps of delay among the first of an episode."""
    still = np.zeros(env.action_space.shape)
    phases = [env.step(still)[4]["phase"] for _ in range(count)]
    return sum(np.ravel(phase)[0] == "delay" for phase in phases)


def test_a_reset_can_set_the_memory_length(make: Make) -> None:
    env = make(T_MAZE, memory_length=20)
    for length in (3, 8):
        env.reset(seed=0, options={"memory_length": length})
        assert delays(env, 25) == length
        assert env.memory_length == length
        assert env.task_spec.memory_length == (length, length)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_attribute_of_a_vector_is_the_knob_of_its_next_episodes(workers: int, make_vec: MakeVec) -> None:
    env = make_vec(T_MAZE, memory_length=20, workers=workers)
    env.reset(seed=0)
    env.set_attr("memory_length", 4)
    assert env.get_attr("memory_length") == (4, 4, 4)
    env.reset(seed=0)
    assert delays(env, 25) == 4
    env.set_attr("memory_length", [6, 6, 6])
    env.reset(seed=0, options={"reset_mask": np.ones(3, dtype=np.bool_)})
    assert delays(env, 25) == 6
    with pytest.raises(ValueError, match="all 3 environments have the same memory_length"):
        env.set_attr("memory_length", [1, 2, 3])


def test_every_way_to_set_an_attribute_changes_the_knob(make_vec: MakeVec) -> None:
    knobs = {"robot": "planar", "memory_length": 20}
    adapter = GymnasiumVecEnv(make_vec(T_MAZE, autoreset_mode="same_step", **knobs))
    adapter.set_attr("memory_length", 5)
    assert adapter.get_attr("memory_length") == [5, 5, 5]
    assert adapter.env.unwrapped.settings.memory_length == 5  # type: ignore[attr-defined]
    sync = gymnasium.make_vec(T_MAZE, 2, vectorization_mode="sync", **knobs)
    sync.set_attr("memory_length", 5)
    assert sync.get_attr("memory_length") == (5, 5)
    sync.reset(seed=0)
    assert delays(sync, 22) == 5
    sync.close()
    dummy = DummyVecEnv([lambda: gymnasium.make(T_MAZE, **knobs)])
    dummy.env_method("change_knobs", {"memory_length": 5})
    assert dummy.get_attr("memory_length") == [5]
    dummy.close()


def test_an_episode_is_repeated_with_the_knobs_that_it_began_with(make_vec: MakeVec) -> None:
    env, other = make_vec(T_MAZE, memory_length=20), make_vec(T_MAZE, memory_length=20)
    env.reset(seed=0, options={"memory_length": 9})
    delays(env, 5)
    env.set_attr("memory_length", 2)
    other.set_state(env.get_state())
    assert delays(env, 15) == delays(other, 15) > 2


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"guard": "none"}, "guard is fixed once TMaze is made, and what can be changed is memory_length"),
        ({"memory_length": 30}, "needs a longer corridor than this environment was built with"),
        ({"memory_length": 0}, "memory_length must be a whole number of control steps"),
        ({"memory_lenght": 3}, "did you mean 'memory_length'"),
    ],
)
def test_what_cannot_change_is_refused(knobs: dict[str, Any], message: str, make: Make, make_vec: MakeVec) -> None:
    env, vector = make(T_MAZE, memory_length=20), make_vec(T_MAZE, memory_length=20)
    for made in (env, vector):
        with pytest.raises(ValueError, match=f"(?i){message}"):
            made.reset(seed=0, options=knobs)
        assert made.memory_length == 20
