"""A recurrent controller trained online by an extended Kalman filter on the answers of the task's expert.

One Kalman update a control step, from the rows of all environments at once (multi-stream); rows dy/dtheta by RTRL. The
filter's own covariance P says how unsure the controller is of its action, H P H^T, and so when to ask the expert.

Sources: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994; Feldkamp and Puskorius, "Training Controllers for
Robustness: Multi-Stream DEKF", ICNN 1994. Asking by predictive variance is active learning with a Laplace
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
        derivative: Where the rows dy/dtheta come from: "rtrl", "snap1" or "tbptt".
        p0: Prior variance of a parameter. Only the ratios of p0, noise and q matter.
        noise: R, variance of an action about the expert's.
        q: Process noise a control step.
        forgetting: lambda, by which P is divided at each update.
        clip: Bound of a normalized innovation (Huber), None for none.
        groups: "one": one P (GEKF); "node", "gate" or "layer": a block each (NDEKF); "auto": one where P is small
            enough, else by node.
        queries: "uncertain": ask the expert the more often, the larger the action's variance H P H^T is: with a
            probability of the variance over ``ask_above``; "all": always.
        ask_above: From here on ask always; in units of ``noise``. Below, asking now and then keeps an overconfident
            filter, of a model that cannot be exact, from never being told.

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
    """A recurrent controller trained by an extended Kalman filter on the expert's answers. See the module."""

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
        self._seen: tuple[Tensor, Projection] | None = None
        self._rng = np.random.default_rng(self.seed)
        self._nis = math.nan
        self._spread = math.nan

    def cost(self, num_envs: int) -> str:
        """Return memory, work and time of an update with the rows of N environments. See :meth:`Agent.cost`."""
        return str(self.filter.plan(num_envs * self.network.output_size))

    def begin(self, num_envs: int) -> None:
        """Start the derivatives of N streams, and the filter if it has not started. See :meth:`DAgger.begin`."""
        self._carry = self.derivative.start(num_envs)
        if self._belief is None:
            self._belief = self.filter.initial_state()

    def observe(self, x: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs [N, A], and where their variance asks for the expert, [N]. See :meth:`DAgger.observe`."""
        assert self._carry is not None
        assert self._belief is not None
        output, self._carry = self.derivative.step(x, start, self._carry)
        projection = self.filter.project(self._belief, self.derivative.rows(self._carry))
        variance = projection.covariance.diagonal(dim1=1, dim2=2).amax(1)
        self._seen = output, projection
        self._spread = float(variance.mean()) / self.settings.noise
        if self.settings.queries == "all":
            return output, torch.ones(len(x), dtype=torch.bool)
        chance = variance / (self.settings.ask_above * self.settings.noise)
        return output, torch.from_numpy(self._rng.random(len(x))) < chance

    def teach(self, x: Tensor, start: Tensor, label: Tensor | None, asked: Tensor) -> None:
        """Run one Kalman update with the rows of all environments that asked. See :meth:`DAgger.teach`."""
        if label is None:
            return
        assert self._belief is not None
        assert self._seen is not None
        output, projection = self._seen
        error, noise = self.answers.innovation(output, label)
        theta, self._belief, report = self.filter.update(
            self.network.theta, self._belief, projection, error, noise, asked
        )
        self.network.set_theta(theta)
        self._nis = report.nis

    def metrics(self) -> dict[str, float]:
        """Return the last innovation's normalized square, and the variance of actions in units of the noise."""
        return {"kalman/nis": self._nis, "kalman/variance": self._spread}

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives and covariance. See :meth:`DAgger.stream_state`."""
        assert self._carry is not None
        assert self._belief is not None
        numbers: dict[str, Any] = {"nis": self._nis, "spread": self._spread}
        numbers["rng"] = self._rng.bit_generator.state
        return {"carry": self._carry.to_dict(), "belief": self._belief.tensors(), "numbers": numbers}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Take back derivatives and covariance."""
        self._carry = Carry.from_dict(state["carry"])
        self._belief = self.filter.restore(state["belief"])
        self._nis, self._spread = state["numbers"]["nis"], state["numbers"]["spread"]
        self._rng.bit_generator.state = state["numbers"]["rng"]
