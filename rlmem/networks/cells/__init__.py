"""Memory cells by name. Add a cell: one file here and one line in :data:`CELLS`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rlmem.errors import UserError
from rlmem.registry import load_object
from rlmem.suggest import unknown

if TYPE_CHECKING:
    from rlmem.networks.cell import AnyCell
    from rlmem.networks.cells.elman import Elman
    from rlmem.networks.cells.elstm import ELSTM
    from rlmem.networks.cells.gru import GRU
    from rlmem.networks.cells.lru import LRU
    from rlmem.networks.cells.lstm import LSTM
    from rlmem.networks.cells.memoryless import Memoryless
    from rlmem.networks.cells.min_gru import MinGRU
    from rlmem.networks.cells.rtu import RTU
    from rlmem.networks.cells.stack import Stack

__all__ = ["CELLS", "ELSTM", "GRU", "LRU", "LSTM", "RTU", "Elman", "Memoryless", "MinGRU", "Stack"]


class _Cells(MutableMapping[str, "type[AnyCell]"]):
    """Classes by name. A class is imported when it is first asked for, so the names are known without importing torch.

    Beside the names that it lists, ``module:Class`` is a name: that of a cell which is not of this package.
    """

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> type[AnyCell]:
        if name not in self._entries and ":" in name:
            return _own_cell(name)
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, cls = entry.partition(":")
            entry = self._entries[name] = getattr(import_module(f"{__name__}.{module}"), cls)
        found: type[AnyCell] = entry
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._entries or (isinstance(name, str) and ":" in name and bool(_own_cell(name)))

    def __setitem__(self, name: str, cls: type[AnyCell]) -> None:
        self._entries[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _own_cell(name: str) -> type[AnyCell]:
    """Import a cell that is not of this package.

    Raises:
        UserError: If there is no such module or name, or it is no cell.
    """
    from rlmem.networks.cell import Cell

    found = load_object(name)
    if not (isinstance(found, type) and issubclass(found, Cell)):
        raise UserError(f"{name} is no memory cell: derive its class from rlmem.networks.cell.Cell")
    return found


CELLS = _Cells(
    {
        "memoryless": "memoryless:Memoryless",
        "elman": "elman:Elman",
        "gru": "gru:GRU",
        "lstm": "lstm:LSTM",
        "rtu": "rtu:RTU",
        "lru": "lru:LRU",
        "min_gru": "min_gru:MinGRU",
        "elstm": "elstm:ELSTM",
        "attention": "attention:Attention",
        "ffm": "ffm:FFM",
        "gated_delta": "gated_delta:GatedDelta",
    }
)
"""Name to class; every class takes (input_size, hidden_size, *, memory_length)."""


def check_cell(setting: str, name: str) -> None:
    """Raise UserError unless a setting names a cell."""
    if name not in CELLS:
        raise UserError(f"{unknown(setting, name, CELLS)}; module:Class is one of your own")


_MODULES = {
    "ELSTM": "elstm",
    "GRU": "gru",
    "LRU": "lru",
    "LSTM": "lstm",
    "RTU": "rtu",
    "Elman": "elman",
    "Memoryless": "memoryless",
    "MinGRU": "min_gru",
    "Stack": "stack",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
