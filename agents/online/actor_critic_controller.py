"""Base of online actor-critics: a stochastic recurrent actor and a separate recurrent critic.

Axes: N environments, D observation, Q outputs of the actor.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlmem.agents.base import Array
from rlmem.agents.online.action_distribution import ActionDistribution, make_action_distribution
from rlmem.agents.online.controller import Controller, seeded
from rlmem.learning.network import Network


class ActorCriticController(Controller):
    """A recurrent actor with stochastic actions, and a separate recurrent critic. See :class:`Controller`.

    The settings have a ``deviation`` of actions, in units of half their range.
    """

    init_scale: ClassVar[float] = 0.1
    """Factor of the readouts' initial weights. It is small, so that the first policy hardly depends on its inputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shape = self.observation_space.shape
        assert shape is not None
        with seeded(self.seed + 1):  # a seed of its own, so that it does not get the actor's weights
            self.critic_network = self.make_network(shape[0], 1)
        self._rng = np.random.default_rng(self.seed)

    def outputs_of(self, action: spaces.Space[Any]) -> int:
        """Return Q, the number of the actor's outputs. See :meth:`Controller.outputs_of`."""
        self.distribution: ActionDistribution = make_action_distribution(action, self.settings.deviation)
        return self.distribution.size

    def make_network(self, inputs: int, outputs: int) -> Network:
        """Return a network whose outputs are small. See :meth:`Controller.make_network`."""
        network = super().make_network(inputs, outputs)
        with torch.no_grad():
            network.readout.weight.mul_(self.init_scale)
            network.readout.bias.zero_()
            if network.skip is not None:
                network.skip.weight.mul_(self.init_scale)
        return network

    def to_actions(self, output: Tensor, *, deterministic: bool) -> Array:
        """Return the most likely actions, or samples. See :meth:`Controller.to_actions`."""
        action = self.distribution.mode(output) if deterministic else self.distribution.draw(output, self._rng)
        return self.distribution.to_env(action)

    def tensors(self) -> dict[str, Any]:
        """Return the parameters of actor and critic. See :meth:`Agent.tensors`."""
        return super().tensors() | {"critic": self.critic_network.theta}

    def restore(self, tensors: dict[str, Array]) -> None:
        """Restore the parameters."""
        super().restore(tensors)
        self.critic_network.set_theta(torch.as_tensor(tensors["critic"]))
