"""A recurrent policy as a graph of operators, with named inputs and outputs and the state among them.

Written node by node, so it depends on no tracer; :func:`check_graph` compares what runs it with the policy.

Axes: N environments (free), D input, H hidden, P outputs of the action head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import nn

from rlmem.agents.recurrent.action_masks import FORBIDDEN, METHOD, mask_outputs
from rlmem.agents.recurrent.contract import Contract
from rlmem.agents.recurrent.policy import RecurrentPolicy
from rlmem.errors import UserError
from rlmem.networks.actor_critic import array_state
from rlmem.networks.heads import CategoricalHead
from rlmem.networks.numpy_steps import ArrayState, reset_where
from rlmem.networks.onnx_graph import OnnxGraph

Arrays = dict[str, NDArray[Any]]
_TOLERANCE = 1e-4


class Port(NamedTuple):
    """A named input or output."""

    dtype: str
    """``"float32"``, ``"int64"`` or ``"bool"``."""
    shape: tuple[int, ...]
    """Without the axis of environments."""


class PolicyGraph(NamedTuple):
    """A policy as a graph."""

    graph: OnnxGraph
    inputs: dict[str, Port]
    outputs: dict[str, Port]


def policy_graph(model: Contract, *, value: bool = False, masks: bool = False) -> PolicyGraph:
    """Return the deterministic policy as a graph.

    Inputs: ``observation`` float32 [N, ...] as the environment gives it, ``episode_start`` bool [N] where the state is
    to be emptied, and ``state_0``, ``state_1``, ... float32 [N, ...], zeros at first. Outputs: ``action`` as
    ``predict`` returns it, ``value`` float32 [N] if asked for, and ``next_state_0``, ... to be given to the next call.
    Observations that a VecNormalize of the model's environment normalizes are normalized inside. With ``masks`` also
    the input ``action_masks`` bool [N, P], which choices are allowed.

    Args:
        model: A RecurrentPPO, RecurrentA2C or RecurrentSAC.
        value: Also the value; the critic's state then follows the actor's.
        masks: For environments with action masks: see :mod:`rlmem.agents.recurrent.action_masks`.

    Raises:
        UserError: If the observations are images or a Dict, the actions whole numbers in a Box, the cell does not
            declare its nodes, masks are asked for and the actions are continuous, or the value is asked for and the
            critic is privileged or one of actions.
    """
    policy = model.policy
    if not policy.plain_observations:
        raise UserError(
            f"only policies that see vectors of numbers can be exported, this one sees {policy.observation_space}"
        )
    if np.issubdtype(policy.action_space.dtype, np.integer) and isinstance(policy.action_space, spaces.Box):
        raise UserError(f"a Box of whole numbers cannot be exported as actions, got {policy.action_space}")
    if masks:
        policy.check_masks(np.ones(policy.head.size), 1)
    if value and not hasattr(policy.network, "critic_net"):
        raise UserError("recurrent SAC has values of actions, none of the state: export without the value")
    if value and policy.privileged:
        raise UserError("the critic sees the full state, which a robot does not: export without the value")
    network, g = policy.network, OnnxGraph()
    fresh = _fresh(policy, value=value)
    start = g.add("Unsqueeze", "episode_start", g.constant([1], np.int64))
    state = [g.add("Where", start, g.constant(part), f"state_{i}") for i, part in enumerate(fresh)]
    features = g.add("Flatten", _normalized(g, model), axis=1)
    if policy.scale is not None:
        features = policy.scale.onnx(g, features)
    width = len(network.actor.initial_state(0))
    hidden, after = network.actor.onnx_step(g, features, state[:width])
    logits = _net(g, network.actor_net, hidden)
    _action(g, policy, g.add("Where", METHOD, logits, g.constant(FORBIDDEN)) if masks else logits)
    kind = "int64" if network.head.action_dtype is np.int64 else "float32"
    outputs = {"action": Port(kind, tuple(policy.action_space.shape or ()))}
    if value:
        if not network.settings.shared:
            hidden, more = network.critic.onnx_step(g, features, state[width:])
            after = after + more
        g.add("Squeeze", _net(g, network.critic_net, hidden), g.constant([1], np.int64), name="value")
        outputs["value"] = Port("float32", ())
    for i, name in enumerate(after):
        g.add("Identity", name, name=f"next_state_{i}")
    states = [Port("float32", part.shape[1:]) for part in fresh]
    inputs = {"observation": Port("float32", policy.observation_space.shape or ()), "episode_start": Port("bool", ())}
    inputs |= {METHOD: Port("bool", (policy.head.size,))} if masks else {}
    inputs |= {f"state_{i}": port for i, port in enumerate(states)}
    outputs |= {f"next_state_{i}": port for i, port in enumerate(states)}
    return PolicyGraph(g, inputs, outputs)


def _normalized(g: OnnxGraph, model: Contract) -> str:
    """Add the normalization of observations, where the model's environment has one, and return its output."""
    env = model.get_vec_normalize_env()
    if env is None or not env.norm_obs:
        return "observation"
    moments: Any = env.obs_rms
    centered = g.add("Sub", "observation", g.constant(moments.mean))
    scaled = g.add("Div", centered, g.constant(np.sqrt(moments.var + env.epsilon)))
    return g.add("Min", g.add("Max", scaled, g.constant(-env.clip_obs)), g.constant(env.clip_obs))


