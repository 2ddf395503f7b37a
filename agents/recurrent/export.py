"""A recurrent policy as a file that runs without PyTorch: ONNX, or numpy arrays with a runner of one file.

Both hold the same graph, see :mod:`rlmem.agents.recurrent.policy_graph`, and are compared with the policy before the
file is written.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rlmem
from rlmem.agents.recurrent import numpy_policy
from rlmem.agents.recurrent.contract import Contract
from rlmem.agents.recurrent.numpy_policy import OPERATORS, NumpyPolicy
from rlmem.agents.recurrent.policy_graph import Arrays, PolicyGraph, Port, check_graph, policy_graph
from rlmem.errors import UserError
from rlmem.files import json_values, write_bytes

OPSET = 17
RUNNER = Path(numpy_policy.__file__)
"""The file that runs what :func:`export_numpy` writes."""


def export_onnx(
    model: Contract,
    path: str | Path,
    *,
    value: bool = False,
    masks: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the deterministic policy to an ONNX file.

    Inputs and outputs are those of :func:`rlmem.agents.recurrent.policy_graph.policy_graph`.

    Args:
        model: A RecurrentPPO, RecurrentA2C or RecurrentSAC.
        path: Where to; an older file is replaced at once.
        value: Also the value; the critic's state then follows the actor's.
        masks: Also the input ``action_masks``, for environments that have them.
        metadata: JSON values, written as ``metadata_props``.

    Raises:
        UserError: If onnx or onnxruntime is not installed, or the policy cannot be exported: see
            :func:`rlmem.agents.recurrent.policy_graph.policy_graph`.
        RuntimeError: If the graph and the policy differ; nothing is written then.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError("an ONNX file needs onnx and onnxruntime: pip install 'rlmem[onnx]'") from error
    data = _onnx_bytes(onnx, policy_graph(model, value=value, masks=masks), metadata or {})
    onnx.checker.check_model(data, full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(None, inputs), strict=True))

    check_graph(model, run, value=value, masks=masks)
    write_bytes(path, data)


def export_numpy(model: Contract, path: str | Path, *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the deterministic policy to an .npz file, and beside it the one file that runs it, ``numpy_policy.py``.

    Args:
        model: A RecurrentPPO, RecurrentA2C or RecurrentSAC.
        path: Where to, an .npz file; an older one is replaced at once.
        metadata: JSON values, read back as ``NumpyPolicy(path).metadata``.

    Raises:
        UserError: If the observations are images or a Dict, or the cell does not declare its nodes, or by an operator
            that the runner does not have.
        RuntimeError: If the file and the policy differ; nothing is written then.
    """
    made = policy_graph(model)
    if lacking := sorted({node.operator for node in made.graph.nodes} - set(OPERATORS)):
        raise UserError(f"numpy_policy.py has no operator {', '.join(lacking)}, which this cell uses: export to onnx")
    described = {
        "metadata": json_values(dict(metadata or {})),
        "inputs": {name: port._asdict() for name, port in made.inputs.items()},
        "nodes": [node._asdict() for node in made.graph.nodes],
    }
    file = io.BytesIO()
    np.savez(file, policy=np.array(json.dumps(described)), **made.graph.constants)  # type: ignore[arg-type]
    policy = NumpyPolicy(io.BytesIO(file.getvalue()))
    check_graph(model, lambda inputs: policy.run(**inputs))
    path = Path(path)
    write_bytes(path, file.getvalue())
    if path.parent.resolve() != RUNNER.parent:
        write_bytes(path.parent / RUNNER.name, RUNNER.read_bytes())


def _onnx_bytes(onnx: Any, made: PolicyGraph, metadata: Mapping[str, Any]) -> bytes:
    helper = onnx.helper
    nodes = [helper.make_node(node.operator, node.inputs, node.outputs, **node.attributes) for node in made.graph.nodes]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in made.graph.constants.items()]

    def described(ports: Mapping[str, Port]) -> list[Any]:
        kinds = {"float32": "FLOAT", "int64": "INT64", "bool": "BOOL"}
        return [
            helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kinds[port.dtype]), ["N", *port.shape])
            for name, port in ports.items()
        ]

    graph = helper.make_graph(nodes, "policy", described(made.inputs), described(made.outputs), constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="rlmem",
        producer_version=rlmem.__version__,
    )
    helper.set_model_props(model, {name: json.dumps(json_values(value)) for name, value in metadata.items()})
    data: bytes = model.SerializeToString()
    return data
