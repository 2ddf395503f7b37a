"""Steps and small networks on numpy arrays: for acting, during a rollout and where there is no torch.

The steps of the cells stand in :mod:`rlmem.networks.numpy_cells`. Axes: N environments, D input, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


FEATURE_BOUND = 10.0
"""Standard deviations beyond which scaled features are cut off."""
FEATURE_EPSILON = 1e-8
"""Added to their variance."""


def scaled_features(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> Function:
    """Return the function that scales features [N, F] by their mean and variance [F], within +-10 deviations."""
    deviation = np.sqrt(variance + FEATURE_EPSILON)

    def run(x: FloatArray) -> FloatArray:
        scaled = (x - mean) / deviation
        return np.minimum(np.maximum(scaled, -FEATURE_BOUND), FEATURE_BOUND).astype(np.float32)

    return run


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0.0))


def _elu(x: FloatArray) -> FloatArray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, np.float32(0.0))))


def _gelu(x: FloatArray) -> FloatArray:
    return x * (_HALF * (_ONE + erf(x * np.float32(0.5**0.5))))


ARRAY_ACTIVATIONS: dict[str, Function] = {"tanh": np.tanh, "relu": _relu, "elu": _elu, "gelu": _gelu}
"""By the names of :data:`rlmem.networks.settings.ACTIVATIONS`."""


def mlp(
    layers: Sequence[tuple[FloatArray, FloatArray]],
    activation: str,
    linear: MakeLinear = numpy_linear,
    *,
    with_latent: bool = False,
) -> Function:
    """Return a network of linear layers, weight [P, D] and bias [P] each, with an activation between them.

    ``with_latent``: the input of the last layer stands beside the output, [N, P + L].
    """
    functions: list[Any] = []
    for weight, bias in layers:
        functions += [linear(weight, bias), ARRAY_ACTIVATIONS[activation]]
    *body, last, _ = functions

    def run(x: FloatArray) -> FloatArray:
        for function in body:
            x = function(x)
        return np.concatenate((last(x), x), 1) if with_latent else last(x)

    return run


def reset_where(state: ArrayState, fresh: ArrayState, episode_start: NDArray[np.bool_]) -> ArrayState:
    """Return the state with the rows [N] where an episode starts as in ``fresh`` (each part [1, ...])."""
    if not np.count_nonzero(episode_start):
        return state
    return tuple(
        np.where(episode_start.reshape(-1, *(1,) * (part.ndim - 1)), new, part)
        for part, new in zip(state, fresh, strict=True)
    )
