"""Closed loop of a controller and a frozen forward model, and derivatives of its cost by the controller.

Axes: N streams, D observation, A action, C controlled, K horizon, R = K (C + A) residuals, P parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from rlmem.agents.online.forward_model import ForwardModel
from rlmem.learning.network import Network
from rlmem.networks.cell import rebuild


class Tracking(NamedTuple):
    """A quadratic cost: the distance of controlled observations from their references, and effort."""

    controlled: Sequence[int]
    """C indices of observations."""
    reference: Sequence[int]
    """C indices of observations, the references of the controlled ones."""
    effort: float
    """Weight of an action relative to an error."""

    def residuals(self, x: Tensor, action: Tensor) -> Tensor:
        """Return residuals [..., C + A]; the cost is the sum of their squares."""
        error = x[..., list(self.controlled)] - x[..., list(self.reference)]
        return torch.cat((error, self.effort * action), -1)


class Imagined(NamedTuple):
    """Predicted residuals of the closed loop, and their derivatives."""

    residuals: Tensor
    """[N, R]."""
    rows: Tensor
    """[N, R, P] derivatives by the controller's parameters."""


class ImaginedLoop(nn.Module):
    """The closed loop over K control steps of one stream, as a module whose parameters are the controller's.

    Actions are clipped at -1 and 1; the effort is that of the actions before clipping.

    Args:
        controller: Maps D observations to A actions.
        model: Not changed; no derivatives by its parameters are taken.
        cost: Cost of each predicted observation and each action.
        horizon: K.
    """

    def __init__(self, controller: Network, model: ForwardModel, cost: Tracking, horizon: int) -> None:
        super().__init__()
        self.controller = controller
        self.model, self.cost, self.horizon = model, cost, horizon

    def forward(self, x: Tensor, memory: tuple[Tensor, ...], model_state: tuple[Tensor, ...]) -> Tensor:
        """Map an observation [D] and states without axis N to residuals [R]."""
        x = x.unsqueeze(0)
        memory = rebuild(self.controller.initial_state(0), (part.unsqueeze(0) for part in memory))
        model_state = rebuild(self.model.network.initial_state(0), (part.unsqueeze(0) for part in model_state))
        residuals = []
        for _ in range(self.horizon):
            output, memory = self.controller(x, memory)
            x, model_state = self.model.predict(x, output.clamp(-1.0, 1.0), model_state)
            residuals.append(self.cost.residuals(x, output)[0])
        return torch.cat(residuals)

    @torch.no_grad()
    def imagine(self, x: Tensor, memory: tuple[Tensor, ...], model_state: tuple[Tensor, ...]) -> Imagined:
        """Return residuals and derivatives, from observations [N, D] and the states of controller and model."""
        parameters = {name: parameter.detach() for name, parameter in self.named_parameters()}

        def one(x: Tensor, memory: tuple[Tensor, ...], state: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, Tensor]]:
            pulled: Any = vjp(lambda given: functional_call(self, given, (x, memory, state)), parameters)
            rows: dict[str, Tensor] = vmap(pulled[1])(torch.eye(len(pulled[0]), dtype=x.dtype))[0]
            return pulled[0], rows

        residuals, rows = vmap(one)(x, tuple(memory), tuple(model_state))
        return Imagined(residuals, torch.cat([rows[name].flatten(2) for name in parameters], -1))
