"""A recurrent policy as an ONNX file, with the state as explicit inputs and outputs.

The graph is written node by node (ONNX operator set 17), so it depends on no tracer, and is compared with the policy
before the file is written.

Axes: N environments (free), D input, H hidden, P outputs of the action head.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

import rlmem
from rlmem.agents.recurrent.action_masks import FORBIDDEN, METHOD, mask_outputs
from rlmem.agents.recurrent.on_policy import RecurrentOnPolicy
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.errors import UserError
from rlmem.files import write_bytes
from rlmem.networks.actor_critic import array_state
from rlmem.networks.heads import GaussianHead
from rlmem.networks.numpy_steps import ArrayState, restart
from rlmem.networks.onnx_graph import OnnxGraph

OPSET = 17
_TOLERANCE = 1e-4


def export_onnx(model: RecurrentOnPolicy, path: str | Path, *, value: bool = False, masks: bool = False) -> None:
    """Write the deterministic policy to an ONNX file.

    Inputs: ``observation`` float32 [N, ...] as the policy sees it (after any VecNormalize), ``episode_start`` bool [N]
    where the state is to be emptied, and ``state_0``, ``state_1``, ... float32 [N, ...], zeros at first. Outputs:
    ``action`` as ``predict`` returns it, ``value`` float32 [N] if asked for, and ``next_state_0``, ... to be given to
    the next call. With ``masks`` also the input ``action_masks`` bool [N, P], which choices are allowed.

    Args:
        model: A RecurrentPPO or RecurrentA2C.
        path: Where to; an older file is replaced at once.
        value: Also the value; the critic's state then follows the actor's.
        masks: For environments with action masks: see :mod:`rlmem.agents.recurrent.action_masks`.

    Raises:
        ImportError: If onnx or onnxruntime is not installed.
        UserError: If the observations are images or a Dict, the cell does not declare its nodes, or masks are asked for
            and the actions are continuous.
        RuntimeError: If the graph and the policy differ; nothing is written then.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ImportError("an ONNX file needs onnx and onnxruntime: pip install 'rlmem[onnx]'") from error
    policy = model.policy
    if not policy.plain_observations:
        raise UserError(
            f"only policies that see vectors of numbers can be exported, this one sees {policy.observation_space}"
        )
    if np.issubdtype(policy.action_space.dtype, np.integer) and isinstance(policy.action_space, spaces.Box):
        raise UserError(f"a Box of whole numbers cannot be exported as actions, got {policy.action_space}")
    if masks:
        policy.check_masks(np.ones(policy.head.size), 1)
    data = _build(onnx, policy, value=value, masks=masks)
    onnx.checker.check_model(data, full_check=True)
    _compare(onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]), policy, value=value, masks=masks)
    write_bytes(Path(path), data)


def _net(g: OnnxGraph, network: nn.Sequential, x: str) -> str:
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


def _build(onnx: Any, policy: RecurrentPolicy, *, value: bool, masks: bool) -> bytes:
    network, space = policy.network, policy.action_space
    g = OnnxGraph(onnx)
    fresh = _fresh(policy, value=value)
    start = g.add("Unsqueeze", "episode_start", g.constant([1], np.int64))
    state = [g.add("Where", start, g.constant(part), f"state_{i}") for i, part in enumerate(fresh)]
    features = g.add("Flatten", "observation", axis=1)
    width = len(network.actor.initial_state(0))
    hidden, after = network.actor.onnx_step(g, features, state[:width])
    logits = _net(g, network.actor_net, hidden)
    _action(g, policy, g.add("Where", METHOD, logits, g.constant(FORBIDDEN)) if masks else logits)
    outputs = [("action", "INT64" if network.head.action_dtype is np.int64 else "FLOAT", list(space.shape or ()))]
    if value:
        if not network.settings.shared:
            hidden, more = network.critic.onnx_step(g, features, state[width:])
            after = after + more
        g.add("Squeeze", _net(g, network.critic_net, hidden), g.constant([1], np.int64), name="value")
        outputs.append(("value", "FLOAT", []))
    for i, name in enumerate(after):
        g.add("Identity", name, name=f"next_state_{i}")

    def described(name: str, kind: str, shape: Sequence[int]) -> Any:
        return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), ["N", *shape])

    seen = policy.observation_space.shape or ()
    inputs = [described("observation", "FLOAT", seen), described("episode_start", "BOOL", [])]
    inputs += [described(METHOD, "BOOL", [policy.head.size])] if masks else []
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


def _action(g: OnnxGraph, policy: RecurrentPolicy, outputs: str) -> None:
    """Add the likeliest action in the form of the action space."""
    space = policy.action_space
    if isinstance(space, spaces.Box):
        shaped = g.add("Reshape", outputs, g.constant([-1, *space.shape], np.int64))
        g.add("Min", g.add("Max", shaped, g.constant(space.low)), g.constant(space.high), name="action")
        return
    assert not isinstance(policy.head, GaussianHead)
    parts = g.split(outputs, policy.head.choices)
    if isinstance(space, spaces.Discrete):
        chosen, start = g.add("ArgMax", parts[0], axis=1, keepdims=0), space.start
    else:
        chosen = g.join(*(g.add("ArgMax", part, axis=1, keepdims=1) for part in parts))
        start = getattr(space, "start", 0)
    g.add("Add", chosen, g.constant(start, np.int64), name="action")


def _compare(
    session: Any, policy: RecurrentPolicy, *, value: bool, masks: bool, steps: int = 6, n_envs: int = 3
) -> None:
    """Run both on random observations and episode starts; raise RuntimeError if they differ."""
    rng = np.random.default_rng(0)
    fresh = _fresh(policy, value=value)
    ours = theirs = tuple(rng.standard_normal((n_envs, *part.shape[1:])).astype(np.float32) for part in fresh)
    network = policy.network
    width = len(network.actor.initial_state(0))
    actor = network.actor_step()
    for t in range(steps):
        observation = rng.standard_normal((n_envs, *(policy.observation_space.shape or ()))).astype(np.float32)
        start = rng.random(n_envs) < (0.0 if t == 0 else 0.3)
        feed = {"observation": observation, "episode_start": start}
        allowed: Any = rng.random((n_envs, policy.head.size)) < 0.5
        if masks:
            assert not isinstance(policy.head, GaussianHead)
            allowed[:, np.cumsum([0, *policy.head.choices[:-1]])] = True
            feed[METHOD] = allowed
        action, *rest = session.run(None, feed | {f"state_{i}": part for i, part in enumerate(theirs)})
        ours = restart(ours, fresh, start)
        features = observation.reshape(n_envs, -1)
        outputs, after = actor.step(features, ours[:width])
        outputs = mask_outputs(outputs, allowed) if masks else outputs
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
        if isinstance(policy.head, GaussianHead):
            action, likeliest = action.reshape(n_envs, -1), policy.to_env(likeliest).reshape(n_envs, -1)
        else:  # two choices may be equally likely
            offset = getattr(policy.action_space, "start", 0)
            chosen = ((action - offset).reshape(n_envs, -1), likeliest)
            logits = torch.from_numpy(outputs)
            action, likeliest = (
                policy.head.log_prob_and_entropy(logits, torch.from_numpy(choice))[0].numpy() for choice in chosen
            )
        for found, wanted in zip((action, *rest), (likeliest, *expected, *after), strict=True):
            if not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise RuntimeError(f"the ONNX graph differs from the policy at step {t}: {found} instead of {wanted}")
        ours, theirs = after, tuple(rest[value:])
