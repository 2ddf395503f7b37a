"""Every task refuses actions that cannot be, and clips those that are too large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conftest import BAD_ACTIONS, bad_actions, play

from rlmem.envs.single import MemoryEnv

Make = Callable[..., MemoryEnv]


class TestBadActions:
    @pytest.mark.parametrize("name", BAD_ACTIONS)
    def test_are_refused_and_change_nothing(self, env_id: str, name: str, make: Make) -> None:
        results = []
        for disturbed in (False, True):
            env = make(env_id, guard="none")
            size = env.action_space.shape[0]
            action, message = bad_actions(size)[name]
            env.reset(seed=11)
            rng = np.random.default_rng(1)
            seen = []
            for step in range(30):
                if disturbed and step % 7 == 3:
                    with pytest.raises(ValueError, match=f"(?i)action.*{message}"):
                        env.step(action)  # type: ignore[arg-type]
                seen.append(env.step(rng.uniform(-1, 1, size))[:4])
            results.append(seen)
        for (seen, *rest), (other, *rest_of_other) in zip(*results, strict=True):
            np.testing.assert_array_equal(seen, other)
            assert rest == rest_of_other

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
