"""An ONNX graph under construction: cells and heads add their nodes to it, and nothing here imports onnx.

Values are passed by name. Operator set 17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class OnnxGraph:
    """Nodes and constants in the order in which they were added.

    Args:
        onnx: The imported ``onnx`` package.
    """

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: Any, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node of an ONNX operator and return the name of its output."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [output], **attributes))
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
        lengths = self.constant(sizes, np.int64)
        self.nodes.append(self.onnx.helper.make_node("Split", [x, lengths], names, axis=1))
        return names

    def mix(self, gate: str, kept: str, fresh: str) -> str:
        """Return fresh + gate (kept - fresh)."""
        return self.add("Add", fresh, self.add("Mul", gate, self.add("Sub", kept, fresh)))
