"""Backpropagation through time: full, truncated, whole sequences and one step at a time."""

import pytest
import torch
from derivative_cases import (
    KINDS,
    N,
    T,
    autograd_gradient,
    error,
    make_cell,
    make_network,
    some_gradients,
    some_inputs,
    some_starts,
)
from torch import Tensor

from rlmem.learning.derivatives import Unrolled, make_derivative
from rlmem.learning.network import Network
from rlmem.networks.cell import rebuild


def windows_one_by_one(network: Network, xs: Tensor, starts: Tensor, by: Tensor, window: int) -> Tensor:
    """Return the gradient of truncated BPTT with a stride of 1, each step's window on its own."""
    total = torch.zeros(network.num_parameters, dtype=xs.dtype)
    for t in range(len(xs)):
        first = max(0, t - window + 1)
        state = network.initial_state(N)
        if first:
            state = network.unfold(xs[:first], starts[:first], state).state
        state = rebuild(state, (part.detach() for part in state))
        last = network.unfold(xs[first : t + 1], starts[first : t + 1], state).output[-1]
        found = torch.autograd.grad((last * by[t]).sum(), list(network.parameters()), allow_unused=True)
        total += torch.cat(
            [
                torch.zeros_like(p).flatten() if g is None else g.flatten()
                for g, p in zip(found, network.parameters(), strict=True)
            ]
        )
    return total


@pytest.mark.parametrize("window", [T, T + 5])
@pytest.mark.parametrize("stride", [1, "window"])
@pytest.mark.parametrize("name", KINDS)
def test_a_window_as_long_as_the_sequence_truncates_nothing(name: str, stride: int | str, window: int) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    steps = window if stride == "window" else 1
    unrolled = Unrolled(network, xs, starts, window=window, stride=steps)
    assert error(unrolled.gradient(by), autograd_gradient(network, xs, starts, by)) < 1e-10


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("name", KINDS)
def test_with_a_stride_of_one_every_gradient_passes_the_whole_window(name: str, window: int) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    found = Unrolled(network, xs, starts, window=window, stride=1).gradient(by)
    assert error(found, windows_one_by_one(network, xs, starts, by, window)) < 1e-10


@pytest.mark.parametrize("name", KINDS)
def test_with_a_stride_of_the_window_the_sequence_is_cut(name: str) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    expected, state = torch.zeros(network.num_parameters, dtype=torch.float64), network.initial_state(N)
    for at in (0, 5, 10):
        piece = Unrolled(network, xs[at : at + 5], starts[at : at + 5], state)
        expected, state = expected + piece.gradient(by[at : at + 5]), piece.state
    unrolled = Unrolled(network, xs, starts, window=5)
    assert error(unrolled.gradient(by), expected) < 1e-10
    torch.testing.assert_close(unrolled.outputs, Unrolled(network, xs, starts).outputs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("setting", [{}, {"window": 4, "stride": 1}, {"window": 4, "stride": 4}], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_a_gradient_is_the_sum_over_rows(name: str, setting: dict[str, int]) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    unrolled = Unrolled(network, xs, starts, **setting)
    total = sum(torch.einsum("nq,nqp->p", by[t], unrolled.rows(t)) for t in range(T))
    assert isinstance(total, Tensor)
    assert error(total, unrolled.gradient(by)) < 1e-10


def test_rows_of_chosen_streams_are_those_of_all() -> None:
    unrolled = Unrolled(make_network("gru"), some_inputs(), some_starts())
    chosen = torch.tensor([2, 0])
    torch.testing.assert_close(unrolled.rows(8, chosen), unrolled.rows(8)[chosen], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("name", KINDS)
def test_one_step_at_a_time_is_the_sequence_with_a_stride_of_one(name: str, window: int) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    derivative = make_derivative("tbptt", network, window=window)
    unrolled = Unrolled(network, xs, starts, window=window, stride=1)
    carry = derivative.start(N)
    for t, (x, start) in enumerate(zip(xs, starts, strict=True)):
        output, carry = derivative.step(x, start, carry)
        torch.testing.assert_close(output, unrolled.outputs[t], rtol=1e-10, atol=1e-12)
        assert len(carry.traces[0]) <= window
        if t % 3:
            continue
        rows = derivative.rows(carry)
        assert error(rows, unrolled.rows(t)) < 1e-10
        assert error(derivative.gradient(carry, by[t]), torch.einsum("nq,nqp->p", by[t], rows)) < 1e-10
        assert error(derivative.stream_gradients(carry, by[t]), torch.einsum("nq,nqp->np", by[t], rows)) < 1e-10


@pytest.mark.parametrize("setting", [{}, {"window": 4}, {"window": 4, "stride": 4}], ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_two_sequences_go_on_from_one_another(name: str, setting: dict[str, int]) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    derivative = make_derivative("tbptt" if setting else "bptt", network, **setting)
    whole = derivative.sequence(xs, starts, lambda t, _: by[t])
    first = derivative.sequence(xs[:8], starts[:8], lambda t, _: by[t])
    second = derivative.sequence(xs[8:], starts[8:], lambda t, _: by[8 + t], first.carry)
    torch.testing.assert_close(torch.cat((first.outputs, second.outputs)), whole.outputs, rtol=1e-10, atol=1e-12)
    assert error(first.gradient + second.gradient, whole.gradient) < 1e-10
    assert error(derivative.rows(second.carry), derivative.rows(whole.carry)) < 1e-10


@pytest.mark.parametrize("name", ["lstm", "elman", "rtu"])
def test_outputs_and_rows_after_a_change_of_the_parameters_are_those_of_the_present_ones(name: str) -> None:
    """A Kalman filter whose outputs came from older parameters than its rows would diverge."""
    network, xs, starts = make_network(name), some_inputs(), some_starts()
    derivative = make_derivative("bptt", network)
    carry = derivative.start(N)
    for t, (x, start) in enumerate(zip(xs, starts, strict=True)):
        output, carry = derivative.step(x, start, carry)
        unrolled = Unrolled(network, xs[: t + 1], starts[: t + 1])
        torch.testing.assert_close(output, unrolled.outputs[-1], rtol=1e-10, atol=1e-12)
        assert error(derivative.rows(carry), unrolled.rows(t)) < 1e-10
        network.theta.mul_(0.95)


def test_full_bptt_drops_what_no_episode_needs() -> None:
    derivative, xs = make_derivative("bptt", make_cell("lstm")), some_inputs()
    carry, kept = derivative.start(N), []
    for x, start in zip(xs, some_starts() | some_starts()[:, [0, 1, 0]], strict=True):
        carry = derivative.step(x, start, carry).carry
        kept.append(len(carry.traces[0]))
    assert kept == [1, 2, 3, 4, 5, 6, 7, 3, 4, 3, 4, 5]


def test_windows_that_make_no_sense_are_refused() -> None:
    network = make_network("elman")
    with pytest.raises(ValueError, match="window must be at least 1 step, got 0"):
        make_derivative("tbptt", network, window=0)
    with pytest.raises(ValueError, match=r"stride must be 1 or the window \(4\), got 2"):
        make_derivative("tbptt", network, window=4, stride=2)
    unrolled = Unrolled(network, some_inputs(), some_starts())
    with pytest.raises(ValueError, match="t must be from 0 to 11, got 12"):
        unrolled.rows(T)
    with pytest.raises(ValueError, match=r"by_outputs must be \(12, 3, 2\), got \(12, 3\)"):
        unrolled.gradient(torch.zeros(T, N))
