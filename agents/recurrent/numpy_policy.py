"""Run a policy that `rlmem export --to numpy` wrote. Needs numpy and this one file: no rlmem, no PyTorch.

    policy = NumpyPolicy("policy.npz")
    action, state = policy.predict(observation)            # first step of an episode
    action, state = policy.predict(observation, state)     # the next ones

Axes: N robots; D observation, A action.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from typing import Any
from zipfile import BadZipFile

import numpy as np

_NOT_ONE = (ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What numpy, zip and JSON raise over another or a damaged file; numpy takes it for a pickle and advises to load it."""
_erf = np.vectorize(math.erf, otypes=[np.float32])


def _layer_norm(x: Any, scale: Any, bias: Any, axis: int, epsilon: float) -> Any:
    away = x - x.mean(axis, keepdims=True)
    return away / np.sqrt(np.mean(away * away, axis, keepdims=True) + epsilon) * scale + bias


def _reshape(x: Any, shape: Any) -> Any:
    """Return ``x`` in a shape where 0 stands for the length that an axis has."""
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])


def _softmax(x: Any, axis: int) -> Any:
    weights = np.exp(x - x.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "ArgMax": lambda x, axis, keepdims: np.argmax(x, axis, keepdims=bool(keepdims)),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "Div": np.divide,
    "Elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "Erf": _erf,
    "Exp": np.exp,
    "Flatten": lambda x, axis: x.reshape(*x.shape[:axis], -1),
    "Gemm": lambda x, weight, bias=0, transB=0: x @ (weight.T if transB else weight) + bias,
    "Greater": np.greater,
    "Identity": lambda x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": np.matmul,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "ReduceL2": lambda x, axes: np.sqrt(np.sum(x * x, tuple(axes), keepdims=True)),
    "ReduceMean": lambda x, axes: np.mean(x, tuple(axes), keepdims=True),
    "Relu": lambda x: np.maximum(x, 0),
    "Reshape": _reshape,
    "Sigmoid": lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),
    "Softmax": _softmax,
    "Split": lambda x, sizes, axis: tuple(np.split(x, np.cumsum(sizes)[:-1], axis)),
    "Sqrt": np.sqrt,
    "Squeeze": lambda x, axes: np.squeeze(x, tuple(axes)),
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "Transpose": lambda x, perm: np.transpose(x, perm),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes)),
    "Where": np.where,
}
"""The operators of ONNX that a policy may have, as far as policies use them."""


class NumpyPolicy:
    """A recurrent policy on numpy arrays.

    Args:
        path: The file policy.npz.

    Raises:
        ValueError: If the file is of another format.
    """

    def __init__(self, path: Any) -> None:
        self.metadata: dict[str, Any]
        """Task, control rate in Hz, names of observations and actions, range of actions, versions."""
        self._inputs: dict[str, dict[str, Any]]
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            described = json.loads(str(arrays.pop("policy")))
            self.metadata, self._inputs = described["metadata"], described["inputs"]
            self._nodes = [
                (OPERATORS[node["operator"]], node["inputs"], node["outputs"], node["attributes"])
                for node in described["nodes"]
            ]
        except _NOT_ONE as error:
            raise ValueError(f"{path} is no policy that `rlmem export --to numpy` wrote, or damaged") from error
        self._states = [name for name in self._inputs if name.startswith("state_")]
        self._constants = arrays

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """The shape of one observation, such as (D,)."""
        return tuple(self._inputs["observation"]["shape"])

    def initial_state(self, num_envs: int = 1) -> tuple[Any, ...]:
        """Return the state at the start of an episode, each part [N, ...]."""
        return tuple(np.zeros((num_envs, *self._inputs[name]["shape"]), np.float32) for name in self._states)

    def run(self, **inputs: Any) -> dict[str, Any]:
        """Compute the graph as onnxruntime would: all named inputs to all named values."""
        values = self._constants | inputs
        for function, names, outputs, attributes in self._nodes:
            found = function(*[values[name] for name in names], **attributes)
            values.update(zip(outputs, found if isinstance(found, tuple) else (found,)))  # noqa: B905 - checked at export
        return values

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, tuple[Any, ...]]:
        """Choose the likeliest actions and return the next state.

        Args:
            observation: One observation [D], or one for each robot [N, D].
            state: What the last call returned; None at the start.
            episode_start: [N] where an episode starts, so that its state is emptied; None: nowhere.
            deterministic: Must be true, and is here so that this is the ``predict`` that evaluations call.

        Raises:
            ValueError: If the observation has another shape than the policy was trained with, or the state another than
                one of so many robots has.
        """
        shape = self.observation_shape
        observations = np.asarray(observation, np.float32)
        single = observations.shape == shape
        if not single and observations.shape[1:] != shape:
            raise ValueError(f"observations must have shape {shape} or (N, *{shape}), got {observations.shape}")
        if not deterministic:
            raise ValueError("an exported policy takes the likeliest action: it cannot draw one")
        observations = observations[None] if single else observations
        start = np.zeros(len(observations), bool) if episode_start is None else np.atleast_1d(episode_start)
        fresh = self.initial_state(len(observations))
        before = fresh if state is None else state
        if [np.shape(part) for part in before] != [part.shape for part in fresh]:
            raise ValueError(
                f"state must be what the last call returned, of shapes {[part.shape for part in fresh]}, "
                f"got {[np.shape(part) for part in before]}"
            )
        states = dict(zip(self._states, before))  # noqa: B905
        values = self.run(observation=observations, episode_start=start, **states)
        after = tuple(values[f"next_{name}"] for name in self._states)
        return (values["action"][0] if single else values["action"]), after
