"""Functions on arrays, with a backward pass written by hand, as one node of PyTorch's graph.

A cell's step on a few rows is a dozen calls on a few hundred numbers each. numpy's take a third of a microsecond,
PyTorch's one to three, so a loop over time runs on arrays, in memory that is laid out before it. What needs no loop
(the products with all inputs, the gradients of the weights) stays one matrix product.

Axes: T time, N environments, H hidden, K inputs and P outputs of a product, G blocks of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable

from rlmem.networks.cell import torch_linear

Array = NDArray[Any]
"""Real or complex, of single or double precision, as the tensors are."""
Back = Callable[[Array], tuple[Array, ...]]
"""From the gradient of the output to those of the arguments, in their order. May be called more than once."""
ArrayFunction = Callable[..., tuple[Array, Back]]
"""Maps arrays to an array; leaves its arguments as they are."""

_DTYPES = frozenset((torch.float32, torch.float64, torch.complex64, torch.complex128))
_SMALL = 200_000
"""Multiplications that numpy's BLAS runs on one thread: OpenBLAS shares out more than 2**18."""


class _Node(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, function: ArrayFunction, *tensors: Tensor) -> Tensor:
        array, ctx.back = function(*(tensor.detach().numpy() for tensor in tensors))  # type: ignore[attr-defined]
        output = torch.from_numpy(array)
        ctx.save_for_backward(*tensors, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        ctx.saved_tensors  # type: ignore[attr-defined]  # noqa: B018 - raises if one was changed in place meanwhile
        return None, *(torch.from_numpy(part) for part in ctx.back(grad.contiguous().numpy()))  # type: ignore[attr-defined]


def on_arrays(function: ArrayFunction, *tensors: Tensor) -> Tensor:
    """Apply a function on arrays to tensors on the CPU as one node of the graph."""
    output: Tensor = _Node.apply(function, *tensors)  # type: ignore[no-untyped-call]
    return output


def fits_arrays(tensor: Tensor) -> bool:
    """Return whether a tensor is an array without being copied."""
    return tensor.device.type == "cpu" and tensor.dtype in _DTYPES


def product(weight: Array, rows: int, blocks: int = 1) -> Callable[[Array], Array]:
    """Return x [N, K] to x W^T as [N, P], or as [G, N, P / G] with several blocks, each contiguous where that is free.

    The result lies in memory that the next call uses again.

    Args:
        weight: W [P, K].
        rows: N.
        blocks: G.
    """
    outputs, inputs = weight.shape
    if weight.dtype == np.float32 and rows * weight.size // blocks > _SMALL:
        linear = torch_linear(weight, np.zeros(outputs, np.float32))
        if blocks == 1:
            return linear
        return lambda x: linear(x).reshape(rows, blocks, -1).transpose(1, 0, 2)
    if blocks == 1:
        matrix, out = np.ascontiguousarray(weight.T), np.empty((rows, outputs), weight.dtype)
        return lambda x: np.dot(x, matrix, out)
    stack = np.ascontiguousarray(weight.reshape(blocks, -1, inputs).transpose(0, 2, 1))
    each = np.empty((blocks, rows, outputs // blocks), weight.dtype)
    return lambda x: np.matmul(x, stack, each)


def by_block(array: Array, blocks: int) -> Array:
    """Return [T, N, G H] as [T, G, N, H], in new memory."""
    steps, rows, width = array.shape
    return array.reshape(steps, rows, blocks, width // blocks).transpose(0, 2, 1, 3).copy()


def emptied(blank: NDArray[np.bool_] | None, steps: int) -> list[NDArray[np.bool_] | None]:
    """Return for each step where [N] it is blank [T, N], or None where nowhere."""
    if blank is None:
        return [None] * steps
    return [row if some else None for row, some in zip(blank, np.any(blank, axis=1), strict=True)]


def flat(array: Array) -> Tensor:
    """Return [T, N, ...] as a tensor [T N, ...] of the same memory."""
    return torch.from_numpy(array.reshape(-1, *array.shape[2:]))
