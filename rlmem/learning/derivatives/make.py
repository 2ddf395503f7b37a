"""Derivatives by name.

``bptt`` and ``tbptt`` go back through time, ``rtrl`` is exact and carried forward, ``snap1`` is its cheap
approximation. For memoryless, RTU, LRU, minGRU and eLSTM ``snap1`` is exact and the same as ``rtrl``.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from math import ceil
from typing import Any, Literal

from rlmem.errors import UserError
from rlmem.learning.derivatives.base import Derivative
from rlmem.learning.derivatives.bptt import BPTT
from rlmem.learning.derivatives.dense_traces import DenseTraces
from rlmem.learning.derivatives.generic import GenericRTRL
from rlmem.learning.derivatives.layer_traces import LayerTraces
from rlmem.learning.derivatives.readout import NetworkDerivative
from rlmem.learning.derivatives.stack_traces import StackTraces
from rlmem.learning.derivatives.unit_derivative import UnitDerivative
from rlmem.learning.derivatives.unit_traces import UnitTraces
from rlmem.learning.network import Network
from rlmem.networks.cell import AnyCell
from rlmem.networks.cells import Stack
from rlmem.networks.units import AnyUnits
from rlmem.suggest import unknown


def make_derivative(name: str, of: Network | AnyCell, **settings: Any) -> Derivative:
    """Return derivatives of a network's outputs y, or of a bare cell's outputs h, by all its parameters.

    Args:
        name: One of :data:`DERIVATIVES`.
        of: The network or cell; it is kept, not copied.
        settings: ``window`` of ``tbptt``, and its ``stride``; ``path`` of ``rtrl``: ``"auto"`` or ``"generic"``.

    Raises:
        UserError: If there is no such name or setting, one is out of range, or the derivative does not exist for the
            cell.
    """
    if name not in DERIVATIVES:
        raise UserError(unknown("derivative", name, DERIVATIVES))
    known = list(signature(DERIVATIVES[name]).parameters)[1:]
    for setting in settings:
        if setting not in known:
            raise UserError(f"{name} has no setting {setting!r}; it has: {', '.join(known) or 'none'}")
    return DERIVATIVES[name](of, **settings)


def rtrl(of: Network | AnyCell, *, path: Literal["auto", "generic"] = "auto") -> Derivative:
    """Return exact real-time recurrent learning, by the fastest path for the cell.

    Traces of units for diagonal cells and eLSTM, O(P) a step; dense traces for Elman, GRU and LSTM, O(H^2 P); blocks of
    both for stacks; automatic differentiation for cells whose units are not known.

    Raises:
        UserError: If there is no such path, or the cell's state is so large that its derivatives take gigabytes.
    """
    if path not in ("auto", "generic"):
        raise UserError(f"path must be 'auto' or 'generic', got {path!r}")
    cell = of.cell if isinstance(of, Network) else of
    units = [layer.units() for layer in _layers(cell)]
    if path == "generic" or None in units:
        _refuse_large_traces(cell)
        return _with_readout(of, GenericRTRL(cell))
    traces = [_exact(known) for known in units if known is not None]
    return _with_readout(of, traces[0] if len(traces) == 1 else StackTraces(traces))


def snap1(of: Network | AnyCell) -> Derivative:
    """Return SnAp-1, layer by layer in a stack.

    Raises:
        UserError: If the units of a cell are not known.
    """
    traces = []
    for layer in _layers(of.cell if isinstance(of, Network) else of):
        units = layer.units()
        if units is None:
            raise UserError(f"snap1 needs a cell that defines units(), and {type(layer).__name__} does not: use rtrl")
        traces.append(UnitTraces(units, "snap1"))
    return _with_readout(of, traces[0] if len(traces) == 1 else LayerTraces(traces))


def bptt(of: Network | AnyCell) -> Derivative:
    """Return full backpropagation through time: to the start of the episode."""
    return BPTT(of)


def tbptt(of: Network | AnyCell, *, window: int | None = None, stride: int = 1) -> Derivative:
    """Return truncated backpropagation through time, by default over the memory length of the cell."""
    cell = of.cell if isinstance(of, Network) else of
    return BPTT(of, ceil(cell.memory_length) if window is None else window, stride)


DERIVATIVES: dict[str, Callable[..., Derivative]] = {"bptt": bptt, "tbptt": tbptt, "rtrl": rtrl, "snap1": snap1}
"""Name -> function of a network or cell, and settings."""


def _exact(units: AnyUnits) -> UnitDerivative:
    return DenseTraces(units, "rtrl") if units.joined else UnitTraces(units, "rtrl")


_MOST_NUMBERS = 1 << 27
"""Of a dense trace of one stream: 1 GiB in float64."""


def _refuse_large_traces(cell: AnyCell) -> None:
    state = sum(part.numel() for part in cell.initial_state(1))
    parameters = sum(parameter.numel() for parameter in cell.parameters())
    if state * parameters > _MOST_NUMBERS:
        raise UserError(
            f"rtrl of this {type(cell).__name__} would carry {state:,} x {parameters:,} derivatives a stream, "
            f"{state * parameters / 2**27:.1f} GiB: use bptt or tbptt, fewer units or a shorter memory_length"
        )


def _layers(cell: AnyCell) -> list[AnyCell]:
    """Return the layers of a stack, also of stacks within it, or the cell itself."""
    if type(cell) is Stack:
        return [inner for layer in cell.layers for inner in _layers(layer)]  # type: ignore[arg-type]
    return [cell]


def _with_readout(of: Network | AnyCell, inner: Derivative) -> Derivative:
    return NetworkDerivative(of, inner) if isinstance(of, Network) else inner
