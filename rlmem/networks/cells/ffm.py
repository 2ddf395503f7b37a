"""Fast and forgetful memory: traces of the input at many decays and frequencies, read by a gated layer.

Source: Morad, Kortvelesy, Liwicki and Prorok, "Reinforcement Learning with Fast and Forgetful Memory", NeurIPS 2023
(arXiv 2310.04128), equations 3 to 9. Deviations: the number of traces and of contexts follow from the hidden size; the
longest decay starts at the memory length of the task (twice it, as in other cells here).

Axes: T time, N environments, D input, H hidden, M traces, C contexts.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.linear_scan import blanked, linear_scan
from rlmem.networks.numpy_cells import FFM_CONTEXTS, ffm_step, ffm_traces
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph

_NORM = 1e-5


class FFMState(NamedTuple):
    """The state of a fast and forgetful memory."""

    real: Tensor
    """[N, M C] the real parts of all traces in all contexts."""
    imaginary: Tensor
    """[N, M C] the imaginary parts."""


class FFM(Cell[FFMState]):
    """S' = exp(-decay + i frequency) S + (W x) sigmoid(V x) 1^T, read by one layer and mixed with the input.

    Args:
        input_size: D, at least 1.
        hidden_size: H, at least 1; M = H / 2 traces in C = 4 contexts.
        memory_length: The slowest trace starts with a time constant of twice as many steps.

    Raises:
        UserError: If a size or ``memory_length`` is out of range.
    """

    gates: ClassVar[Gates] = {"weight": ("trace", "write"), "bias": ("trace", "write")}
    output_parameters: ClassVar[frozenset[str]] = frozenset({"read_weight", "read_bias", "mix_weight", "mix_bias"})

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.traces = ffm_traces(hidden_size)
        write = nn.Linear(input_size, 2 * self.traces)
        read = nn.Linear(2 * self.traces * FFM_CONTEXTS, hidden_size)
        mix = nn.Linear(input_size, 2 * hidden_size)
        self.weight, self.bias = write.weight, write.bias
        self.read_weight, self.read_bias = read.weight, read.bias
        self.mix_weight, self.mix_bias = mix.weight, mix.bias
        # time constants from 1 to 2 T steps, periods likewise, evenly on a logarithmic axis
        longest = math.log(2.0 * memory_length)
        self.log_decay = nn.Parameter(-torch.linspace(0.0, longest, self.traces))
        self.log_frequency = nn.Parameter(math.log(2.0 * math.pi) - torch.linspace(0.0, longest, FFM_CONTEXTS + 1)[1:])

    def initial_state(self, num_envs: int) -> FFMState:
        """Return zeros [N, M C]."""
        zeros = self.bias.new_zeros(num_envs, self.traces * FFM_CONTEXTS)
        return FFMState(zeros, zeros)

    def _turn(self) -> tuple[Tensor, Tensor]:
        """Return what a trace shrinks by a step [M C], and what it turns by (radians) [M C]."""
        decay = torch.exp(-torch.exp(self.log_decay)).repeat_interleave(FFM_CONTEXTS)
        return decay, torch.exp(self.log_frequency).repeat(self.traces)

    def _write(self, x: Tensor) -> Tensor:
        """Return what is added to each trace in each context, [..., M C]."""
        trace, gate = nn.functional.linear(x, self.weight, self.bias).chunk(2, -1)
        return (trace * torch.sigmoid(gate)).repeat_interleave(FFM_CONTEXTS, -1)

    def _output(self, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        """Return the output [..., H] from inputs [..., D] and traces [..., M C]."""
        gate, past = nn.functional.linear(x, self.mix_weight, self.mix_bias).chunk(2, -1)
        gate = torch.sigmoid(gate)
        read = nn.functional.linear(torch.cat((real, imaginary), -1), self.read_weight, self.read_bias)
        return layer_norm(read, read.shape[-1:], eps=_NORM) * gate + past * (1.0 - gate)

    def forward(self, x: Tensor, state: FFMState) -> tuple[Tensor, FFMState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        decay, angle = self._turn()
        cosine, sine = decay * torch.cos(angle), decay * torch.sin(angle)
        real = cosine * state.real - sine * state.imaginary + self._write(x)
        imaginary = cosine * state.imaginary + sine * state.real
        return self._output(x, real, imaginary), FFMState(real, imaginary)

    def scan(self, xs: Tensor, blank: Tensor | None, state: FFMState) -> Unfolded[FFMState]:
        """Run over a sequence as one linear scan."""
        drive = blanked(self._write(xs), blank)
        written = torch.complex(drive, torch.zeros_like(drive))
        decay = blanked(torch.polar(*self._turn()).expand_as(written), blank)
        states = linear_scan(decay, written, torch.complex(state.real, state.imaginary))
        return Unfolded(self._output(xs, states.real, states.imag), FFMState(states[-1].real, states[-1].imag))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(ffm_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w = self.arrays()
        decay, angle = (part.detach().cpu() for part in self._turn())
        cosine, sine = (graph.constant((decay * part).numpy()) for part in (angle.cos(), angle.sin()))
        trace, gate = graph.split(graph.linear(x, w["weight"], w["bias"]), [self.traces] * 2)
        # a product with zeros and ones writes each trace into its contexts
        spread = torch.eye(self.traces).repeat_interleave(FFM_CONTEXTS, 0).numpy()
        drive = graph.linear(graph.add("Mul", trace, graph.add("Sigmoid", gate)), spread)
        real_turned = graph.add("Sub", graph.add("Mul", cosine, state[0]), graph.add("Mul", sine, state[1]))
        real = graph.add("Add", real_turned, drive)
        imaginary = graph.add("Add", graph.add("Mul", cosine, state[1]), graph.add("Mul", sine, state[0]))
        read = graph.linear(graph.join(real, imaginary), w["read_weight"], w["read_bias"])
        ones, zeros = graph.constant([1.0] * self.hidden_size), graph.constant([0.0] * self.hidden_size)
        normal = graph.add("LayerNormalization", read, ones, zeros, axis=-1, epsilon=_NORM)
        mix, past = graph.split(graph.linear(x, w["mix_weight"], w["mix_bias"]), [self.hidden_size] * 2)
        return graph.mix(graph.add("Sigmoid", mix), normal, past), [real, imaginary]
