"""Initialization of cells: forget biases and decay rates from the memory length of the task.

Sources: forget biases from Tallec and Ollivier, "Can recurrent neural networks warp time?", ICLR 2018, section 2.2;
rings of decay rates from Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", ICML 2023.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def forget_bias(hidden_size: int, memory_length: float) -> Tensor:
    """Return biases log U(1, T - 1) [H]: a gate sigmoid(b) keeps its content for about exp(b) + 1 steps."""
    return torch.empty(hidden_size).uniform_(1.0, max(memory_length - 1.0, 1.0)).log()


def long_forget_bias(hidden_size: int, memory_length: float) -> Tensor:
    """Return biases log U(1, 2 T - 1) [H], for cells whose hidden state does not hold a cue by itself.

    In an LSTM with slow gates the recurrent weights add up over time and keep what a cue began. The others forget
    within the memory length, so that theirs must be longer.
    """
    return forget_bias(hidden_size, 2.0 * memory_length)


def time_constants(size: int, memory_length: float) -> Tensor:
    """Return time constants in steps [size], uniform from 1 to twice ``memory_length``: decay exp(-1/tau) a step.

    So half of the units still hold more than 1/e at the end of what they were shown at the start. With the log-uniform
    ones of rings of decay rates few do, and in the T-maze the mark of the cue beside that of what is seen at the
    junction is a sixth of what it is with these.
    """
    return torch.empty(size).uniform_(1.0, 2.0 * memory_length)


def slow_phases(time_constant: Tensor) -> Tensor:
    """Return angles a step, uniform from 0 to a quarter turn within each time constant.

    So that what an untrained unit holds does not turn away while it lasts.
    """
    return (torch.rand_like(time_constant) * 0.99 + 0.01) * (math.pi / 2) / time_constant


def init_unit_variance(weight: Tensor) -> None:
    """Fill weights [P, D] so that inputs of variance 1 give products of variance 1: normal, deviation 1/sqrt(D)."""
    nn.init.normal_(weight, std=weight.shape[1] ** -0.5)


def open_gates_by_inputs(weight: Tensor, bias: Tensor) -> None:
    """Initialize every other row of input weights [H, D] so that inputs can open its gate: normal, as wide as its bias.

    A gate that keeps for T steps and writes as it forgets writes one part in T of a cue a step, too little to be found.
    So an input of length 1 moves every other gate by about its bias: a cue opens some of them, and they hold it when it
    is gone. The others average over their time.
    """
    with torch.no_grad():
        weight[1::2] = torch.randn_like(weight[1::2]) * bias[1::2, None]


def uniform(parameter: nn.Parameter, hidden_size: int) -> None:
    """Fill a parameter as PyTorch's recurrent layers do, uniform in +-1/sqrt(H)."""
    nn.init.uniform_(parameter, -(hidden_size**-0.5), hidden_size**-0.5)
