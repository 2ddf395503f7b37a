"""Attention over a window of past steps, gated as in GTrXL, with keys and values that roll through the state.

Source: Parisotto et al., "Stabilizing Transformers for Reinforcement Learning", ICML 2020, section 3 (identity map
reordering and GRU gates). Deviations: one layer (stack cells for more); a trained bias for each head and age in place
of sines; the state holds keys and values of the window instead of its inputs, as decoders do.

Axes: T time, N environments, D input, H hidden, M heads, K width of a head (H = M K), W window.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from rlmem.errors import UserError
from rlmem.networks.cell import Cell, Gates, Unfolded
from rlmem.networks.cells.initialization import init_unit_variance, uniform
from rlmem.networks.numpy_cells import NORM_EPSILON, attention_heads, attention_step
from rlmem.networks.numpy_steps import NumpyStep
from rlmem.networks.onnx_graph import OnnxGraph

LONGEST_WINDOW = 512
"""Steps; a state holds 2 H numbers for each."""
_HIDDEN = -1e9
"""Score of what must not be seen."""
_CHUNK = 64
_GATE_BIAS = 2.0
"""Gates start nearly closed, so that the cell begins as a map of its input (Parisotto et al., section 3.2)."""


class AttentionState(NamedTuple):
    """The state of windowed attention: the last W - 1 steps, the newest last."""

    keys: Tensor
    """[N, (W - 1) H]"""
    values: Tensor
    """[N, (W - 1) H]"""
    filled: Tensor
    """[N, W - 1] 1 where there is a step of this episode, else 0."""


class Attention(Cell[AttentionState]):
    """One layer of a gated transformer over the last W steps of the episode.

    Args:
        input_size: D, at least 1.
        hidden_size: H; heads are 16 wide if that divides it, else there is one.
        memory_length: W, how many steps it sees, this one included: 2 to 512.

    Raises:
        UserError: If a size is out of range or the window longer than 512 steps.
    """

    gates: ClassVar[Gates] = {"attend_weight": ("query", "key", "value")}

    def __init__(self, input_size: int, hidden_size: int, *, memory_length: float = 100.0) -> None:
        super().__init__(input_size, hidden_size, memory_length=memory_length)
        self.window = math.ceil(memory_length)
        if self.window > LONGEST_WINDOW:
            raise UserError(
                f"attention sees the last memory_length steps, at most {LONGEST_WINDOW}, got {self.window}: set "
                "memory_length lower, or choose a recurrent cell"
            )
        self.heads = attention_heads(hidden_size)
        size = hidden_size
        self.embed_weight, self.embed_bias = _parameter(size, input_size), nn.Parameter(torch.zeros(size))
        self.attend_weight = _parameter(3 * size, size)
        self.age_bias = nn.Parameter(torch.zeros(self.heads, self.window))
        self.join_weight = _parameter(size, size)
        self.wide_weight, self.wide_bias = _parameter(2 * size, size), nn.Parameter(torch.zeros(2 * size))
        self.narrow_weight, self.narrow_bias = _parameter(size, 2 * size), nn.Parameter(torch.zeros(size))
        # of both GRU gates, one after the other: reset, update, candidate
        self.gate_input = nn.Parameter(torch.empty(2, 3 * size, size))
        self.gate_state = nn.Parameter(torch.empty(2, 3 * size, size))
        self.gate_bias = nn.Parameter(torch.zeros(2, 3 * size))
        init_unit_variance(self.embed_weight)
        for parameter in (self.gate_input, self.gate_state):
            uniform(parameter, size)
        with torch.no_grad():
            self.gate_bias[:, size : 2 * size] = -_GATE_BIAS

    def initial_state(self, num_envs: int) -> AttentionState:
        """Return an empty window."""
        past = self.embed_bias.new_zeros(num_envs, (self.window - 1) * self.hidden_size)
        return AttentionState(past, past, self.embed_bias.new_zeros(num_envs, self.window - 1))

    def forward(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        """Map one input [N, D] and a state to one output [N, H] and the next state."""
        output, state = self.scan(x.unsqueeze(0), None, state)
        return output[0], state

    def scan(self, xs: Tensor, blank: Tensor | None, state: AttentionState) -> Unfolded[AttentionState]:
        """Run over a sequence: its steps see each other and the window before them, some steps at a time."""
        steps, rows = len(xs), xs.shape[1]
        embedded = linear(xs, self.embed_weight, self.embed_bias)
        query, key, value = linear(_normal(embedded), self.attend_weight).chunk(3, -1)
        keys = torch.cat((self._unrolled(state.keys), key))
        values = torch.cat((self._unrolled(state.values), value))
        # number of blanks before a slot, -1 where there is nothing to see
        here = torch.zeros(steps, rows, dtype=torch.long, device=xs.device)
        visible = here
        if blank is not None:
            here = blank.cumsum(0) - blank.long()
            visible = here.masked_fill(blank, -1)
        before = torch.zeros(self.window - 1, rows, dtype=torch.long, device=xs.device)
        empty = state.filled.detach().T <= 0.5
        episode = torch.cat((before.masked_fill(empty, -1), visible))
        found = torch.cat(
            [self._attend(query[at : at + _CHUNK], keys, values, here, episode, at) for at in range(0, steps, _CHUNK)]
        )
        mixed = self._gate(0, embedded, torch.relu(linear(found, self.join_weight)))
        wide = torch.relu(linear(_normal(mixed), self.wide_weight, self.wide_bias))
        output = self._gate(1, mixed, torch.relu(linear(wide, self.narrow_weight, self.narrow_bias)))
        after = here[-1] if blank is None else here[-1] + blank[-1].long()
        kept = (torch.cat((before, visible))[steps:] == after).T
        filled = torch.cat((state.filled.T, torch.ones_like(here, dtype=xs.dtype)))[steps:].T * kept
        last_keys, last_values = (
            (part[steps:].movedim(0, 1) * kept.unsqueeze(-1)).flatten(1) for part in (keys, values)
        )
        return Unfolded(output, AttentionState(last_keys, last_values, filled))

    def _unrolled(self, part: Tensor) -> Tensor:
        """Return keys or values of the state [N, (W - 1) H] as [W - 1, N, H]."""
        return part.view(-1, self.window - 1, self.hidden_size).movedim(1, 0)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, here: Tensor, episode: Tensor, at: int) -> Tensor:
        """Return what queries [C, N, H] of steps from ``at`` find, [C, N, H].

        Args:
            query: [C, N, H]
            keys: [W - 1 + T, N, H]
            values: [W - 1 + T, N, H]
            here: [T, N] the episode of each step.
            episode: [W - 1 + T, N] the episode of each key, -1 where there is none.
            at: The first step.
        """
        count = len(query)
        span = slice(at, at + count + self.window - 1)
        q, k, v = (
            part.reshape(*part.shape[:2], self.heads, -1).permute(1, 2, 0, 3)
            for part in (query, keys[span], values[span])
        )
        # slot j of the span is seen from step i at the age i + W - 1 - j
        i, j = torch.arange(count, device=q.device)[:, None], torch.arange(k.shape[2], device=q.device)
        age = i + self.window - 1 - j
        within = (age >= 0) & (age < self.window)
        same = here[at : at + count].T.unsqueeze(-1) == episode[span].T.unsqueeze(1)
        seen = (same & within) | (age == 0)
        bias = self.age_bias[:, age.clamp(0, self.window - 1)]
        scores = (q @ k.mT) * q.shape[-1] ** -0.5 + bias
        weights = scores.masked_fill(~seen.unsqueeze(1), _HIDDEN).softmax(-1)
        found: Tensor = weights @ v
        return found.permute(2, 0, 1, 3).flatten(-2)

    def _gate(self, which: int, x: Tensor, y: Tensor) -> Tensor:
        """Mix what a layer found [..., H] into its input [..., H]."""
        by_y = linear(y, self.gate_input[which], self.gate_bias[which])
        reset, update, fresh = by_y.chunk(3, -1)
        weight = self.gate_state[which]
        past_reset, past_update = linear(x, weight[: 2 * self.hidden_size]).chunk(2, -1)
        candidate = torch.tanh(fresh + linear(torch.sigmoid(reset + past_reset) * x, weight[2 * self.hidden_size :]))
        return torch.lerp(x, candidate, torch.sigmoid(update + past_update))

    def numpy_step(self) -> NumpyStep:
        """Return one step on arrays, without a graph."""
        return self.array_step(attention_step)

    def onnx_step(self, graph: OnnxGraph, x: str, state: list[str]) -> tuple[str, list[str]]:
        """Add the nodes of one step. See :meth:`Cell.onnx_step`."""
        w, size, slots = self.arrays(), self.hidden_size, self.window - 1
        ones, zeros = graph.constant(np.ones(size)), graph.constant(np.zeros(size))

        def normal(y: str) -> str:
            return graph.add("LayerNormalization", y, ones, zeros, axis=-1, epsilon=NORM_EPSILON)

        def gate(which: int, before: str, found: str) -> str:
            by_found = graph.linear(found, w["gate_input"][which], w["gate_bias"][which])
            reset, update, fresh = graph.split(by_found, [size] * 3)
            weight = w["gate_state"][which]
            past_reset, past_update = graph.split(graph.linear(before, weight[: 2 * size]), [size] * 2)
            opened = graph.add("Mul", graph.add("Sigmoid", graph.add("Add", reset, past_reset)), before)
            candidate = graph.add("Tanh", graph.add("Add", fresh, graph.linear(opened, weight[2 * size :])))
            return graph.mix(graph.add("Sigmoid", graph.add("Add", update, past_update)), candidate, before)

        embedded = graph.linear(x, w["embed_weight"], w["embed_bias"])
        query, key, value = graph.split(graph.linear(normal(embedded), w["attend_weight"]), [size] * 3)
        keys, values = graph.join(state[0], key), graph.join(state[1], value)
        one = graph.linear(x, np.zeros((1, self.input_size)), [1.0])
        filled = graph.join(state[2], one)
        shape = graph.constant([0, slots + 1, self.heads, size // self.heads], np.int64)
        k = graph.add("Transpose", graph.add("Reshape", keys, shape), perm=[0, 2, 3, 1])
        v = graph.add("Transpose", graph.add("Reshape", values, shape), perm=[0, 2, 1, 3])
        q = graph.add("Reshape", query, graph.constant([0, self.heads, 1, size // self.heads], np.int64))
        scaled = graph.add("Mul", graph.add("MatMul", q, k), graph.constant((size // self.heads) ** -0.5))
        scores = graph.add("Add", scaled, graph.constant(w["age_bias"][:, None, ::-1]))
        seen = graph.add(
            "Greater", graph.add("Unsqueeze", filled, graph.constant([1, 2], np.int64)), graph.constant(0.5)
        )
        weights = graph.add("Softmax", graph.add("Where", seen, scores, graph.constant(_HIDDEN)), axis=-1)
        found = graph.add("Reshape", graph.add("MatMul", weights, v), graph.constant([0, size], np.int64))
        mixed = gate(0, embedded, graph.add("Relu", graph.linear(found, w["join_weight"])))
        wide = graph.add("Relu", graph.linear(normal(mixed), w["wide_weight"], w["wide_bias"]))
        narrow = graph.add("Relu", graph.linear(wide, w["narrow_weight"], w["narrow_bias"]))
        output = gate(1, mixed, narrow)
        after = [
            graph.split(part, [width, slots * width])[1] for part, width in ((keys, size), (values, size), (filled, 1))
        ]
        return output, after


def _parameter(rows: int, columns: int) -> nn.Parameter:
    parameter = nn.Parameter(torch.empty(rows, columns))
    init_unit_variance(parameter)
    return parameter


def _normal(x: Tensor) -> Tensor:
    """Return [..., H] with mean 0 and variance 1 over H."""
    return layer_norm(x, x.shape[-1:], eps=NORM_EPSILON)
