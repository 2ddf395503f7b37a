"""P over many updates, in blocks of several sizes and in panels: symmetric, positive, and bounded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from kalman_reference import linear_data, normal, run, textbook_update, whole
from torch import Tensor

from rlmem.learning.kalman import KalmanFilter, KalmanSettings, KalmanState, panels
from rlmem.learning.kalman.layout import Layout, bucket_sizes

FORMS = ["covariance", "square_root"]


def badly_excited(kf: KalmanFilter, steps: int, noise: float, seed: int = 0) -> KalmanState:
    """Update with rows that hardly leave one direction, which turns slowly."""
    p = kf.layout.p
    direction, turn, little = normal(seed, p), normal(seed + 1, p), 1e-4 * normal(seed + 2, steps, 1, p)
    theta, state, error = torch.zeros(p, dtype=torch.float64), kf.initial_state(), torch.zeros(1)
    for t in range(steps):
        angle = 10.0 * t / steps
        rows = direction * math.cos(angle) + turn * math.sin(angle) + little[t]
        theta, state, _ = kf.update(theta, state, rows, error, noise)
    return state


@pytest.mark.parametrize(("form", "steps"), [("covariance", 10_000), ("square_root", 1_000)])
def test_p_stays_symmetric_and_positive_over_badly_excited_updates(form: Any, steps: int) -> None:
    kf = KalmanFilter(6, KalmanSettings(p0=1e8, form=form))
    state = badly_excited(kf, steps, 1.0)
    P = whole(kf, state)
    ((kept,),) = state.blocks
    if form == "covariance":
        assert (kept - kept.mT).abs().max() <= 1e-15 * kept.abs().max()
    assert torch.equal(P, P.T)
    assert torch.linalg.eigvalsh(P).min() > 0


def test_a_prior_of_1e16_noises_is_resolved_by_the_square_root() -> None:
    """At P0 / R = 1e16 the excited direction falls below the rounding of P, but not below that of its factor."""
    kf = KalmanFilter(3, KalmanSettings(p0=1e16, form="square_root", clip=None))
    rows = torch.tensor([[1.0, 1.0, 1.0]], dtype=torch.float64)
    theta, state = torch.zeros(3, dtype=torch.float64), kf.initial_state()
    for _ in range(10):
        theta, state, _ = kf.update(theta, state, rows, torch.zeros(1), 1.0)
    (factor,) = state.blocks[0]
    assert (rows @ factor).square().sum().item() == pytest.approx(0.1, rel=1e-2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("groups", [None, [torch.arange(3), torch.arange(3, 6)]], ids=["gekf", "ndekf"])
def test_the_trace_stays_below_its_cap_where_forgetting_would_wind_it_up(
    form: Any, groups: list[Tensor] | None
) -> None:
    settings = KalmanSettings(p0=0.5, forgetting=0.99, trace_cap=10.0, form=form)
    kf = KalmanFilter(6, settings, groups=groups)
    theta, state, error = torch.zeros(6, dtype=torch.float64), kf.initial_state(), torch.zeros(1)
    rows = torch.zeros(1, 6, dtype=torch.float64)
    # five directions, or two and three, are never excited
    rows[0, :2] = 1.0
    for t in range(400):
        theta, state, _ = kf.update(theta, state, rows, error, 1.0)
        if t % 20 == 0:
            assert all(P.trace() <= 10.0 * 0.5 * len(P) * (1 + 1e-12) for P in kf.covariances(state))
    # without the cap it would be 0.5 / 0.99**400 = 28
    assert kf.variances(state)[5].item() == pytest.approx(6.0 if groups is None else 5.0, rel=1e-3)
    assert torch.linalg.eigvalsh(whole(kf, state)).min() > 0


def test_process_noise_stops_at_the_cap() -> None:
    kf = KalmanFilter(4, KalmanSettings(p0=0.5, q=0.1, trace_cap=2.0), groups=[torch.arange(1), torch.arange(1, 4)])
    theta, state, rows = torch.zeros(4, dtype=torch.float64), kf.initial_state(), torch.zeros(1, 4)
    rows[0, 0] = 1.0
    for _ in range(50):
        theta, state, _ = kf.update(theta, state, rows, torch.zeros(1), 0.01)
    variances = kf.variances(state)
    assert torch.allclose(variances[1:], torch.full((3,), 1.0, dtype=torch.float64), rtol=1e-12)
    # where v r / (v + r) + q = v
    assert variances[0].item() == pytest.approx((0.1 + math.sqrt(0.01 + 0.004)) / 2, rel=1e-9)


def test_forgetting_goes_on_in_the_groups_that_are_below_their_cap() -> None:
    kf = KalmanFilter(2, KalmanSettings(p0=1.0, forgetting=0.9), groups=[torch.tensor([0]), torch.tensor([1])])
    theta, state = torch.zeros(2, dtype=torch.float64), kf.initial_state()
    rows = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for _ in range(200):
        theta, state, _ = kf.update(theta, state, rows, torch.zeros(1), 1.0)
    # a fixed point: v / (v + 1) / 0.9 = v
    assert kf.variances(state)[0].item() == pytest.approx(1 / 0.9 - 1, rel=1e-9)
    assert kf.variances(state)[1].item() == 1.0


@pytest.mark.parametrize("settings", [{}, {"q": 1e-3}, {"forgetting": 0.99}])
def test_groups_of_many_sizes_in_padded_blocks_are_the_textbooks(settings: dict[str, Any]) -> None:
    sizes, p = [7, 1, 6, 2, 7, 3, 5, 1, 4, 6], 42
    order = torch.randperm(p, generator=torch.Generator().manual_seed(3))
    groups = list(order.split(sizes))
    P, theta = 2.0 * np.eye(p), np.zeros(p)
    for rows, targets in linear_data(6, 30, 3, 1, p):
        H = rows.reshape(-1, p).numpy()
        error = targets.reshape(-1).numpy() - H @ theta
        arrays = [group.numpy() for group in groups]
        theta, P = textbook_update(theta, P, H, error, 0.2 * np.eye(3), groups=arrays, **settings)
    kf, ours, state = run(p, linear_data(6, 30, 3, 1, p), 0.2, groups=groups, **settings)
    assert len(kf.layout.buckets) < len(set(sizes))
    np.testing.assert_allclose(ours, theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(whole(kf, state), P, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(kf.variances(state), np.diag(P), rtol=1e-9)


def test_padding_stays_empty_and_small() -> None:
    sizes = [20, 17, 16, 9, 8, 3]
    layout = Layout(sum(sizes), list(torch.arange(sum(sizes)).split(sizes)))
    assert [(bucket.size, bucket.groups) for bucket in layout.buckets] == [(20, (0, 1, 2)), (9, (3, 4)), (3, (5,))]
    kf = KalmanFilter(sum(sizes), KalmanSettings(q=1e-3, forgetting=0.99, trace_cap=3.0), groups=layout.groups)
    theta, state = torch.zeros(sum(sizes), dtype=torch.float64), kf.initial_state()
    for i in range(5):
        theta, state, _ = kf.update(theta, state, normal(i, 2, 2, sum(sizes)), normal(9 + i, 2, 2), 0.1)
    ((large,), _, _) = state.blocks
    assert large.shape == (3, 20, 20)
    assert not large[1, 17:].any()
    assert not large[1, :, 17:].any()
    assert all(size >= 0.8 * top for top, members in bucket_sizes(range(1, 200)) for size in (m + 1 for m in members))


def test_a_large_p_in_panels_is_the_textbooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "_ROWS", 4)
    p = 22
    for settings in ({}, {"q": 1e-3}, {"forgetting": 0.95}):
        P, theta = 2.0 * np.eye(p), np.zeros(p)
        for rows, targets in linear_data(6, 130, 3, 1, p):
            H = rows.reshape(-1, p).numpy()
            error = targets.reshape(-1).numpy() - H @ theta
            theta, P = textbook_update(theta, P, H, error, 0.2 * np.eye(3), **settings)
        kf, ours, state = run(p, linear_data(6, 130, 3, 1, p), 0.2, **settings)
        assert [tuple(panel.shape) for panel in state.blocks[0]] == [
            (1, min(4, p - start), p - start) for start in range(0, p, 4)
        ]
        np.testing.assert_allclose(ours, theta, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(whole(kf, state), P, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(kf.variances(state), np.diag(P), rtol=1e-9)


def test_panels_of_several_matrices_multiply_and_mirror_as_dense_ones() -> None:
    size, count = 1_100, 2
    start = panels.diagonal_panels(torch.rand(count, size, dtype=torch.float64) + 1.0)
    assert len(start) == 5
    rows = normal(0, count, 3, size)
    panels.downdate_(start, 0.01 * rows, 1.5)
    dense = panels.dense(start)
    assert torch.equal(dense, dense.mT)
    assert (panels.multiply(rows, start) - rows @ dense).abs().max() < 1e-11
    panels.symmetrize_(start)
    assert all(torch.equal(s := panel[..., : panel.shape[1]], s.mT) for panel in start)
    assert (panels.dense(start) - dense).abs().max() < 1e-14


def test_half_of_a_large_p_is_kept() -> None:
    kept = sum(math.prod(shape) for shape in panels.shapes(1, 3_000))
    assert kept < 0.55 * 3_000**2
    assert panels.shapes(1, 500) == ((1, 500, 500),)
