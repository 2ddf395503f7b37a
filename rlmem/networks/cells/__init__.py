"""Memory cells by name. Add a cell: one file here and one line in :data:`CELLS`."""

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
