"""Any cell, any derivative, any update: they learn, agree where they must, and go on from a file."""

from itertools import product

import numpy as np
import pytest
import torch

from rlmem.errors import UserError
from rlmem.learning.derivatives import DERIVATIVES
from rlmem.learning.divergence import DivergenceError
from rlmem.learning.kalman import KalmanSettings
from rlmem.learning.learner import UPDATES, make_learner
from rlmem.learning.network import Network
from rlmem.learning.updates import GradientSettings, make_filter
from rlmem.networks.cell import Cell
from rlmem.networks.cells import CELLS
from rlmem.runs.tensors_file import CheckpointError

T, N, D = 6, 4, 3
PAIRS = [
    (cell, derivative)
    for cell, derivative in product(CELLS, DERIVATIVES)
    if derivative != "snap1" or CELLS[cell].units is not Cell.units
    # the state of attention is a window of 100 steps: tests/learning/derivatives has its RTRL over a shorter one
    if (cell, derivative) != ("attention", "rtrl")
]


def data(seed=0, length=T):
    """A running mean of the first input: something a recurrent network can do."""
    xs = torch.from_numpy(np.random.default_rng(seed).normal(size=(length, N, D)))
    return xs, xs[..., :1].cumsum(0) / torch.arange(1, length + 1)[:, None, None]


def learner(cell="rtu", derivative="rtrl", update="gekf", window=3, **settings):
    settings |= {"window": window} if derivative == "tbptt" else {}
    return make_learner(cell, derivative, update, input_size=D, output_size=1, hidden_size=6, **settings)


@pytest.mark.parametrize(
    ("cell", "derivative", "update"),
    [
        (cell, derivative, ("gekf", "ndekf")[(list(CELLS).index(cell) + list(DERIVATIVES).index(derivative)) % 2])
        for cell, derivative in PAIRS
    ],
)
def test_a_kalman_filter_lowers_the_error_in_every_pass_with_every_cell_and_derivative(cell, derivative, update):
    xs, targets = data(length=16)
    learning, errors = learner(cell, derivative, update, window=8), []
    for _ in range(3):
        errors.append((learning.predict(xs) - targets).square().mean())
        if len(errors) < 3:
            learning.fit(xs, targets)
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize(("cell", "derivative", "update"), list(product(("lstm", "rtu"), DERIVATIVES, ("adam", "sgd"))))
def test_a_gradient_update_lowers_the_error_with_every_derivative(cell, derivative, update):
    gradient = GradientSettings(optimizer=update, learning_rate=0.1 if update == "sgd" else 0.01)
    learning = learner(cell, derivative, update, gradient=gradient)
    xs, targets = data()
    before = (learning.predict(xs) - targets).square().mean()
    for _ in range(15):
        learning.fit(xs, targets)
    assert (learning.predict(xs) - targets).square().mean() < 0.7 * before


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_before_anything_is_updated(update, bad):
    learning, (xs, targets) = learner(update=update), data()
    before, memory = learning.network.theta.clone(), copied(learning.update.tensors())
    for name in ("inputs", "targets", "weights"):
        given = {"inputs": xs.clone(), "targets": targets.clone(), "weights": torch.ones(T, N, dtype=torch.float64)}
        given[name][T - 1, 2] = bad
        with pytest.raises(UserError, match=rf"{name} must be finite numbers, got {bad} at index \[5, 2"):
            learning.fit(given["inputs"], given["targets"], weights=given["weights"])
    start, carry = torch.ones(N, dtype=torch.bool), learning.start(N)
    with pytest.raises(UserError, match="targets must be finite numbers"):
        learning.step(xs[0], start, carry, torch.full((N, 1), bad, dtype=torch.float64))
    assert torch.equal(learning.network.theta, before)
    assert all(torch.equal(memory[name], value) for name, value in learning.update.tensors().items())
    learning.network.theta[3] = bad
    with pytest.raises(UserError, match=r"the network's parameters must be finite numbers, got .* at index \[3\]"):
        learning.fit(xs, targets)


def copied(tensors):
    return {name: value.clone() for name, value in tensors.items()}


def test_a_target_that_is_not_finite_does_no_harm_where_it_has_no_weight():
    xs, targets = data()
    weights = torch.ones(T, N)
    weights[2, 1], targets[2, 1] = 0.0, float("nan")
    for update in UPDATES:
        learning = learner(update=update)
        learning.fit(xs, targets, weights=weights)
        assert learning.network.theta.isfinite().all()


def test_an_exploding_gradient_is_an_error_and_leaves_the_parameters_as_they_were():
    learning, (xs, targets) = learner("elman", "rtrl", "sgd", online=False), data()
    with torch.no_grad():
        learning.network.readout.weight.fill_(1e200)
    before = learning.network.theta.clone()
    with pytest.raises(DivergenceError, match="diverged: its update is not finite and was not made"):
        learning.fit(1e150 * xs, targets)
    assert torch.equal(learning.network.theta, before)


