"""Advantages against hand-computed ones, with both kinds of end in one rollout."""

import numpy as np
import pytest

from rlmem.agents.recurrent.evaluate_rollout import generalized_advantages

GAMMA, LAMBDA = 0.9, 0.8


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def test_advantages_are_the_hand_computed_ones_with_a_termination_and_a_truncation_in_one_rollout() -> None:
    # steps 0-1 end for good, steps 2-3 are cut off at a terminal observation worth 5, step 4 goes on to one worth 7
    result = generalized_advantages(
        column(1.0, 2.0, 3.0, 4.0, 5.0),
        column(0.5, 0.6, 0.7, 0.8, 0.9),
        column(0.6, 99.0, 0.8, 5.0, 7.0),
        column(0, 1, 0, 0, 0).astype(bool),
        column(0, 0, 0, 1, 0).astype(bool),
        gamma=GAMMA,
        gae_lambda=LAMBDA,
    )
    a4 = 5.0 + 0.9 * 7.0 - 0.9
    a3 = 4.0 + 0.9 * 5.0 - 0.8
    a2 = 3.0 + 0.9 * 0.8 - 0.7 + 0.72 * a3
    a1 = 2.0 - 0.6
    a0 = 1.0 + 0.9 * 0.6 - 0.5 + 0.72 * a1
    np.testing.assert_allclose(result.advantages, column(a0, a1, a2, a3, a4), rtol=1e-6)
    np.testing.assert_allclose(result.returns, column(a0 + 0.5, a1 + 0.6, a2 + 0.7, a3 + 0.8, a4 + 0.9), rtol=1e-6)


def test_with_lambda_1_and_no_values_the_returns_are_the_discounted_sums_of_rewards() -> None:
    rewards = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    zeros, never = np.zeros((6, 3), np.float32), np.zeros((6, 3), bool)
    end = never.copy()
    end[-1] = True
    result = generalized_advantages(rewards, zeros, zeros, end, never, gamma=GAMMA, gae_lambda=1.0)
    sums = [sum(GAMMA**k * rewards[t + k] for k in range(6 - t)) for t in range(6)]
    np.testing.assert_allclose(result.returns, sums, rtol=1e-5)


def test_the_value_after_a_termination_counts_for_nothing_even_if_it_is_not_a_number() -> None:
    end = np.ones((1, 1), bool)
    result = generalized_advantages(column(1.0), column(0.0), column(np.nan), end, ~end, gamma=GAMMA, gae_lambda=LAMBDA)
    assert result.advantages.item() == 1.0


def test_bad_factors_and_shapes_are_refused_with_their_values() -> None:
    x, b = np.zeros((2, 1), np.float32), np.zeros((2, 1), bool)
    with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\], got 1\.1"):
        generalized_advantages(x, x, x, b, b, gamma=1.1, gae_lambda=1.0)
    with pytest.raises(ValueError, match=r"one shape \[T, N\]"):
        generalized_advantages(x, x[:1], x, b, b, gamma=1.0, gae_lambda=1.0)
