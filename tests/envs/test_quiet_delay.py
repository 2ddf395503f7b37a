"""A delay in which nothing can happen is not computed, and nobody sees a difference."""

from typing import Any, cast

import gymnasium
import numpy as np
import pytest

from rlmem.envs.memory_task import MemoryTask
from rlmem.envs.vector import MemoryVectorEnv
from rlmem.registry import TASKS, task_class

QUIET = [name for name in TASKS if task_class(name).quiet_steps is not MemoryTask.quiet_steps]
LENGTH = 30


def make(name: str, **knobs: Any) -> MemoryVectorEnv:
    """Make three environments whose delay is ``LENGTH`` control steps, where it can be set."""
    length = {} if name == "TimedPress-v0" else {"memory_length": LENGTH}
    env = gymnasium.make_vec(f"rlmem/{name}", 3, autoreset_mode="same_step", **length, **knobs)
    assert isinstance(env, MemoryVectorEnv)
    return env


def walk(env: MemoryVectorEnv, steps: int) -> list[Any]:
    """Return all that random actions see from a reset."""
    rng, seen = np.random.default_rng(2), [env.reset(seed=5)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, infos = env.step(rng.uniform(-1.0, 1.0, env.action_space.shape))
        seen += [observation, reward, terminated, truncated, infos["phase"]]
    return seen


@pytest.mark.parametrize(("name", "cue"), [(name, "flash") for name in QUIET] + [("RememberColor-v0", "always")])
def test_what_is_left_out_is_not_missed(name: str, cue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short, full = make(name, cue=cue), make(name, cue=cue)
    assert full.task is not None
    monkeypatch.setattr(full.task, "quiet_steps", lambda: 0)
    for one, other in zip(walk(short, 80), walk(full, 80), strict=True):
        np.testing.assert_array_equal(one, other)
    short.close()
    full.close()


@pytest.mark.parametrize("name", ["RememberColor-v0", "FlashedGoal-v0"])
def test_a_held_delay_is_left_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env, advanced = make(name), []
    assert env.task is not None
    advance = env.task.advance
    monkeypatch.setattr(env.task, "advance", lambda actions: advanced.append(1) or advance(actions))
    walk(env, 3 + LENGTH + 1)
    assert len(advanced) == 3 + 1 + 1
    env.close()


def test_a_state_taken_in_the_delay_is_found_again() -> None:
    env, other = make("RememberColor-v0"), make("RememberColor-v0")
    walk(env, 20)
    other.reset(seed=9)
    other.set_state(env.get_state())
    rng = np.random.default_rng(3)
    for _ in range(40):
        actions = rng.uniform(-1.0, 1.0, env.action_space.shape)
        for one, again in zip(env.step(actions)[:4], other.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, again)
    env.close()
    other.close()


def test_an_observation_is_the_callers_own() -> None:
    env = make("RememberColor-v0", cue="always")
    env.reset(seed=5)
    rest = np.zeros(env.action_space.shape)
    for _ in range(10):
        seen = env.step(rest)[0]
    kept = seen.copy()
    seen[:] = 7.0
    np.testing.assert_array_equal(env.step(rest)[0], kept)
    env.close()


def test_episodes_are_cut_short_in_the_delay() -> None:
    env = make("RememberColor-v0", max_episode_steps=12)
    env.reset(seed=5)
    ends = [bool(env.step(np.zeros(env.action_space.shape))[3].all()) for _ in range(24)]
    assert ends == [step % 12 == 11 for step in range(24)]
    env.close()


@pytest.mark.parametrize("name", QUIET)
def test_a_single_environment_leaves_it_out_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    length = {} if name == "TimedPress-v0" else {"memory_length": LENGTH}
    short, full = (cast("Any", gymnasium.make(f"rlmem/{name}", **length)) for _ in range(2))
    task: Any = short.unwrapped.task
    monkeypatch.setattr(full.unwrapped.task, "quiet_steps", lambda: 0)
    advanced, advance = [], task.advance
    monkeypatch.setattr(task, "advance", lambda actions: advanced.append(1) or advance(actions))
    rng = np.random.default_rng(2)
    for _ in range(2):
        first, again = short.reset(seed=5)[0], full.reset(seed=5)[0]
        for _ in range(15):
            np.testing.assert_array_equal(first, again)
            action = rng.uniform(-1.0, 1.0, short.action_space.shape)
            (first, *one), (again, *other) = short.step(action), full.step(action)
            assert one == other
            if one[1] or one[2]:
                break
    assert len(advanced) < 30 or name not in ("RememberColor-v0", "FlashedGoal-v0")
    short.close()
    full.close()
