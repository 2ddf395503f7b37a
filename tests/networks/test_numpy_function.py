"""Functions on arrays inside a graph, and the products of their loops."""

from typing import Any

import numpy as np
import pytest
import torch

from rlmem.networks.numpy_function import Array, Back, by_block, on_arrays, product


def cube(x: Array, weight: Array) -> tuple[Array, Back]:
    """Return weight x^3."""
    return weight * x**3, lambda grad: (grad * 3 * weight * x**2, grad * x**3)


def some(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_a_function_on_arrays_is_a_node_whose_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(lambda x, w: on_arrays(cube, x, w).sin(), (some(3, 2), some(3, 2)))


def test_gradients_may_be_taken_again_and_do_not_add_up_inside() -> None:
    x, weight = some(3), some(3)
    loss = on_arrays(cube, x, weight).sum()
    first, second = (torch.autograd.grad(loss, (x, weight), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("changed", ["argument", "output"])
def test_what_was_changed_before_the_backward_pass_is_told_and_not_used(changed: str) -> None:
    x, weight = some(3), some(3)
    output = on_arrays(cube, x, weight)
    with torch.no_grad():
        (weight if changed == "argument" else output).mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.parametrize(("rows", "size"), [(3, 4), (9, 150), (8, 192)], ids=["numpy", "torch", "onednn"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blocks", [1, 3])
def test_products_of_every_size_are_those_of_numpy(rows: int, size: int, dtype: Any, blocks: int) -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(3 * size, size)).astype(dtype), rng.normal(size=(rows, size)).astype(dtype)
    expected = x @ weight.T
    found = product(weight, rows, blocks)(x)
    if blocks > 1:
        assert found.shape == (3, rows, size)
        found = found.transpose(1, 0, 2).reshape(rows, -1)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_blocks_stand_apart_and_in_order() -> None:
    array = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    blocks = by_block(array, 2)
    assert blocks.flags.c_contiguous
    assert np.array_equal(blocks[1, 1, 2], array[1, 2, 4:])
