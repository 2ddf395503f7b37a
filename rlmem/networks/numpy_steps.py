"""One step of each cell, and small networks, on numpy arrays: for acting, during a rollout and where there is no torch.

Axes: N environments, D input, H hidden, K complex units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

FloatArray = NDArray[np.float32]
ArrayState = tuple[FloatArray, ...]
NumpyStep = Callable[[FloatArray, ArrayState], tuple[FloatArray, ArrayState]]
"""One step of a cell on arrays: input [N, D] and state to output [N, H] and next state. Changes neither."""

Weights = Mapping[str, FloatArray]
"""The parameters of a cell by name."""
Function = Callable[[FloatArray], FloatArray]
MakeLinear = Callable[[FloatArray, FloatArray], Function]
"""From weight [P, D] and bias [P] to the function that maps [N, D] to [N, P] in new memory."""

_ONE, _HALF = np.float32(1.0), np.float32(0.5)


def numpy_linear(weight: FloatArray, bias: FloatArray) -> Function:
    """Return the linear map with numpy's matrix product."""
    transposed = np.ascontiguousarray(weight.T)
    return lambda x: x @ transposed + bias


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
        found -= found.mean(1, keepdims=True)
        found /= np.sqrt(np.mean(found * found, 1, keepdims=True) + np.float32(1e-5))
        past = now[:, at + size :]
        output: FloatArray = past + sigmoid(now[:, at : at + size]) * (found - past)
        return output, after

    return step


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


class ArrayCell(NamedTuple):
    """How a cell acts on arrays."""

    make: Callable[[Weights, MakeLinear], NumpyStep]
    state_sizes: Callable[[int], tuple[int, ...]]
    """From H to the width of each part of the state; it starts as zeros."""


ARRAY_CELLS: dict[str, ArrayCell] = {
    "memoryless": ArrayCell(memoryless_step, lambda _: ()),
    "elman": ArrayCell(elman_step, lambda size: (size,)),
    "gru": ArrayCell(gru_step, lambda size: (size,)),
    "lstm": ArrayCell(lstm_step, lambda size: (size, size)),
    "rtu": ArrayCell(rtu_step, lambda size: (size // 2, size // 2)),
    "lru": ArrayCell(lru_step, lambda size: (size, size)),
    "min_gru": ArrayCell(min_gru_step, lambda size: (size,)),
    "elstm": ArrayCell(elstm_step, lambda size: (size,)),
    "ffm": ArrayCell(ffm_step, lambda size: (ffm_traces(size) * FFM_CONTEXTS,) * 2),
    "gated_delta": ArrayCell(gated_delta_step, lambda size: (size * min(size, 16),)),
}
"""The cells that can act without PyTorch, by their names in :data:`rlmem.networks.cells.CELLS`. They are listed here,
and not in the cells' own files, because those import PyTorch."""


def stack_step(steps: Sequence[NumpyStep], widths: Sequence[int]) -> NumpyStep:
    """Return the step through layers whose states have so many parts each."""
    if len(steps) == 1:
        return steps[0]
    ends = np.cumsum(widths).tolist()

    def step(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        after: ArrayState = ()
        for layer, end, width in zip(steps, ends, widths, strict=True):
            x, new = layer(x, state[end - width : end])
            after += new
        return x, after

    return step


def with_features(step: NumpyStep) -> NumpyStep:
    """Return the step with its input [N, F] beside its output: [N, H + F]."""

    def joined(x: FloatArray, state: ArrayState) -> tuple[FloatArray, ArrayState]:
        output, after = step(x, state)
        return np.concatenate((output, x), 1), after

    return joined


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0.0))


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, np.float32(0.0))))


def _gelu(x: FloatArray) -> FloatArray:
    return x * (_HALF * (_ONE + erf(x * np.float32(0.5**0.5))))


ARRAY_ACTIVATIONS: dict[str, Function] = {"tanh": np.tanh, "relu": _relu, "elu": _elu, "gelu": _gelu}
"""By the names of :data:`rlmem.networks.settings.ACTIVATIONS`."""


def mlp(
    layers: Sequence[tuple[FloatArray, FloatArray]], activation: str, linear: MakeLinear = numpy_linear
) -> Function:
    """Return a network of linear layers, weight [P, D] and bias [P] each, with an activation between them."""
    functions: list[Any] = []
    for weight, bias in layers:
        functions += [linear(weight, bias), ARRAY_ACTIVATIONS[activation]]
    functions.pop()

    def run(x: FloatArray) -> FloatArray:
        for function in functions:
            x = function(x)
        return x

    return run


def restart(state: ArrayState, fresh: ArrayState, episode_start: NDArray[np.bool_]) -> ArrayState:
    """Return the state with the rows [N] where an episode starts as in ``fresh`` (each part [1, ...])."""
    if not np.count_nonzero(episode_start):
        return state
    return tuple(
        np.where(episode_start.reshape(-1, *(1,) * (part.ndim - 1)), new, part)
        for part, new in zip(state, fresh, strict=True)
    )
