"""SnAp-1: exact where units are independent, else the recursion of the entries that it keeps."""

import pytest
import torch
from derivative_cases import (
    WITH_UNITS,
    Decay,
    N,
    Q,
    diagonal_stack,
    error,
    make_cell,
    make_network,
    some_gradients,
    some_inputs,
    some_starts,
)
from torch import Tensor

from rlmem.learning.derivatives import Carry, make_derivative
from rlmem.learning.network import Network
from rlmem.networks.cells import Stack

DIAGONAL = ["memoryless", "rtu", "lru", "min_gru", "elstm"]
DENSE = [name for name in WITH_UNITS if name not in DIAGONAL]


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("name", WITH_UNITS)
def test_snap1_is_exact_for_diagonal_cells_only(name: str) -> None:
    network, xs, starts, by = make_network(name), some_inputs(), some_starts(), some_gradients()
    ours, exact = (
        make_derivative(key, network).sequence(xs, starts, lambda t, _: by[t]).gradient for key in ("snap1", "rtrl")
    )
    if name in DIAGONAL:
        assert error(ours, exact) < 1e-12
    else:
        assert 1e-3 < error(ours, exact) < 1.0


@pytest.mark.parametrize("name", WITH_UNITS)
def test_kept_entries_follow_the_full_recursion_with_all_others_at_zero(name: str) -> None:
    cell, xs, starts = make_cell(name), some_inputs(), some_starts()
    snap, full = make_derivative("snap1", cell), make_derivative("rtrl", cell, path="generic")
    columns = snap.units.columns  # type: ignore[attr-defined]
    units, parts = columns.shape[0], len(cell.initial_state(1))
    rows = full.start(1).traces[0].shape[1]
    mask = torch.zeros(rows, full.num_parameters, dtype=torch.float64)
    for row in range(units * parts):
        mask[row, columns[row % units]] = 1.0
    ours, masked = snap.start(N), full.start(N)
    for x, start in zip(xs, starts, strict=True):
        ours, masked = snap.step(x, start, ours).carry, full.step(x, start, masked).carry
        masked = masked._replace(traces=(masked.traces[0] * mask,))
        for part, trace in enumerate(ours.traces):
            expected = masked.traces[0][:, part * units : (part + 1) * units].gather(2, columns.expand(N, -1, -1))
            torch.testing.assert_close(trace, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", DENSE)
def test_one_step_is_exact_for_every_cell(name: str) -> None:
    network, x, by = make_network(name), some_inputs()[0], some_gradients()[0]
    start = torch.ones(N, dtype=torch.bool)
    ours, exact = (make_derivative(key, network) for key in ("snap1", "rtrl"))
    carries = [derivative.step(x, start, derivative.start(N)).carry for derivative in (ours, exact)]
    torch.testing.assert_close(ours.rows(carries[0]), exact.rows(carries[1]), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(ours.gradient(carries[0], by), exact.gradient(carries[1], by), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", WITH_UNITS)
def test_the_gradient_by_the_input_passes_no_earlier_step(name: str) -> None:
    cell, xs, starts, by = make_cell(name), some_inputs(), some_starts(), torch.randn(N, 6, dtype=torch.float64)
    derivative = make_derivative("snap1", cell)
    carry, state = derivative.start(N), cell.initial_state(N)
    for x, start in zip(xs, starts, strict=True):
        before, carry = carry, derivative.step(x, start, carry).carry
    state = type(state)(*before.state) if hasattr(state, "_make") else before.state
    leaf = xs[-1].clone().requires_grad_()
    (expected,) = torch.autograd.grad((cell(leaf, state)[0] * by).sum(), leaf)
    found = derivative.input_gradient(carry, by)  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


def test_layers_pass_gradients_within_a_step_and_keep_their_own_time() -> None:
    """The reference cuts what a lower layer did to the state of the higher one at earlier steps."""
    stack, xs, starts = diagonal_stack(), some_inputs(), some_starts()
    lower, upper = stack.layers
    by = torch.randn(N, stack.hidden_size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    middle = lower.unfold(xs, starts, lower.initial_state(N)).output  # type: ignore[operator]
    last = upper.unfold(middle.detach(), starts, upper.initial_state(N)).output[-1]  # type: ignore[operator]
    by_upper = flat(torch.autograd.grad((last * by).sum(), list(upper.parameters())))
    with torch.no_grad():
        state = upper.unfold(middle[:-1], starts[:-1], upper.initial_state(N)).state  # type: ignore[operator]
    last = upper.unfold(middle[-1:], starts[-1:], state).output[-1]  # type: ignore[operator]
    by_lower = flat(torch.autograd.grad((last * by).sum(), list(lower.parameters())))
    derivative = make_derivative("snap1", stack)
    carry: Carry = derivative.start(N)
    for x, start in zip(xs, starts, strict=True):
        carry = derivative.step(x, start, carry).carry
    found = derivative.gradient(carry, by)
    torch.testing.assert_close(found, torch.cat((by_lower, by_upper)), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(derivative.stream_gradients(carry, by).sum(0), found, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(torch.einsum("nh,nhp->p", by, derivative.rows(carry)), found, rtol=1e-10, atol=1e-12)


def test_a_stack_of_one_layer_is_the_layer() -> None:
    cell, xs, starts, by = make_cell("rtu"), some_inputs(), some_starts(), some_gradients()
    torch.manual_seed(0)
    alone = Network(cell, Q)
    stacked = Network(Stack([cell]), Q)
    stacked.set_theta(alone.theta.clone())
    for name in ("rtrl", "snap1"):
        found = [make_derivative(name, of).sequence(xs, starts, lambda t, _: by[t]).gradient for of in (alone, stacked)]
        torch.testing.assert_close(found[0], found[1], rtol=1e-13, atol=0.0)


def test_a_cell_whose_units_are_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"snap1 needs a cell that defines units\(\), and Decay does not: use rtrl"):
        make_derivative("snap1", Decay())
