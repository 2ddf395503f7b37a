"""The recurrent actor-critic of :mod:`rlmem.networks.actor_critic` behind stable-baselines3's policy interface.

Axes: M samples, N environments, F features, S slots, B columns, P outputs of the action head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor, NatureCNN
from torch import Tensor

from rlmem.agents.check_spaces import check_exploration, check_pictures, check_spaces
from rlmem.agents.recurrent.action_masks import FORBIDDEN
from rlmem.agents.recurrent.auxiliary import Auxiliary
from rlmem.agents.recurrent.optimizer import FastAdam
from rlmem.agents.recurrent.sb3_policy import SB3Policy
from rlmem.errors import UserError
from rlmem.networks.actor_critic import ActorCritic, ActorStep, Trunks, array_state
from rlmem.networks.feature_scale import FeatureScale
from rlmem.networks.heads import Actions, CategoricalHead, GaussianHead
from rlmem.networks.held_noise import HeldNoise
from rlmem.networks.numpy_steps import ArrayState, FloatArray
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import NetworkSettings
from rlmem.privileged import PRIVILEGED, actor_part, actor_space, privileged_space

Observations = NDArray[Any] | dict[str, NDArray[Any]]
"""One array, or one for each key, all with the same leading axes."""
_ENCODED_AT_ONCE = 512


class Evaluated(NamedTuple):
    """What a policy says of M steps, with a graph."""

    log_probs: Tensor
    """[M] of the actions that were taken."""
    entropy: Tensor
    """[M] nats."""
    values: Tensor
    """[M]"""
    hidden: Tensor
    """[M, H] the actor's memory."""
    outputs: Tensor
    """[M, P] of the actor's network."""


