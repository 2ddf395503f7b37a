"""A recurrent forward model of the plant, identified online by an extended Kalman filter.

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
    """Predicts the change of an observation [D] in a control step from observation, action [A] and hidden state.

    One Kalman update per control step, with the Jacobian rows of all streams by RTRL. If the network is linear in its
    parameters, this is recursive least squares.

    Args:
        network: Maps D + A inputs to D outputs, in float64; changed in place.
        change: Unit of the outputs.
        noise: R, variance of the prediction error, in the same units.
        settings: Settings of the filter.
        groups: Blocks of the filter's covariance.
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
        """Root mean squared error of the last predictions, in units of observations."""

    def begin(self, num_streams: int) -> None:
        """Start N streams."""
        self._carry = self.derivative.start(num_streams)

    def state(self, start: Tensor) -> tuple[Tensor, ...]:
        """Return the state of the cell, each part [N, ...]; the initial one where ``start`` [N]."""
        assert self._carry is not None
        fresh: Any = self.network.initial_state(len(start))
        state: tuple[Tensor, ...] = choose(start, fresh, rebuild(fresh, self._carry.state))
        return state

    def predict(self, x: Tensor, action: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return predicted observations [N, D], differentiable, and the next state."""
        output, state = self.network(torch.cat((x, action), -1), state)
        return x + self.change * output, state

    def learn(self, x: Tensor, action: Tensor, after: Tensor, start: Tensor, counts: Tensor) -> None:
        """Learn from one control step.

        Args:
            x: [N, D] observations.
            action: [N, A].
            after: [N, D] the next observations.
            start: [N] where the hidden state starts anew.
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
        """Restore what :meth:`stream_state` returned."""
        self._carry = Carry.from_dict(state["carry"])
        self.belief = self.filter.restore(state["belief"])
        self.error = state["error"]
