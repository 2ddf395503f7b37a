"""A recurrent policy as an ONNX file, with the state as explicit inputs and outputs.

The graph is written node by node (ONNX operator set 17), so it depends on no tracer, and is compared with the policy
before the file is written.

Axes: N environments (free), D input, H hidden, P outputs of the action head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

import rlmem
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.networks.actor_critic import array_state
from rlmem.networks.cells import Stack
from rlmem.networks.heads import Gaussian
from rlmem.networks.numpy_steps import ArrayState, restart
from rlmem.runs.tensors_file import write_atomically

OPSET = 17
_TOLERANCE = 1e-4


def export_onnx(model: RecurrentOnPolicy, path: str | Path, *, value: bool = False) -> None:
    """Write the deterministic policy to an ONNX file.

    Inputs: ``observation`` float32 [N, ...] as the policy sees it (after any VecNormalize), ``episode_start`` bool [N]
    where the state is to be emptied, and ``state_0``, ``state_1``, ... float32 [N, ...], zeros at first. Outputs:
    ``action`` as ``predict`` returns it, ``value`` float32 [N] if asked for, and ``next_state_0``, ... to be given to
    the next call.

    Args:
        model: A RecurrentPPO or RecurrentA2C.
        path: Where to; an older file is replaced at once.
        value: Also the value; the critic's state then follows the actor's.

    Raises:
        ImportError: If onnx or onnxruntime is not installed.
        ValueError: If the observations are images or a Dict, or the cell is not one of ours.
        RuntimeError: If the graph and the policy differ; nothing is written then.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ImportError("an ONNX file needs onnx and onnxruntime: pip install 'rlmem[onnx]'") from error
    policy = model.policy
    if not policy.plain_observations:
        raise ValueError(
            f"only policies that see vectors of numbers can be exported, this one sees {policy.observation_space}"
        )
    if policy.network.settings.cell not in _CELLS:
        raise ValueError(f"cell must be one of {sorted(_CELLS)}, got {policy.network.settings.cell!r}")
    data = _build(onnx, policy, value=value)
    onnx.checker.check_model(data, full_check=True)
    _compare(onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]), policy, value=value)
    write_atomically(Path(path), lambda temporary: temporary.write_bytes(data))


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, onnx: Any) -> None:
        self.onnx, self.nodes, self.constants = onnx, [], []  # type: Any, list[Any], list[Any]

    def constant(self, array: Any, dtype: type[np.generic] = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def linear(self, x: str, weight: Any, bias: Any = None) -> str:
        biases = [] if bias is None else [self.constant(bias)]
        return self.add("Gemm", x, self.constant(weight), *biases, transB=1)

    def join(self, *parts: str) -> str:
        return self.add("Concat", *parts, axis=1)

    def split(self, x: str, sizes: Sequence[int]) -> list[str]:
        names = [f"part_{len(self.nodes)}_{i}" for i in range(len(sizes))]
        lengths = self.constant(sizes, np.int64)
        self.nodes.append(self.onnx.helper.make_node("Split", [x, lengths], names, axis=1))
        return names

    def mix(self, gate: str, kept: str, fresh: str) -> str:
        """Return fresh + gate (kept - fresh)."""
        return self.add("Add", fresh, self.add("Mul", gate, self.add("Sub", kept, fresh)))


Weights = dict[str, Any]
_Step = Callable[[_Graph, Weights, str, list[str]], tuple[str, list[str]]]
"""From input [N, D] and state to output [N, H] and next state, all by name."""


def _lstm(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    size = w["hidden_weight"].shape[1]
    product = g.linear(g.join(x, state[0]), np.hstack((w["input_weight"], w["hidden_weight"])), w["bias"])
    gates = g.split(product, [size] * 4)
    write, keep, read = (g.add("Sigmoid", gates[i]) for i in (0, 1, 3))
    cell = g.add("Add", g.add("Mul", keep, state[1]), g.add("Mul", write, g.add("Tanh", gates[2])))
    hidden = g.add("Mul", read, g.add("Tanh", cell))
    return hidden, [hidden, cell]


def _gru(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    size = w["hidden_weight"].shape[1]
    now = g.split(g.linear(x, w["input_weight"], w["bias"]), [size] * 3)
    bias = np.concatenate((np.zeros(2 * size), w["candidate_bias"]))
    past = g.split(g.linear(state[0], w["hidden_weight"], bias), [size] * 3)
    reset, keep = (g.add("Sigmoid", g.add("Add", now[i], past[i])) for i in range(2))
    fresh = g.add("Tanh", g.add("Add", now[2], g.add("Mul", reset, past[2])))
    hidden = g.mix(keep, state[0], fresh)
    return hidden, [hidden]


def _elman(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    weight = np.hstack((w["input_weight"], w["hidden_weight"]))
    hidden = g.add("Tanh", g.linear(g.join(x, state[0]), weight, w["bias"]))
    return hidden, [hidden]


def _elstm(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    forget, candidate, output = g.split(g.linear(x, w["input_weight"], w["bias"]), [len(w["forget_weight"])] * 3)
    (cell,) = state

    def plus(drive: str, name: str) -> str:
        return g.add("Add", drive, g.add("Mul", cell, g.constant(w[name])))

    gate, fresh = g.add("Sigmoid", plus(forget, "forget_weight")), g.add("Tanh", plus(candidate, "candidate_weight"))
    after = g.mix(gate, cell, fresh)
    read = g.add("Sigmoid", g.add("Add", output, g.linear(after, w["output_weight"])))
    return g.add("Mul", read, after), [after]


def _min_gru(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    gate, fresh = g.split(g.linear(x, w["linear.weight"], w["linear.bias"]), [len(w["linear.bias"]) // 2] * 2)
    hidden = g.mix(g.add("Sigmoid", gate), fresh, state[0])
    return hidden, [hidden]


def _memoryless(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    return g.add("Tanh", g.linear(x, w["linear.weight"], w["linear.bias"])), state


def _turn(g: _Graph, w: Weights, x: str, state: list[str], gain: Any) -> list[str]:
    """Return the next real and imaginary parts of a diagonal recurrence."""
    decay, angle = np.exp(-np.exp(w["log_decay"])), np.exp(w["log_angle"])
    cosine, sine = g.constant(decay * np.cos(angle)), g.constant(decay * np.sin(angle))
    drive = g.split(g.linear(x, w["input_weight"] * np.tile(gain, 2)[:, None]), [len(gain)] * 2)
    real = g.add("Sub", g.add("Mul", state[0], cosine), g.add("Mul", state[1], sine))
    imaginary = g.add("Add", g.add("Mul", state[1], cosine), g.add("Mul", state[0], sine))
    return [g.add("Add", part, new) for part, new in zip((real, imaginary), drive, strict=True)]


def _rtu(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    after = _turn(g, w, x, state, np.sqrt(-np.expm1(-2.0 * np.exp(w["log_decay"]))))
    return g.add("Tanh", g.join(*after)), after


def _lru(g: _Graph, w: Weights, x: str, state: list[str]) -> tuple[str, list[str]]:
    after = _turn(g, w, x, state, np.exp(w["log_gain"]))
    return g.linear(g.join(*after, x), np.hstack((w["output_weight"], w["skip_weight"]))), after


_CELLS: dict[str, _Step] = {
    "memoryless": _memoryless,
    "elman": _elman,
    "gru": _gru,
    "lstm": _lstm,
    "rtu": _rtu,
    "lru": _lru,
    "min_gru": _min_gru,
    "elstm": _elstm,
}
"""By the names of :data:`rlmem.networks.cells.CELLS`."""


def _arrays(module: nn.Module) -> Weights:
    return {name: parameter.detach().cpu().numpy() for name, parameter in module.named_parameters()}


def _trunk(g: _Graph, cell: str, trunk: Stack, x: str, state: list[str]) -> tuple[str, list[str]]:
    after: list[str] = []
    for layer in trunk.layers:
        width = len(layer.initial_state(0))  # type: ignore[operator]
        x, new = _CELLS[cell](g, _arrays(layer), x, state[:width])
        state, after = state[width:], after + new
    return x, after


def _net(g: _Graph, network: nn.Sequential, x: str) -> str:
    for module in network:
        if isinstance(module, nn.Linear):
            x = g.linear(x, module.weight.detach().cpu().numpy(), module.bias.detach().cpu().numpy())
        elif isinstance(module, nn.GELU):  # an operator of its own only from set 20 on
            error = g.add("Erf", g.add("Mul", x, g.constant(0.5**0.5)))
            x = g.add("Mul", g.add("Mul", x, g.constant(0.5)), g.add("Add", error, g.constant(1.0)))
        else:
            x = g.add({nn.Tanh: "Tanh", nn.ReLU: "Relu", nn.ELU: "Elu"}[type(module)], x)
    return x


def _fresh(policy: RecurrentPolicy, *, value: bool) -> ArrayState:
    """Return the state at the start of an episode, each part [1, ...], the actor's and the critic's if it is needed."""
    network = policy.network
    trunks = [network.actor] if not value or network.settings.shared else [network.actor, network.critic]
    return tuple(part for trunk in trunks for part in array_state(trunk.initial_state(1)))


def _build(onnx: Any, policy: RecurrentPolicy, *, value: bool) -> bytes:
    network, space = policy.network, policy.action_space
    g = _Graph(onnx)
    fresh = _fresh(policy, value=value)
    start = g.add("Unsqueeze", "episode_start", g.constant([1], np.int64))
    state = [g.add("Where", start, g.constant(part), f"state_{i}") for i, part in enumerate(fresh)]
    features = g.add("Flatten", "observation", axis=1)
    width = len(network.actor.initial_state(0))
    hidden, after = _trunk(g, network.settings.cell, network.actor, features, state[:width])
    _action(g, policy, _net(g, network.actor_net, hidden))
    outputs = [("action", "INT64" if network.head.action_dtype is np.int64 else "FLOAT", list(space.shape or ()))]
    if value:
        if not network.settings.shared:
            hidden, more = _trunk(g, network.settings.cell, network.critic, features, state[width:])
            after = after + more
        g.add("Squeeze", _net(g, network.critic_net, hidden), g.constant([1], np.int64), name="value")
        outputs.append(("value", "FLOAT", []))
    for i, name in enumerate(after):
        g.add("Identity", name, name=f"next_state_{i}")

    def described(name: str, kind: str, shape: Sequence[int]) -> Any:
        return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), ["N", *shape])

    seen = policy.observation_space.shape or ()
    inputs = [described("observation", "FLOAT", seen), described("episode_start", "BOOL", [])]
    inputs += [described(f"state_{i}", "FLOAT", part.shape[1:]) for i, part in enumerate(fresh)]
    results = [described(*output) for output in outputs]
    results += [described(f"next_state_{i}", "FLOAT", part.shape[1:]) for i, part in enumerate(fresh)]
    graph = onnx.helper.make_graph(g.nodes, "policy", inputs, results, g.constants)
    opset = onnx.helper.make_opsetid("", OPSET)
    made = onnx.helper.make_model(
        graph, opset_imports=[opset], ir_version=8, producer_name="rlmem", producer_version=rlmem.__version__
    )
    data: bytes = made.SerializeToString()
    return data


def _action(g: _Graph, policy: RecurrentPolicy, outputs: str) -> None:
    """Add the likeliest action in the form of the action space."""
    space = policy.action_space
    if isinstance(space, spaces.Box):
        shaped = g.add("Reshape", outputs, g.constant([-1, *space.shape], np.int64))
        g.add("Min", g.add("Max", shaped, g.constant(space.low)), g.constant(space.high), name="action")
        return
    assert not isinstance(policy.head, Gaussian)
    parts = g.split(outputs, policy.head.choices)
    if isinstance(space, spaces.Discrete):
        g.add("ArgMax", parts[0], axis=1, keepdims=0, name="action")
    else:
        g.add("Concat", *(g.add("ArgMax", part, axis=1, keepdims=1) for part in parts), axis=1, name="action")


def _compare(session: Any, policy: RecurrentPolicy, *, value: bool, steps: int = 6, n_envs: int = 3) -> None:
    """Run both on random observations and episode starts; raise RuntimeError if they differ."""
    rng = np.random.default_rng(0)
    fresh = _fresh(policy, value=value)
    ours = theirs = tuple(rng.standard_normal((n_envs, *part.shape[1:])).astype(np.float32) for part in fresh)
    network = policy.network
    width = len(network.actor.initial_state(0))
    actor = network.numpy_actor()
    for t in range(steps):
        observation = rng.standard_normal((n_envs, *(policy.observation_space.shape or ()))).astype(np.float32)
        start = rng.random(n_envs) < (0.0 if t == 0 else 0.3)
        feed = {"observation": observation, "episode_start": start}
        action, *rest = session.run(None, feed | {f"state_{i}": part for i, part in enumerate(theirs)})
        ours = restart(ours, fresh, start)
        features = observation.reshape(n_envs, -1)
        outputs, after = actor.step(features, ours[:width])
        expected: list[Any] = []
        if value:
            latent = network.actor.numpy_step()(features, ours[:width])[0]
            if not network.settings.shared:
                latent, more = network.critic.numpy_step()(features, ours[width:])
                after = after + more
            with torch.no_grad():
                latents = torch.from_numpy(latent).to(policy.device)
                expected.append(network.critic_net(latents).squeeze(-1).cpu().numpy())
        likeliest = policy.head.mode(outputs)
        if isinstance(policy.head, Gaussian):
            action, likeliest = action.reshape(n_envs, -1), policy.to_env(likeliest).reshape(n_envs, -1)
        else:  # two choices may be equally likely
            chosen = (action.reshape(n_envs, -1), likeliest)
            action, likeliest = (policy.head.with_vjp(outputs, choice)[0] for choice in chosen)
        for found, wanted in zip((action, *rest), (likeliest, *expected, *after), strict=True):
            if not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise RuntimeError(f"the ONNX graph differs from the policy at step {t}: {found} instead of {wanted}")
        ours, theirs = after, tuple(rest[value:])
