"""A small network of linear layers and tanh as one node of the graph, with a backward pass written by hand.

With a hundred samples the bookkeeping of a graph costs more than the arithmetic; and on the CPU numpy's tanh takes a
tenth of the time of PyTorch's.

Axes: M samples (any leading axes), D inputs, P outputs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx, once_differentiable


class _TanhMLP(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, *parameters: Tensor) -> Tensor:
        inputs = [x]
        last = len(parameters) // 2 - 1
        for i in range(last + 1):
            x = torch.addmm(parameters[2 * i + 1], x, parameters[2 * i].t())
            if i < last:
                x = _tanh_(x)
                inputs.append(x)
        ctx.save_for_backward(*inputs, *parameters[::2])
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, ...]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors  # type: ignore[attr-defined]
        inputs, weights = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        grads: list[Tensor] = []
        for i in range(len(weights) - 1, -1, -1):
            grads += [grad.sum(0), grad.t() @ inputs[i]]
            grad = grad @ weights[i]
            if i:
                # tanh' = 1 - tanh^2
                grad = torch.addcmul(grad, grad * inputs[i], inputs[i], value=-1.0)
        return (grad, *reversed(grads))


class MLP(nn.Sequential):
    """Linear layers with one activation between them.

    Args:
        modules: Linear, activation, Linear, ..., Linear.
    """

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__(*modules)
        self._fused = all(type(module) is nn.Tanh for module in modules[1::2])
        linear = [layer for layer in modules[::2] if isinstance(layer, nn.Linear)]
        self._linear: tuple[Tensor, ...] = tuple(part for layer in linear for part in (layer.weight, layer.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., P]."""
        if not self._fused:
            for module in self:
                x = module(x)
            return x
        output: Tensor = _TanhMLP.apply(x.reshape(-1, x.shape[-1]), *self._linear)  # type: ignore[no-untyped-call]
        return output.view(*x.shape[:-1], output.shape[-1])

    def with_latent(self, x: Tensor) -> Tensor:
        """Map [..., D] to the output and, cut from the gradient, the input of the last layer: [..., P + L]."""
        *body, last = self
        for module in body:
            x = module(x)
        return torch.cat((last(x), x.detach()), -1)


def _tanh_(x: Tensor) -> Tensor:
    """Apply tanh in place."""
    if x.device.type == "cpu":
        np.tanh(x.numpy(), out=x.numpy())
        return x
    return x.tanh_()
