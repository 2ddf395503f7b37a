"""One step of each cell on numpy arrays: for acting, during a rollout and where there is no torch.

Axes: N environments, D input, H hidden, K complex units, M heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlmem.networks.numpy_steps import ArrayState, FloatArray, Function, MakeLinear, NumpyStep, Weights, numpy_linear

_ONE, _HALF = np.float32(1.0), np.float32(0.5)
NORM_EPSILON = 1e-5
"""Added to the variance where activations are normalized."""


def sigmoid(x: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-x)), without overflow."""
    y: FloatArray = np.tanh(x * _HALF)
    y += _ONE
    y *= _HALF
    return y


def lstm_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of an LSTM: one matrix product, and one tanh for all four gates."""
    size = weights["hidden_weight"].shape[1]
    # sigmoid(z) = (1 + tanh(z / 2)) / 2
    scale = np.full(4 * size, _HALF)
    scale[2 * size : 3 * size] = _ONE
    joined = np.concatenate((weights["input_weight"], weights["hidden_weight"]), 1)
    product = linear(joined * scale[:, None], weights["bias"] * scale)

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        hidden, cell = state
        # one block of memory a gate: the operations below take half the time
        gates = np.tanh(product(np.concatenate((x, hidden), 1)).reshape(-1, 4, size).transpose(1, 0, 2), order="C")
        input_gate, forget_gate, candidate, output_gate = gates
        both = gates[:2]
        both += _ONE
        forget_gate *= cell
        input_gate *= candidate
        after = forget_gate + input_gate
        after *= _HALF
        output: FloatArray = np.tanh(after)
        output_gate += _ONE
        output *= output_gate
        output *= _HALF
        return output, (output, after)

    return step


def gru_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of a GRU."""
    size = weights["hidden_weight"].shape[1]
    drive = linear(weights["input_weight"], weights["bias"])
    past_bias = np.concatenate((np.zeros(2 * size, np.float32), weights["candidate_bias"]))
    past_product = linear(weights["hidden_weight"], past_bias)

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        (hidden,) = state
        now, past = drive(x), past_product(hidden)
        gates = sigmoid(now[:, : 2 * size] + past[:, : 2 * size])
        fresh = np.tanh(now[:, 2 * size :] + gates[:, :size] * past[:, 2 * size :])
        output = fresh + gates[:, size:] * (hidden - fresh)
        return output, (output,)

    return step


def elman_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of an Elman network."""
    product = linear(np.concatenate((weights["input_weight"], weights["hidden_weight"]), 1), weights["bias"])

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        output = np.tanh(product(np.concatenate((x, state[0]), 1)))
        return output, (output,)

    return step


def elstm_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of an element-wise LSTM."""
    size = len(weights["forget_weight"])
    drive = linear(weights["input_weight"], weights["bias"])
    read = linear(weights["output_weight"], np.zeros(size, np.float32))
    forget_weight, candidate_weight = weights["forget_weight"], weights["candidate_weight"]

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        (cell,) = state
        now = drive(x)
        gate = sigmoid(now[:, :size] + forget_weight * cell)
        fresh = np.tanh(now[:, size : 2 * size] + candidate_weight * cell)
        after = fresh + gate * (cell - fresh)
        return sigmoid(now[:, 2 * size :] + read(after)) * after, (after,)

    return step


def min_gru_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of a minimal GRU."""
    drive = linear(weights["linear.weight"], weights["linear.bias"])
    size = len(weights["linear.bias"]) // 2

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        (hidden,) = state
        now = drive(x)
        output = hidden + sigmoid(now[:, :size]) * (now[:, size:] - hidden)
        return output, (output,)

    return step


def memoryless_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of the cell without memory."""
    drive = linear(weights["linear.weight"], weights["linear.bias"])
    return lambda x, state: (np.tanh(drive(x)), state)


