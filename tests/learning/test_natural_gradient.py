"""The running Fisher information, its inverse, and running moments."""

import numpy as np
import pytest
import torch

from rlmem.learning.natural_gradient import Fisher, FisherSettings
from rlmem.learning.running_moments import RunningMoments


def rows_of(count, p=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, p, dtype=torch.float64, generator=generator)


def after(fisher, rows):
    state = fisher.initial_state()
    for row in rows:
        state = fisher.see(state, row)
    return state


def test_without_information_the_natural_gradient_is_the_plain_one_over_the_damping():
    fisher = Fisher(6, settings=FisherSettings(damping=0.5))
    gradient = torch.arange(6, dtype=torch.float64)[None]
    torch.testing.assert_close(fisher.natural(fisher.initial_state(), gradient), 2.0 * gradient)


def test_while_it_warms_up_the_mean_counts_the_steps_of_the_warm_up_as_empty():
    fisher = Fisher(6, settings=FisherSettings(damping=0.1, warm_up=30, every=10, horizon=10_000))
    rows = rows_of(50)
    state = after(fisher, rows)
    total = torch.einsum("tmi,tmj->ij", rows, rows) / 80
    torch.testing.assert_close(state.means[0][0], total, rtol=1e-12, atol=1e-12)
    expected = torch.linalg.inv(total + 0.1 * torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(state.inverses[0][0], expected, rtol=1e-9, atol=1e-9)


def test_later_it_forgets_over_the_horizon():
    settings = FisherSettings(warm_up=0, every=1, horizon=4)
    fisher = Fisher(6, settings=settings)
    old, new = rows_of(40), rows_of(40, seed=1)
    weights = 0.75 ** torch.arange(39, -1, -1, dtype=torch.float64) * 0.25
    expected = torch.einsum("t,tmi,tmj->ij", weights, new, new)
    torch.testing.assert_close(after(fisher, torch.cat((old, new))).means[0][0], expected, rtol=0, atol=1e-3)


def test_blocks_are_the_diagonal_blocks_of_the_whole():
    groups = [torch.tensor([0, 2]), torch.tensor([1, 3, 4, 5])]
    settings = FisherSettings(every=5, warm_up=0)
    rows = rows_of(20)
    whole, parts = Fisher(6, settings=settings), Fisher(6, groups, settings)
    mean = after(whole, rows).means[0][0]
    gradient = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = parts.natural(after(parts, rows), gradient)
    for group in groups:
        block = mean[group][:, group] + 0.1 * torch.eye(len(group), dtype=torch.float64)
        torch.testing.assert_close(found[:, group], gradient[:, group] @ torch.linalg.inv(block))


def test_a_small_direction_is_stepped_along_as_far_as_a_large_one():
    fisher = Fisher(2, settings=FisherSettings(damping=1e-9, warm_up=0, every=1))
    state = after(fisher, torch.tensor([[[10.0, 0.0], [0.0, 0.1]]], dtype=torch.float64).expand(20, 2, 2))
    step = fisher.natural(state, torch.tensor([[10.0, 0.1]], dtype=torch.float64))[0]
    assert (step * torch.tensor([10.0, 0.1])).tolist() == pytest.approx([1.0, 1.0], rel=1e-4)


def test_the_state_survives_a_checkpoint():
    fisher = Fisher(6, [torch.tensor([0, 2]), torch.tensor([1, 3, 4, 5])], FisherSettings(every=4))
    state = after(fisher, rows_of(10))
    again = Fisher.from_tree(Fisher.to_tree(state))
    more = rows_of(7, seed=3)
    for row in more:
        state, again = fisher.see(state, row), fisher.see(again, row)
    for one, other in zip(state.inverses, again.inverses, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"damping": 0.0}, "damping must be a finite number above 0, got 0"),
        ({"every": 0}, "every must be at least 1"),
        ({"horizon": 10}, "horizon must be at least warm_up and every"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        FisherSettings(**settings)


def test_running_moments_are_those_of_all_that_was_seen():
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(40, 3))
    moments = RunningMoments.start(3)
    for part in np.split(x, [1, 5, 20]):
        moments = moments.seen(part)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.squares / 39, x.var(0, ddof=1), rtol=1e-12)
    scaled = moments.scaled(x)
    np.testing.assert_allclose(scaled.std(0, ddof=1), 1.0, atol=2e-3)
    assert np.abs(moments.scaled(x + 1e6)).max() == 5.0
