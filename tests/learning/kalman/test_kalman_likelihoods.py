"""Likelihoods against optima found by scipy, closed forms of the Fisher information, and their invariances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from kalman_reference import normal
from scipy.optimize import minimize
from torch import Tensor

from rlmem.learning.kalman import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    CensoredLikelihood,
    GaussianLikelihood,
    KalmanFilter,
    KalmanSettings,
    Likelihood,
)

P0 = 1.0
EXACT = KalmanSettings(p0=P0, clip=None)


def fit(
    likelihood: Likelihood, rows: Tensor, targets: Tensor, streams: int = 1, settings: KalmanSettings = EXACT
) -> tuple[Tensor, Tensor]:
    """Return theta and P after one pass over rows [n, q, p] of a linear model, so many data an update."""
    p = rows.shape[-1]
    kf = KalmanFilter(p, settings)
    theta, state = torch.zeros(p, dtype=torch.float64), kf.initial_state()
    for H, y in zip(rows.split(streams), targets.split(streams), strict=True):
        error, noise = likelihood.innovation(H @ theta, y)
        theta, state, _ = kf.update(theta, state, likelihood.rows(H), error, noise)
    return theta, kf.covariances(state)[0]


def optimum(loss: Callable[[np.ndarray], float], p: int) -> np.ndarray:
    """Return the MAP of a negative log-likelihood with the prior of variance P0."""
    result = minimize(lambda theta: loss(theta) + theta @ theta / (2 * P0), np.zeros(p), method="BFGS", tol=1e-8)
    found: np.ndarray = result.x
    return found


def distance(theta: Tensor, P: Tensor, best: np.ndarray) -> float:
    """Return how far theta is from the optimum, in standard deviations of the posterior."""
    gap = theta - torch.from_numpy(best)
    return float((gap @ torch.linalg.solve(P, gap)).sqrt())


@pytest.mark.parametrize("streams", [1, 8])
def test_bernoulli_on_logistic_regression_approaches_the_map(streams: int) -> None:
    n, p = 4_000, 3
    rows, truth = normal(40, n, 1, p), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    uniform = torch.rand(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(41))
    targets = (uniform < torch.sigmoid(rows @ truth)).double()
    X, y = rows[:, 0].numpy(), targets[:, 0].numpy()
    gaps = []
    for count in (400, n):
        best = optimum(lambda theta, k=count: (np.logaddexp(0, X[:k] @ theta) - y[:k] * (X[:k] @ theta)).sum(), p)
        theta, P = fit(BernoulliLikelihood(), rows[:count], targets[:count], streams)
        gaps.append(distance(theta, P, best))
    # each datum is linearized where theta then was: what that costs fades with their number
    assert gaps[1] < 0.75
    assert gaps[1] < gaps[0]
    assert (theta - truth).norm() < 0.2


@pytest.mark.parametrize("streams", [8])
def test_categorical_on_softmax_regression_approaches_the_map(streams: int) -> None:
    n, classes, features = 4_000, 3, 2
    p = classes * features
    x, truth = normal(2, n, features), normal(3, p)
    rows = torch.zeros(n, classes, p, dtype=torch.float64)
    for k in range(classes):
        rows[:, k, k * features : (k + 1) * features] = x
    probabilities = torch.softmax(rows @ truth, -1)
    targets = torch.multinomial(probabilities, 1, generator=torch.Generator().manual_seed(4))[:, 0]
    X, y = rows.numpy(), targets.numpy()

    def loss(theta: np.ndarray, count: int) -> float:
        logits = X[:count] @ theta
        return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(count), y[:count]]).sum())

    gaps = []
    for count in (400, n):
        best = optimum(lambda theta, k=count: loss(theta, k), p)
        theta, P = fit(CategoricalLikelihood(), rows[:count], targets[:count], streams)
        gaps.append(distance(theta, P, best))
    # each datum is linearized where theta then was: what that costs fades with their number
    assert gaps[1] < 0.75
    assert gaps[1] < gaps[0]
    # the direction that no contrast sees stays at the prior
    common = torch.cat([torch.eye(features, dtype=torch.float64)] * classes) / classes**0.5
    assert (common.T @ theta).abs().max() < 1e-12
    assert torch.allclose(common.T @ P @ common, P0 * torch.eye(features, dtype=torch.float64), atol=1e-12)


def test_bernoulli_is_the_natural_parameters_observation() -> None:
    logits = normal(5, 4, 2)
    targets = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64).view(4, 2)
    error, noise = BernoulliLikelihood(floor=1e-6).innovation(logits, targets)
    mean = 1 / (1 + torch.exp(-logits))
    assert torch.allclose(noise, 1 / (mean * (1 - mean)), rtol=1e-12)
    assert torch.allclose(error, (targets - mean) / (mean * (1 - mean)), rtol=1e-12)
    assert torch.allclose(BernoulliLikelihood().mean(logits), mean, rtol=1e-12)


@pytest.mark.parametrize("logit", [40.0, 800.0])
def test_a_confident_mistake_is_still_learnt_from(logit: float) -> None:
    error, noise = BernoulliLikelihood().innovation(torch.tensor([[logit]]), torch.tensor([[0.0]]))
    assert (error.item(), noise.item()) == (pytest.approx(-100.0), pytest.approx(100.0))
    error, noise = CategoricalLikelihood().innovation(torch.tensor([[logit, 0.0]]), torch.tensor([1]))
    assert error.item() == pytest.approx(-101.0)
    assert noise.item() == pytest.approx(101.0)


def test_two_classes_are_a_bernoulli_of_the_contrast() -> None:
    logits, targets = normal(6, 5, 2), torch.tensor([0, 1, 1, 0, 1])
    contrast = logits[:, :1] - logits[:, 1:]
    error, noise = CategoricalLikelihood(floor=1e-6).innovation(logits, targets)
    expected = BernoulliLikelihood(floor=1e-6).innovation(contrast, (targets == 0).double()[:, None])
    assert torch.allclose(error, expected.error, rtol=1e-12)
    assert torch.allclose(noise[..., 0], expected.noise, rtol=1e-12)


def test_the_contrasts_invert_the_fisher_information_where_it_can_be() -> None:
    logits = normal(7, 1, 4)
    mean = torch.softmax(logits[0], -1)
    contrast = torch.cat((torch.eye(3), -torch.ones(3, 1)), 1).double()
    fisher = torch.diag(mean) - torch.outer(mean, mean)
    error, noise = CategoricalLikelihood(floor=1e-6).innovation(logits, torch.tensor([2]))
    inverse = torch.linalg.pinv(fisher)
    assert torch.allclose(noise[0], contrast @ inverse @ contrast.T, rtol=1e-10)
    target = torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    assert torch.allclose(error[0], contrast @ inverse @ (target - mean), rtol=1e-10)


def test_a_categorical_update_depends_neither_on_the_last_class_nor_on_a_shift_of_the_logits() -> None:
    order = torch.tensor([2, 3, 0, 1])
    rows, theta, targets = normal(8, 3, 4, 6), 3.0 * normal(9, 6), torch.tensor([0, 3, 1])
    likelihood, kf = CategoricalLikelihood(floor=0.05), KalmanFilter(6, KalmanSettings(clip=None))

    def updated(rows: Tensor, targets: Tensor, shift: float = 0.0) -> tuple[Tensor, Tensor]:
        error, noise = likelihood.innovation(rows @ theta + shift, targets)
        after, state, _ = kf.update(theta, kf.initial_state(), likelihood.rows(rows), error, noise)
        return after, kf.covariances(state)[0]

    after, P = updated(rows, targets)
    for other, other_P in (updated(rows[:, order], torch.argsort(order)[targets]), updated(rows, targets, 5.0)):
        assert torch.allclose(other, after, rtol=1e-10)
        assert torch.allclose(other_P, P, rtol=1e-10)


def test_classes_may_be_given_as_probabilities() -> None:
    logits = normal(10, 3, 4)
    numbers = CategoricalLikelihood().innovation(logits, torch.tensor([1, 0, 3]))
    one_hot = CategoricalLikelihood().innovation(logits, torch.eye(4)[[1, 0, 3]])
    assert torch.equal(numbers.error, one_hot.error)
    assert torch.equal(numbers.noise, one_hot.noise)
    assert torch.allclose(CategoricalLikelihood().mean(logits).sum(1), torch.ones(3, dtype=torch.float64))


def test_an_output_beyond_a_bound_at_which_its_target_lies_is_right() -> None:
    targets = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0, 0.3]], dtype=torch.float64)
    outputs = torch.tensor([[7.0, 0.4, -3.0, -2.0, 2.0, 5.0]], dtype=torch.float64)
    error, noise = CensoredLikelihood(variance=0.2).innovation(outputs, targets)
    wanted = torch.tensor([[0.0, 0.6, 4.0, 0.0, -3.0, -4.7]], dtype=torch.float64)
    assert torch.allclose(error, wanted)
    assert (noise[error != 0] == 0.2).all()
    assert (noise[error == 0] > 1e4).all()
    assert torch.equal(CensoredLikelihood().mean(outputs), outputs.clamp(-1, 1))


def test_a_saturated_line_is_found_exactly_where_its_clipped_answers_are_all_that_is_seen() -> None:
    x, truth = normal(7, 3_000, 2), torch.tensor([3.0, -5.0], dtype=torch.float64)
    rows, targets = x[:, None], (x @ truth).clamp(-1, 1)[:, None]
    # what was learnt before outputs came near the bounds is forgotten
    lossy = KalmanSettings(p0=P0, forgetting=0.97, clip=None)
    censored = fit(CensoredLikelihood(variance=0.01), rows, targets, 8, lossy)[0]
    plain = fit(GaussianLikelihood(variance=0.01), rows, targets, 8, lossy)[0]
    assert (censored - truth).abs().max() < 0.05
    assert (plain - truth).abs().max() > 2.0


LIKELIHOODS = [GaussianLikelihood(), CensoredLikelihood(), BernoulliLikelihood(), CategoricalLikelihood()]


@pytest.mark.parametrize("law", LIKELIHOODS)
def test_the_score_is_the_gradient_of_the_log_likelihood(law: Likelihood) -> None:
    outputs = normal(8, 5, 3).requires_grad_()
    targets = torch.softmax(normal(9, 5, 3), -1)
    if isinstance(law, BernoulliLikelihood):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="sum")
    elif isinstance(law, CategoricalLikelihood):
        loss = torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")
    else:
        loss = 0.5 * (outputs - targets).square().sum()
    (gradient,) = torch.autograd.grad(-loss, outputs)
    assert torch.allclose(law.score(outputs, targets), gradient, atol=1e-12)


def test_a_gaussian_is_told_its_noise_for_all_outputs_or_for_each() -> None:
    outputs, targets = normal(11, 3, 2), normal(12, 3, 2)
    error, noise = GaussianLikelihood(variance=0.3).innovation(outputs, targets)
    assert torch.equal(error, targets - outputs)
    assert noise.tolist() == [[0.3, 0.3]] * 3
    _, noise = GaussianLikelihood(variance=torch.tensor([0.3, 0.5], dtype=torch.float64)).innovation(outputs, targets)
    assert noise.tolist() == [[0.3, 0.5]] * 3
    assert GaussianLikelihood().mean(outputs) is outputs


def test_the_noise_is_found_of_each_output_while_learning() -> None:
    p, true = 4, torch.tensor([0.04, 1.5], dtype=torch.float64)
    truth, likelihood = normal(13, p), GaussianLikelihood(variance=torch.tensor([1.0, 0.5]), rate=0.01)
    kf = KalmanFilter(p, KalmanSettings(p0=1.0))
    theta, state, found = torch.zeros(p, dtype=torch.float64), kf.initial_state(), []
    rows, errors = normal(14, 1_500, 2, 2, p), true.sqrt() * normal(15, 1_500, 2, 2)
    for t, (H, error) in enumerate(zip(rows, errors, strict=True)):
        innovation, noise = likelihood.innovation(H @ theta, H @ truth + error)
        mask = torch.tensor([t % 3 > 0, True])
        theta, state, report = kf.update(theta, state, H, innovation, noise, mask)
        likelihood = likelihood.adapted(innovation, report.variance)
        found.append(torch.as_tensor(likelihood.variance))
    assert torch.stack(found).min() > 0
    assert torch.allclose(torch.stack(found[500:]).mean(0), true, rtol=0.1)


def test_a_noise_that_is_kept_or_of_which_nothing_was_seen_stays() -> None:
    seen, unseen = torch.ones(2, 1), torch.full((2, 1), torch.nan)
    assert GaussianLikelihood().adapted(seen, seen).variance == 1.0
    assert GaussianLikelihood(rate=0.1).adapted(seen, unseen).variance == 1.0
    half = GaussianLikelihood(variance=torch.tensor([2.0, 3.0]), rate=0.5).adapted(
        torch.tensor([[5.0, torch.inf]]), torch.tensor([[1.0, torch.nan]])
    )
    assert torch.as_tensor(half.variance).tolist() == [pytest.approx(2.0 + 0.5 * 4 / 3 * (25 / 3 - 1)), 3.0]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: GaussianLikelihood(variance=0.0), "variance must be one number or"),
    (lambda: GaussianLikelihood(variance=torch.ones(2, 2)), "variance must be one number or"),
    (lambda: GaussianLikelihood(rate=1.0), "rate must be at least 0 and below 1, got 1.0"),
    (lambda: CensoredLikelihood(low=1.0), "low must be below high, got 1.0 and 1.0"),
    (lambda: BernoulliLikelihood(floor=0.0), "floor must be above 0 and at most 0.25, got 0.0"),
    (lambda: CategoricalLikelihood(floor=0.3), "floor must be above 0 and at most 0.25, got 0.3"),
    (lambda: GaussianLikelihood().innovation(torch.ones(2, 1), torch.ones(2)), r"targets must be \[2, 1\].*got \[2\]"),
    (lambda: BernoulliLikelihood().innovation(torch.ones(2, 1), torch.ones(2)), r"targets must be \[2, 1\].*got \[2\]"),
    (lambda: CategoricalLikelihood().innovation(torch.ones(2, 1), torch.ones(2)), r"logits \[N, K\].*\[2, 1\]"),
    (lambda: CategoricalLikelihood().innovation(torch.ones(2, 3), torch.ones(2)), r"must be \[2, 3\].*got \[2\]"),
    (lambda: CategoricalLikelihood().innovation(torch.ones(2, 3), torch.tensor([0, 3])), "classes from 0 to 2, got"),
    (lambda: CategoricalLikelihood().rows(torch.ones(2, 1, 3)), r"rows must be \[N, K, p\].*\[2, 1, 3\]"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