def _fresh(policy: RecurrentPolicy, *, value: bool) -> ArrayState:
    """Return the state at the start of an episode, each part [1, ...], the actor's and the critic's if it is needed."""
    network = policy.network
    trunks = [network.actor] if not value or network.settings.shared else [network.actor, network.critic]
    return tuple(part for trunk in trunks for part in array_state(trunk.initial_state(1)))


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


def _action(g: OnnxGraph, policy: RecurrentPolicy, outputs: str) -> None:
    """Add the likeliest action in the form of the action space."""
    space = policy.action_space
    if isinstance(space, spaces.Box):
        policy.onnx_action(g, outputs)
        return
    assert isinstance(policy.head, CategoricalHead)
    parts = g.split(outputs, policy.head.choices)
    if isinstance(space, spaces.Discrete):
        chosen, start = g.add("ArgMax", parts[0], axis=1, keepdims=0), space.start
    else:
        chosen = g.join(*(g.add("ArgMax", part, axis=1, keepdims=1) for part in parts))
        start = getattr(space, "start", 0)
    g.add("Add", chosen, g.constant(start, np.int64), name="action")


def check_graph(
    model: Contract,
    run: Callable[[Arrays], Arrays],
    *,
    value: bool = False,
    masks: bool = False,
    steps: int = 6,
    n_envs: int = 3,
) -> None:
    """Run graph and policy on random observations and episode starts.

    Args:
        model: The agent.
        run: From inputs by name to outputs by name.
        value: Whether the graph gives the value.
        masks: Whether the graph takes action masks.
        steps: Number of steps.
        n_envs: N.

    Raises:
        RuntimeError: If they differ.
    """
    rng, policy = np.random.default_rng(0), model.policy
    fresh = _fresh(policy, value=value)
    ours = theirs = tuple(rng.standard_normal((n_envs, *part.shape[1:])).astype(np.float32) for part in fresh)
    network, normalizer = policy.network, model.get_vec_normalize_env()
    width = len(network.actor.initial_state(0))
    actor = network.actor_step()
    for t in range(steps):
        observation = rng.standard_normal((n_envs, *(policy.observation_space.shape or ()))).astype(np.float32)
        start = rng.random(n_envs) < (0.0 if t == 0 else 0.3)
        feed: Arrays = {"observation": observation, "episode_start": start}
        allowed: Any = rng.random((n_envs, policy.head.size)) < 0.5
        if masks:
            assert isinstance(policy.head, CategoricalHead)
            allowed[:, np.cumsum([0, *policy.head.choices[:-1]])] = True
            feed[METHOD] = allowed
        found = run(feed | {f"state_{i}": part for i, part in enumerate(theirs)})
        theirs = tuple(found[f"next_state_{i}"] for i in range(len(fresh)))
        ours = reset_where(ours, fresh, start)
        seen = observation if normalizer is None else normalizer.normalize_obs(observation)
        features = policy.encode(np.asarray(seen, np.float32))
        outputs, after = actor.step(features, ours[:width])
        outputs = mask_outputs(outputs, allowed) if masks else outputs
        pairs: list[tuple[Any, Any]] = []
        if value:
            latent = network.actor.numpy_step()(features, ours[:width])[0]
            if not network.settings.shared:
                latent, more = network.critic.numpy_step()(features, ours[width:])
                after = after + more
            with torch.no_grad():
                latents = torch.from_numpy(latent).to(policy.device)
                pairs.append((found["value"], network.critic_net(latents).squeeze(-1).cpu().numpy()))
        action, likeliest = found["action"], policy.head.mode(outputs)
        if isinstance(policy.action_space, spaces.Box):
            pairs.append((action.reshape(n_envs, -1), policy.to_env(likeliest).reshape(n_envs, -1)))
        else:  # two choices may be equally likely
            offset = getattr(policy.action_space, "start", 0)
            logits = torch.from_numpy(outputs)
            one, other = (
                policy.head.log_prob_and_entropy(logits, torch.from_numpy(choice))[0].numpy()
                for choice in ((action - offset).reshape(n_envs, -1), likeliest)
            )
            pairs.append((one, other))
        for one, wanted in (*pairs, *zip(theirs, after, strict=True)):
            if not np.allclose(one, wanted, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise RuntimeError(f"the graph differs from the policy at step {t}: {one} instead of {wanted}")
        ours = after
