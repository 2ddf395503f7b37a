"""The full state that tasks offer to critics: it tells all that the actor does not see, and costs the actor nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import CUED_IDS, SHORT, WALKING_IDS, moving_actions
from gymnasium.utils.env_checker import check_env

from rlmem.envs.memory_task import QUERY
from rlmem.envs.single import MemoryEnv
from rlmem.envs.vector import MemoryVectorEnv


def test_it_is_beside_what_the_actor_sees_and_changes_none_of_it(
    make_vec: Callable[..., MemoryVectorEnv], world_id: str
) -> None:
    plain, full = make_vec(world_id, 2), make_vec(world_id, 2, privileged=True)
    rng = np.random.default_rng(0)
    alone, _ = plain.reset(seed=3)
    both, _ = full.reset(seed=3)
    states = [both["privileged"]]
    for _ in range(2 * SHORT):
        np.testing.assert_array_equal(both["observation"], alone)
        assert full.observation_space.contains(both)
        actions = moving_actions(rng, *plain.action_space.shape)
        alone, *_ = plain.step(actions)
        both, *_ = full.step(actions)
        states.append(both["privileged"])
    assert all(not np.array_equal(one, other) for one, other in pairwise(states)), "time goes on"


@pytest.mark.parametrize("env_id", CUED_IDS)
def test_it_tells_the_cue_after_it_was_shown(make: Callable[..., MemoryEnv], env_id: str) -> None:
    env = make(env_id, privileged=True)
    seen: dict[int, Any] = {}
    for cue in (0, 1):
        env.reset(seed=1, options={"cue": cue})
        for _ in range(SHORT):
            seen[cue] = env.step(np.zeros(env.action_space.shape))[0]["privileged"]
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("env_id", WALKING_IDS[:2])
def test_it_holds_the_half_of_a_walker_that_is_masked(make: Callable[..., MemoryEnv], env_id: str) -> None:
    masked, whole = make(env_id, privileged=True), make(env_id, observation="full")
    state, everything = masked.reset(seed=0)[0]["privileged"], whole.reset(seed=0)[0]
    wanted = np.sign(everything) * np.log1p(np.abs(everything))
    assert all(np.isclose(state, number, atol=1e-6).any() for number in wanted)


@pytest.mark.parametrize(
    ("env_id", "label"),
    [("RememberColor-v0", "right_box"), ("ShellGame-v0", "right_box"), ("ShellGame-v0", "ball_now")],
)
def test_its_labels_name_the_box_that_the_expert_touches(
    make: Callable[..., MemoryEnv], env_id: str, label: str
) -> None:
    env = make(f"rlmem/{env_id}", memory_length=3)
    task: Any = env.task
    env.reset(seed=1)
    over, labels = False, []
    while not over:
        labels.append((int(task.phase[0]), int(getattr(task, label)[0])))
        _, _, over, *_ = env.step(task.expert_action()[0])
    assert {place for phase, place in labels if phase == QUERY} == {int(task.chosen[0])}
    assert label == "ball_now" or {place for phase, place in labels if phase != QUERY} == {-1}


def test_its_labels_name_the_slots_of_what_is_still_to_be_touched(make: Callable[..., MemoryEnv]) -> None:
    env = make("rlmem/RememberSequence-v0", memory_length=3)
    task: Any = env.task
    env.reset(seed=1)
    over, touched = False, 0
    while not over:
        right, taken = task.right_slots[0], task.taken[0].copy()
        _, _, over, *_ = env.step(task.expert_action()[0])
        for color in np.flatnonzero(task.taken[0] & ~taken):
            assert np.flatnonzero(right).tolist() == [task.slot[0, color]]
            touched += 1
    assert touched == task.wanted.shape[1]


def test_labels_of_concentration_hold_what_was_turned_up_and_what_follows_from_it(
    make: Callable[..., MemoryEnv],
) -> None:
    env = make("rlmem/Concentration-v0", pairs=4, turns=8)
    task: Any = env.task
    env.reset(seed=1)
    over, acts, seen, found = False, 0, set[int](), 0
    while not over:
        wanted = int(task.next_tile[0])
        _, _, over, *_ = env.step(task.expert_action()[0])
        if task.acts[0] == acts:
            continue
        acts = int(task.acts[0])
        assert int(task.turned[0, (acts - 1) % 2]) == wanted  # the tile that was just turned up
        if int(task.paired[0].sum()) == found:
            seen.add(wanted)
            hidden = [tile for tile in range(8) if tile not in seen and not task.paired[0, tile]]
            assert set(task.seen_color[0, hidden].tolist()) <= {-1}
            assert task.seen_color[0, sorted(seen)].tolist() == task.color[0, sorted(seen)].tolist()
        else:  # the others are dealt anew
            seen, found = set(), int(task.paired[0].sum())
    assert found == 8


def test_the_label_of_the_hidden_path_is_the_first_plate_not_found_to_be_false(make: Callable[..., MemoryEnv]) -> None:
    env = make("rlmem/HiddenPath-v0")
    task: Any = env.task
    env.reset(seed=1)
    over, tried = False, [0]
    while not over:
        _, _, over, *_ = env.step(task.expert_action()[0])
        if task.phase[0] != QUERY or task.pose[0, 0] > 0.4:
            continue  # not before the first row
        if task.furthest[0]:
            assert int(task.next_plate[0]) == int(task.safe[0, 0])
        else:
            assert int(task.next_plate[0]) == int(task.failed[0])
            tried.append(int(task.failed[0]))
    assert set(tried) == set(range(int(task.safe[0, 0]) + 1))


def test_it_is_the_same_alone_in_a_batch_in_workers_and_at_the_end_of_an_episode(
    make: Callable[..., MemoryEnv], make_vec: Callable[..., MemoryVectorEnv], world_id: str
) -> None:
    alone = make(world_id, privileged=True)
    here, there = (make_vec(world_id, 3, privileged=True, max_episode_steps=4, workers=w) for w in (0, 2))
    observation, _ = alone.reset(seed=5)
    (one, _), (other, _) = here.reset(seed=5), there.reset(seed=5)
    rng = np.random.default_rng(0)
    for step in range(5):
        for name in ("observation", "privileged"):
            np.testing.assert_array_equal(one[name], other[name])
            if step < 4:
                np.testing.assert_array_equal(one[name][0], observation[name])
        actions = moving_actions(rng, *here.action_space.shape)
        one, *_, infos = here.step(actions)
        other, *_, others = there.step(actions)
        observation, *_ = alone.step(actions[0]) if step < 4 else (observation,)
        if step == 3:
            for last in (infos["final_obs"][0], others["final_obs"][0]):
                np.testing.assert_array_equal(last["privileged"], observation["privileged"])
            break


def test_a_single_environment_keeps_gymnasiums_contract() -> None:
    env = gymnasium.make("rlmem/TMaze-v0", privileged=True, memory_length=SHORT, robot="planar")
    check_env(env.unwrapped, skip_render_check=True)
    assert gymnasium.make(env.spec).observation_space == env.observation_space
    env.close()
