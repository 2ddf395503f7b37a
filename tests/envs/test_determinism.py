"""Results are the same bit for bit: across resets, processes, workers, numbers of environments, and renderings."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import CUED_IDS, ENV_IDS, VARIANTS, Case, Episode, Variant, modest_knobs, moving_actions, play, run_python

from rlmem.envs.memory_task import PHASE_NAMES
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
MODES = ["same_step", "next_step", "disabled"]
STEPS = 80


def mixed(env: MemoryEnv, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Act at random now and then and as the expert otherwise, which gets far and touches walls."""
    return rng.uniform(-1.0, 1.0, env.action_space.shape) if rng.random() < 0.4 else env.expert_action()


def assert_equal(first: Episode, second: Episode) -> None:
    np.testing.assert_array_equal(first.observations, second.observations)
    assert first.rewards == second.rewards
    assert first.phases == second.phases
    assert first.info == second.info


def rollout_hash(env_id: str, steps: int = 60, **knobs: Any) -> str:
    """Return the hash of all that a vector environment shows under random actions, over episodes and their ends."""
    knobs = modest_knobs(env_id, max_episode_steps=25, **knobs)
    env = gymnasium.make_vec(env_id, 2, vectorization_mode="vector_entry_point", **knobs)
    rng = np.random.default_rng(5)
    digest = hashlib.sha256(env.reset(seed=17)[0].tobytes())
    for _ in range(steps):
        actions = moving_actions(rng, *(env.action_space.shape or ()))
        observation, reward, terminated, truncated, info = env.step(actions)
        for array in (observation, reward, terminated, truncated, info["phase"]):
            digest.update(np.asarray(array).tobytes())
    env.close()
    return digest.hexdigest()


def trace(env: MemoryVectorEnv, rows: list[int], steps: int = STEPS) -> list[Any]:
    """Return what some rows of a vector environment show; actions of a row depend on its number only."""
    shown: list[Any] = [env.reset(seed=40)[0][rows]]
    (size,) = env.single_action_space.shape or ()
    actions = np.stack([moving_actions(np.random.default_rng(index), steps, size) for index in range(9)], axis=1)
    for step in range(steps):
        observation, reward, terminated, truncated, info = env.step(actions[step, : env.num_envs])
        shown += [observation[rows], reward[rows], terminated[rows], truncated[rows], info["phase"][rows]]
        ended = terminated | truncated
        final, ends = info.get("final_obs"), info.get("final_info", info)
        for row in np.flatnonzero(ended[rows]).tolist():
            shown += [ends[key][row] for key in ("is_success", "score", "cue")]
            shown += [] if final is None else [final[row]]
        if env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.DISABLED and ended[rows].any():
            shown.append(env.reset(options={"reset_mask": ended})[0][rows])
    return shown


def mode_of(env_id: str) -> str:
    """Return one of the autoreset modes: each task has one, and each mode a third of the tasks."""
    return MODES[ENV_IDS.index(env_id) % len(MODES)]


def assert_same_trace(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("guard", ["none"])
def test_a_seed_gives_the_same_episode_whatever_happened_before(variant: Variant, guard: str, make: Make) -> None:
    env = make(variant.env_id, guard=guard, **variant.robot)
    first = play(env, 3, mixed, steps=STEPS)
    for seed in (8, 9):
        play(env, seed, steps=30 * seed - 200)
    assert_equal(play(env, 3, mixed, steps=STEPS), first)
    assert_equal(play(make(variant.env_id, guard=guard, **variant.robot), 3, mixed, steps=STEPS), first)


def test_episodes_without_a_seed_go_on_with_the_generator(env_id: str, make: Make) -> None:
    def seen(env: MemoryEnv, seed: int | None) -> list[float]:
        """Return the first two observations: velocities say nothing at rest."""
        first, _ = env.reset(seed=seed)
        return [*first.tolist(), *env.step(np.zeros(env.action_space.shape))[0].tolist()]

    def starts(seed: int) -> list[list[float]]:
        free = any(name in env_id for name in ("TMaze", "Remember", "CountPress", "ShellGame", "Repeat"))
        env = make(env_id, guard="none", memory_length=(5, 50)) if free else make(env_id)
        return [seen(env, seed), *[seen(env, None) for _ in range(5)]]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)
    assert len({tuple(start) for start in starts(1)}) == 6


