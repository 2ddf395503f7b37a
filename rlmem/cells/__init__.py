"""Memory cells by name. Add a cell: one file here and one line in :data:`CELLS`."""

from rlmem.cell import AnyCell
from rlmem.cells.elman import Elman
from rlmem.cells.elstm import ELSTM
from rlmem.cells.gru import GRU
from rlmem.cells.lru import LRU
from rlmem.cells.lstm import LSTM
from rlmem.cells.memoryless import Memoryless
from rlmem.cells.min_gru import MinGRU
from rlmem.cells.rtu import RTU
from rlmem.cells.stack import Stack

CELLS: dict[str, type[AnyCell]] = {
    "memoryless": Memoryless,
    "elman": Elman,
    "gru": GRU,
    "lstm": LSTM,
    "rtu": RTU,
    "lru": LRU,
    "min_gru": MinGRU,
    "elstm": ELSTM,
}
"""Name to class; every class takes (input_size, hidden_size, *, memory_length)."""

__all__ = ["CELLS", "ELSTM", "GRU", "LRU", "LSTM", "RTU", "Elman", "Memoryless", "MinGRU", "Stack"]
