"""Adam and gradient clipping for many small parameters, as if they were one tensor.

Called once for each parameter they cost as much as a tenth of an update of a network with 64 units. Source: Kingma and
Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, pairwise
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

_MOMENTS = ("exp_avg", "exp_avg_sq")


class _Flat(NamedTuple):
    """Parameters and their moments, each one tensor [P], of which the network's and the optimizer's are views."""

    values: Tensor
    moments: tuple[Tensor, Tensor]
    step: Tensor
    """Steps so far, the same for all."""
    parts: list[tuple[Tensor, int, dict[str, Any], dict[str, Any]]]
    """Each parameter, where its numbers lie, and its entry in the optimizer's state with what that holds."""
    groups: list[slice]
    """Which of the numbers each of the optimizer's groups has."""


def _plain(method: Any) -> Any:
    """Return a method of PyTorch's optimizers without its wrapper, which imports the compiler: 2 s of CPU."""
    return getattr(method, "__wrapped__", method)


class FastAdam(torch.optim.Adam):
    """PyTorch's fused Adam, for parameters of one device and type, in groups with a learning rate each.

    The first step moves the parameters into one tensor, of which they are views from then on. Whatever takes one of
    them out again (new weights, a loaded state, a gradient that is missing) is noticed at the next step. Its
    state is that of PyTorch's Adam.
    """

    add_param_group = _plain(torch.optim.Adam.add_param_group)
    zero_grad = _plain(torch.optim.Adam.zero_grad)
    state_dict = _plain(torch.optim.Adam.state_dict)
    load_state_dict = _plain(torch.optim.Adam.load_state_dict)

    def __init__(self, params: Iterable[Any], lr: float, eps: float = 1e-5) -> None:
        super().__init__(params, lr=lr, eps=eps, fused=True)
        self.clipped: Tensor | None = None
        """What the next step takes instead of the parameters' gradients, one after the other [P]."""
        self._flat: _Flat | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.clipped = self._flat = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient; ``closure`` must be None."""
        parameters = trained(self)
        gradients = [parameter.grad for parameter in parameters]
        clipped, self.clipped = self.clipped, None
        if not self._is_flat(parameters):
            self._flat = self._flatten(parameters)
        if self._flat is not None:
            gradient = _joined(gradients) if clipped is None else clipped
            self._flat.step.add_(1.0)
            values, (first, second), step = self._flat.values, self._flat.moments, self._flat.step
            for group, own in zip(self.param_groups, self._flat.groups, strict=True):
                _adam(group, [values[own]], [gradient[own]], [first[own]], [second[own]], [step])
        elif parameters:
            if clipped is not None:
                pieces = torch.split(clipped, [parameter.numel() for parameter in parameters])
                gradients = [piece.view(p.shape) for piece, p in zip(pieces, parameters, strict=True)]
            states = [self.state[parameter] for parameter in parameters]
            for state in states:
                state["step"] = state["step"] + 1.0
            taken = iter(zip(parameters, gradients, states, strict=True))
            for group in self.param_groups:
                part = list(islice(taken, len(_trained_of(group))))
                moments = ([state[name] for *_, state in part] for name in (*_MOMENTS, "step"))
                if part:
                    _adam(group, [parameter for parameter, *_ in part], [gradient for _, gradient, _ in part], *moments)

    def separate(self) -> None:
        """Give each parameter and moment its own memory until the next step: a pickled view holds all that it views."""
        for parameter, _, state, _ in self._flat.parts if self._flat is not None else ():
            parameter.data = parameter.data.clone()
            state.update({name: value.clone() for name, value in state.items()})
        self._flat = None

    def _is_flat(self, parameters: list[Tensor]) -> bool:
        """Return whether these parameters, all of them and no others, are still views of one tensor."""
        if self._flat is None or len(parameters) != len(self._flat.parts):
            return False
        for parameter, (known, place, entry, held) in zip(parameters, self._flat.parts, strict=True):
            if parameter is not known or parameter.data_ptr() != place or self.state.get(known) is not entry:
                return False
            if any(entry[name] is not value for name, value in held.items()):
                return False
        return True

    def _flatten(self, parameters: list[Tensor]) -> _Flat | None:
        """Make parameters and moments views of one tensor each; None where they have not taken the same steps."""
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state |= {name: torch.zeros_like(parameter) for name in _MOMENTS}
        alike = {(state["step"].item(), parameter.dtype) for parameter, state in zip(parameters, states, strict=True)}
        if len(alike) != 1 or any(part.device.type == "cpu" and part.is_shared() for part in parameters):  # type: ignore[no-untyped-call]
            return None
        step = states[0]["step"].clone()
        values = _joined([parameter.detach() for parameter in parameters])
        first, second = (_joined([state[name] for state in states]) for name in _MOMENTS)
        parts = []
        ends = pairwise([0, *np.cumsum([parameter.numel() for parameter in parameters]).tolist()])
        for parameter, state, (begin, end) in zip(parameters, states, ends, strict=True):
            parameter.data = values[begin:end].view(parameter.shape)
            state["step"], state["exp_avg"] = step, first[begin:end].view(parameter.shape)
            state["exp_avg_sq"] = second[begin:end].view(parameter.shape)
            parts.append((parameter, parameter.data_ptr(), state, dict(state)))
        sizes = [sum(parameter.numel() for parameter in _trained_of(group)) for group in self.param_groups]
        groups = [slice(*edges) for edges in pairwise([0, *np.cumsum(sizes).tolist()])]
        return _Flat(values, (first, second), step, parts, groups)


def trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return the parameters of an optimizer that have a gradient, one group after the other."""
    return [parameter for group in optimizer.param_groups for parameter in _trained_of(group)]


def _trained_of(group: dict[str, Any]) -> list[Tensor]:
    return [parameter for parameter in group["params"] if parameter.grad is not None]


def _joined(tensors: Iterable[Any]) -> Tensor:
    """Return the numbers of all tensors, one after the other [P]."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _adam(
    group: dict[str, Any],
    parameters: list[Tensor],
    gradients: list[Any],
    exp_avg: list[Tensor],
    exp_avg_sq: list[Tensor],
    steps: list[Tensor],
) -> None:
    beta1, beta2 = group["betas"]
    torch._fused_adam_(
        parameters, gradients, exp_avg, exp_avg_sq, [], steps,
        lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=0.0, eps=group["eps"], amsgrad=False, maximize=False,
    )  # fmt: skip


@torch.no_grad()
def clip_grad_norm(optimizer: torch.optim.Optimizer, max_norm: float) -> float:
    """Scale what the next step takes as gradients down to a norm of ``max_norm`` if it is larger.

    Returns:
        The norm that they had.
    """
    gradients: list[Any] = [parameter.grad for parameter in trained(optimizer)]
    flat = _joined(gradients)
    norm: float = torch.linalg.vector_norm(flat).item()
    scale = max_norm / norm if max_norm < norm < float("inf") else 1.0
    if isinstance(optimizer, FastAdam):
        optimizer.clipped = flat.mul_(scale) if isfinite(norm) else None
    elif scale < 1.0:
        torch._foreach_mul_(gradients, scale)
    return norm
