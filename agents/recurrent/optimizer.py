"""A fast Adam step and gradient clipping for a few small parameters.

PyTorch's own versions group and check the parameters in Python at each call, which costs as much as a tenth of an
update of a network with 64 units. Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class FastAdam(torch.optim.Adam):
    """PyTorch's fused Adam for parameters of one device and type, in one call."""

    def __init__(self, params: Iterable[Tensor], lr: float, eps: float = 1e-5) -> None:
        super().__init__(params, lr=lr, eps=eps, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient; ``closure`` must be None."""
        (group,) = self.param_groups
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        states = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            states.append(state)
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1.0)
        beta1, beta2 = group["betas"]
        torch._fused_adam_(
            parameters, [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states],
            [], steps,
            lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=0.0, eps=group["eps"], amsgrad=False, maximize=False,
        )  # fmt: skip


@torch.no_grad()
def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale the gradients down to a common norm of ``max_norm`` if it is larger; return the norm they had."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm: float = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    if max_norm < norm < float("inf"):
        torch._foreach_mul_(gradients, max_norm / norm)
    return norm