def rtu_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of recurrent trace units."""
    cosine, sine, modulus = _eigenvalues(weights)
    # sqrt(1 - r^2), exact also for r near 1
    gain = np.sqrt(-np.expm1(-2.0 * modulus))
    weight = weights["input_weight"] * np.concatenate((gain, gain))[:, None]
    drive = linear(weight, np.zeros(len(weight), np.float32))
    units = len(gain)

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        parts = _turn(drive(x), state, cosine, sine)
        return np.tanh(parts), (parts[:, :units], parts[:, units:])

    return step


def lru_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of a linear recurrent unit."""
    cosine, sine, _ = _eigenvalues(weights)
    gain = np.exp(weights["log_gain"])
    weight = weights["input_weight"] * np.concatenate((gain, gain))[:, None]
    drive = linear(weight, np.zeros(len(weight), np.float32))
    units = len(gain)
    read = linear(np.concatenate((weights["output_weight"], weights["skip_weight"]), 1), np.zeros(units, np.float32))

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        parts = _turn(drive(x), state, cosine, sine)
        return read(np.concatenate((parts, x), 1)), (parts[:, :units], parts[:, units:])

    return step


def gated_delta_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of a gated delta cell."""
    size, heads = len(weights["bias"]) // 4, len(weights["gate_bias"]) // 2
    head = size // heads
    joined = np.concatenate((weights["weight"], weights["gate_weight"]))
    product = linear(joined, np.concatenate((weights["bias"], weights["gate_bias"])))

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        now = product(x)
        query, key, value = now[:, : 3 * size].reshape(-1, 3, heads, head, 1).transpose(1, 0, 2, 3, 4)
        keep, write = sigmoid(now[:, 4 * size :]).reshape(-1, 2, heads, 1, 1).transpose(1, 0, 2, 3, 4)
        query, key = _unit_length(query), _unit_length(key)
        memory = state[0].reshape(-1, heads, head, head) * keep
        memory += (write * (value - memory @ key)) @ key.swapaxes(-1, -2)
        found = memory @ query
        found /= np.sqrt(np.mean(found * found, 2, keepdims=True) + _ONE)
        output = found.reshape(-1, size) * sigmoid(now[:, 3 * size : 4 * size])
        return output, (memory.reshape(-1, size * head),)

    return step


def _unit_length(x: FloatArray) -> FloatArray:
    """Return vectors [N, M, K, 1] at length 1, shorter than 1e-6 divided by that."""
    unit: FloatArray = x / np.maximum(np.sqrt(np.sum(x * x, 2, keepdims=True)), np.float32(1e-6))
    return unit


FFM_CONTEXTS = 4
"""Frequencies at which a fast and forgetful memory keeps each trace."""


def ffm_traces(hidden_size: int) -> int:
    """Return the number of traces of a fast and forgetful memory with H outputs."""
    return max(1, hidden_size // 2)


def ffm_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of a fast and forgetful memory."""
    traces, size = len(weights["log_decay"]), len(weights["read_bias"])
    joined = np.concatenate((weights["weight"], weights["mix_weight"]))
    product = linear(joined, np.concatenate((weights["bias"], weights["mix_bias"])))
    read = linear(weights["read_weight"], weights["read_bias"])
    decay = np.repeat(np.exp(-np.exp(weights["log_decay"])), FFM_CONTEXTS)
    angle = np.tile(np.exp(weights["log_frequency"]), traces)
    cosine, sine = decay * np.cos(angle), decay * np.sin(angle)
    at = 2 * traces

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        now, (real, imaginary) = product(x), state
        drive = np.repeat(now[:, :traces] * sigmoid(now[:, traces:at]), FFM_CONTEXTS, 1)
        after = cosine * real - sine * imaginary + drive, cosine * imaginary + sine * real
        found = read(np.concatenate(after, 1))
        past = now[:, at + size :]
        output: FloatArray = past + sigmoid(now[:, at : at + size]) * (_normal(found) - past)
        return output, after

    return step


def attention_heads(hidden_size: int) -> int:
    """Return the number of heads of attention with H outputs: 16 wide if that divides H, else one."""
    return hidden_size // 16 if hidden_size % 16 == 0 else 1


