"""Exact traces of stacks of layers, of every kind of cell below and above every other."""

import pytest
import torch
from derivative_cases import (
    WITH_UNITS,
    D,
    H,
    N,
    Q,
    autograd_gradient,
    error,
    some_gradients,
    some_inputs,
    some_starts,
)

from rlmem.learning.derivatives import make_derivative
from rlmem.learning.derivatives.generic import GenericRTRL
from rlmem.learning.derivatives.stack_traces import StackTraces
from rlmem.learning.network import Network
from rlmem.networks.cells import CELLS, ELSTM, GRU, LRU, RTU, Memoryless, MinGRU, Stack


def check(stack: Stack) -> None:
    network, xs, starts, by = Network(stack.double(), Q), some_inputs(), some_starts(), some_gradients()
    derivative = make_derivative("rtrl", network)
    assert isinstance(derivative.inner, StackTraces)  # type: ignore[attr-defined]
    found = derivative.sequence(xs, starts, lambda t, _: by[t])
    assert error(found.gradient, autograd_gradient(network, xs, starts, by)) < 1e-10
    generic = make_derivative("rtrl", network, path="generic")
    assert isinstance(generic.inner, GenericRTRL)  # type: ignore[attr-defined]
    carry = generic.sequence(xs, starts, lambda t, _: by[t]).carry
    assert error(derivative.rows(found.carry), generic.rows(carry)) < 1e-10


@pytest.mark.parametrize("upper", WITH_UNITS)
@pytest.mark.parametrize("lower", ["lru", "lstm", "memoryless"])
def test_two_layers_of_any_kind_are_exact(lower: str, upper: str) -> None:
    torch.manual_seed(0)
    check(Stack([CELLS[lower](D, 4), CELLS[upper](4, H)]))


def test_three_layers_are_exact() -> None:
    torch.manual_seed(0)
    check(Stack([ELSTM(D, 4), LRU(4, 5), MinGRU(5, 4)]))
    check(Stack([RTU(D, 4), Memoryless(4, 3), GRU(3, 5)]))


def test_stacks_within_stacks_are_their_layers() -> None:
    torch.manual_seed(0)
    check(Stack([RTU(D, 4), Stack([GRU(4, 3), ELSTM(3, 4)])]))


def test_traces_across_layers_start_anew_with_an_episode() -> None:
    torch.manual_seed(0)
    derivative = make_derivative("rtrl", Stack([RTU(D, 4), ELSTM(4, H)]).double())
    carry = derivative.start(N)
    for x in some_inputs():
        carry = derivative.step(x, torch.zeros(N, dtype=torch.bool), carry).carry
    start = torch.tensor([False, True, True])
    x = some_inputs()[0]
    again, alone = (derivative.step(x, start, before).carry for before in (carry, derivative.start(N)))
    assert torch.equal(derivative.rows(again)[1:], derivative.rows(alone)[1:])
    assert not torch.equal(derivative.rows(again)[0], derivative.rows(alone)[0])