def test_another_process_computes_the_same() -> None:
    """One fresh process runs every task and robot, with another hash seed and in another order."""
    cases = [(env_id, robot | {"guard": "none"}) for env_id, robot in VARIANTS]
    code = f"""
import sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
from test_determinism import rollout_hash
for env_id, knobs in {cases[::-1]!r}:
    print(rollout_hash(env_id, **knobs))
"""
    there = run_python(code).stdout.split()[::-1]
    assert there == [rollout_hash(env_id, **knobs) for env_id, knobs in cases]
    assert len(set(there)) > len(ENV_IDS)


@pytest.mark.parametrize("mode", MODES)
def test_workers_change_nothing(world_id: str, mode: str, make_vec: MakeVec) -> None:
    """Nor how many there are: 3 environments in 1 or 2 of them."""
    knobs = {"autoreset_mode": mode, "guard": "none", "max_episode_steps": 23}
    here, one, two = (
        trace(make_vec(world_id, 3, workers=workers, **knobs), [0, 1, 2], steps=40) for workers in (0, 1, 2)
    )
    assert_same_trace(here, one)
    assert_same_trace(here, two)


def test_an_environment_does_not_depend_on_how_many_there_are(env_id: str, make_vec: MakeVec) -> None:
    few, many = (
        trace(make_vec(env_id, count, autoreset_mode=mode_of(env_id), guard="none"), [0, 1], steps=60)
        for count in (2, 5)
    )
    assert_same_trace(few, many)


def test_a_single_environment_is_a_row_of_a_vector(case: Case, make: Make, make_vec: MakeVec) -> None:
    single = make(case.env_id, **case.knobs)
    vector = make_vec(case.env_id, 3, autoreset_mode="disabled", **case.knobs)
    seen, info = vector.reset(seed=[5, 6, 7])
    alone, alone_info = single.reset(seed=6)
    rng = np.random.default_rng(2)
    for _ in range(150):
        np.testing.assert_array_equal(seen[1], alone)
        assert info["phase"][1] == alone_info["phase"]
        actions = np.where(
            rng.random((3, 1)) < 0.4, rng.uniform(-1.0, 1.0, vector.action_space.shape), vector.expert_action()
        )
        seen, reward, terminated, truncated, info = vector.step(actions)
        alone, alone_reward, alone_terminated, alone_truncated, alone_info = single.step(actions[1])
        assert (reward[1], terminated[1], truncated[1]) == (alone_reward, alone_terminated, alone_truncated)
        if terminated[1] or truncated[1]:
            assert {key: info[key][1] for key in alone_info} == alone_info
            break
    else:
        assert case.env_id not in CUED_IDS, "the episode did not end"


def test_rendering_changes_nothing(env_id: str, make: Make) -> None:
    def looking(env: MemoryEnv, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        if rng.random() < 0.15:
            assert env.render() is not None
        return mixed(env, np.random.default_rng(int(rng.integers(1_000_000))))

    def blind(env: MemoryEnv, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        rng.random()
        return mixed(env, np.random.default_rng(int(rng.integers(1_000_000))))

    drawn = make(env_id, render_mode="rgb_array", width=64, height=36, guard="none")
    assert_equal(play(drawn, 3, looking, steps=40), play(make(env_id, guard="none"), 3, blind, steps=40))


def test_environments_pickle_as_their_arguments(env_id: str, make: Make, make_vec: MakeVec) -> None:
    env = make(env_id, guard="cue")
    play(env, 1, steps=20)
    again = pickle.loads(pickle.dumps(env))
    assert_equal(play(again, 3, mixed, steps=60), play(env, 3, mixed, steps=60))
    again.close()
    vector = make_vec(env_id, 2, guard="cue", max_episode_steps=15)
    vector.reset(seed=0)
    vector_again = pickle.loads(pickle.dumps(vector))
    assert_same_trace(trace(vector, [0, 1], steps=40), trace(vector_again, [0, 1], steps=40))
    vector_again.close()


def test_phases_have_one_name_each() -> None:
    assert len(set(PHASE_NAMES.tolist())) == len(PHASE_NAMES)
    assert ENV_IDS
