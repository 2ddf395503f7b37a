"""Real-time recurrent learning against backpropagation through time, differences, and by hand."""

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from derivative_cases import (
    KINDS,
    NAMES,
    WITH_UNITS,
    D,
    Decay,
    N,
    Q,
    T,
    autograd_gradient,
    error,
    has,
    make_cell,
    make_network,
    some_gradients,
    some_inputs,
    some_starts,
)
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, Derivative, Unrolled, make_derivative
from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS, Elman

CASES = [*product(NAMES, ["rtrl"]), *product([*WITH_UNITS, "stack"], ["snap1"]), *product(KINDS, ["bptt", "tbptt"])]


def run(derivative: Derivative, xs: Tensor, starts: Tensor) -> list[Carry]:
    carries = [derivative.start(xs.shape[1])]
    for x, start in zip(xs, starts, strict=True):
        carries.append(derivative.step(x, start, carries[-1]).carry)
    return carries[1:]


@pytest.mark.parametrize("path", ["auto", "generic"])
@pytest.mark.parametrize("name", NAMES)
def test_rtrl_gives_the_gradient_of_bptt_across_episode_starts(name: str, path: str) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    reference = autograd_gradient(network, xs, starts, by)
    forward = make_derivative("rtrl", network, path=path).sequence(xs, starts, lambda t, _: by[t])
    backward = make_derivative("bptt", network).sequence(xs, starts, lambda t, _: by[t])
    assert error(forward.gradient, reference) < 1e-10
    assert error(backward.gradient, reference) < 1e-10
    torch.testing.assert_close(forward.outputs, backward.outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", ["auto", "generic"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_of_rtrl_are_rows_of_bptt_at_every_step(name: str, path: str) -> None:
    network, xs, starts = make_network(name), some_inputs(), some_starts()
    derivative = make_derivative("rtrl", network, path=path)
    unrolled = Unrolled(network, xs, starts)
    for t, carry in enumerate(run(derivative, xs, starts)):
        assert error(derivative.rows(carry), unrolled.rows(t)) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_differences_of_outputs(name: str) -> None:
    network, xs, starts = make_network(name), some_inputs(), some_starts()
    derivative = make_derivative("rtrl", network)
    rows = derivative.rows(run(derivative, xs, starts)[-1])
    theta = network.theta.clone()
    direction = torch.randn(len(theta), dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    outputs = []
    for sign in (1e-6, -1e-6):
        network.set_theta(theta + sign * direction)
        outputs.append(network.unfold(xs, starts, network.initial_state(N)).output[-1].detach())
    torch.testing.assert_close(rows @ direction, (outputs[0] - outputs[1]) / 2e-6, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", WITH_UNITS)
def test_traces_of_units_are_entries_of_the_whole_derivative(name: str) -> None:
    cell, xs, starts = make_cell(name), some_inputs(), some_starts()
    fast, generic = make_derivative("rtrl", cell), make_derivative("rtrl", cell, path="generic")
    carry, whole = run(fast, xs, starts)[-1], run(generic, xs, starts)[-1].traces[0]
    columns = fast.units.columns  # type: ignore[attr-defined]
    units, parts = len(columns), len(carry.traces)
    assert parts == len(cell.initial_state(1))
    for part, trace in enumerate(carry.traces):
        jacobian = whole[:, part * units : (part + 1) * units]
        expected = jacobian if name in ("elman", "gru", "lstm") else jacobian.gather(2, columns.expand(N, -1, -1))
        assert error(trace, expected) < 1e-12


@pytest.mark.parametrize("path", ["auto", "generic"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_streams_are_vectors_times_rows(name: str, path: str) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    derivative = make_derivative("rtrl", network, path=path)
    carry = run(derivative, xs, starts)[-1]
    expected = torch.einsum("nq,nqp->np", by[-1], derivative.rows(carry))
    torch.testing.assert_close(derivative.stream_gradients(carry, by[-1]), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(derivative.gradient(carry, by[-1]), expected.sum(0), rtol=1e-10, atol=1e-12)
    several = torch.stack((by[-1], by[0]), 1)
    torch.testing.assert_close(derivative.stream_gradients(carry, several)[:, 0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_cell_takes_gradients_by_its_output_from_any_head(name: str) -> None:
    cell, xs, starts = make_cell(name), some_inputs(), some_starts()
    torch.manual_seed(5)
    head = torch.nn.Sequential(torch.nn.Linear(cell.hidden_size, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    hidden = cell.unfold(xs, starts, cell.initial_state(N)).output[-1]
    expected = torch.autograd.grad(head(hidden).sum(), list(cell.parameters()))
    derivative = make_derivative("rtrl", cell)
    carry = derivative.start(N)
    for x, start in zip(xs, starts, strict=True):
        output, carry = derivative.step(x, start, carry)
    leaf = output.detach().requires_grad_()
    (by_output,) = torch.autograd.grad(head(leaf).sum(), leaf)
    assert error(derivative.gradient(carry, by_output), torch.cat([part.flatten() for part in expected])) < 1e-10


@pytest.mark.parametrize(("name", "derivative_name"), CASES)
def test_what_came_before_an_episode_leaves_no_bit_behind(name: str, derivative_name: str) -> None:
    network, starts = make_network(name), some_starts()
    derivative = make_derivative(derivative_name, network)
    other = some_inputs()
    other[:9, 0] *= 100.0
    other[:7, 1] *= 100.0
    plain, changed = (derivative.rows(run(derivative, xs, starts)[-1]) for xs in (some_inputs(), other))
    assert torch.equal(plain[:2], changed[:2])


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_start_forgets_even_a_derivative_that_overflowed(name: str) -> None:
    network, xs = make_network(name), some_inputs()
    derivative = make_derivative("rtrl", network)
    carry = run(derivative, xs, some_starts())[-1]
    burst = carry._replace(traces=tuple(torch.full_like(trace, math.inf) for trace in carry.traces))
    start = torch.tensor([True, True, True])
    assert torch.equal(
        derivative.rows(derivative.step(xs[0], start, burst).carry),
        derivative.rows(derivative.step(xs[0], start, derivative.start(N)).carry),
    )


@pytest.mark.parametrize(("name", "derivative_name"), CASES)
def test_a_step_leaves_every_earlier_carry_as_it_was(name: str, derivative_name: str) -> None:
    network, xs, starts = make_network(name), some_inputs(), some_starts()
    derivative = make_derivative(derivative_name, network)
    carries, copies = [derivative.start(N)], []
    for x, start in zip(xs, starts, strict=True):
        copies.append({key: part.clone() for key, part in carries[-1].to_dict().items()})
        carries.append(derivative.step(x, start, carries[-1]).carry)
    for carry, copy in zip(carries, copies, strict=False):
        now = carry.to_dict()
        assert now.keys() == copy.keys()
        assert all(torch.equal(now[key], copy[key]) for key in copy)


def test_large_traces_too_leave_earlier_carries_as_they_were() -> None:
    """Their memory is used again, but only when nobody holds it."""
    network = Network(CELLS["lstm"](3, 24).double(), 1)
    derivative = make_derivative("rtrl", network)
    xs = torch.randn(12, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    never = torch.zeros(2, dtype=torch.bool)
    kept, carry = [], derivative.start(2)
    for x in xs:
        carry = derivative.step(x, never, carry).carry
        kept.append((carry.traces[0][1, 3:5], carry.traces[0][1, 3:5].clone()))
    assert carry.traces[0].numel() > 1 << 16
    assert all(torch.equal(view, copy) for view, copy in kept)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_grow_with_the_length_of_an_episode(name: str) -> None:
    network = make_network(name)
    for derivative in (make_derivative(kind, network) for kind in ("rtrl", "snap1") if has(name, kind)):
        carries = run(derivative, some_inputs(), torch.zeros(T, N, dtype=torch.bool))
        shapes = [{key: part.shape for key, part in carry.to_dict().items()} for carry in carries]
        assert shapes[0] == shapes[-1]
        assert shapes[0] == {key: part.shape for key, part in derivative.start(N).to_dict().items()}


def test_two_steps_of_one_unit_by_hand() -> None:
    cell = Elman(1, 1).double()
    w, u, b, x1, x2 = 0.5, 0.8, 0.1, 1.0, -2.0
    with torch.no_grad():
        for parameter, value in zip((cell.input_weight, cell.hidden_weight, cell.bias), (w, u, b), strict=True):
            parameter.fill_(value)
    network = Network(cell, 1)
    network.set_theta(torch.tensor([w, u, b, 3.0, 0.2, 0.7], dtype=torch.float64))
    h1 = math.tanh(w * x1 + b)
    h2 = math.tanh(w * x2 + u * h1 + b)
    slope1, slope2 = 1 - h1**2, 1 - h2**2
    by_w, by_u, by_b = slope2 * (x2 + u * slope1 * x1), slope2 * h1, slope2 * (1 + u * slope1)
    derivative = make_derivative("rtrl", network)
    carry = derivative.start(1)
    for t, x in enumerate((x1, x2)):
        y, carry = derivative.step(torch.tensor([[x]], dtype=torch.float64), torch.tensor([t == 0]), carry)
    assert y.item() == pytest.approx(3 * h2 + 0.2 + 0.7 * x2, rel=1e-14)
    expected = [3 * by_w, 3 * by_u, 3 * by_b, h2, 1.0, x2]
    assert derivative.rows(carry).flatten().tolist() == pytest.approx(expected, rel=1e-14)


def test_a_cell_that_the_package_does_not_know_has_exact_rtrl() -> None:
    network = Network(Decay(), Q)
    xs, starts, by = some_inputs(), some_starts(), some_gradients()
    found = make_derivative("rtrl", network).sequence(xs, starts, lambda t, _: by[t]).gradient
    assert error(found, autograd_gradient(network, xs, starts, by)) < 1e-10


@pytest.mark.parametrize("name", ["lstm", "rtu"])
def test_parameters_may_change_at_every_step(name: str) -> None:
    """One gradient step a control step lowers the loss of a constant target."""
    network = make_network(name)
    derivative = make_derivative("rtrl", network)
    carry, losses = derivative.start(N), []
    xs = some_inputs().repeat(20, 1, 1)
    for t, x in enumerate(xs):
        y, carry = derivative.step(x, torch.full((N,), t % 10 == 0), carry)
        losses.append((y - 1.0).square().mean().item())
        network.theta.sub_(0.05 * derivative.gradient(carry, y - 1.0))
    assert sum(losses[-20:]) < 0.1 * sum(losses[:20])


@pytest.mark.parametrize("make", [lambda: make_network("rtu"), lambda: make_network("lstm"), lambda: make_cell("gru")])
def test_inputs_that_do_not_fit_are_refused(make: Callable[[], Network]) -> None:
    derivative = make_derivative("rtrl", make())
    carry, start = derivative.start(N), torch.zeros(N, dtype=torch.bool)
    with pytest.raises(ValueError, match=rf"x must be torch.float64 \[N, {D}\], got torch.float32"):
        derivative.step(torch.zeros(N, D), start, carry)
    with pytest.raises(ValueError, match=r"got torch.float64 \(3, 5\)"):
        derivative.step(torch.zeros(N, 5, dtype=torch.float64), start, carry)
    with pytest.raises(ValueError, match=r"episode_start must be bool \(3,\), got torch.float32"):
        derivative.step(torch.zeros(N, D, dtype=torch.float64), torch.zeros(N), carry)


def test_a_state_whose_derivatives_would_take_gigabytes_is_refused_with_their_size() -> None:
    with pytest.raises(UserError, match=r"carry 12,771 x [\d,]+ derivatives a stream, \d\.\d GiB: use bptt"):
        make_derivative("rtrl", CELLS["attention"](3, 64, memory_length=100.0))
