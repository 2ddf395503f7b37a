"""A recurrent actor-critic: cells and small networks, whole sequences for training, one step on arrays for acting.

Axes: T time, B columns, F features, H hidden, P outputs of the action head, N environments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import NamedTuple

from torch import Tensor, nn

from rlmem.errors import UserError
from rlmem.networks.cell import torch_linear
from rlmem.networks.cells import CELLS, Stack
from rlmem.networks.cells.initialization import Init, check_init
from rlmem.networks.heads import Categorical, Gaussian
from rlmem.networks.mlp import MLP
from rlmem.networks.numpy_steps import ArrayState, FloatArray, Function, mlp
from rlmem.suggest import unknown

_GATED = frozenset(name for name, cell in CELLS.items() if "init" in signature(cell).parameters)

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU}


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The shape of a recurrent actor-critic.

    Raises:
        UserError: If a field is out of range; the message shows the value and what would be right.
    """

    cell: str = "lstm"
    """A name in :data:`rlmem.networks.cells.CELLS`."""
    hidden_size: int = 256
    """H, the size of each layer."""
    n_layers: int = 1
    """Layers of cells in a trunk."""
    shared: bool = False
    """One trunk for actor and critic, trained by both losses, instead of one each."""
    memory_length: float = 100.0
    """Steps over which the untrained cells should remember: the length of the task's gap."""
    init: Init = "forget"
    """How gated cells start, see :data:`rlmem.networks.cells.initialization.Init`."""
    actor_layers: tuple[int, ...] = (64, 64)
    """Sizes of the layers between the actor's trunk and the action."""
    critic_layers: tuple[int, ...] = (64, 64)
    """Sizes of the layers between the critic's trunk and the value."""
    activation: str = "tanh"
    """A name in :data:`ACTIVATIONS`."""
    log_std_init: float = 0.0
    """Logarithm of the standard deviation of continuous actions at the start."""

    def __post_init__(self) -> None:
        for name, known, value in (("cell", CELLS, self.cell), ("activation", ACTIVATIONS, self.activation)):
            if value not in known:
                raise UserError(unknown(name, value, known))
        check_init(self.init)
        for name, number in (("hidden_size", self.hidden_size), ("n_layers", self.n_layers)):
            if number < 1:
                raise UserError(f"{name} must be at least 1, got {number}")
        if not 2 <= self.memory_length < float("inf"):
            raise UserError(f"memory_length must be a finite number of steps, at least 2, got {self.memory_length}")
        for name, sizes in (("actor_layers", self.actor_layers), ("critic_layers", self.critic_layers)):
            if any(size < 1 for size in sizes):
                raise UserError(f"every size in {name} must be at least 1, got {sizes}")


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


class NumpyActor(NamedTuple):
    """The actor on arrays, with the weights of the moment it was made."""

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

    def __init__(self, feature_size: int, head: Gaussian | Categorical, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings, self.head = settings, head
        self.actor = _trunk(feature_size, settings)
        self.critic = self.actor if settings.shared else _trunk(feature_size, settings)
        self.actor_net = _mlp(settings.hidden_size, settings.actor_layers, head.size, settings.activation, gain=0.01)
        self.critic_net = _mlp(settings.hidden_size, settings.critic_layers, 1, settings.activation, gain=1.0)

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

    def numpy_actor(self) -> NumpyActor:
        """Return the actor on arrays."""
        trunk, net = self.actor.numpy_step(), self._array_net()

        def step(features: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
            hidden, state = trunk(features, state)
            return net(hidden), state

        return NumpyActor(step, array_state(self.actor.initial_state(1)))

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


def _trunk(feature_size: int, settings: NetworkSettings) -> Stack:
    layers = []
    for i in range(settings.n_layers):
        kwargs = {"init": settings.init} if settings.cell in _GATED else {}
        size = settings.hidden_size if i else feature_size
        layers.append(CELLS[settings.cell](size, settings.hidden_size, memory_length=settings.memory_length, **kwargs))
    return Stack(layers)


def _mlp(size: int, layers: Sequence[int], outputs: int, activation: str, *, gain: float) -> MLP:
    """Build a network with orthogonal weights: sqrt(2) inside, ``gain`` at the output, biases 0."""
    modules: list[nn.Module] = []
    for width in layers:
        modules += [nn.Linear(size, width), ACTIVATIONS[activation]()]
        size = width
    modules.append(nn.Linear(size, outputs))
    for module in modules:
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain if module is modules[-1] else 2**0.5)
            nn.init.zeros_(module.bias)
    return MLP(*modules)
