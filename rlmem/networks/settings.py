"""Settings of a recurrent actor-critic network; importing them does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from rlmem.errors import UserError
from rlmem.field_checks import check_types, check_widths
from rlmem.networks.cells import CELLS, check_cell
from rlmem.suggest import unknown

Init = Literal["forget", "chrono", "torch"]
"""Initialization of the gates for a memory length T.

"forget": input biases 0 and forget biases log U(1, T - 1), or log U(1, 2 T - 1) in cells other than the LSTM; "chrono":
the same forget biases, and input biases at their negative; "torch": the biases of PyTorch, uniform in +-1/sqrt(H),
which forget after about ten steps.
"""

CriticObservation = Literal["actor", "privileged"]
"""What the critic sees: what the actor sees, or the privileged part of the observation."""
LOG_STDS = (-20.0, 10.0)
"""Bounds of the initial logarithm of standard deviations; their exponentials must be numbers that add up."""
ACTIVATIONS = {"tanh": "Tanh", "relu": "ReLU", "elu": "ELU", "gelu": "GELU"}
"""Name to class in ``torch.nn``."""


def check_init(init: str) -> None:
    """Raise UserError if ``init`` is not one of the ways to start a gate."""
    if init not in get_args(Init):
        raise UserError(f"init must be one of {get_args(Init)}, got {init!r}")


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The shape of a recurrent actor-critic.

    Args:
        cell: Memory cell; module:Class is one of your own.
        hidden_size: Units of a cell.
        n_layers: Number of stacked cells.
        shared: Share encoder and cells between actor and critic, trained by both losses.
        critic_memory: False: the critic sees only the current observation, with an encoder of its own.
        critic_observation: "privileged": in training the critic sees the full state, where the environment offers it;
            "actor": it sees what the actor sees.
        norm_obs: Scale observations by their running mean and standard deviation, frozen in evaluation. None: where the
            memory length is unknown and observations are numbers.
        skip: Feed the features of the observation to actor and critic in addition to the cell's output.
        net_arch: Units of each hidden layer between cell and action, and between cell and value.
        critic_arch: Units of the hidden layers between cell and value, if they differ from net_arch.
        activation: Activation function of these layers.
        ortho_init: Initialize these layers with orthogonal weights.
        use_sde: State-dependent exploration (gSDE) of continuous actions: their noise is a matrix, held for several
            steps, times the input of the actor's last layer. It is smooth in time, as robots need it.
        sde_sample_freq: Control steps for which such a matrix is held; -1: a whole rollout.
        log_std_init: Initial logarithm of the standard deviation of continuous actions, or of the entries of the noise
            matrix. None: 0, or -0.5 if the memory length is unknown, or -2 with use_sde.
        init: Initialization of the gates. "forget": forget biases that remember over the task's memory length;
            "chrono": these, and input biases at their negative; "torch": that of PyTorch.
        memory_length: Control steps over which the untrained cells remember; the task stays as it is. None: the task's
            longest memory length, or 10 if that is unknown.

    Raises:
        UserError: If a field is out of range; the message shows the value and what would be right.
    """

    cell: str = field(default="lstm", metadata={"names": CELLS})
    hidden_size: int = 64
    n_layers: int = 1
    shared: bool = False
    critic_memory: bool = True
    critic_observation: CriticObservation = "actor"
    norm_obs: bool | None = None
    skip: bool = True
    net_arch: tuple[int, ...] = (64,)
    critic_arch: tuple[int, ...] | None = None
    activation: str = field(default="tanh", metadata={"names": ACTIVATIONS})
    ortho_init: bool = True
    use_sde: bool = False
    sde_sample_freq: int = -1
    log_std_init: float | None = None
    init: Init = "forget"
    memory_length: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "net_arch", tuple(self.net_arch))
        if self.critic_arch is not None:
            object.__setattr__(self, "critic_arch", tuple(self.critic_arch))
        check_cell("cell", self.cell)
        if self.activation not in ACTIVATIONS:
            raise UserError(unknown("activation", self.activation, ACTIVATIONS))
        check_init(self.init)
        if self.shared and not self.critic_memory:
            raise UserError(
                "a critic that shares the actor's trunk has its memory: set shared=False or critic_memory=True"
            )
        if self.critic_observation not in get_args(CriticObservation):
            raise UserError(f"critic_observation must be 'actor' or 'privileged', got {self.critic_observation!r}")
        if self.shared and self.critic_observation == "privileged":
            raise UserError("a critic that shares the actor's trunk sees what the actor sees: set shared=False")
        if self.log_std_init is not None and not LOG_STDS[0] <= self.log_std_init <= LOG_STDS[1]:
            raise UserError(f"log_std_init must be from {LOG_STDS[0]:g} to {LOG_STDS[1]:g}, got {self.log_std_init}")
        if self.sde_sample_freq != -1 and not 1 <= self.sde_sample_freq < float("inf"):
            raise UserError(
                f"sde_sample_freq must be at least 1 control step, or -1 (a whole rollout), got {self.sde_sample_freq}"
            )
        for name, number in (("hidden_size", self.hidden_size), ("n_layers", self.n_layers)):
            if number < 1:
                raise UserError(f"{name} must be a whole number of at least 1, got {number}")
        if self.memory_length is not None and not 3 <= self.memory_length < float("inf"):
            raise UserError(f"memory_length must be at least 3 control steps, got {self.memory_length}")
        for name, sizes in (("net_arch", self.net_arch), ("critic_arch", self.critic_arch or ())):
            if any(size < 1 for size in sizes):
                raise UserError(f"every size in {name} must be at least 1, got {sizes}")
        check_widths(hidden_size=self.hidden_size, n_layers=self.n_layers)
        check_widths(net_arch=self.net_arch, critic_arch=self.critic_arch or ())


UNKNOWN_MEMORY_LENGTH = 10
"""Control steps that cells remember before training where the task does not say how long is needed.

With forget biases for 100 steps the cell state adds up noise, and CartPole takes three times as long to learn.
"""
