"""Environments that are closed, at their end, or copied in the middle of an episode."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import moving_actions
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
T_MAZE = "rlmem/TMaze-v0"


def steps(env: Any, count: int, seed: int = 1) -> list[Any]:
    """Return what random actions see, to the end of a single environment's episode at most."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(count):
        seen.append(env.step(moving_actions(rng, *env.action_space.shape))[:4])
        if isinstance(env, MemoryEnv) and any(seen[-1][2:]):
            break
    return seen


def assert_same_steps(first: list[Any], second: list[Any]) -> None:
    for one, other in zip(first, second, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)


class TestClosed:
    def test_a_closed_environment_refuses_everything_and_moves_no_other(self, env_id: str, make: Make) -> None:
        closed = make(env_id, render_mode="rgb_array")
        closed.reset(seed=0)
        closed.close()
        other, alone = make(env_id, guard="none"), make(env_id, guard="none")
        other.reset(seed=1)
        alone.reset(seed=1)
        action = np.ones(closed.action_space.shape)
        for use in (closed.reset, lambda: closed.step(action), closed.render, closed.expert_action, closed.get_state):
            with pytest.raises(ClosedEnvironmentError, match="this environment is closed; make a new one"):
                use()
        with pytest.raises(ClosedEnvironmentError):
            closed.task.step(action[None])
        assert_same_steps(steps(other, 5), steps(alone, 5))


class TestEnded:
    def test_an_ended_episode_pays_no_more(self, make: Make) -> None:
        env = make(T_MAZE)
        env.reset(seed=0)
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(env.expert_action())
            ended = terminated or truncated
        with pytest.raises(ResetNeeded, match="the episode has ended: call reset before step"):
            env.step(np.zeros(2))
        env.reset()
        env.step(np.zeros(2))

    def test_the_first_episode_must_be_begun(self, make: Make, make_vec: MakeVec) -> None:
        with pytest.raises(ResetNeeded, match="call reset before step"):
            make(T_MAZE).step(np.zeros(2))
        with pytest.raises(ResetNeeded, match="call reset before step"):
            make_vec(T_MAZE).step(np.zeros((3, 2)))


class TestCopies:
    def test_a_copy_goes_on_where_the_episode_is(self, env_id: str, make: Make) -> None:
        env = make(env_id, guard="none")
        env.reset(seed=3)
        steps(env, 4)
        again = copy.deepcopy(env)
        assert_same_steps(steps(env, 6), steps(again, 6))
        again.close()

    @pytest.mark.parametrize(
        ("mode", "workers"), [("next_step", 0), ("same_step", 0), ("disabled", 0), ("disabled", 2)]
    )
    def test_a_pickled_vector_goes_on_where_its_episodes_are(self, mode: str, workers: int, make_vec: MakeVec) -> None:
        for at in (5, 7, 9):  # before, at and after a common end
            env = make_vec(T_MAZE, guard="none", autoreset_mode=mode, workers=workers, max_episode_steps=7)
            env.reset(seed=3)
            steps(env, at)
            again = pickle.loads(pickle.dumps(env))
            assert_same_steps(steps(env, 9, seed=2), steps(again, 9, seed=2))
            again.close()

    def test_a_copy_keeps_changed_knobs_and_the_space_of_actions(self, make: Make) -> None:
        env = make(T_MAZE, memory_length=9)
        env.reset(seed=0, options={"memory_length": 2})
        env.memory_length = 3
        env.action_space.seed(5)
        again = copy.deepcopy(env)
        assert again.memory_length == 3
        np.testing.assert_array_equal(env.action_space.sample(), again.action_space.sample())
        assert_same_steps(steps(env, 12), steps(again, 12))
        again.close()

    def test_a_closed_environment_is_not_copied(self, make: Make) -> None:
        env = make(T_MAZE)
        env.reset(seed=0)
        env.close()
        with pytest.raises(ClosedEnvironmentError):
            copy.deepcopy(env)


class TestFaults:
    def test_observations_outside_the_space_are_named(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        env = make(T_MAZE)
        env.reset(seed=0)
        observed = env.task.observe()
        for wrong in (np.nan, 1.5):
            observed[0, 3] = wrong
            monkeypatch.setattr(env.task, "observe", lambda: observed)
            with pytest.raises(RuntimeError, match=f"observation 3 of environment 0 is {wrong}, outside the obs"):
                env.step(np.zeros(2))

    def test_actions_that_are_not_numbers_are_named(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE)
        env.reset(seed=0)
        actions = np.zeros((3, 2))
        actions[1, 0] = np.nan
        with pytest.raises(ValueError, match=r"^actions must be finite, got \[nan, 0.0\] for environment 1$"):
            env.step(actions)

    def test_more_worlds_than_a_process_holds_are_refused_at_once(self, make_vec: MakeVec) -> None:
        with pytest.raises(ValueError, match=r"num_envs = 2000 is too many: .*28 GiB.*workers"):
            make_vec(T_MAZE, 2000)