class RecurrentPolicy(SB3Policy):
    """Features extractor, trunks of memory cells, action and value.

    The features extractor is shared by actor and critic, unless it is asked otherwise, or the critic is privileged: it
    needs none. A part ``"privileged"`` of the observation is never seen by the actor; ``observation_space`` is without
    it.

    Args:
        observation_space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of these.
        action_space: Box, Discrete, MultiDiscrete or MultiBinary.
        settings: The shape of the network after the features extractor.
        features_extractor_class: stable-baselines3 features extractor; by default by the kind of policy.
        features_extractor_kwargs: Its arguments.
        normalize_images: Divide images by 255.
        share_features_extractor: False: the critic has one of its own, if features extractors have weights.
    """

    default_extractor: ClassVar[type[BaseFeaturesExtractor]] = FlattenExtractor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        settings: NetworkSettings,
        *,
        features_extractor_class: type[BaseFeaturesExtractor] | None = None,
        features_extractor_kwargs: dict[str, Any] | None = None,
        normalize_images: bool = True,
        share_features_extractor: bool = True,
    ) -> None:
        check_spaces(observation_space, action_space)
        self.full_space, seen = observation_space, actor_space(observation_space)
        extractor_class = features_extractor_class or self.extractor_for(seen)
        if issubclass(extractor_class, (NatureCNN, CombinedExtractor)):
            check_pictures(seen)
        super().__init__(
            seen,
            action_space,
            features_extractor_class=extractor_class,
            features_extractor_kwargs=features_extractor_kwargs,
            normalize_images=normalize_images,
        )
        self.features_extractor = self.make_features_extractor()
        self.privileged = settings.critic_observation == "privileged"
        self.critic_extractor: BaseFeaturesExtractor | None = None
        if not share_features_extractor and settings.shared:
            raise UserError("a critic with the trunk of the actor has its features extractor: leave out one of the two")
        if not share_features_extractor and not self.privileged and has_weights(self.features_extractor):
            self.critic_extractor = self.make_features_extractor()
        for extractor in filter(None, (self.features_extractor, self.critic_extractor)):
            # as stable-baselines3's actor-critics have it: with PyTorch's weights features of images start far smaller
            extractor.apply(partial(self.init_weights, gain=2**0.5))
        size = self.features_extractor.features_dim
        critic_size = int(np.prod(privileged_space(observation_space).shape)) if self.privileged else size
        self.network = self.make_network(size, settings, critic_size)
        self.plain_observations = (
            type(self.features_extractor) is FlattenExtractor
            and isinstance(seen, spaces.Box)
            and not (normalize_images and is_image_space(seen))
        )
        self.scale: FeatureScale | None = None
        self.critic_scale: FeatureScale | None = None
        if settings.norm_obs:
            if has_weights(self.features_extractor) or has_images(seen):
                raise UserError(
                    "norm_obs is for observations of numbers that no trained features extractor changes, got "
                    f"{seen} with {type(self.features_extractor).__name__}: leave norm_obs off"
                )
            self.scale = FeatureScale(size)
            self.critic_scale = FeatureScale(critic_size) if self.privileged else None
        self.auxiliary: Auxiliary | None = None
        """What is predicted of the privileged observation in training."""
        # a features extractor of one's own may depend on the batch as a whole
        self._deduplicates = type(self.features_extractor) is NatureCNN
        self._acting: tuple[list[Tensor], ActorStep] | None = None
        self.rng = np.random.default_rng()
        """Source of sampled actions."""
        self.held_noise = HeldNoise(settings.sde_sample_freq)
        """Of sampled actions, where ``use_sde`` is set."""

    @classmethod
    def extractor_for(cls, seen: spaces.Space[Any]) -> type[BaseFeaturesExtractor]:
        """Return the features extractor for what the actor sees, where none is asked for."""
        if issubclass(cls.default_extractor, CombinedExtractor) and not isinstance(seen, spaces.Dict):
            return NatureCNN if is_image_space(seen) else FlattenExtractor
        return cls.default_extractor

    def make_network(self, feature_size: int, settings: NetworkSettings, critic_size: int) -> Any:
        """Build what follows the features extractor."""
        return ActorCritic(feature_size, _head(self.action_space, settings), settings, critic_size)

    @property
    def head(self) -> GaussianHead | CategoricalHead:
        """The distribution of actions."""
        return self.network.head

    @property
    def net_arch(self) -> dict[str, list[int]]:
        """Units of each layer between cell and action ("pi"), and between cell and value ("vf")."""
        settings = self.network.settings
        critic = settings.net_arch if settings.critic_arch is None else settings.critic_arch
        return {"pi": list(settings.net_arch), "vf": list(critic)}

    @property
    def pi_features_extractor(self) -> BaseFeaturesExtractor:
        """The actor's features extractor, by stable-baselines3's name."""
        return self.features_extractor

    @property
    def vf_features_extractor(self) -> BaseFeaturesExtractor:
        """The critic's features extractor, by stable-baselines3's name; it may be the actor's."""
        return self.critic_extractor or self.features_extractor

    @property
    def sees_apart(self) -> bool:
        """Whether the critic sees other features than the actor."""
        return self.privileged or self.critic_extractor is not None

    def encode(self, observations: Observations, extractor: BaseFeaturesExtractor | None = None) -> FloatArray:
        """Return features [M, F] of observations [M, ...] as arrays, without gradient; the actor's if not told."""
        observations = actor_part(observations)
        if self.plain_observations:
            assert not isinstance(observations, dict)
            return _scaled(observations, self.scale)
        count = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
        with torch.no_grad():
            # some at a time: what a network for images holds on the way is far larger than its features
            parts = [
                self.features(map_observations(itemgetter(slice(at, at + _ENCODED_AT_ONCE)), observations), extractor)
                for at in range(0, count, _ENCODED_AT_ONCE)
            ]
            return torch.cat(parts).cpu().numpy()

    def critic_encode(self, observations: Any) -> FloatArray:
        """Return what the critic sees of observations [M, ...] as arrays [M, C], without gradient."""
        if self.privileged:
            return _scaled(observations[PRIVILEGED], self.critic_scale)
        return self.encode(observations, self.critic_extractor)

    def critic_features(self, observations: Observations) -> Tensor:
        """Return what the critic sees of observations [M, ...] with gradient, [M, C]."""
        if self.privileged:
            return torch.from_numpy(self.critic_encode(observations)).to(self.device)
        return self.features(observations, self.critic_extractor)

    def features(self, observations: Observations, extractor: BaseFeaturesExtractor | None = None) -> Tensor:
        """Return features [M, F] of observations [M, ...] with gradient; identical images are encoded once."""
        extractor = extractor or self.features_extractor
        observations = actor_part(observations)
        if self.plain_observations:
            return torch.from_numpy(self.encode(observations)).to(self.device)
        if self._deduplicates and not isinstance(observations, dict):
            first, which = unique_images(observations)
            features = self.extract_features(self._tensor(observations[first]), extractor)
            return features if len(first) == len(which) else features[torch.from_numpy(which).to(self.device)]
        return self.extract_features(map_observations(self._tensor, observations), extractor)

    def extract_features(self, obs: Any, features_extractor: BaseFeaturesExtractor | None = None) -> Tensor:
        """Return features [M, F] of observations as tensors, scaled where ``norm_obs`` is set."""
        features: Tensor = super().extract_features(obs, features_extractor or self.features_extractor)
        return features if self.scale is None else self.scale(features)

    def count_observations(self, observations: Observations) -> None:
        """Let observations [M, ...] count in the statistics that scale them, where ``norm_obs`` is set."""
        if self.scale is not None:
            with torch.no_grad():
                tensors = map_observations(self._tensor, actor_part(observations))
                features = super().extract_features(tensors, self.features_extractor)
            self.scale.update(features.cpu().numpy())
        if self.critic_scale is not None:
            assert isinstance(observations, dict)
            self.critic_scale.update(_scaled(observations[PRIVILEGED], None))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """Return an array as a tensor, always in C order: convolutions of other layouts differ in their last bits.

        Images of an environment are transposed views; those of a checkpoint are not.
        """
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def forward(
        self,
        features: Tensor,
        critic_features: Tensor,
        blank: Tensor | None,
        states: Trunks,
        slots: Tensor | None,
        actions: Tensor,
        masks: Tensor | None = None,
    ) -> Evaluated:
        """Return what the policy says of actions in a grid of steps.

        Args:
            features: [S, B, F] a grid of features.
            critic_features: [S, B, C] what the critic sees.
            blank: [S, B] bool, or None where no slot is blank.
            states: The states before the first slots.
            slots: [M] the slot (s B + b) of each step, or None where every slot holds one.
            actions: [M, A]
            masks: [M, P] bool, which choices were allowed, or None where all were.
        """
        outputs, values, hidden = self.network(features, critic_features, blank, states, slots)
        if masks is not None:
            outputs = outputs.masked_fill(~masks, FORBIDDEN)
        return Evaluated(*self.head.log_prob_and_entropy(outputs, actions), values, hidden, outputs)

    def out_of_bounds(self, outputs: Tensor) -> Tensor:
        """Return how far the likeliest actions lie outside the space, in halves of its width: squares, mean over steps.

        Source: the bounds loss of rl_games, Makoviichuk and Makoviychuk, 2021.

        Args:
            outputs: [M, P] of the actor's network, for continuous actions.
        """
        low, high = self._bounds()
        means = self.means(outputs)
        return self.in_half_widths(means - means.clamp(low, high)).square().sum(-1).mean()

    def means(self, outputs: Tensor) -> Tensor:
        """Return the likeliest continuous actions [M, A], which may lie outside the space, from outputs [M, P]."""
        return outputs[:, : len(self._bounds()[0])]

    def in_half_widths(self, actions: Tensor) -> Tensor:
        """Return differences of continuous actions [M, A] in halves of the space's width."""
        low, high = self._bounds()
        return actions / (0.5 * (high - low))

    def _bounds(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self.action_space, spaces.Box)
        return self._tensor(self.action_space.low.reshape(-1)), self._tensor(self.action_space.high.reshape(-1))

    def actor_step(self) -> ActorStep:
        """Return one step of the actor on arrays, with the present weights, however they were changed."""
        network = self.network
        weights = [*network.actor.parameters(), *network.actor_net.parameters()]
        if self._acting is None or not all(map(torch.equal, weights, self._acting[0])):
            self._acting = [weight.detach().clone() for weight in weights], network.actor_step()
        return self._acting[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the step on arrays, which is made of functions and made anew from the weights."""
        optimizer = self.__dict__.get("optimizer")
        if isinstance(optimizer, FastAdam):
            optimizer.separate()
        return {**self.__dict__, "_acting": None}

    def initial_state(self, num_envs: int) -> ArrayState:
        """Return the actor's state at the start of an episode, each part [N, ...]."""
        return array_state(self.network.actor.initial_state(num_envs))

    def to_env(self, actions: Actions) -> NDArray[Any]:
        """Return stored actions [N, A] in the form of the action space, continuous ones clipped to its bounds."""
        space = self.action_space
        if isinstance(space, spaces.Box):
            # np.clip takes several times as long on arrays of this size
            clipped = np.minimum(np.maximum(actions.reshape(-1, *space.shape), space.low), space.high)
            whole = np.issubdtype(space.dtype, np.integer)
            return (np.rint(clipped) if whole else clipped).astype(space.dtype, copy=False)
        shifted: NDArray[Any] = actions + getattr(space, "start", 0)
        return shifted[:, 0] if isinstance(space, spaces.Discrete) else shifted

    def onnx_action(self, graph: OnnxGraph, outputs: str) -> None:
        """Add the likeliest continuous action to an ONNX graph, from the outputs of the actor's network."""
        space = self.action_space
        assert isinstance(space, spaces.Box)
        shaped = graph.add("Reshape", outputs, graph.constant([-1, *space.shape], np.int64))
        graph.add("Min", graph.add("Max", shaped, graph.constant(space.low)), graph.constant(space.high), name="action")


class RecurrentCnnPolicy(RecurrentPolicy):
    """For image observations."""

    default_extractor = NatureCNN


class RecurrentMultiInputPolicy(RecurrentPolicy):
    """For Dict observations."""

    default_extractor = CombinedExtractor


def _head(space: spaces.Space[Any], settings: NetworkSettings) -> GaussianHead | CategoricalHead:
    check_exploration(settings.use_sde, space)
    if isinstance(space, spaces.Box):
        return GaussianHead(int(np.prod(space.shape)), settings.log_std_init or 0.0)
    if isinstance(space, spaces.Discrete):
        return CategoricalHead([int(space.n)])
    if isinstance(space, spaces.MultiDiscrete):
        return CategoricalHead(space.nvec.tolist())
    assert isinstance(space, spaces.MultiBinary)
    return CategoricalHead([2] * int(np.prod(space.shape)))


def _scaled(numbers: NDArray[Any], scale: FeatureScale | None) -> FloatArray:
    """Return arrays of numbers [M, ...] as features [M, F], scaled if there is a scale."""
    features = np.ascontiguousarray(numbers.reshape(len(numbers), -1), np.float32)
    return features if scale is None else scale.on_arrays(features)


def has_weights(extractor: BaseFeaturesExtractor) -> bool:
    """Return whether a features extractor is trained."""
    return any(True for _ in extractor.parameters())


def has_images(space: spaces.Space[Any]) -> bool:
    """Return whether observations are images, or hold some."""
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else (space,)
    return any(is_image_space(part) for part in parts)


def unique_images(images: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find images [M, ...] that are equal byte for byte: in a memory task most frames of a rollout repeat.

    Returns:
        The index [K] of the first occurrence of each different one, and which [M] of the K each image is.
    """
    known: dict[bytes, int] = {}
    inverse = [known.setdefault(image.tobytes(), len(known)) for image in images]
    return np.unique(inverse, return_index=True)[1], np.array(inverse, dtype=np.intp)


def map_observations(function: Callable[[NDArray[Any]], Any], observations: Observations) -> Any:
    """Apply ``function`` to an array of observations, or to that of each key."""
    if isinstance(observations, dict):
        return {key: function(array) for key, array in observations.items()}
    return function(observations)


def joined_steps(observations: Observations) -> Any:
    """Join the first two axes [T, N] of observations into one."""
    return map_observations(lambda array: array.reshape(-1, *array.shape[2:]), observations)
