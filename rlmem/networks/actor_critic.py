"""A recurrent actor-critic: cells and small networks, whole sequences for training, one step on arrays for acting.

Axes: T time, B columns, F features, H hidden, P outputs of the action head, N environments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.networks.cell import Unfolded, torch_linear
from rlmem.networks.cells import CELLS, Stack
from rlmem.networks.heads import CategoricalHead, GaussianHead
from rlmem.networks.mlp import MLP
from rlmem.networks.numpy_steps import ArrayState, FloatArray, NumpyStep, mlp, with_features
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.networks.settings import ACTIVATIONS, UNKNOWN_MEMORY_LENGTH, NetworkSettings
from rlmem.networks.state_dependent_head import StateDependentHead


class Trunk(Stack):
    """Layers of one cell, whose output may also hold the features: a path past the memory.

    Args:
        feature_size: F, the size of an encoded observation.
        settings: The shape of the network.
    """

    def __init__(self, feature_size: int, settings: NetworkSettings) -> None:
        length = settings.memory_length or UNKNOWN_MEMORY_LENGTH
        sizes = [feature_size, *[settings.hidden_size] * settings.n_layers]
        make = CELLS[settings.cell]
        gated = {"init": settings.init} if "init" in signature(make).parameters else {}
        super().__init__([make(size, after, memory_length=length, **gated) for size, after in pairwise(sizes)])
        self._skip = settings.skip
        if settings.skip:
            self.hidden_size += feature_size

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map features [N, F] and a state to the output [N, H + F] (without skip: [N, H]) and the next state."""
        output, state = super().forward(x, state)
        return (torch.cat((output, x), -1) if self._skip else output), state

    def scan(self, xs: Tensor, blank: Tensor | None, state: tuple[Tensor, ...]) -> Unfolded[tuple[Tensor, ...]]:
        """Run over a whole sequence. See :meth:`Cell.scan`."""
        output, state = super().scan(xs, blank, state)
        return Unfolded(torch.cat((output, xs), -1) if self._skip else output, state)

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays. See :meth:`Cell.numpy_step`."""
        step = super().numpy_step()
        return with_features(step) if self._skip else step

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step to an ONNX graph. See :meth:`Cell.onnx_step`."""
        output, state = super().onnx_step(graph, x, state)
        return (graph.join(output, x) if self._skip else output), state


class Trunks(NamedTuple):
    """One entry for the actor and one for the critic; the same where they share a trunk."""

    actor: tuple[Tensor, ...]
    critic: tuple[Tensor, ...]


class Evaluated(NamedTuple):
    """Outputs of the network for M observations."""

    outputs: Tensor
    """[M, P] parameters of the action distributions."""
    values: Tensor
    """[M] values."""
    hidden: Tensor
    """[M, H] what the actor's trunk puts out."""


class ActorStep(NamedTuple):
    """One step of the actor on arrays, with copies of the weights."""

    step: Callable[[FloatArray, ArrayState], tuple[FloatArray, ArrayState]]
    """Features [N, F] and state to outputs [N, P] and the next state."""
    initial_state: ArrayState
    """The state at the start of an episode, each part [1, ...]."""


class ActorCritic(nn.Module):
    """Trunks of cells, and a small network on each for the action and for the value.

    Args:
        feature_size: F, the size of an encoded observation.
        head: The distribution of actions.
        settings: The shape of the network.
        critic_size: C, the size of what the critic sees, if that is not F.
    """

    def __init__(
        self,
        feature_size: int,
        head: GaussianHead | CategoricalHead,
        settings: NetworkSettings,
        critic_size: int | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.head = settings, head
        self.actor = Trunk(feature_size, settings)
        of_critic = settings if settings.critic_memory else replace(settings, cell="memoryless")
        self.critic = self.actor if settings.shared else Trunk(critic_size or feature_size, of_critic)
        self.actor_net = make_mlp(self.actor.hidden_size, settings.net_arch, head.size, settings, gain=0.01)
        if settings.use_sde:
            last = self.actor_net[-1]
            assert isinstance(last, nn.Linear)
            log_std = settings.log_std_init or 0.0
            self.head = StateDependentHead(head.size, last.in_features, log_std, settings.sde_sample_freq)
        critic_arch = settings.net_arch if settings.critic_arch is None else settings.critic_arch
        self.critic_net = make_mlp(self.critic.hidden_size, critic_arch, 1, settings, gain=1.0)

    def forward(
        self,
        features: Tensor,
        critic_features: Tensor,
        blank: Tensor | None,
        states: Trunks,
        slots: Tensor | None,
    ) -> Evaluated:
        """Evaluate a grid of features from the states before it.

        Args:
            features: [T, B, F] what the actor sees.
            critic_features: [T, B, C] what the critic sees.
            blank: [T, B] bool, true where a slot is blank, or None where none is.
            states: The states before the first slots.
            slots: [M] which slots of the flattened grid (t B + b) to evaluate, or None for all.
        """
        actor = self.actor.scan(features, blank, states.actor).output
        critic = actor if self.settings.shared else self.critic.scan(critic_features, blank, states.critic).output
        hidden = _chosen(actor, slots)
        return Evaluated(self.actor_outputs(hidden), self.critic_net(_chosen(critic, slots)).squeeze(-1), hidden)

    def actor_outputs(self, hidden: Tensor) -> Tensor:
        """Map the output of the actor's trunk [M, H] to what the head takes [M, P]."""
        return self.actor_net.with_latent(hidden) if self.settings.use_sde else self.actor_net(hidden)

    def freeze_cells(self) -> None:
        """Exclude all parameters of the cells from training."""
        for trunk in (self.actor, self.critic):
            trunk.requires_grad_(False)

    def actor_step(self) -> ActorStep:
        """Return one step of the actor on arrays, with the present weights."""
        return make_actor_step(self.actor, self.actor_net, self.settings.activation, with_latent=self.settings.use_sde)


def make_actor_step(trunk: Trunk, net: MLP, activation: str, *, with_latent: bool = False) -> ActorStep:
    """Return one step on arrays of a trunk and the network on it, with the present weights."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    arrays = [(part.weight.detach().cpu().numpy().copy(), part.bias.detach().cpu().numpy().copy()) for part in layers]
    hidden_step = trunk.numpy_step()
    function = mlp(arrays, activation, torch_linear, with_latent=with_latent)

    def step(features: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        hidden, state = hidden_step(features, state)
        return function(hidden), state

    return ActorStep(step, array_state(trunk.initial_state(1)))


def _chosen(latent: Tensor, slots: Tensor | None) -> Tensor:
    """Return some slots [M, H] of a grid [T, B, H]."""
    flat = latent.flatten(0, 1)
    return flat if slots is None else flat.index_select(0, slots)


def array_state(state: tuple[Tensor, ...]) -> ArrayState:
    """Return copies of the parts of a state as arrays."""
    return tuple(part.detach().cpu().numpy().copy() for part in state)


def make_mlp(size: int, layers: Sequence[int], outputs: int, settings: NetworkSettings, *, gain: float) -> MLP:
    """Build a network; orthogonal weights are scaled by sqrt(2) inside and by ``gain`` at the output, biases are 0."""
    modules: list[nn.Module] = []
    for width in layers:
        modules += [nn.Linear(size, width), getattr(nn, ACTIVATIONS[settings.activation])()]
        size = width
    modules.append(nn.Linear(size, outputs))
    for module in modules:
        if settings.ortho_init and isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain if module is modules[-1] else 2**0.5)
            nn.init.zeros_(module.bias)
    return MLP(*modules)
