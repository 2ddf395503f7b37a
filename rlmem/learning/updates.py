"""Updates of parameters: a gradient step by Adam or SGD, or a Kalman filter update.

Axes: N streams, Q outputs, P parameters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from rlmem.errors import UserError
from rlmem.learning.derivatives import Carry, Derivative
from rlmem.learning.divergence import check_change
from rlmem.learning.kalman import GEKF_LIMIT, KalmanFilter, KalmanSettings, Likelihood, plan
from rlmem.learning.network import Network
from rlmem.suggest import unknown

Groups = Literal["auto", "one", "node", "gate", "layer"]
Optimizer = Literal["adam", "sgd"]


class StepOutputs(NamedTuple):
    """Outputs of a step, and what their derivatives are computed from."""

    derivative: Derivative
    carry: Carry
    output: Tensor
    """[N, Q]."""


class Update(ABC):
    """Changes the parameters of one network towards targets; keeps optimizer or filter state between calls."""

    online: bool
    """Whether each control step moves the parameters, or only the end of a sequence."""

    @abstractmethod
    def step(self, seen: StepOutputs, target: Tensor, weight: Tensor) -> dict[str, float]:
        """Learn from the targets of one step.

        Args:
            seen: The step.
            target: [N, Q], or [N] numbers of classes.
            weight: [N], 0 where a stream has no target.

        Returns:
            Metrics by name.
        """

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return optimizer or filter state, for a checkpoint."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Any]) -> None:
        """Take back what :meth:`tensors` gave.

        Raises:
            ValueError: If it does not fit.
        """


@dataclass(frozen=True, kw_only=True)
class GradientSettings:
    """Hyperparameters of steps along the gradient.

    Args:
        optimizer: "adam" or "sgd".
        learning_rate: Of the optimizer.
        max_grad_norm: Gradients are scaled down to this norm.

    Raises:
        UserError: If a value is out of bounds.
    """

    optimizer: Optimizer = "adam"
    learning_rate: float = 3e-3
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise UserError(unknown("optimizer", self.optimizer, get_args(Optimizer)))
        for name in ("learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")


class GradientUpdate(Update):
    """One step of Adam or SGD: on the gradient of a control step, or of a whole sequence.

    The loss of a step is the mean over weighted streams of the negative log-likelihood.

    Args:
        network: What is trained.
        likelihood: Of the targets.
        settings: Hyperparameters.
        online: A step of the optimizer each control step, not each sequence.
    """

    def __init__(
        self, network: Network, likelihood: Likelihood, settings: GradientSettings | None = None, *, online: bool = True
    ) -> None:
        self.network, self.likelihood, self.online = network, likelihood, online
        self.settings = settings or GradientSettings()
        kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        self.optimizer: torch.optim.Optimizer = kinds[self.settings.optimizer](
            [network.flat.flat], lr=self.settings.learning_rate
        )

    def by_output(self, output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the gradient [N, Q] of the loss of a step by its outputs."""
        error = torch.where(weight[:, None] > 0, -self.likelihood.score(output, target), 0.0)
        return error * (weight / weight.sum().clamp_min(1e-12))[:, None]

    def step(self, seen: StepOutputs, target: Tensor, weight: Tensor) -> dict[str, float]:
        """Take a step of the optimizer. See :meth:`Update.step`."""
        if not bool((weight > 0).any()):
            return {}
        return self.apply(seen.derivative.gradient(seen.carry, self.by_output(seen.output, target, weight)))

    def apply(self, gradient: Tensor) -> dict[str, float]:
        """Take a step of the optimizer along a gradient [P].

        Raises:
            DivergenceError: If the gradient is not finite; nothing is changed then.
        """
        check_change("the network", gradient)
        self.network.flat.grad.copy_(gradient)
        norm = self.network.flat.clip_grad_norm(self.settings.max_grad_norm)
        self.optimizer.step()
        return {"grad_norm": norm}

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimizer's state. See :meth:`Update.tensors`."""
        state = self.optimizer.state.get(self.network.flat.flat, {})
        return {name: torch.as_tensor(value).reshape(-1) for name, value in state.items() if value is not None}

    def restore(self, tensors: Mapping[str, Any]) -> None:
        """Take back the optimizer's state. See :meth:`Update.restore`."""
        parameter = self.network.flat.flat
        saved = {name: torch.as_tensor(value).clone() for name, value in tensors.items()}
        for name, value in saved.items():
            wanted = (1,) if name == "step" else tuple(parameter.shape)
            if tuple(value.shape) != wanted:
                raise ValueError(f"the optimizer's {name} must be {list(wanted)}, got {list(value.shape)}")
        if "step" in saved:
            saved["step"] = saved["step"].reshape(())
        if saved:
            self.optimizer.state[parameter] = saved


