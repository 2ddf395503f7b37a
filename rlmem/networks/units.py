"""Local derivatives of a cell: of each unit's next state by its own parameters, its state, and its inputs.

A unit has M numbers of state (hidden and cell state of an LSTM, real and imaginary part of an RTU) and C parameters:
the weights into all its gates, their biases, its decay rates. Within one step a parameter of a unit reaches that unit
only:

    s'_i = f(parameters_i, x, s_i, all hidden states)

Cells without weights between units (RTU, LRU, minGRU, eLSTM) keep it so over any number of steps.

Axes: N streams, D input, H hidden, K units, M parts of a unit's state, G gates, C parameters of a unit, V vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from rlmem.networks.cell import AnyCell

AnyCellT = TypeVar("AnyCellT", bound=AnyCell)
Keep = tuple[tuple[Tensor | None, ...], ...]


class UnitStep(NamedTuple):
    """One step of all units, and its derivatives."""

    output: Tensor
    """[N, H]."""
    state: tuple[Tensor, ...]
    """M parts [N, K]."""
    keep: Keep
    """[M][M] derivatives of a part after the step by a part before, each [N, K] or [K], None where 0; without what
    passes through weights between units."""
    through: tuple[Tensor, ...]
    """M derivatives [N, K, G] of a part by the products of the hidden state (part 0) with the weights between units;
    empty where there are none."""
    drive: tuple[Tensor, ...]
    """M derivatives [N, K, G] of a part by the products of the input with the weights."""
    immediate: tuple[Tensor, ...]
    """M derivatives [N, K, C] of a part by the parameters of its unit, the state before held fast."""
    tape: tuple[Tensor, ...]
    """What :meth:`Units.read` needs."""


class Direct(NamedTuple):
    """A parameter that the output depends on besides the state: a weight [A, B] or a bias [A]."""

    left: Tensor
    """[N, V, A] gradient by the product with the weight, or the sum with the bias."""
    right: Tensor | None
    """[N, B] what the weight multiplies, or None for a bias."""
    into_input: Tensor | None
    """The weight, where it multiplies the input of the step."""


class Read(NamedTuple):
    """A gradient by the output taken back to the state after the step, and to the parameters on the way."""

    by_state: tuple[Tensor | None, ...]
    """M parts [N, V, K], None where 0."""
    direct: tuple[Direct, ...]


class Units(ABC, Generic[AnyCellT]):
    """Local derivatives of one step of a cell, unit by unit.

    Args:
        cell: The cell; its weights are read at each step.
    """

    n_parts: int
    """M."""
    joined: ClassVar[bool] = False
    """Whether there are weights between units; if so, all parameters belong to units, and part 0 of the state is the
    output."""

    def __init__(self, cell: AnyCellT) -> None:
        self.cell = cell
        self.index: dict[str, Tensor] = {}
        at = 0
        for name, parameter in cell.named_parameters():
            self.index[name] = torch.arange(at, at + parameter.numel()).view(parameter.shape)
            at += parameter.numel()
        self.num_parameters = at
        self.columns = self._columns()
        joined = torch.cat((self.columns.flatten(), *(index.flatten() for index in self._direct())))
        self.order = torch.argsort(joined)

    @abstractmethod
    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> UnitStep:
        """Take an input [N, D] and M parts of state [N, K]."""

    @abstractmethod
    def read(self, tape: tuple[Tensor, ...], by_output: Tensor) -> Read:
        """Take vectors [N, V, H] back through the output of the step that left ``tape``."""

    @abstractmethod
    def _columns(self) -> Tensor:
        """Return the indices [K, C] of the parameters of each unit, in the order of ``UnitStep.immediate``."""

    def _direct(self) -> tuple[Tensor, ...]:
        """Return the indices of all other parameters, in the order of ``Read.direct``."""
        return ()

    def input_weight(self) -> Tensor:
        """Return the weights of the input [K, G, D] to which ``UnitStep.drive`` belongs."""
        return by_unit(self.cell.input_weight, self.cell.hidden_size)  # type: ignore[arg-type]

    def hidden_weight(self) -> Tensor:
        """Return the weights between units [K, G, K] to which ``UnitStep.through`` belongs."""
        return by_unit(self.cell.hidden_weight, self.cell.hidden_size)  # type: ignore[arg-type]

    def by_input(self, drive: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return M derivatives [N, K, D] of the state by the input, from ``UnitStep.drive``."""
        return _through(drive, self.input_weight()) if drive else ()

    def by_hidden(self, through: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return M derivatives [N, K, K] of the state by the hidden state, from ``UnitStep.through``."""
        return _through(through, self.hidden_weight()) if through else ()

    def flatten(self, values: list[Tensor]) -> Tensor:
        """Return a vector [..., P] in the order of the cell's parameters.

        Args:
            values: [..., K C] by the parameters of all units, then by the other parameters, each [..., A B].
        """
        joined = values[0] if len(values) == 1 else torch.cat(values, -1)
        order = self.order.to(joined.device)
        return joined.index_select(0, order) if joined.dim() == 1 else joined.gather(-1, order.expand_as(joined))


def by_unit(weight: Tensor, units: int) -> Tensor:
    """Return a weight [G K, B] as [K, G, B]."""
    return weight.detach().view(-1, units, weight.shape[-1]).transpose(0, 1)


def _through(by_gates: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, ...]:
    """Return the sums [N, K, B] over gates [N, K, G] of all parts times their weights [K, G, B]."""
    return tuple((part.unsqueeze(-1) * weight).sum(2) for part in by_gates)


def gate_columns(units: int, *indices: Tensor) -> Tensor:
    """Return indices [K, C], gate by gate, of weights [G K, B] and biases [G K] side by side."""
    parts = [by_unit(index if index.dim() == 2 else index[:, None], units) for index in indices]
    return torch.cat(parts, -1).flatten(1)


def with_one(*parts: Tensor) -> Tensor:
    """Return parts [N, B] and a column of ones, for the bias, side by side."""
    return torch.cat((*parts, parts[0].new_ones(len(parts[0]), 1)), -1)


def outer(gates: Tensor, inputs: Tensor) -> Tensor:
    """Return the products [N, K, G B] of gates [N, K, G] and inputs [N, B]."""
    return (gates.unsqueeze(-1) * inputs[:, None, None]).flatten(2)


AnyUnits = Units[Any]
