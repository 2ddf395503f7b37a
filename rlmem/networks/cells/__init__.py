"""Memory cells by name. Add a cell: one file here and one line in :data:`CELLS`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    """Classes by name; one that stands as ``module:Class`` is imported when it is first asked for.

    So the names are known without importing torch.
    """

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> type[AnyCell]:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, cls = entry.partition(":")
            entry = self._entries[name] = getattr(import_module(f"{__name__}.{module}"), cls)
        found: type[AnyCell] = entry
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __setitem__(self, name: str, cls: type[AnyCell]) -> None:
        self._entries[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


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