@dataclass(frozen=True, kw_only=True)
class KalmanUpdateSettings:
    """Hyperparameters of Kalman updates.

    Args:
        groups: "one": GEKF; "node", "gate" or "layer": NDEKF; "auto": GEKF where P is small enough, else by node.
        filter: Of the filter itself.

    Raises:
        UserError: If a value is out of bounds.
    """

    groups: Groups = "auto"
    filter: KalmanSettings = field(default_factory=KalmanSettings)

    def __post_init__(self) -> None:
        if self.groups not in get_args(Groups):
            raise UserError(unknown("groups", self.groups, get_args(Groups)))


class KalmanUpdate(Update):
    """One update of an extended Kalman filter a control step, the rows of all streams at once.

    Args:
        network: What is trained, in float64.
        likelihood: Of the targets.
        settings: Hyperparameters.

    Raises:
        ValueError: If the network is not in float64.
        UserError: If P does not fit.
    """

    online = True

    def __init__(self, network: Network, likelihood: Likelihood, settings: KalmanUpdateSettings | None = None) -> None:
        if network.theta.dtype != torch.float64:
            raise ValueError(f"a Kalman filter needs a network in float64 (.double()), got {network.theta.dtype}")
        self.network, self.likelihood = network, likelihood
        self.settings = settings or KalmanUpdateSettings()
        self.filter = make_filter(network, self.settings.groups, self.settings.filter)
        self.state = self.filter.initial_state()

    def cost(self, rows: int) -> str:
        """Return in one line what an update with so many rows takes of memory and time."""
        return str(plan(self.filter.layout.sizes, rows=rows, form=self.settings.filter.form))

    def step(self, seen: StepOutputs, target: Tensor, weight: Tensor) -> dict[str, float]:
        """Run one Kalman update. See :meth:`Update.step`."""
        if not bool((weight > 0).any()):
            return {}
        rows = self.likelihood.rows(seen.derivative.rows(seen.carry))
        error, noise = self.likelihood.innovation(seen.output, target)
        theta, self.state, report = self.filter.update(self.network.theta, self.state, rows, error, noise, weight)
        self.network.set_theta(theta)
        return {"nis": report.nis}

    def tensors(self) -> dict[str, Tensor]:
        """Return the filter's state. See :meth:`Update.tensors`."""
        return self.state.tensors()

    def restore(self, tensors: Mapping[str, Any]) -> None:
        """Take back the filter's state. See :meth:`Update.restore`."""
        self.state = self.filter.restore(tensors)


def make_filter(network: Network, groups: Groups = "auto", settings: KalmanSettings | None = None) -> KalmanFilter:
    """Return a Kalman filter over the parameters of a network.

    Args:
        network: What is trained.
        groups: See :class:`KalmanUpdateSettings`.
        settings: Of the filter.
    """
    return KalmanFilter(network.num_parameters, settings, groups=group_indices(network, groups))


def group_indices(network: Network, groups: Groups) -> list[Tensor] | None:
    """Return the parameters of each group as indices, or None for one group of all; "auto" as above."""
    if groups == "auto":
        groups = "one" if network.num_parameters <= GEKF_LIMIT else "node"
    return None if groups == "one" else list(network.groups(groups).values())
