"""Every task keeps the contract of Gymnasium and of Stable-Baselines3."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from conftest import Case, Variant, expert_action, modest_knobs, play, random_action, task_of
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from rlmem.envs.single import MemoryEnv
from rlmem.registry import task_class

Make = Callable[..., MemoryEnv]


class TestTheGymnasiumContract:
    def test_gymnasiums_checker_finds_nothing(self, env_id: str, cue: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(env_id, disable_env_checker=True, **modest_knobs(env_id, cue=cue))
            check_env(env.unwrapped, skip_render_check=True)
            env.close()

    def test_gymnasiums_checker_finds_nothing_where_it_renders(self, world_id: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*there is no screen here.*")
            env = gymnasium.make(world_id, disable_env_checker=True, **modest_knobs(world_id, render_mode="rgb_array"))
            check_env(env.unwrapped)
            env.close()

    def test_stable_baselines3s_checker_finds_nothing(self, env_id: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            env = gymnasium.make(env_id, **modest_knobs(env_id))
            check_env_for_sb3(env)
            env.close()

    def test_an_id_can_name_the_module_to_import(self, env_id: str) -> None:
        env = gymnasium.make(f"rlmem:{env_id}", **modest_knobs(env_id))
        observation, _ = env.reset(seed=0)
        assert observation in env.observation_space
        env.close()

    def test_time_limits_of_gymnasium_truncate(self, env_id: str) -> None:
        env = gymnasium.make(env_id, max_episode_steps=5, **modest_knobs(env_id))
        env.reset(seed=0)
        ends = [env.step(np.zeros(env.action_space.shape or ()))[2:4] for _ in range(5)]
        assert ends == [(False, False)] * 4 + [(False, True)]
        env.close()

    def test_spaces_contain_what_is_seen_and_done(self, case: Case, make: Make) -> None:
        env = make(case.env_id, **case.knobs)
        for actor in (random_action, expert_action):
            episode = play(env, 1, actor)
            assert all(observation in env.observation_space for observation in episode.observations)
            assert all(action.astype(np.float32) in env.action_space for action in episode.actions)
            assert all(isinstance(reward, float) for reward in episode.rewards)

    def test_each_component_of_the_observation_has_a_name(self, env_id: str, make: Make) -> None:
        task = task_of(make(env_id))
        assert task.observation_space.shape == (len(task.observation_names),)
        assert len(set(task.observation_names)) == len(task.observation_names)

    def test_the_docstring_is_a_page_with_its_sections(self, env_id: str) -> None:
        headings = " ".join(re.findall(r"\*\*(.*?)\*\*", task_class(env_id).__doc__)).lower()
        for section in ("episode", "observation", "action", "reward", "memory", "ceilings"):
            assert section in headings


class TestClosing:
    def test_twice_does_nothing(self, variant: Variant, make: Make) -> None:
        env = make(variant.env_id, **variant.robot)
        env.reset(seed=0)
        env.close()
        env.close()


@pytest.mark.parametrize(
    ("name", "knobs", "steps"),
    [("HopperPosition", {}, 1_000), ("MazeRecall", {"size": "5x5"}, 250), ("TMaze", {}, None)],
)
def test_a_length_that_all_episodes_have_is_in_the_spec_and_gymnasium_truncates_no_second_time(name, knobs, steps):
    env, several = gymnasium.make(f"rlmem/{name}-v0", **knobs), gymnasium.make_vec(f"rlmem/{name}-v0", 1, **knobs)
    assert env.spec.max_episode_steps == several.spec.max_episode_steps == steps
    assert "TimeLimit" not in str(env)
    env.close()
    several.close()