def test_bptt_and_rtrl_give_the_same_parameters_after_whole_sequences():
    found = []
    for derivative in ("bptt", "rtrl"):
        learning = learner("lstm", derivative, "adam", online=False)
        for seed in range(5):
            learning.fit(*data(seed))
        found.append(learning.network.theta.clone())
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


def test_kalman_updates_are_the_same_with_rows_by_bptt_and_rtrl_within_a_step():
    xs, targets = data(length=1)
    found = []
    for derivative in ("bptt", "rtrl"):
        learning = learner("lstm", derivative)
        for _ in range(5):
            learning.fit(xs, targets)
        found.append(learning.network.theta.clone())
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("update", UPDATES)
def test_streams_without_weight_teach_nothing(update):
    xs, targets = data()
    weights = torch.ones(T, N)
    weights[:, 1] = 0.0
    other = targets.clone()
    other[:, 1] = 1e6
    found = []
    for target in (targets, other):
        learning = learner(update=update)
        learning.fit(xs, target, weights=weights)
        found.append(learning.network.theta.clone())
    assert torch.equal(*found)


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical"])
@pytest.mark.parametrize("update", ["adam", "gekf"])
def test_classes_are_learnt_as_well(likelihood, update):
    xs, _ = data(length=4)
    classes = (xs[..., 0] > 0).long()
    outputs = 1 if likelihood == "bernoulli" else 2
    targets = classes if likelihood == "categorical" else classes[..., None].double()
    gradient = GradientSettings(learning_rate=0.03) if update == "adam" else None
    learning = make_learner(
        "rtu", "rtrl", update, input_size=D, output_size=outputs, likelihood=likelihood, gradient=gradient
    )
    for _ in range(60):
        learning.fit(xs, targets)
    said = learning.predict(xs)
    guess = said.argmax(-1) if likelihood == "categorical" else (said[..., 0] > 0).long()
    assert (guess == classes).double().mean() > 0.95


@pytest.mark.parametrize("update", UPDATES)
def test_a_saved_learner_goes_on_bit_for_bit(update, tmp_path):
    whole, parts = learner(update=update), learner(update=update)
    xs, targets = data(length=2 * T)
    start = torch.zeros(2 * T, N, dtype=torch.bool)
    start[0] = start[4, 2] = True
    whole.fit(xs, targets, episode_start=start)
    carry = parts.fit(xs[:T], targets[:T], episode_start=start[:T]).carry
    parts.save(tmp_path / "learner.safetensors", carry)
    resumed = learner(update=update, seed=9)
    again = resumed.load(tmp_path / "learner.safetensors")
    resumed.fit(xs[T:], targets[T:], episode_start=start[T:], carry=again)
    assert torch.equal(resumed.network.theta, whole.network.theta)
    assert resumed.update.tensors().keys() == whole.update.tensors().keys()
    for name, value in whole.update.tensors().items():
        assert torch.equal(value, resumed.update.tensors()[name])


def test_a_file_of_another_learner_is_refused(tmp_path):
    learner(update="adam").save(tmp_path / "learner.safetensors")
    with pytest.raises(CheckpointError, match="holds a learner with update GradientUpdate, this one has KalmanUpdate"):
        learner().load(tmp_path / "learner.safetensors")
    with pytest.raises(CheckpointError, match="holds a learner with cell RTU, this one has LSTM"):
        learner("lstm", update="adam").load(tmp_path / "learner.safetensors")


def test_a_large_network_gets_a_filter_decoupled_by_node():
    small, large = (Network(CELLS["lstm"](D, size).double(), 1) for size in (8, 32))
    assert len(make_filter(small).layout.sizes) == 1
    assert len(make_filter(large).layout.sizes) == 32 + 1


def test_the_cost_of_a_filter_is_known_before_training():
    assert learner().update.cost(rows=4).startswith("GEKF")
    assert learner(update="ndekf").update.cost(rows=4).startswith("NDEKF")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell": "lstn"}, "Did you mean 'lstm'"),
        ({"derivative": "rtlr"}, "Did you mean 'rtrl'"),
        ({"update": "ekf"}, "Did you mean 'gekf'"),
        ({"likelihood": "gausian"}, "Did you mean 'gaussian'"),
        ({"online": False}, "gekf updates at every step"),
        ({"update": "adam", "gradient": GradientSettings(optimizer="sgd")}, "give the same"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        learner(**settings)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="learning_rate must be a finite number above 0"):
        GradientSettings(learning_rate=0.0)
    with pytest.raises(ValueError, match="unknown optimizer"):
        GradientSettings(optimizer="adamw")
    with pytest.raises(ValueError, match="p0 must be"):
        learner(kalman=KalmanSettings(p0=0.0))
    with pytest.raises(ValueError, match=r"xs must be \[T, N, D\] and targets \[T, N, ...\]"):
        learner().fit(*(part[0] for part in data()))
