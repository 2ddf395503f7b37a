"""Updates against closed forms and a textbook filter, and what they must not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kalman_reference import linear_data, normal, run, textbook_update, whole
from torch import Tensor

from rlmem.learning.divergence import DivergenceError
from rlmem.learning.kalman import KalmanFilter, KalmanSettings, KalmanState

FORMS = ["covariance", "square_root"]
PARTS = [torch.tensor([5, 0, 3]), torch.tensor([1, 6]), torch.tensor([2, 4, 7, 8])]
"""A partition of nine parameters into groups of different sizes, out of order."""


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


@pytest.mark.parametrize("form", FORMS)
def test_on_a_linear_model_the_filter_is_ridge_regression(form: Any) -> None:
    p, R, p0 = 7, 0.4, 2.0
    data = list(linear_data(0, 40, 3, 2, p))
    kf, theta, state = run(p, iter(data), R, form=form, p0=p0)
    H = torch.cat([rows.reshape(-1, p) for rows, _ in data])
    y = torch.cat([targets.reshape(-1) for _, targets in data])
    information = H.T @ H / R + torch.eye(p) / p0
    assert close(theta, torch.linalg.solve(information, H.T @ y / R))
    assert close(whole(kf, state), torch.linalg.inv(information))


@pytest.mark.parametrize("form", FORMS)
def test_with_forgetting_it_is_recursive_least_squares_with_an_exponential_window(form: Any) -> None:
    p, R, p0, forgetting = 5, 0.4, 2.0, 0.9
    data = list(linear_data(3, 60, 1, 1, p))
    kf, theta, state = run(p, iter(data), R, form=form, p0=p0, forgetting=forgetting)
    age = torch.arange(len(data), 0, -1, dtype=torch.float64)
    weight = forgetting**age / R
    H = torch.cat([rows.reshape(-1, p) for rows, _ in data])
    y = torch.cat([targets.reshape(-1) for _, targets in data])
    information = (H.T * weight) @ H + forgetting ** len(data) * torch.eye(p) / p0
    assert close(theta, torch.linalg.solve(information, (H.T * weight) @ y), 1e-11)
    assert close(whole(kf, state), torch.linalg.inv(information), 1e-11)


@pytest.mark.parametrize("settings", [{}, {"forgetting": 0.97}, {"q": 1e-2}, {"forgetting": 0.97, "q": 1e-2}])
@pytest.mark.parametrize("groups", [None, PARTS], ids=["gekf", "ndekf"])
def test_every_update_is_the_textbooks(settings: dict[str, Any], groups: list[Tensor] | None) -> None:
    p, R = 9, np.diag([0.1, 0.2, 0.3, 0.4])
    P, theta = 2.0 * np.eye(p), np.zeros(p)
    arrays = None if groups is None else [group.numpy() for group in groups]
    for rows, targets in linear_data(6, 50, 2, 2, p):
        H = rows.reshape(-1, p).numpy()
        error = targets.reshape(-1).numpy() - H @ theta
        theta, P = textbook_update(theta, P, H, error, R, groups=arrays, **settings)
    noise = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)
    kf, ours, state = run(p, linear_data(6, 50, 2, 2, p), noise, groups=groups, **settings)
    assert close(ours, torch.from_numpy(theta), 1e-11)
    assert close(whole(kf, state), torch.from_numpy(P), 1e-11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "order", [torch.arange(9), torch.tensor([4, 2, 8, 0, 1, 3, 7, 5, 6])], ids=["as is", "shuffled"]
)
def test_an_ndekf_with_one_group_is_the_gekf(form: Any, order: Tensor) -> None:
    kf, theta, state = run(9, linear_data(9, 30, 2, 2, 9), 0.3, form=form)
    parted, other, other_state = run(9, linear_data(9, 30, 2, 2, 9), 0.3, form=form, groups=[order])
    assert close(other, theta)
    assert close(whole(parted, other_state), whole(kf, state))


@pytest.mark.parametrize("settings", [{}, {"forgetting": 0.98}])
@pytest.mark.parametrize("groups", [None, PARTS], ids=["gekf", "ndekf"])
def test_the_square_root_form_is_the_covariance_form(settings: dict[str, Any], groups: list[Tensor] | None) -> None:
    kf, theta, state = run(9, linear_data(12, 200, 3, 2, 9), 0.3, groups=groups, **settings)
    root, other, other_state = run(9, linear_data(12, 200, 3, 2, 9), 0.3, groups=groups, form="square_root", **settings)
    assert close(other, theta, 1e-11)
    assert close(whole(root, other_state), whole(kf, state), 1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_the_gekf_takes_rows_one_by_one_or_all_at_once_with_one_result(form: Any) -> None:
    p, noise = 6, torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    rows, targets = normal(15, 5, p), 3.0 * normal(16, 5)
    kf = KalmanFilter(p, KalmanSettings(clip=None, form=form))
    start = torch.zeros(p, dtype=torch.float64)
    batch, batch_state, _ = kf.update(start, kf.initial_state(), rows, targets, noise)
    theta, state = start, kf.initial_state()
    for i in range(5):
        row = rows[i : i + 1]
        theta, state, _ = kf.update(theta, state, row, targets[i : i + 1] - row @ theta, noise[i : i + 1])
    assert close(theta, batch)
    assert close(whole(kf, state), whole(kf, batch_state))


@pytest.mark.parametrize("settings", [{"q": 1e-3}, {"form": "square_root", "forgetting": 0.99}])
def test_only_the_ratios_of_p0_and_r_and_q_count(settings: dict[str, Any]) -> None:
    c = 1e3
    kf, theta, state = run(9, linear_data(18, 80, 2, 1, 9), 0.3, groups=PARTS, p0=2.0, **settings)
    scaled = settings | {"q": c * settings.get("q", 0.0)}
    other_kf, other, other_state = run(9, linear_data(18, 80, 2, 1, 9), 0.3 * c, groups=PARTS, p0=2.0 * c, **scaled)
    assert close(other, theta)
    assert close(whole(other_kf, other_state), c * whole(kf, state))


def test_a_scale_makes_some_parameters_more_certain_and_drift_less() -> None:
    scale = torch.tensor([1.0, 0.01, 4.0], dtype=torch.float64)
    kf = KalmanFilter(3, KalmanSettings(p0=0.5, q=0.1, trace_cap=10.0), scale=scale)
    state = kf.initial_state()
    assert torch.equal(kf.variances(state), 0.5 * scale)
    rows = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    _, state, _ = kf.update(torch.zeros(3, dtype=torch.float64), state, rows, torch.zeros(1), 1e-9)
    assert close(kf.variances(state), torch.tensor([0.1, 0.006, 2.4], dtype=torch.float64), 1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_without_an_error_theta_stays(form: Any) -> None:
    kf = KalmanFilter(6, KalmanSettings(form=form))
    theta, state = normal(21, 6), kf.initial_state()
    before = theta.clone()
    for i in range(20):
        theta, state, report = kf.update(theta, state, normal(22 + i, 2, 2, 6), torch.zeros(2, 2), 0.1)
        assert report.nis == 0.0
    assert torch.equal(theta, before)


def both(
    kf: KalmanFilter, weights: Tensor, keep: list[int], noise: Tensor
) -> tuple[tuple[Tensor, KalmanState, Any], tuple[Tensor, KalmanState, Any]]:
    """Return an update with weights and one with the kept streams alone; left out streams hold no numbers."""
    rows, errors = normal(42, 4, 2, 9), normal(43, 4, 2)
    bad_rows, bad_errors, bad_noise = rows.clone(), errors.clone(), noise.clone()
    left_out = [n for n in range(4) if n not in keep]
    bad_rows[left_out], bad_errors[left_out], bad_noise[left_out] = torch.nan, torch.inf, -1.0
    theta = normal(44, 9)
    masked = kf.update(theta, kf.initial_state(), bad_rows, bad_errors, bad_noise, weights)
    alone = kf.update(theta, kf.initial_state(), rows[keep], errors[keep], noise[keep])
    return masked, alone


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("groups", [None, PARTS], ids=["gekf", "ndekf"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
@pytest.mark.parametrize("covariances", [False, True], ids=["variances", "covariances"])
def test_a_masked_stream_contributes_nothing_to_the_last_bit(
    form: Any, groups: list[Tensor] | None, dtype: torch.dtype, covariances: bool
) -> None:
    kf = KalmanFilter(9, KalmanSettings(form=form, clip=0.5, forgetting=0.99), groups=groups)
    noise = torch.rand(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    if covariances:
        noise = torch.diag_embed(noise) + 0.05
    (theta, state, report), (other, other_state, other_report) = both(
        kf, torch.tensor([1, 0, 1, 0]).to(dtype), [0, 2], noise
    )
    assert torch.equal(theta, other)
    assert torch.equal(whole(kf, state), whole(kf, other_state))
    assert report[:4] == other_report[:4]
    assert torch.equal(report.variance[[0, 2]], other_report.variance)
    assert report.variance[[1, 3]].isnan().all()


def test_where_every_stream_is_masked_nothing_changes_not_even_by_forgetting() -> None:
    kf = KalmanFilter(9, KalmanSettings(forgetting=0.9, q=0.1, trace_cap=5.0))
    theta, before = normal(45, 9), kf.initial_state()
    kept = before.clone()
    after, state, report = kf.update(theta, before, normal(46, 4, 2, 9), normal(47, 4, 2), 0.1, torch.zeros(4))
    assert torch.equal(after, theta)
    assert torch.equal(whole(kf, state), whole(kf, kept))
    assert (state.updates, state.rows, report.rows) == (0, 0, 0)
    assert np.isnan(report.nis)


def test_a_weight_divides_the_noise_of_its_stream() -> None:
    kf = KalmanFilter(9)
    theta, rows, errors = normal(48, 9), normal(49, 3, 2, 9), normal(50, 3, 2)
    noise = torch.diag_embed(torch.full((3, 2), 0.3, dtype=torch.float64)) + 0.1
    weights = torch.tensor([1.0, 0.25, 2.0], dtype=torch.float64)
    weighted, state, _ = kf.update(theta, kf.initial_state(), rows, errors, noise, weights)
    plain, other, _ = kf.update(theta, kf.initial_state(), rows, errors, noise / weights[:, None, None])
    assert close(weighted, plain)
    assert close(whole(kf, state), whole(kf, other))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mask", [None, torch.tensor([True, False, True])])
def test_a_projection_takes_the_place_of_its_rows(form: Any, mask: Tensor | None) -> None:
    kf = KalmanFilter(9, KalmanSettings(form=form), groups=PARTS)
    theta, state = normal(51, 9), kf.initial_state()
    theta, state, _ = kf.update(theta, state, normal(52, 3, 2, 9), normal(53, 3, 2), 0.1)
    rows, errors = normal(54, 3, 2, 9), normal(55, 3, 2)
    direct, direct_state, report = kf.update(theta, state.clone(), rows, errors, 0.1, mask)
    projection = kf.project(state, rows)
    P = whole(kf, state)
    assert close(projection.covariance, rows @ P @ rows.mT)
    reused, reused_state, other = kf.update(theta, state, projection, errors, 0.1, mask)
    assert close(reused, direct)
    assert close(whole(kf, reused_state), whole(kf, direct_state))
    assert other.nis == pytest.approx(report.nis, rel=1e-12)


def test_a_projection_goes_stale_with_the_next_update() -> None:
    kf = KalmanFilter(3)
    state, rows, theta = kf.initial_state(), normal(56, 1, 1, 3), torch.zeros(3, dtype=torch.float64)
    projection = kf.project(state, rows)
    theta, state, _ = kf.update(theta, state, projection, torch.ones(1, 1), 1.0)
    with pytest.raises(ValueError, match="of update 0, the state of 1"):
        kf.update(theta, state, projection, torch.ones(1, 1), 1.0)


def test_flat_rows_are_streams_of_one_output() -> None:
    kf = KalmanFilter(5)
    rows = normal(57, 4, 5)
    flat, streams = kf.project(kf.initial_state(), rows), kf.project(kf.initial_state(), rows[:, None])
    assert torch.equal(flat.covariance, streams.covariance)
    assert flat.covariance.shape == (4, 1, 1)
    noise = torch.eye(4, dtype=torch.float64) + 0.2
    theta = torch.zeros(5, dtype=torch.float64)
    full, _, report = kf.update(theta, kf.initial_state(), rows, torch.ones(4), noise)
    expected, _ = textbook_update(np.zeros(5), 0.1 * np.eye(5), rows.numpy(), np.ones(4), noise.numpy())
    assert close(full, torch.from_numpy(expected))
    assert report.variance.shape == (4,)


def test_the_nis_is_one_and_the_log_likelihood_right_where_model_and_noise_are_right() -> None:
    p, R, p0 = 10, 0.5, 0.3
    ratios, clipped = [], 0
    for seed in range(20):
        truth = p0**0.5 * normal(100 + seed, p)
        kf = KalmanFilter(p, KalmanSettings(p0=p0, clip=10.0))
        theta, state = torch.zeros(p, dtype=torch.float64), kf.initial_state()
        rows, noise = normal(200 + seed, 40, 2, 2, p), R**0.5 * normal(300 + seed, 40, 2, 2)
        for H, error in zip(rows, noise, strict=True):
            theta, state, report = kf.update(theta, state, H, H @ (truth - theta) + error, R)
            ratios.append(report.nis)
        clipped += state.clipped
    # 3,200 squares of unit normals: standard error 0.025
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.075)
    assert clipped == 0


def test_the_report_is_that_of_s() -> None:
    kf = KalmanFilter(5, KalmanSettings(p0=2.0))
    rows, errors = normal(58, 2, 2, 5), normal(59, 2, 2)
    _, state, report = kf.update(torch.zeros(5, dtype=torch.float64), kf.initial_state(), rows, errors, 0.3)
    H, e = rows.reshape(4, 5), errors.reshape(4)
    S = 2.0 * H @ H.T + 0.3 * torch.eye(4, dtype=torch.float64)
    assert report.log_det == pytest.approx(torch.logdet(S).item(), rel=1e-12)
    assert report.nis == pytest.approx((e @ torch.linalg.solve(S, e)).item() / 4, rel=1e-12)
    assert close(report.variance, (2.0 * rows.square().sum(-1)))
    assert (state.updates, state.rows, report.rows) == (1, 4, 4)


@pytest.mark.parametrize("size", [1e2, 1e8])
def test_an_outlier_moves_theta_by_three_standard_deviations_and_no_more(size: float) -> None:
    kf = KalmanFilter(4, KalmanSettings(p0=0.7))
    theta, rows = torch.zeros(4, dtype=torch.float64), normal(60, 1, 1, 4)
    after, state, report = kf.update(theta, kf.initial_state(), rows, torch.full((1, 1), size), 0.2)
    deviation = (report.variance.item() + 0.2) ** 0.5
    # the output moves by K e = h P h / S times the error that is let through
    assert (rows[0, 0] @ after).item() == pytest.approx(3.0 * report.variance.item() / deviation, rel=1e-12)
    assert (report.clipped, state.clipped) == (1, 1)
    assert report.nis == pytest.approx((size / deviation) ** 2)


@pytest.mark.parametrize("outlier", [0, 3, 7])
def test_an_outlier_in_one_stream_leaves_the_others_their_say(outlier: int) -> None:
    p, streams = 12, 8
    rows, truth = normal(61, streams, 1, p), 0.3 * normal(62, p)
    errors = rows @ truth
    errors[outlier] = 1e6
    kf = KalmanFilter(p, KalmanSettings(p0=0.1))
    theta, _, report = kf.update(torch.zeros(p, dtype=torch.float64), kf.initial_state(), rows, errors, 0.01)
    others = [n for n in range(streams) if n != outlier]
    left = (errors - rows @ theta)[others].square().mean()
    assert report.clipped == 1
    assert left < 0.1 * errors[others].square().mean()


@pytest.mark.parametrize("outlier", [0, 7])
def test_streams_that_contradict_each_other_move_theta_little(outlier: int) -> None:
    """Eight streams in almost one situation, of which one claims something else: the others cannot be told apart."""
    p, streams = 12, 8
    rows = normal(61, 1, 1, p) + 0.05 * normal(62, streams, 1, p)
    errors = torch.zeros(streams, 1, dtype=torch.float64)
    errors[outlier] = 1e6
    theta = torch.zeros(p, dtype=torch.float64)
    bounded, free = (KalmanFilter(p, KalmanSettings(p0=1.0, clip=clip)) for clip in (3.0, None))
    step, state, report = bounded.update(theta, bounded.initial_state(), rows, errors, 0.01)
    far, _, unbounded = free.update(theta, free.initial_state(), rows, errors, 0.01)
    # in the metric of P the step is |nu| long
    assert step.norm() <= 3.0 * streams**0.5
    assert far.norm() > 1e5
    assert (report.clipped, state.clipped, unbounded.clipped) == (streams, streams, 0)
    assert report.nis == unbounded.nis


def test_the_bound_does_not_depend_on_the_order_of_the_streams() -> None:
    kf, order = KalmanFilter(5, KalmanSettings(p0=1.0, clip=0.7)), torch.tensor([3, 0, 2, 1])
    theta, rows, errors = normal(65, 5), normal(66, 4, 1, 5), 9.0 * normal(67, 4, 1)
    one, _, report = kf.update(theta, kf.initial_state(), rows, errors, 0.1)
    other, _, same = kf.update(theta, kf.initial_state(), rows[order], errors[order], 0.1)
    assert close(one, other)
    assert report.clipped == same.clipped > 0


def test_the_same_data_give_the_same_bits() -> None:
    results = [run(9, linear_data(63, 50, 3, 2, 9), 0.3, groups=PARTS, q=1e-3, clip=1.0) for _ in range(2)]
    (kf, theta, state), (_, other, other_state) = results
    assert torch.equal(theta, other)
    assert torch.equal(whole(kf, state), whole(kf, other_state))


def test_rows_of_another_type_are_cast_and_graphs_are_left_alone() -> None:
    kf = KalmanFilter(4)
    theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    rows = normal(64, 2, 1, 4).float().requires_grad_()
    after, state, _ = kf.update(theta, kf.initial_state(), rows, torch.ones(2, 1), 1)
    same, _, _ = kf.update(theta, kf.initial_state(), rows.double(), torch.ones(2, 1).double(), 1.0)
    assert torch.equal(after, same)
    assert after.dtype == torch.float64
    assert not after.requires_grad
    assert not state.blocks[0][0].requires_grad


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "theta of the wrong type": ({"theta": torch.zeros(3)}, r"theta must be float64 \[3\], got torch.float32"),
    "theta of the wrong size": ({"theta": torch.zeros(4).double()}, r"theta must be float64 \[3\].*\[4\]"),
    "rows of the wrong size": ({"rows": torch.ones(2, 1, 4)}, r"rows must be \[N, q, 3\] or \[M, 3\].*\[2, 1, 4\]"),
    "a single row": ({"rows": torch.ones(3)}, r"rows must be"),
    "no rows": ({"rows": torch.ones(0, 1, 3), "innovation": torch.ones(0, 1)}, "a row at least"),
    "an innovation that does not fit": ({"innovation": torch.ones(2)}, r"innovation must be \[2, 1\].*got \[2\]"),
    "a noise that does not fit": ({"noise": torch.ones(3)}, r"noise must be .*\[2, 1\].*\[2, 1, 1\].*\[3\]"),
    "no noise": ({"noise": 0.0}, "noise must be variances above 0.* is 0.0"),
    "a noise that is not a number": ({"noise": float("nan")}, "noise must be variances above 0.* is nan"),
    "weights that do not fit": ({"weights": torch.ones(3)}, r"weights must be one for each stream, \[2\], got \[3\]"),
    "a negative weight": ({"weights": torch.tensor([1.0, -1.0])}, "weights must be finite and at least 0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_arguments_are_refused(wrong: str) -> None:
    kf = KalmanFilter(3)
    arguments = {
        "theta": torch.zeros(3, dtype=torch.float64),
        "rows": torch.ones(2, 1, 3),
        "innovation": torch.ones(2, 1),
        "noise": 1.0,
        "weights": None,
    }
    changed, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        kf.update(state=kf.initial_state(), **(arguments | changed))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [torch.inf, torch.nan, 1e200])
@pytest.mark.parametrize("what", ["rows", "innovation"])
def test_an_update_that_has_no_finite_result_is_refused_and_changes_nothing(form: Any, what: str, bad: float) -> None:
    kf = KalmanFilter(3, KalmanSettings(form=form))
    theta, state = torch.ones(3, dtype=torch.float64), kf.initial_state()
    _, state, _ = kf.update(theta, state, normal(64, 1, 3), torch.ones(1), 1.0)
    before = whole(kf, state.clone())
    rows, innovation = normal(65, 2, 1, 3), normal(66, 2, 1)
    (rows if what == "rows" else innovation)[1, 0] = bad
    with pytest.raises(DivergenceError, match="the rows or the innovation are not finite"):
        kf.update(theta, state, rows, innovation, 1.0)
    assert torch.equal(whole(kf, state), before)
    assert torch.equal(theta, torch.ones(3, dtype=torch.float64))


def test_a_filter_whose_errors_grow_far_beyond_what_it_expects_says_that_it_diverges() -> None:
    kf, truth = KalmanFilter(6, KalmanSettings(q=1e-3)), normal(70, 6)
    theta, state = torch.zeros(6, dtype=torch.float64), kf.initial_state()
    said = ""
    for i in range(1_000):
        rows = normal(71 + i, 2, 1, 6)
        try:
            theta, state, _ = kf.update(theta, state, -rows, rows @ (truth - theta), 0.1)  # rows of the wrong sign
        except DivergenceError as error:
            said = str(error)
            break
    assert "squared errors were" in said
    assert theta.isfinite().all()


def test_outliers_and_a_noise_that_is_far_too_small_are_no_divergence() -> None:
    kf, truth = KalmanFilter(6), normal(70, 6)
    theta, state = torch.zeros(6, dtype=torch.float64), kf.initial_state()
    for i in range(200):
        rows = normal(71 + i, 2, 1, 6)
        disturbance = normal(300 + i, 2, 1) + (1e6 if i % 50 == 40 else 0.0)
        theta, state, _ = kf.update(theta, state, rows, rows @ (truth - theta) + disturbance, 1e-4)
    assert theta.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
def test_covariances_that_are_none_are_refused_also_where_p_hides_it(form: Any) -> None:
    kf = KalmanFilter(3, KalmanSettings(form=form, p0=1e6))
    noise = torch.tensor([[[1.0, 9.0], [9.0, 1.0]]], dtype=torch.float64)
    with pytest.raises(ValueError, match="positive definite covariances"):
        kf.update(torch.zeros(3).double(), kf.initial_state(), normal(65, 1, 2, 3), normal(66, 1, 2), noise)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1], [1, 2]], "parameter 1 is in 2 groups"),
        ([[0, 1]], "parameter 2 is in 0 groups"),
        ([[0, 1, 3]], "from 0 to 2, got 0 to 3"),
        ([[0, 1, 2], []], "group 1 must be a list of at least one"),
        ([], "parameter 0 is in 0 groups"),
    ],
)
def test_groups_that_are_not_a_partition_are_refused(groups: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KalmanFilter(3, groups=[torch.tensor(group, dtype=torch.long) for group in groups])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), torch.ones(2), torch.tensor([1.0, 0.0, 1.0])])
def test_a_scale_that_is_none_is_refused(scale: Any) -> None:
    with pytest.raises(ValueError, match="scale must be one number"):
        KalmanFilter(3, scale=scale)
    with pytest.raises(ValueError, match="at least 1 parameter, got 0"):
        KalmanFilter(0)
