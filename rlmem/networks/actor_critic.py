"""A recurrent actor-critic: cells and small networks, whole sequences for training, one step on arrays for acting.

Axes: T time, B columns, F features, H hidden, P outputs of the action head, N environments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlmem.errors import UserError
from rlmem.networks.cell import Unfolded, torch_linear
from rlmem.networks.cells import CELLS, Stack
from rlmem.networks.cells.initialization import Init, check_init
from rlmem.networks.heads import CategoricalHead, GaussianHead
from rlmem.networks.mlp import MLP
from rlmem.networks.numpy_steps import ArrayState, FloatArray, Function, NumpyStep, mlp, with_features
from rlmem.networks.onnx_graph import OnnxGraph
from rlmem.suggest import unknown

_GATED = frozenset(name for name, cell in CELLS.items() if "init" in signature(cell).parameters)

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The shape of a recurrent actor-critic.

    Args:
        cell: Memory cell: lstm, gru, elman, rtu, lru, min_gru, elstm or memoryless.
        hidden_size: Units of a cell.
        n_layers: Cells on top of each other.
        shared: One trunk for actor and critic, trained by both losses.
        skip: Actor and critic see the features of the observation beside the cell's output.
        net_arch: Units of each layer between cell and action, and between cell and value.
        critic_arch: The latter where it differs.
        activation: Between these layers: tanh, relu, elu or gelu.
        ortho_init: Start these layers with orthogonal weights.
        log_std_init: Logarithm of the standard deviation of continuous actions at the start.
        init: "forget": gates remember over the task's memory length; "chrono": and input gates start as far closed;
            "torch": as torch has them.
        memory_length: Control steps that cells should remember before training. None: the task's longest, 10 where
            that is unknown.

    Raises:
        UserError: If a field is out of range; the message shows the value and what would be right.
    """

    cell: str = "lstm"
    hidden_size: int = 64
    n_layers: int = 1
    shared: bool = False
    skip: bool = True
    net_arch: tuple[int, ...] = (64,)
    critic_arch: tuple[int, ...] | None = None
    activation: str = "tanh"
    ortho_init: bool = True
    log_std_init: float = 0.0
    init: Init = "forget"
    memory_length: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "net_arch", tuple(self.net_arch))
        if self.critic_arch is not None:
            object.__setattr__(self, "critic_arch", tuple(self.critic_arch))
        for name, known, value in (("cell", CELLS, self.cell), ("activation", ACTIVATIONS, self.activation)):
            if value not in known:
                raise UserError(unknown(name, value, known))
        check_init(self.init)
        for name, number in (("hidden_size", self.hidden_size), ("n_layers", self.n_layers)):
            if number < 1:
                raise UserError(f"{name} must be a whole number of at least 1, got {number}")
        if self.memory_length is not None and not 3 <= self.memory_length < float("inf"):
            raise UserError(f"memory_length must be at least 3 control steps, got {self.memory_length}")
        for name, sizes in (("net_arch", self.net_arch), ("critic_arch", self.critic_arch or ())):
            if any(size < 1 for size in sizes):
                raise UserError(f"every size in {name} must be at least 1, got {sizes}")


UNKNOWN_MEMORY_LENGTH = 10
"""Control steps that cells remember before training where the task does not say how long is needed.

With forget biases for 100 steps the cell state adds up noise, and CartPole takes three times as long to learn.
"""


class Trunk(Stack):
    """Layers of one cell, whose output may also hold the features: a path past the memory.

    Args:
        feature_size: F, the size of an encoded observation.
        settings: The shape of the network.
    """

    def __init__(self, feature_size: int, settings: NetworkSettings) -> None:
        gated = {"init": settings.init} if settings.cell in _GATED else {}
        length = settings.memory_length or UNKNOWN_MEMORY_LENGTH
        sizes = [feature_size, *[settings.hidden_size] * settings.n_layers]
        make = CELLS[settings.cell]
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
    """

    def __init__(self, feature_size: int, head: GaussianHead | CategoricalHead, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings, self.head = settings, head
        self.actor = Trunk(feature_size, settings)
        self.critic = self.actor if settings.shared else Trunk(feature_size, settings)
        self.actor_net = _mlp(self.actor.hidden_size, settings.net_arch, head.size, settings, gain=0.01)
        critic_arch = settings.net_arch if settings.critic_arch is None else settings.critic_arch
        self.critic_net = _mlp(self.critic.hidden_size, critic_arch, 1, settings, gain=1.0)

    def forward(self, features: Tensor, blank: Tensor | None, states: Trunks, slots: Tensor | None) -> Evaluated:
        """Evaluate a grid of features from the states before it.

        Args:
            features: [T, B, F]
            blank: [T, B] bool, true where a slot is blank, or None where none is.
            states: The states before the first slots.
            slots: [M] which slots of the flattened grid (t B + b) to evaluate, or None for all.
        """
        actor = self.actor.scan(features, blank, states.actor).output
        critic = actor if self.settings.shared else self.critic.scan(features, blank, states.critic).output
        outputs = self.actor_net(_chosen(actor, slots))
        return Evaluated(outputs, self.critic_net(_chosen(critic, slots)).squeeze(-1))

    def actor_step(self) -> ActorStep:
        """Return one step of the actor on arrays, with the present weights."""
        trunk, net = self.actor.numpy_step(), self._array_net()

        def step(features: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
            hidden, state = trunk(features, state)
            return net(hidden), state

        return ActorStep(step, array_state(self.actor.initial_state(1)))

    def _array_net(self) -> Function:
        layers = [layer for layer in self.actor_net if isinstance(layer, nn.Linear)]
        arrays = [
            (part.weight.detach().cpu().numpy().copy(), part.bias.detach().cpu().numpy().copy()) for part in layers
        ]
        return mlp(arrays, self.settings.activation, torch_linear)


def _chosen(latent: Tensor, slots: Tensor | None) -> Tensor:
    """Return some slots [M, H] of a grid [T, B, H]."""
    flat = latent.flatten(0, 1)
    return flat if slots is None else flat[slots]


def array_state(state: tuple[Tensor, ...]) -> ArrayState:
    """Return copies of the parts of a state as arrays."""
    return tuple(part.detach().cpu().numpy().copy() for part in state)


def _mlp(size: int, layers: Sequence[int], outputs: int, settings: NetworkSettings, *, gain: float) -> MLP:
    """Build a network; orthogonal weights are scaled by sqrt(2) inside and by ``gain`` at the output, biases are 0."""
    modules: list[nn.Module] = []
    for width in layers:
        modules += [nn.Linear(size, width), ACTIVATIONS[settings.activation]()]
        size = width
    modules.append(nn.Linear(size, outputs))
    for module in modules:
        if settings.ortho_init and isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain if module is modules[-1] else 2**0.5)
            nn.init.zeros_(module.bias)
    return MLP(*modules)