def attention_step(weights: Weights, linear: MakeLinear = numpy_linear) -> NumpyStep:
    """Return the step of gated attention over a window."""
    size, (heads, window) = len(weights["embed_bias"]), weights["age_bias"].shape
    width = size // heads

    def plain(weight: FloatArray) -> Function:
        return linear(weight, np.zeros(len(weight), np.float32))

    embed, attend = linear(weights["embed_weight"], weights["embed_bias"]), plain(weights["attend_weight"])
    join = plain(weights["join_weight"])
    widen = linear(weights["wide_weight"], weights["wide_bias"])
    narrow = linear(weights["narrow_weight"], weights["narrow_bias"])
    gates = [
        (linear(by_found, bias), plain(by_input[: 2 * size]), plain(by_input[2 * size :]))
        for by_found, by_input, bias in zip(
            weights["gate_input"], weights["gate_state"], weights["gate_bias"], strict=True
        )
    ]
    bias = weights["age_bias"][:, ::-1]  # the oldest slot first

    def gate(which: int, x: FloatArray, found: FloatArray) -> FloatArray:
        by_found, past, candidate = gates[which]
        now = by_found(found)
        opened = sigmoid(now[:, : 2 * size] + past(x))
        fresh = np.tanh(now[:, 2 * size :] + candidate(opened[:, :size] * x))
        mixed: FloatArray = x + opened[:, size:] * (fresh - x)
        return mixed

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        embedded = embed(x)
        now = attend(_normal(embedded))
        keys = np.concatenate((state[0], now[:, size : 2 * size]), 1)
        values = np.concatenate((state[1], now[:, 2 * size :]), 1)
        filled = np.concatenate((state[2], np.ones((len(x), 1), np.float32)), 1)
        slots = keys.reshape(-1, window, heads, width)
        scores = np.einsum("nmk,nwmk->nmw", now[:, :size].reshape(-1, heads, width), slots, optimize=True)
        scores = scores * np.float32(width**-0.5) + bias
        scores[np.broadcast_to(filled[:, None] <= _HALF, scores.shape)] = -1e9
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        found = np.einsum("nmw,nwmk->nmk", scores, values.reshape(-1, window, heads, width), optimize=True)
        mixed = gate(0, embedded, np.maximum(join(found.reshape(-1, size)), 0))
        output = gate(1, mixed, np.maximum(narrow(np.maximum(widen(_normal(mixed)), 0)), 0))
        return output, (keys[:, size:], values[:, size:], filled[:, 1:])

    return step


def _normal(x: FloatArray) -> FloatArray:
    """Return [N, H] with mean 0 and variance 1 over H."""
    centered = x - x.mean(1, keepdims=True)
    normal: FloatArray = centered / np.sqrt(np.mean(centered * centered, 1, keepdims=True) + np.float32(NORM_EPSILON))
    return normal


def _eigenvalues(weights: Weights) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return real and imaginary parts of exp(-m + i angle) [K], and m."""
    modulus, angle = np.exp(weights["log_decay"]), np.exp(weights["log_angle"])
    decay = np.exp(-modulus)
    return decay * np.cos(angle), decay * np.sin(angle), modulus


def _turn(parts: FloatArray, state: ArrayState, cosine: FloatArray, sine: FloatArray) -> FloatArray:
    """Add the turned and shortened state to the input [N, 2 K], in place."""
    real, imaginary = state
    units = len(cosine)
    parts[:, :units] += cosine * real - sine * imaginary
    parts[:, units:] += cosine * imaginary + sine * real
    return parts


def _window_sizes(size: int, weights: Weights) -> tuple[int, ...]:
    slots = weights["age_bias"].shape[1] - 1
    return slots * size, slots * size, slots


class ArrayCell(NamedTuple):
    """How a cell acts on arrays."""

    make: Callable[[Weights, MakeLinear], NumpyStep]
    state_sizes: Callable[[int, Weights], tuple[int, ...]]
    """From H and the parameters to the width of each part of the state; it starts as zeros."""


ARRAY_CELLS: dict[str, ArrayCell] = {
    "memoryless": ArrayCell(memoryless_step, lambda *_: ()),
    "elman": ArrayCell(elman_step, lambda size, _: (size,)),
    "gru": ArrayCell(gru_step, lambda size, _: (size,)),
    "lstm": ArrayCell(lstm_step, lambda size, _: (size, size)),
    "rtu": ArrayCell(rtu_step, lambda size, _: (size // 2, size // 2)),
    "lru": ArrayCell(lru_step, lambda size, _: (size, size)),
    "min_gru": ArrayCell(min_gru_step, lambda size, _: (size,)),
    "elstm": ArrayCell(elstm_step, lambda size, _: (size,)),
    "attention": ArrayCell(attention_step, _window_sizes),
    "ffm": ArrayCell(ffm_step, lambda size, _: (ffm_traces(size) * FFM_CONTEXTS,) * 2),
    "gated_delta": ArrayCell(gated_delta_step, lambda size, _: (size * min(size, 16),)),
}
"""The cells that can act without PyTorch, by their names in :data:`rlmem.networks.cells.CELLS`. They are listed here,
and not in the cells' own files, because those import PyTorch."""
