"""The gated delta rule: a matrix memory that binds values to keys, and replaces what a key held before.

Source: Yang, Kautz and Hatamizadeh, "Gated Delta Networks: Improving Mamba2 with Delta Rule", ICLR 2025 (arXiv
2412.06464), equation 10; the sequence is run in chunks as in section 3.3 (the WY form of Yang et al., NeurIPS 2024).
Deviations: no short convolution before keys and values; forget gates start from the memory length; the output gate is
a sigmoid, and heads are normalized without trained scales.

Axes: T time, N environments, D input, H hidden, M heads, K width of keys and values (H = M K), C steps of a chunk.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, pad

from rlmem.errors import UserError
from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import init_unit_variance, long_forget_bias
from rlmem.networks.numpy_cells import gated_delta_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph

HEAD = 16
"""K, the width of keys and values."""
_CHUNK = 32
_EPSILON = 1e-6


class GatedDeltaState(NamedTuple):
    """The state of a gated delta cell."""

    memory: Tensor
    """[N, M K K] a matrix for each head, from keys to values, row by row."""


class _Read(NamedTuple):
    """What a cell takes from inputs [..., D]."""

    query: Tensor
    """[..., M, K] of length 1."""
    key: Tensor
    """[..., M, K] of length 1."""
    value: Tensor
    """[..., M, K]"""
    log_keep: Tensor
    """[..., M] the logarithm of the share of the memory that is kept."""
    write: Tensor
    """[..., M] how far the value of the key is replaced, in (0, 1)."""
    gate: Tensor
    """[..., H] how far the output is open, in (0, 1)."""


class GatedDelta(Cell[GatedDeltaState]):
    """S' = a S (I - b k k^T) + b v k^T, output sigmoid(g) normalize(S' q), for each head.

    Args:
        input_size: D, at least 1.
        hidden_size: H, a multiple of 16, or less than 16 for one head.
        memory_length: Steps over which the untrained cell should remember, at least 2.

    Raises:
        UserError: If a size or ``memory_length`` is out of range.
    """

    gates: ClassVar[Gates] = {"weight": ("query", "key", "value", "output")}

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        if hidden_size > HEAD and hidden_size % HEAD:
            near = hidden_size // HEAD * HEAD
            raise UserError(
                f"hidden_size of a gated_delta cell must be a multiple of {HEAD} (heads of {HEAD}), got {hidden_size}; "
                f"nearest: {near} or {near + HEAD}"
            )
        self.head = min(hidden_size, HEAD)
        heads = hidden_size // self.head
        self.weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        self.gate_weight = nn.Parameter(torch.empty(2 * heads, input_size))
        self.gate_bias = nn.Parameter(torch.zeros(2 * heads))
        init_unit_variance(self.weight)
        init_unit_variance(self.gate_weight)
        with torch.no_grad():
            self.gate_weight[:heads] *= 0.1
            self.gate_bias[:heads] = long_forget_bias(heads, memory_length)

    def initial_state(self, num_envs: int) -> GatedDeltaState:
        """Return zeros [N, M K K]."""
        return GatedDeltaState(self.bias.new_zeros(num_envs, self.hidden_size * self.head))

    def _matrices(self, state: GatedDeltaState) -> Tensor:
        """Return the memory as [N, M, K, K]."""
        return state.memory.view(len(state.memory), -1, self.head, self.head)

    def _read(self, x: Tensor) -> _Read:
        query, key, value, gate = linear(x, self.weight, self.bias).chunk(4, -1)
        query, key, value = (part.reshape(*part.shape[:-1], -1, self.head) for part in (query, key, value))
        keep, write = linear(x, self.gate_weight, self.gate_bias).chunk(2, -1)
        return _Read(
            normalize(query, dim=-1, eps=_EPSILON),
            normalize(key, dim=-1, eps=_EPSILON),
            value,
            nn.functional.logsigmoid(keep),
            torch.sigmoid(write),
            torch.sigmoid(gate),
        )

    def _output(self, found: Tensor, gate: Tensor) -> Tensor:
        """Return outputs [..., H] from what was found [..., M, K]: the root mean square of a head is at most 1."""
        scale = torch.rsqrt(found.square().mean(-1, keepdim=True) + 1.0)
        return (found * scale).flatten(-2) * gate

    def forward(self, x: Tensor, state: GatedDeltaState) -> tuple[Tensor, GatedDeltaState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        read = self._read(x)
        kept = self._matrices(state) * read.log_keep.exp()[..., None, None]
        key = read.key.unsqueeze(-1)
        error = read.value.unsqueeze(-1) - kept @ key
        memory = kept + read.write[..., None, None] * error @ key.mT
        found = (memory @ read.query.unsqueeze(-1)).squeeze(-1)
        return self._output(found, read.gate), GatedDeltaState(memory.flatten(1))

    def scan(self, xs: Tensor, blank: Tensor | None, state: GatedDeltaState) -> Unfolded[GatedDeltaState]:
        """Run over a sequence, chunk by chunk: within a chunk, all steps are one triangular system."""
        steps = len(xs)
        read = self._read(xs)
        missing = -steps % _CHUNK
        # slots that are added at the end keep all and write nothing
        parts = [pad(part, (0,) * (2 * part.dim() - 1) + (missing,)) for part in read[:5]]
        # [T / C, N, M, C, K]
        query, key, value = (_chunks(part).movedim(1, -2) for part in parts[:3])
        log_keep, write = (_chunks(part).movedim(1, -1) for part in parts[3:])  # [T / C, N, M, C]
        ages = torch.zeros_like(log_keep)
        if blank is not None:
            at = _chunks(pad(blank, (0, 0, 0, missing))).movedim(1, -1).unsqueeze(2)
            log_keep, write = log_keep.masked_fill(at, 0.0), write.masked_fill(at, 0.0)
            ages = ages + at.cumsum(-1)  # blanks up to here: nothing passes from one count to another
        since_start = log_keep.cumsum(-1).exp() * (ages == 0)
        lower = torch.ones(_CHUNK, _CHUNK, dtype=torch.bool, device=xs.device).tril()
        passes = lower & (ages.unsqueeze(-1) == ages.unsqueeze(-2))
        # sums from each step on its own, not differences of sums: those would round by what came before an episode
        sums = log_keep.unsqueeze(-1).expand(*log_keep.shape, _CHUNK).masked_fill(~lower.tril(-1), 0.0).cumsum(-2)
        between = sums.masked_fill(~passes, -torch.inf).exp()
        # the errors U of a chunk: (I + L) U = b (V - g K S^T), split into what needs the state S before it and what not
        system = (write.unsqueeze(-1) * between * (key @ key.mT)).tril(-1)
        right = torch.cat((value, since_start.unsqueeze(-1) * key), -1) * write.unsqueeze(-1)
        solved = torch.linalg.solve_triangular(
            system + torch.eye(_CHUNK, dtype=xs.dtype, device=xs.device), right, upper=False, unitriangular=True
        )
        plain, by_state = solved.chunk(2, -1)
        looked = query * since_start.unsqueeze(-1)
        weights = between * (query @ key.mT)
        kept, carried = since_start[..., -1, None, None], key * between[..., -1, :, None]
        memory, found = self._matrices(state), []
        for now in range(len(query)):
            errors = plain[now] - by_state[now] @ memory.mT
            found.append(looked[now] @ memory.mT + weights[now] @ errors)
            memory = kept[now] * memory + errors.mT @ carried[now]
        together = torch.stack(found).movedim(-2, 1).flatten(0, 1)[:steps]
        return Unfolded(self._output(together, read.gate), GatedDeltaState(memory.flatten(1)))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(gated_delta_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w, heads = self.arrays(), self.hidden_size // self.head
        query, key, value, gate = graph.split(graph.linear(x, w["weight"], w["bias"]), [self.hidden_size] * 4)
        keep, write = graph.split(graph.linear(x, w["gate_weight"], w["gate_bias"]), [heads] * 2)
        column, one_by_one = (graph.constant([0, heads, size, 1], np.int64) for size in (self.head, 1))
        square, flat = graph.constant([0, heads, self.head, self.head], np.int64), graph.constant([0, -1], np.int64)
        query, key, value = (graph.add("Reshape", part, column) for part in (query, key, value))
        query, key = (graph.add("Div", part, self._onnx_length(graph, part)) for part in (query, key))
        keep, write = (graph.add("Reshape", graph.add("Sigmoid", part), one_by_one) for part in (keep, write))
        kept = graph.add("Mul", graph.add("Reshape", state[0], square), keep)
        error = graph.add("Mul", write, graph.add("Sub", value, graph.add("MatMul", kept, key)))
        row = graph.add("Transpose", key, perm=[0, 1, 3, 2])
        memory = graph.add("Add", kept, graph.add("MatMul", error, row))
        found = graph.add("MatMul", memory, query)
        power = graph.add("ReduceMean", graph.add("Mul", found, found), axes=[2])
        scale = graph.add("Sqrt", graph.add("Add", power, graph.constant(1.0)))
        normal = graph.add("Reshape", graph.add("Div", found, scale), flat)
        return graph.add("Mul", normal, graph.add("Sigmoid", gate)), [graph.add("Reshape", memory, flat)]

    def _onnx_length(self, graph: OnnxGraph, x: str) -> str:
        return graph.add("Max", graph.add("ReduceL2", x, axes=[2]), graph.constant(_EPSILON))


def _chunks(part: Tensor) -> Tensor:
    """Return [T, ...] as [T / C, C, ...]."""
    return part.view(-1, _CHUNK, *part.shape[1:])
