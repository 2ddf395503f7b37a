"""Networks over every cell, and sequences with episode starts inside, that the tests of derivatives share."""

import torch
from torch import Tensor

from rlmem.learning.network import Network
from rlmem.networks.cell import AnyCell, Cell, choose
from rlmem.networks.cells import CELLS, ELSTM, LSTM, RTU, Stack

T, N, D, H, Q = 12, 3, 4, 6, 2
CELL_NAMES = sorted(CELLS)
NAMES = [*CELL_NAMES, "stack"]
WITH_UNITS = [name for name in CELL_NAMES if CELLS[name].units is not Cell.units]
"""Cells that declare their units: those that have SnAp-1 and fast RTRL."""
KINDS = ["lstm", "rtu", "memoryless", "stack"]
"""One cell of each kind of state: enough for BPTT, which knows a cell through its interface only."""


def has(name: str, derivative: str) -> bool:
    """Return whether a derivative exists for a cell."""
    return derivative != "snap1" or name in (*WITH_UNITS, "stack")


def make_cell(name: str, *, seed: int = 0) -> AnyCell:
    torch.manual_seed(seed)
    cell = Stack([LSTM(D, 4), RTU(4, H)]) if name == "stack" else CELLS[name](D, H, memory_length=20.0)
    return cell.double()


def make_network(name: str, *, seed: int = 0) -> Network:
    return Network(make_cell(name, seed=seed), Q)


def diagonal_stack() -> Stack:
    torch.manual_seed(3)
    return Stack([RTU(D, 4), ELSTM(4, H)]).double()


def some_starts() -> Tensor:
    """Return episode starts [T, N]: stream 0 begins anew at 5 and 9, stream 1 at 7, stream 2 never."""
    start = torch.zeros(T, N, dtype=torch.bool)
    start[0] = start[5, 0] = start[9, 0] = start[7, 1] = True
    return start


def some_inputs(seed: int = 1) -> Tensor:
    return torch.randn(T, N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_gradients(seed: int = 2) -> Tensor:
    """Return the gradients [T, N, Q] of a loss by the outputs."""
    return torch.randn(T, N, Q, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def autograd_gradient(network: Network, xs: Tensor, starts: Tensor, by_outputs: Tensor) -> Tensor:
    """Return the gradient [P] from a graph made step by step: an independent reference."""
    outputs, state = [], network.initial_state(xs.shape[1])
    for x, start in zip(xs, starts, strict=True):
        output, state = network(x, choose(start, network.initial_state(len(x)), state))
        outputs.append(output)
    found = torch.autograd.grad((torch.stack(outputs) * by_outputs).sum(), list(network.parameters()))
    return torch.cat([part.flatten() for part in found])


def error(ours: Tensor, reference: Tensor) -> float:
    """Return the relative error in the Euclidean norm."""
    return ((ours - reference).norm() / reference.norm()).item()


class Decay(Cell[tuple[Tensor]]):
    """h' = lambda h + x, output sin(w h'): a cell that the package does not know."""

    def __init__(self) -> None:
        super().__init__(D, D)
        self.decay = torch.nn.Parameter(torch.full((D,), 0.9, dtype=torch.float64))
        self.scale = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def initial_state(self, num_envs: int) -> tuple[Tensor]:
        return (self.decay.new_zeros(num_envs, D),)

    def forward(self, x: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        hidden = self.decay * state[0] + x
        return torch.sin(self.scale * hidden), (hidden,)
