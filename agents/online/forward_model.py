"""A recurrent forward model of a plant, identified online by an extended Kalman filter.

Source: Puskorius and Feldkamp, "Neurocontrol of Nonlinear Dynamical Systems with Kalman Filter Trained Recurrent
Networks", IEEE Transactions on Neural Networks 5(2), 1994, section V.

Axes: N streams, D observation, A action, P parameters.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rlmem.learning.derivatives import Carry, make_derivative
from rlmem.learning.kalman import KalmanSettings
from rlmem.learning.network import Network
from rlmem.learning.updates import Groups, make_filter
from rlmem.networks.cell import choose, rebuild


class ForwardModel:
    """Predicts by how much an observation [D] changes in a control step from it, an action [A], and what was before.

    One Kalman update a control step, with the rows of all streams by RTRL. On a network that is linear in its
    parameters this is recursive least squares.

    Args:
        network: From D + A inputs to D outputs, in float64; changed in place.
        change: Outputs are in units of this.
        noise: R, variance of a prediction about what comes, in the same units.
        settings: Of the filter.
        groups: Of the filter.
    """

    def __init__(
        self, network: Network, *, change: float, noise: float, settings: KalmanSettings, groups: Groups = "auto"
    ) -> None:
        self.network, self.change, self.noise = network, change, noise
        self.derivative = make_derivative("rtrl", network)
        self.filter = make_filter(network, groups, settings)
        self.belief = self.filter.initial_state()
        self._carry: Carry | None = None
        self.error = math.nan
        """Root of the mean squared error of the last predictions, in units of observations."""

    def begin(self, num_streams: int) -> None:
        """Start N streams."""
        self._carry = self.derivative.start(num_streams)

    def state(self, start: Tensor) -> tuple[Tensor, ...]:
        """Return the state of the cell, each part [N, ...], new where ``start`` [N]."""
        assert self._carry is not None
        fresh: Any = self.network.initial_state(len(start))
        state: tuple[Tensor, ...] = choose(start, fresh, rebuild(fresh, self._carry.state))
        return state

    def predict(self, x: Tensor, action: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the next observations [N, D], with gradient, and the next state."""
        output, state = self.network(torch.cat((x, action), -1), state)
        return x + self.change * output, state

    def learn(self, x: Tensor, action: Tensor, after: Tensor, start: Tensor, counts: Tensor) -> None:
        """Learn from one control step.

        Args:
            x: [N, D] observations.
            action: [N, A].
            after: [N, D] the observations that followed.
            start: [N] where the memory starts anew.
            counts: [N] where to learn.
        """
        assert self._carry is not None
        output, self._carry = self.derivative.step(torch.cat((x, action), -1), start, self._carry)
        if not bool(counts.any()):
            return
        error = (after - x) / self.change - output
        rows = self.derivative.rows(self._carry)
        theta, self.belief, _ = self.filter.update(self.network.theta, self.belief, rows, error, self.noise, counts)
        self.network.set_theta(theta)
        self.error = self.change * float(error[counts].square().mean().sqrt())

    def stream_state(self) -> dict[str, Any]:
        """Return derivatives, covariance and the last error."""
        assert self._carry is not None
        return {"carry": self._carry.to_dict(), "belief": self.belief.tensors(), "error": self.error}

    def restore_stream_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`stream_state` gave."""
        self._carry = Carry.from_dict(state["carry"])
        self.belief = self.filter.restore(state["belief"])
        self.error = state["error"]
