"""The vector environment keeps Gymnasium's contract in all three modes, in this process and with workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import BAD_ACTIONS, CUED_IDS, ENV_IDS, modest_knobs, moving_actions
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import NormalizeObservation, RecordEpisodeStatistics

from rlmem.envs.vector import MemoryVectorEnv
from rlmem.envs.workers import Workers

MakeVec = Callable[..., MemoryVectorEnv]
T_MAZE = "rlmem/TMaze-v0"
N = 3


def random_actions(rng: np.random.Generator, env: VectorEnv[Any, Any, Any]) -> Any:
    return moving_actions(rng, *(env.action_space.shape or ()))


def still(env: VectorEnv[Any, Any, Any]) -> Any:
    return np.zeros(env.action_space.shape or ())


def ending(env_id: str) -> dict[str, int]:
    """Return what makes episodes end soon where no answer ends them."""
    return {} if env_id in CUED_IDS else {"max_episode_steps": 30}


def worker_ids(env: MemoryVectorEnv) -> list[int]:
    backend = env._worlds
    assert isinstance(backend, Workers)
    return [process.pid or 0 for process in backend._processes]


@pytest.fixture(params=[0, 2], ids=["in-process", "workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


class TestTheGymnasiumContract:
    @pytest.mark.parametrize(("env_id", "mode"), list(zip(ENV_IDS, cycle(AutoresetMode), strict=False)))
    def test_shows_what_gymnasiums_own_vector_env_shows(self, env_id: str, mode: AutoresetMode) -> None:
        """Sync, in the same mode, with N single environments: the same but for how infos of ends are laid out.

        Each task in one of the modes: what a mode does is not the task's.
        """
        theirs = gymnasium.make_vec(
            env_id, N, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **modest_knobs(env_id)
        )
        assert isinstance(theirs, SyncVectorEnv)
        ours = gymnasium.make_vec(
            env_id, N, vectorization_mode="vector_entry_point", autoreset_mode=mode, **modest_knobs(env_id)
        )
        assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
        assert ours.single_observation_space == theirs.single_observation_space
        assert ours.single_action_space == theirs.single_action_space
        assert ours.observation_space == theirs.observation_space
        assert ours.action_space == theirs.action_space
        rng = np.random.default_rng(0)
        np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
        ends = 0
        for _ in range(260):
            actions = random_actions(rng, ours).astype(np.float32)
            (seen, reward, terminated, truncated, info), other = ours.step(actions), theirs.step(actions)
            for one, another in zip((seen, reward, terminated, truncated), other[:4], strict=True):
                np.testing.assert_array_equal(one, another)
            np.testing.assert_array_equal(info["phase"], other[4]["phase"])
            ended = terminated | truncated
            if ended.any():
                ends += 1
                final, other_final = info.get("final_info", info), other[4].get("final_info", other[4])
                for key in ("is_success", "score", "cue"):
                    np.testing.assert_array_equal(final[key][ended], other_final[key][ended])
                    np.testing.assert_array_equal(final[f"_{key}"], other_final[f"_{key}"])
                if mode is AutoresetMode.SAME_STEP:
                    np.testing.assert_array_equal(info["_final_obs"], other[4]["_final_obs"])
                    for row in np.flatnonzero(ended):
                        np.testing.assert_array_equal(info["final_obs"][row], other[4]["final_obs"][row])
                if mode is AutoresetMode.DISABLED:
                    options = {"reset_mask": ended}
                    np.testing.assert_array_equal(
                        ours.reset(options=dict(options))[0], theirs.reset(options=dict(options))[0]
                    )
        assert ends > 0 or env_id not in CUED_IDS
        ours.close()
        theirs.close()

    def test_single_environments_run_in_gymnasiums_async_env(self, world_id: str) -> None:
        env = gymnasium.make_vec(world_id, 2, vectorization_mode="async", **modest_knobs(world_id))
        assert isinstance(env, AsyncVectorEnv)
        ours = gymnasium.make_vec(
            world_id,
            2,
            vectorization_mode="vector_entry_point",
            autoreset_mode="next_step",
            **modest_knobs(world_id),
        )
        rng = np.random.default_rng(0)
        np.testing.assert_array_equal(env.reset(seed=1)[0], ours.reset(seed=1)[0])
        for _ in range(40):
            actions = random_actions(rng, ours)
            np.testing.assert_array_equal(env.step(actions)[0], ours.step(actions)[0])
        env.close()
        ours.close()

    def test_is_what_make_vec_makes_by_itself(self, env_id: str) -> None:
        env = gymnasium.make_vec(env_id, N, **modest_knobs(env_id))
        assert isinstance(env, MemoryVectorEnv)
        assert env.spec is not None
        assert env.spec.id == env_id
        env.close()

    def test_spaces_contain_what_is_seen(self, world_id: str, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(world_id, workers=workers, guard="none")
        seen, _ = env.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(60):
            assert seen in env.observation_space
            seen, reward, terminated, truncated, _ = env.step(random_actions(rng, env).astype(np.float32))
            assert reward.dtype == np.float64
            assert terminated.dtype == truncated.dtype == np.bool_
            assert reward.shape == terminated.shape == truncated.shape == (N,)


class TestAutoreset:
    def expert_steps(self, env: MemoryVectorEnv, steps: int = 120) -> Any:
        env.reset(seed=0)
        for _ in range(steps):
            yield env.step(env.expert_action())

    def test_same_step_shows_the_next_episode_and_keeps_the_last_observation(
        self, world_id: str, workers: int, make_vec: MakeVec
    ) -> None:
        ends = 0
        env = make_vec(world_id, workers=workers, **ending(world_id))
        for seen, _, terminated, truncated, info in self.expert_steps(env):
            ended = terminated | truncated
            assert ("final_obs" in info) == bool(ended.any())
            for row in np.flatnonzero(ended).tolist():
                ends += 1
                assert info["final_info"]["is_success"][row] or world_id not in CUED_IDS
                assert info["final_info"]["phase"][row] in ("query", "wait")
                assert info["phase"][row] != "query" or world_id not in CUED_IDS
                assert (info["final_obs"][row] != seen[row]).any()
        assert ends >= N

    def test_next_step_shows_the_last_observation_then_rests_one_step(
        self, world_id: str, workers: int, make_vec: MakeVec
    ) -> None:
        before, ends = np.zeros(N, dtype=bool), 0
        for _, reward, terminated, truncated, info in self.expert_steps(
            make_vec(world_id, workers=workers, autoreset_mode="next_step", **ending(world_id))
        ):
            ended = terminated | truncated
            assert not (ended & before).any()
            assert not reward[before].any()
            assert set(info["phase"][before].tolist()) <= ({"cue", "search"} if world_id in CUED_IDS else {"query"})
            assert set(info["phase"][ended].tolist()) <= {"query", "wait"}
            before, ends = ended, ends + int(ended.sum())
        assert ends >= N

    def test_disabled_rests_until_it_is_reset(self, world_id: str, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(world_id, workers=workers, autoreset_mode="disabled", **ending(world_id))
        over = np.zeros(N, dtype=bool)
        for seen, reward, terminated, truncated, info in self.expert_steps(env, 200):
            assert not reward[over].any()
            assert not seen[over].any()
            assert not (terminated | truncated)[over].any()
            assert set(info["phase"][over].tolist()) <= {"over"}
            over |= terminated | truncated
        assert over.all()
        mask = np.array([False, True, False])
        seen, info = env.reset(seed=[None, 5, None], options={"reset_mask": mask})
        assert info["_phase"].tolist() == mask.tolist()
        np.testing.assert_array_equal(seen[1], env.reset(seed=5)[0][0])

    def test_time_limits_truncate_and_count_anew(self, world_id: str, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(world_id, workers=workers, max_episode_steps=7)
        env.reset(seed=0)
        for step in range(1, 30):
            _, _, terminated, truncated, info = env.step(still(env))
            assert not terminated.any()
            assert truncated.tolist() == [step % 7 == 0] * N
            if truncated.any():
                assert not info["final_info"]["is_success"].any()

    def test_time_limits_skip_the_resting_step(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, autoreset_mode="next_step", max_episode_steps=7)
        env.reset(seed=0)
        ends = [bool(env.step(np.zeros((N, 2)))[3].all()) for _ in range(24)]
        assert [step for step, ended in enumerate(ends, start=1) if ended] == [7, 15, 23]

    def test_make_vec_passes_a_time_limit_through(self, env_id: str) -> None:
        env = gymnasium.make_vec(env_id, N, max_episode_steps=4, **modest_knobs(env_id))
        assert env.spec is not None
        assert env.spec.max_episode_steps == 4
        env.reset(seed=0)
        assert [env.step(still(env))[3].tolist() for _ in range(4)] == [[False] * N] * 3 + [[True] * N]
        env.close()

    def test_gymnasiums_wrappers_take_what_make_vec_makes(self) -> None:
        env = NormalizeObservation(gymnasium.make_vec(T_MAZE, N, robot="planar"))
        observation, _ = env.reset(seed=0)
        assert observation.shape == env.observation_space.shape
        env.close()

    @pytest.mark.parametrize("mode", ["same_step", "next_step"])
    def test_gymnasiums_statistics_count_every_step_of_an_episode(self, mode: str) -> None:
        made = gymnasium.make_vec(T_MAZE, 1, robot="planar", memory_length=5, autoreset_mode=mode, max_episode_steps=9)
        env = RecordEpisodeStatistics(made)
        env.reset(seed=0)
        lengths = []
        for _ in range(30):
            *_, infos = env.step(still(env))
            if "episode" in infos:
                lengths.append(int(infos["episode"]["l"][0]))
        assert lengths == [9, 9, 9]
        env.close()


class TestBadInput:
    @pytest.mark.parametrize("name", [name for name in BAD_ACTIONS if name not in ("a batch",)])
    def test_actions_are_refused_and_change_nothing(self, name: str, workers: int, make_vec: MakeVec) -> None:
        action, message = BAD_ACTIONS[name]
        bad = None if action is None else np.stack([np.zeros_like(action)] * (N - 1) + [action])
        traces = []
        for disturbed in (False, True):
            env = make_vec(T_MAZE, workers=workers, guard="none")
            env.reset(seed=0)
            rng = np.random.default_rng(0)
            shown = []
            for step in range(40):
                if disturbed and step % 9 == 4:
                    with pytest.raises(ValueError, match=f"actions must .*{message}"):
                        env.step(bad)  # type: ignore[arg-type]
                shown.append([part.tolist() for part in env.step(random_actions(rng, env))[:4]])
            traces.append(shown)
        assert traces[0] == traces[1]

    def test_actions_for_another_number_of_environments_are_refused(self, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=workers)
        env.reset(seed=0)
        for shape in ((N + 1, 2), (1, 2), (2,), (N, 2, 1)):
            with pytest.raises(ValueError, match=r"actions must have shape \(3, 2\), got"):
                env.step(np.zeros(shape))

    def test_resets_that_do_not_fit_are_refused(self, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=workers, autoreset_mode="disabled")
        with pytest.raises(ValueError, match="seed must hold 3 seeds, got 2"):
            env.reset(seed=[1, 2])
        for mask in (np.zeros(N, dtype=bool), np.ones(2, dtype=bool), [1, 0, 1]):
            with pytest.raises(ValueError, match="reset_mask must hold 3 booleans"):
                env.reset(options={"reset_mask": mask})
        with pytest.raises(ValueError, match="cue must be from 0 to 1"):
            env.reset(options={"cue": 2})
        seen, _ = env.reset(seed=1, options={"cue": 1})
        np.testing.assert_array_equal(seen[:, :2], np.tile([0.0, 1.0], (N, 1)))

    def test_arguments_that_do_not_fit_are_refused(self, make_vec: MakeVec) -> None:
        for knobs, message in (
            ({"workers": 4}, "workers must be from 0 to num_envs = 3, got 4"),
            ({"workers": -1}, "workers must be from 0"),
            ({"autoreset_mode": "sometimes"}, "autoreset_mode must be one of 'next_step', 'same_step', 'disabled'"),
            ({"render_mode": "human"}, "render_mode of a vector environment must be None or 'rgb_array'"),
            ({"workers": 1, "render_mode": "rgb_array"}, "workers do not render"),
            ({"num_envs": 0}, "num_envs must be at least 1"),
        ):
            with pytest.raises(ValueError, match=message):
                make_vec(T_MAZE, **knobs)


class TestClosing:
    def test_twice_does_nothing_and_using_it_then_says_so(self, world_id: str, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(world_id, workers=workers)
        env.reset(seed=0)
        env.close()
        env.close()
        for use in (env.reset, env.expert_action, env.render, env.get_state, lambda: env.step(still(env))):
            with pytest.raises(ClosedEnvironmentError, match="this environment is closed; make a new one"):
                use()

    def test_ends_the_workers(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=2)
        env.reset(seed=0)
        pids = worker_ids(env)
        env.close()
        assert not [pid for pid in pids if alive(pid)]

    def test_works_while_no_episode_has_begun(self, workers: int, make_vec: MakeVec) -> None:
        make_vec(T_MAZE, workers=workers).close()


class TestResults:
    def test_what_is_returned_is_not_overwritten_by_the_next_step(self, workers: int, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, workers=workers, guard="none")
        first, _ = env.reset(seed=0)
        kept = first.copy()
        second = env.step(np.ones((N, 2)))
        kept_second = [part.copy() for part in second[:4]]
        env.step(np.ones((N, 2)))
        np.testing.assert_array_equal(first, kept)
        for part, copy in zip(second[:4], kept_second, strict=True):
            np.testing.assert_array_equal(part, copy)


class TestRendering:
    def test_gives_a_picture_of_each_environment(self, make_vec: MakeVec) -> None:
        env = make_vec(T_MAZE, 2, render_mode="rgb_array")
        env.reset(seed=0)
        frames = env.render()
        assert frames is not None
        assert [frame.shape for frame in frames] == [(360, 640, 3)] * 2
        assert all(frame.dtype == np.uint8 and frame.std() > 10 for frame in frames)

    def test_gives_nothing_unasked(self, workers: int, make_vec: MakeVec) -> None:
        assert make_vec(T_MAZE, workers=workers).render() is None


def alive(pid: int) -> bool:
    """Return whether a process is still running, giving it a moment to end."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


def test_all_tasks_have_a_vector_entry_point() -> None:
    for env_id in ENV_IDS:
        assert gymnasium.spec(env_id).vector_entry_point is not None
