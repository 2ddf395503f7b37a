"""Carries as files, the names of derivatives, and how stale traces are."""

from itertools import product
from pathlib import Path

import pytest
import torch
from derivative_cases import (
    KINDS,
    NAMES,
    WITH_UNITS,
    N,
    T,
    error,
    has,
    make_cell,
    make_network,
    some_inputs,
    some_starts,
)

from rlmem.learning.derivatives import DERIVATIVES, Carry, make_derivative, stale_trace_error
from rlmem.runs.tensors_file import load_checkpoint, save_checkpoint


@pytest.mark.parametrize("derivative_name", sorted(DERIVATIVES))
@pytest.mark.parametrize("name", KINDS)
def test_a_carry_comes_back_from_a_checkpoint_bit_for_bit(name: str, derivative_name: str, tmp_path: Path) -> None:
    derivative, xs, starts = make_derivative(derivative_name, make_network(name)), some_inputs(), some_starts()
    carry = derivative.start(N)
    for t in range(8):
        carry = derivative.step(xs[t], starts[t], carry).carry
    save_checkpoint(tmp_path / "carry.safetensors", {"other": xs, **carry.to_dict("stream.")}, {})
    loaded = Carry.from_dict(load_checkpoint(tmp_path / "carry.safetensors").tensors, "stream.")
    assert torch.equal(derivative.rows(loaded), derivative.rows(carry))
    for t in range(8, T):
        ours, theirs = derivative.step(xs[t], starts[t], carry), derivative.step(xs[t], starts[t], loaded)
        carry, loaded = ours.carry, theirs.carry
        assert torch.equal(ours.output, theirs.output)
        assert torch.equal(derivative.rows(loaded), derivative.rows(carry))
    assert loaded.to_dict().keys() == carry.to_dict().keys()
    assert all(torch.equal(loaded.to_dict()[key], part) for key, part in carry.to_dict().items())


@pytest.mark.parametrize("derivative_name", ["rtrl", "snap1"])
@pytest.mark.parametrize("name", ["lstm", "rtu", "elstm", "stack"])
def test_traces_are_stale_only_where_parameters_changed_within_the_episode(name: str, derivative_name: str) -> None:
    network, xs, starts = make_network(name), some_inputs(), some_starts()
    derivative = make_derivative(derivative_name, network)
    carry = derivative.start(N)
    for t, (x, start) in enumerate(zip(xs, starts, strict=True)):
        if t == 8:  # before the last episode of stream 0, within those of the others
            assert not stale_trace_error(derivative, carry, xs[:8], starts[:8]).any()
            network.theta.add_(torch.full_like(network.theta, 0.05))
        carry = derivative.step(x, start, carry).carry
    stale = stale_trace_error(derivative, carry, xs, starts)
    assert stale[0] == 0.0
    assert (stale[1:] > 1e-4).all()
    assert (stale[1:] < 1.0).all()


def test_the_error_of_stale_traces_is_relative_to_the_right_ones() -> None:
    network, xs, starts = make_network("min_gru"), some_inputs(), some_starts()
    derivative = make_derivative("rtrl", network)
    carry = derivative.start(N)
    for x, start in zip(xs, starts, strict=True):
        carry = derivative.step(x, start, carry).carry
    twice = carry._replace(traces=tuple(2.5 * trace for trace in carry.traces))
    torch.testing.assert_close(
        stale_trace_error(derivative, twice, xs, starts), torch.full((N,), 1.5, dtype=torch.float64)
    )


def test_what_cannot_grow_stale_is_refused() -> None:
    network, xs, starts = make_network("lstm"), some_inputs(), some_starts()
    bptt, rtrl = make_derivative("bptt", network), make_derivative("rtrl", network)
    with pytest.raises(ValueError, match="bptt keeps inputs"):
        stale_trace_error(bptt, bptt.start(N), xs, starts)
    with pytest.raises(ValueError, match="a stream has no episode start"):
        stale_trace_error(rtrl, rtrl.start(N), xs[1:], starts[1:])


@pytest.mark.parametrize(
    ("name", "derivative_name"), [case for case in product(NAMES, sorted(DERIVATIVES)) if has(*case)]
)
def test_before_the_first_step_the_derivative_of_a_cell_is_zero(name: str, derivative_name: str) -> None:
    derivative = make_derivative(derivative_name, make_cell(name))
    by_output = torch.ones(N, derivative.output_size, dtype=torch.float64)
    assert not derivative.gradient(derivative.start(N), by_output).any()
    assert not derivative.rows(derivative.start(N)).any()


@pytest.mark.parametrize(
    ("name", "derivative_name"),
    [*product(NAMES, ["rtrl"]), *product([*WITH_UNITS, "stack"], ["snap1"]), *product(KINDS, ["bptt", "tbptt"])],
)
def test_single_precision_is_close_to_double(name: str, derivative_name: str) -> None:
    network = make_network(name)
    rows = []
    for dtype in (torch.float64, torch.float32):
        derivative = make_derivative(derivative_name, network.to(dtype))
        carry = derivative.start(N)
        for x, start in zip(some_inputs().to(dtype), some_starts(), strict=True):
            carry = derivative.step(x, start, carry).carry
        rows.append(derivative.rows(carry))
        assert rows[-1].dtype == dtype
        assert derivative.gradient(carry, torch.ones(N, 2, dtype=dtype)).dtype == dtype
    assert error(rows[1].double(), rows[0]) < 1e-4


def test_names_and_settings_that_do_not_exist_are_refused() -> None:
    network = make_network("rtu")
    with pytest.raises(ValueError, match=r"unknown derivative 'rtlr'\. Did you mean 'rtrl'"):
        make_derivative("rtlr", network)
    with pytest.raises(ValueError, match="rtrl has no setting 'window'; it has: path"):
        make_derivative("rtrl", network, window=3)
    with pytest.raises(ValueError, match="bptt has no setting 'window'; it has: none"):
        make_derivative("bptt", network, window=3)
    with pytest.raises(ValueError, match="path must be 'auto' or 'generic', got 'fast'"):
        make_derivative("rtrl", network, path="fast")


def test_every_derivative_says_its_name_and_sizes() -> None:
    network = make_network("gru")
    for name in DERIVATIVES:
        derivative, bare = make_derivative(name, network), make_derivative(name, network.cell)
        assert (derivative.name, derivative.num_parameters, derivative.output_size) == (name, network.num_parameters, 2)
        assert (bare.name, bare.output_size) == (name, 6)
        assert bare.num_parameters == sum(parameter.numel() for parameter in network.cell.parameters())


def test_the_default_window_is_the_memory_length_of_the_cell() -> None:
    derivative = make_derivative("tbptt", make_network("rtu"))
    assert derivative.window == 20  # type: ignore[attr-defined]
