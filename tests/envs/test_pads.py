"""Pads: the arm works in the delay, and neither the work nor what looks like a cue in it tells the cue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import ENV_IDS, expert_action, exploit, knob_choices, moving_actions, play, task_of
from scipy import stats

from rlmem.cli.audit import Audit as AuditOptions
from rlmem.cli.options import parse
from rlmem.envs.audit.bench import Bench
from rlmem.envs.audit.dock import check_dock
from rlmem.envs.audit.properties import check_property
from rlmem.envs.memory_task import DELAY, Phase
from rlmem.envs.single import MemoryEnv
from rlmem.envs.table.pads import PAD_STEPS, PadSettings, PadTask
from rlmem.envs.vector import MemoryVectorEnv
from rlmem.errors import UserError
from rlmem.registry import task_class
from rlmem.runs.settings import RunSettings

Make = Callable[..., MemoryEnv]
MakeVec = Callable[..., MemoryVectorEnv]
PAD_IDS = [env_id for env_id in ENV_IDS if issubclass(task_class(env_id).Settings, PadSettings)]
WORK: dict[str, Any] = {"guard": "dock", "pads": 4, "distractors": 0.5, "memory_length": 32, "dock_every": 16}


def robot_of(env_id: str) -> str:
    """Return one of the robots, in turn."""
    robots = knob_choices(env_id, "robot")
    return str(robots[PAD_IDS.index(env_id) % len(robots)])


@pytest.mark.parametrize("env_id", [env_id for env_id in PAD_IDS if "Shape" not in env_id])
def test_work_tells_nothing_of_the_cue_and_the_dock_washes_it(env_id: str) -> None:
    cls = task_class(env_id)
    with Bench(cls(cls.make_settings(WORK | {"robot": robot_of(env_id)}), 8)) as bench:
        for finding in (
            check_property("G1", bench, 3, episodes=2, claimed=True),
            check_dock(bench, 5, episodes=2, claimed=True),
        ):
            assert finding.result == "holds", finding.detail


@pytest.mark.parametrize("env_id", PAD_IDS)
def test_the_expert_presses_pads_and_answers(env_id: str, make_vec: MakeVec) -> None:
    env = make_vec(env_id, 4, **WORK | {"robot": robot_of(env_id), "autoreset_mode": "disabled"})
    env.reset(seed=1)
    ended, share, right = np.zeros(4, dtype=np.bool_), np.zeros(4), np.zeros(4, dtype=np.bool_)
    while not ended.all():
        *_, terminated, truncated, infos = env.step(env.expert_action())
        now = terminated | truncated
        ended |= now
        if now.any():
            share[now], right[now] = infos["work"][now], infos["is_success"][now]
    assert share.min() >= 0.9
    assert right.all()


@pytest.mark.parametrize("control", ["end_effector", "joint"])
def test_worlds_do_not_depend_on_how_many_there_are(control: str, make: Make, make_vec: MakeVec) -> None:
    knobs = WORK | {"control": control}
    many, rng = make_vec("rlmem/RememberSet-v0", 3, **knobs), np.random.default_rng(0)
    single = make("rlmem/RememberSet-v0", **knobs)
    seen = [many.reset(seed=[4, 5, 6])[0][1], single.reset(seed=5)[0]]
    for _ in range(40):
        np.testing.assert_array_equal(*seen)
        actions = moving_actions(rng, *many.action_space.shape)
        observation, rewards, *_ = many.step(actions)
        alone, reward, *_ = single.step(actions[1])
        assert rewards[1] == reward
        seen = [observation[1], alone]


def test_the_default_task_is_as_if_there_were_no_pads(make: Make) -> None:
    plain, docked = (make("rlmem/RememberColor-v0", guard="dock", **more) for more in ({}, {"pads": 2}))
    assert plain.task.observation_names == tuple(name for name in docked.task.observation_names if "pad " not in name)
    assert "work" not in play(plain, 1, expert_action).info


def test_a_pad_is_seen_until_it_is_pressed_and_each_pays(make: Make) -> None:
    env = make("rlmem/DelayedReach-v0", guard="dock", pads=3, memory_length=2 * PAD_STEPS)
    names, episode = task_of(env).observation_names, play(env, 2, expert_action)
    lit = np.array(episode.observations)[:, names.index("pad lit")] == 1.0
    assert np.count_nonzero(np.diff(lit.astype(int)) == 1) == 2, "two pads light up"
    assert lit[episode.where(Phase.DELAY)].mean() < 0.8
    paid = np.array(episode.rewards)[np.array(episode.where(Phase.DELAY)[1:]) - 1]
    assert 0.2 < paid.sum() < 0.8, "enough to be learned beside the answer, which pays 1"


def test_who_does_not_work_is_not_paid_and_does_not_count(make: Make) -> None:
    env = make("rlmem/RememberColor-v0", guard="dock", pads=4, memory_length=30)
    task = task_of(env)
    idle = play(env, 0, lambda env, rng: np.zeros(3) if task.phase[0] == DELAY else env.expert_action())
    assert (idle.info["work"], idle.info["is_success"]) == (0.0, False)
    assert task.success[0], "the answer was right"
    assert idle.rewards[4:30] == pytest.approx([0.0] * 26, abs=1e-9)


def test_distractors_are_seen_where_the_cue_was_whatever_it_was(make: Make) -> None:
    env = make("rlmem/RememberColor-v0", guard="dock", pads=4, distractors=1.0, memory_length=60)
    task = task_of(env)
    assert isinstance(task, PadTask)
    shown, column = [], task.observation_names.index("pad lit")
    for cue in (0, 1):
        episode = play(env, 7, expert_action, cue=cue)
        delay = np.array(episode.observations)[episode.where(Phase.DELAY)]
        assert ((delay[:, :3].sum(axis=1) == 1.0) == (delay[:, column] == 1.0)).all()
        shown.append(delay[:, :3])
    np.testing.assert_array_equal(*shown)
    assert (shown[0].sum(axis=0) > 0.0).sum() > 1, "of several colors"


def test_a_window_as_long_as_a_dock_is_no_memory_between_pads() -> None:
    wins = exploit("RememberColor", 4, guard="dock", dock_steps=4, pads=4, distractors=0.3).success.sum()
    assert stats.binom.ppf(0.001, 96, 1 / 3) <= wins <= stats.binom.ppf(0.999, 96, 1 / 3)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"pads": 2}, 'guard="dock"'),
        ({"pads": 7, "guard": "dock"}, "from 0 to 6"),
        ({"distractors": 0.5, "guard": "dock"}, "set pads too"),
        ({"distractors": 1.5, "pads": 2, "guard": "dock"}, "from 0 to 1"),
    ],
)
def test_knobs_that_cannot_be_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task_class("RememberSet").make_settings(knobs)


@pytest.mark.parametrize("env_id", PAD_IDS)
def test_the_hard_preset_sets_knobs_that_others_override(env_id: str) -> None:
    cls = task_class(env_id)
    hard = cls.make_settings({"preset": "hard"})
    assert (hard.guard, hard.distractors) == ("dock", 1.0)
    assert hard.pads > 0
    assert cls.spec(hard).n_bits >= cls.spec(cls.Settings()).n_bits
    assert cls.make_settings({"preset": "hard", "pads": 2}).pads == 2
    working = hard.memory_length / (hard.memory_length + hard.dock_steps * hard.memory_length // hard.dock_every)
    assert working >= 0.9, "physics in most of the delay"


def test_presets_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match="hard"):
        task_class("RememberSet").make_settings({"preset": "hardest"})
    with pytest.raises(UserError, match="no presets"):
        task_class("TimedPress").make_settings({"preset": "hard"})


def test_presets_are_options_and_arguments() -> None:
    env: Any = gymnasium.make_vec("rlmem/ShellGame-v0", num_envs=1, preset="hard", swaps=1)
    assert (env.settings.pads, env.settings.swaps) == (4, 1)
    env.close()
    assert RunSettings(env="ShellGame", agent="random", knobs={"preset": "hard", "k": 5}).knobs["dock_every"] == 60
    argv = ["--env", "ShellGame", "--env.preset", "hard", "--env.pads", "3"]
    knobs = parse(AuditOptions, argv, name="audit").knobs
    assert (knobs["guard"], knobs["pads"], knobs["distractors"]) == ("dock", 3, 1.0)
