"""The networks of recurrent SAC behind stable-baselines3's policy interface.

Axes: M samples, N environments, F features, A action components.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import CombinedExtractor

from rlmem.agents.check_spaces import check_spaces
from rlmem.agents.recurrent.policy import Observations, RecurrentPolicy, has_images, map_observations
from rlmem.agents.sac.network import SACNetwork
from rlmem.errors import UserError
from rlmem.networks.heads import Actions
from rlmem.networks.numpy_steps import FloatArray
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.privileged import actor_part


class SACPolicy(RecurrentPolicy):
    """Predicts, saves and loads as stable-baselines3's policies do; it sees numbers and acts in a bounded Box."""

    network: SACNetwork  # type: ignore[assignment]

    def make_network(self, feature_size: int, settings: Any, critic_size: int) -> SACNetwork:
        """Build what follows the features."""
        return SACNetwork(feature_size, int(np.prod(self.action_space.shape or ())), settings)

    @torch.no_grad()
    def raw_features(self, observations: Observations) -> FloatArray:
        """Return features [M, F] of observations [M, ...] before they are scaled."""
        observations = actor_part(observations)
        if self.plain_observations:
            assert not isinstance(observations, dict)
            return np.array(observations.reshape(len(observations), -1), np.float32)
        tensors, _ = self.obs_to_tensor(observations)
        features: Any = super(RecurrentPolicy, self).extract_features(tensors, self.features_extractor)
        found: FloatArray = features.cpu().numpy().astype(np.float32)
        return found

    def raw_features_of_one(self, observation: Any) -> FloatArray:
        """Return features [F] of one observation before they are scaled."""
        features: FloatArray = self.raw_features(map_observations(lambda part: np.asarray(part)[None], observation))[0]
        return features

    def scaled(self, features: FloatArray) -> FloatArray:
        """Return raw features [M, F] as the network sees them."""
        return features if self.scale is None else self.scale.on_arrays(features)

    def to_env(self, actions: Actions) -> NDArray[Any]:
        """Return actions [N, A] from -1 to 1 in the form of the action space."""
        space = self.action_space
        assert isinstance(space, spaces.Box)
        shaped = actions.reshape(-1, *space.shape)
        found: NDArray[Any] = (space.low + 0.5 * (shaped + 1.0) * (space.high - space.low)).astype(space.dtype)
        return found

    def onnx_action(self, graph: OnnxGraph, outputs: str) -> None:
        """Add the likeliest action to an ONNX graph, from the outputs of the actor's network."""
        space, head = self.action_space, self.network.head
        assert isinstance(space, spaces.Box)
        means = graph.add("Tanh", graph.split(outputs, [*head.action_shape, *head.action_shape])[0])
        shaped = graph.add("Reshape", means, graph.constant([-1, *space.shape], np.int64))
        scaled = graph.add("Mul", shaped, graph.constant(0.5 * (space.high - space.low)))
        graph.add("Add", scaled, graph.constant(0.5 * (space.high + space.low)), name="action")


class SACMultiInputPolicy(SACPolicy):
    """For Dict observations."""

    default_extractor = CombinedExtractor


def check_sac_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse spaces of other kinds than recurrent SAC knows.

    Raises:
        UserError: If observations are or hold images, or actions are not a bounded Box of floats.
    """
    check_spaces(observation_space, action_space)
    if has_images(observation_space):
        raise UserError(f"recurrent SAC is for observations of numbers, not images, got {observation_space}")
    if not isinstance(action_space, spaces.Box) or action_space.dtype.kind != "f":
        raise UserError(
            f"recurrent SAC is for continuous actions, a Box of floats, got {action_space}: use recurrent PPO"
        )
