"""A graph of ONNX operators under construction: cells and heads add their nodes to it, and nothing here imports onnx.

Values are passed by name. Operator set 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Node(NamedTuple):
    """One operator."""

    operator: str
    """Its name in ONNX, such as ``"Gemm"``."""
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    """Plain numbers by name."""


class OnnxGraph:
    """Nodes and constants in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, array: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.array(array, dtype, order="C")
        return name

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node of an ONNX operator and return the name of its output."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(operator, list(inputs), [output], attributes))
        return output

    def linear(self, x: str, weight: Any, bias: Any = None) -> str:
        """Return x W^T + b, of weight [P, D] and bias [P]."""
        biases = [] if bias is None else [self.constant(bias)]
        return self.add("Gemm", x, self.constant(weight), *biases, transB=1)

    def join(self, *parts: str) -> str:
        """Return parts [N, ...] side by side."""
        return self.add("Concat", *parts, axis=1)

    def split(self, x: str, sizes: Sequence[int]) -> list[str]:
        """Return the columns of ``x`` in blocks of these sizes."""
        names = [f"part_{len(self.nodes)}_{i}" for i in range(len(sizes))]
        self.nodes.append(Node("Split", [x, self.constant(sizes, np.int64)], names, {"axis": 1}))
        return names

    def mix(self, gate: str, kept: str, fresh: str) -> str:
        """Return fresh + gate (kept - fresh)."""
        return self.add("Add", fresh, self.add("Mul", gate, self.add("Sub", kept, fresh)))
