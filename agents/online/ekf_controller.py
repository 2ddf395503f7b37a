"""A recurrent controller trained online by an extended Kalman filter on labels of the task's expert.

One Kalman update per control step, with the Jacobian rows dy/dtheta of all environments at once (multi-stream),
computed by RTRL. The filter's covariance P gives the variance of the controller's action, H P H^T, which decides when
the expert is asked.

Sources: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994; Feldkamp and Puskorius, "Training Controllers for
Robustness: Multi-Stream DEKF", ICNN 1994. Querying by predictive variance is active learning with a Laplace
approximation; see also Menda, Driggs-Campbell and Kochenderfer, "EnsembleDAgger", IROS 2019.

Axes: N environments, D observation, A action, P parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rlmem.agents.online.dagger import DAgger, DAggerSettings
from rlmem.errors import UserError
from rlmem.learning.derivatives import DERIVATIVES, Carry, make_derivative
from rlmem.learning.kalman import CensoredLikelihood, KalmanSettings, KalmanState, Projection
from rlmem.learning.updates import Groups, make_filter
from rlmem.suggest import unknown

Queries = Literal["uncertain", "all"]


@dataclass(frozen=True, kw_only=True)
class EKFControllerSettings(DAggerSettings):
    """Hyperparameters of the EKF-trained controller. See also :class:`DAggerSettings`.

    Args:
        derivative: Algorithm for the Jacobian rows dy/dtheta: "rtrl", "snap1" or "tbptt".
        p0: Prior variance of a parameter. Only the ratios of p0, noise and q matter.
        noise: R, variance of an action about the expert's.
        q: Process noise per control step.
        forgetting: lambda; P is divided by it at each update.
        clip: Bound of the normalized innovation (Huber); None: no bound.
        groups: "one": one full P (GEKF); "node", "gate" or "layer": one block of P for each (NDEKF); "auto": one if
            it is small enough, else one block per node.
        queries: "uncertain": ask the expert with a probability that grows with the variance H P H^T of the action: the
            variance divided by ``ask_above``; "all": always.
        ask_above: Variance, in units of ``noise``, from which the expert is always asked. Below it, asking sometimes
            corrects a filter whose variance is too small.

    Raises:
        UserError: If a value is out of bounds.
    """

    derivative: str = "rtrl"
    p0: float = 0.1
    noise: float = 0.05
    q: float = 1e-6
    forgetting: float = 1.0
    clip: float | None = 3.0
    groups: Groups = "auto"
    queries: Queries = "uncertain"
    ask_above: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.derivative not in DERIVATIVES:
            raise UserError(unknown("derivative", self.derivative, DERIVATIVES))
        if self.groups not in get_args(Groups):
            raise UserError(unknown("groups", self.groups, get_args(Groups)))
        if self.queries not in get_args(Queries):
            raise UserError(unknown("queries", self.queries, get_args(Queries)))
        for name in ("noise", "ask_above"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        _ = self.kalman

    @property
    def kalman(self) -> KalmanSettings:
        """The settings of the filter."""
        return KalmanSettings(p0=self.p0, q=self.q, forgetting=self.forgetting, clip=self.clip)


class EKFController(DAgger):
    """A recurrent controller trained by an extended Kalman filter on expert labels. See the module's docstring."""

    name = "ekf"
    Settings: ClassVar[type[Any]] = EKFControllerSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings: EKFControllerSettings = self.settings
        self.filter = make_filter(self.network, settings.groups, settings.kalman)
        self.derivative = make_derivative(settings.derivative, self.network)
        self.answers = CensoredLikelihood(variance=settings.noise)
        self._belief: KalmanState | None = None
        self._carry: Carry | None = None
        self._prediction: tuple[Tensor, Projection] | None = None
        self._rng = np.random.default_rng(self.seed)
        self._nis = math.nan
        self._variance = math.nan

    def cost(self, num_envs: int) -> str:
        """Describe memory, operations and time of an update with the rows of N environments. See :meth:`Agent.cost`."""
        return str(self.filter.plan(num_envs * self.network.output_size))

    def begin(self, num_envs: int) -> None:
        """Start the derivatives of N streams, and the filter if it has not started. See :meth:`DAgger.begin`."""
        self._carry = self.derivative.start(num_envs)
        if self._belief is None:
            self._belief = self.filter.initial_state()

    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [N, A], and by their variance where to ask the expert [N]. See :meth:`DAgger.observe`."""
        assert self._carry is not None
        assert self._belief is not None
        output, self._carry = self.derivative.step(x, start, self._carry)
        projection = self.filter.project(self._belief, self.derivative.rows(self._carry))
        variance = projection.covariance.diagonal(dim1=1, dim2=2).amax(1)
        self._prediction = output, projection
        self._variance = float(variance.mean()) / self.settings.noise
        if self.settings.queries == "all":
            return output, torch.ones(len(x), dtype=torch.bool)
        chance = variance / (self.settings.ask_above * self.settings.noise)
        return output, torch.from_numpy(self._rng.random(len(x))) < chance

    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Run one Kalman update with the rows of all labeled environments. See :meth:`DAgger.teach`."""
        if label is None:
            return
        assert self._belief is not None
        assert self._prediction is not None
        output, projection = self._prediction
        error, noise = self.answers.innovation(output, label)
        theta, self._belief, report = self.filter.update(
            self.network.theta, self._belief, projection, error, noise, asked
        )
        self.network.set_theta(theta)
        self._nis = report.nis

    def metrics(self) -> dict[str, float]:
        """Return the last normalized innovation squared, and the variance of actions in units of the noise."""
        return {"kalman/nis": self._nis, "kalman/variance": self._variance}

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives, covariance and generator. See :meth:`DAgger.stream_state`."""
        assert self._carry is not None
        assert self._belief is not None
        numbers: dict[str, Any] = {"nis": self._nis, "spread": self._variance}
        numbers["rng"] = self._rng.bit_generator.state
        return {"carry": self._carry.to_dict(), "belief": self._belief.tensors(), "numbers": numbers}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`stream_state` returned."""
        self._carry = Carry.from_dict(state["carry"])
        self._belief = self.filter.restore(state["belief"])
        self._nis, self._variance = state["numbers"]["nis"], state["numbers"]["spread"]
        self._rng.bit_generator.state = state["numbers"]["rng"]
