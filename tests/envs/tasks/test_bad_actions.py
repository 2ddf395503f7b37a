"""Every task refuses actions that cannot be, and clips those that are too large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import bad_actions, play

from rlmem.envs.single import MemoryEnv

Make = Callable[..., MemoryEnv]


class TestBadActions:
    def test_are_refused_and_change_nothing(self, env_id: str, make: Make) -> None:
        env, undisturbed = make(env_id, guard="none"), make(env_id, guard="none")
        env.reset(seed=11)
        undisturbed.reset(seed=11)
        size = env.action_space.shape[0]
        rng = np.random.default_rng(1)
        for action, message in bad_actions(size).values():
            with pytest.raises(ValueError, match=f"(?i)action.*{message}"):
                env.step(action)  # type: ignore[arg-type]
            good = rng.uniform(-1, 1, size)
            (seen, *rest), (other, *rest_of_other) = env.step(good)[:4], undisturbed.step(good)[:4]
            np.testing.assert_array_equal(seen, other)
            assert rest == rest_of_other
            if any(rest[1:]):
                break

    def test_outside_of_the_space_are_clipped_to_it(self, env_id: str, make: Make) -> None:
        env = make(env_id, guard="none")
        size = env.action_space.shape[0]
        wild = play(env, 0, lambda env, rng: np.linspace(9.0, 4.5, size), steps=15)
        tame = play(env, 0, lambda env, rng: np.linspace(0.9, 0.5, size), steps=15)
        clipped = play(env, 0, lambda env, rng: np.ones(size), steps=15)
        np.testing.assert_array_equal(wild.observations, clipped.observations)
        both = zip(tame.observations, clipped.observations, strict=False)
        assert any((one != other).any() for one, other in both)

    def test_of_any_number_type_are_taken(self, env_id: str, make: Make) -> None:
        env = make(env_id, guard="none")
        env.reset(seed=0)
        size = env.action_space.shape[0]
        for action in (np.ones(size, dtype=np.int64), np.zeros(size, dtype=np.float16), [0.5] * size):
            env.step(action)  # type: ignore[arg-type]
