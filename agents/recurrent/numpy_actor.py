"""Act with a trained recurrent agent where there is no PyTorch: from the file that the agent's ``save`` wrote.

Axes: N environments, F features, P outputs of the action head.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.agents.recurrent.action_masks import check_masks, mask_outputs
from rlmem.errors import UserError
from rlmem.networks.held_noise import HeldNoise, add_noise
from rlmem.networks.numpy_cells import ARRAY_CELLS
from rlmem.networks.numpy_steps import (
    ArrayState,
    FloatArray,
    Function,
    mlp,
    numpy_linear,
    reset_where,
    scaled_features,
    stack_step,
    with_features,
)
from rlmem.privileged import OBSERVATION, PRIVILEGED
from rlmem.runs.tensors_file import Checkpoint, CheckpointError, find_file, load_checkpoint


class NumpyActor:
    """The actor of a RecurrentPPO or RecurrentA2C; ``predict`` is that of stable-baselines3.

    Args:
        checkpoint: What the agent's ``save`` wrote.
        seed: Seed of sampled actions; None for another one each time.

    Raises:
        UserError: If the agent sees something else than vectors of numbers.
        CheckpointError: If the file is not one of a recurrent agent, or damaged.
    """

    def __init__(self, checkpoint: Checkpoint, *, seed: int | None = None) -> None:
        try:
            self._build(checkpoint.meta, checkpoint.tensors)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise CheckpointError(f"the file does not hold a complete recurrent agent: {error!r}") from error
        self._rng = np.random.default_rng(seed)

    @classmethod
    def load(cls, path: str | Path, *, seed: int | None = None) -> NumpyActor:
        """Read an agent from a file.

        Raises:
            UserError: If there is no such file, or if the file is not one of a recurrent agent, is damaged, or the
                agent sees images or a Dict.
        """
        return cls(load_checkpoint(find_file(path)), seed=seed)

    def _build(self, meta: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
        network, seen, self._space = meta["settings"], meta["observation_space"], meta["action_space"]
        parts = seen.get("spaces", {})
        if parts.keys() == {OBSERVATION, PRIVILEGED}:
            seen = parts[OBSERVATION]
        if any(name.startswith("normalization/statistics/obs/") for name in tensors):
            warnings.warn(
                "the agent was trained under VecNormalize: give predict observations that are normalized as then",
                stacklevel=4,
            )
        if seen["type"] != "Box" or meta["extractor"]["class"] != "FlattenExtractor" or seen["dtype"] == "uint8":
            raise UserError(f"only agents that see vectors of numbers act without PyTorch, this one sees {seen}")
        if network["cell"] not in ARRAY_CELLS:
            raise UserError(f"cell {network['cell']!r} cannot act without PyTorch: numpy_cells.py has no step for it")
        self._shape = tuple(int(size) for size in seen["shape"])
        self._bounds: tuple[FloatArray, FloatArray] | None = None
        self._choices: list[int] = []
        if self._space["type"] == "Box":
            self._action_shape = tuple(int(size) for size in self._space["shape"])
            low, high = (np.asarray(self._space[end], np.float32) for end in ("low", "high"))
            self._bounds = _shaped(low, self._action_shape), _shaped(high, self._action_shape)
        else:
            self._choices = _choices(self._space)
        self._start = np.asarray(self._space.get("start", 0))

        def weights(prefix: str) -> dict[str, FloatArray]:
            start = f"policy/network.{prefix}."
            return {name.removeprefix(start): array for name, array in tensors.items() if name.startswith(start)}

        self._scale: Function = lambda x: x
        if network.get("norm_obs"):
            self._scale = scaled_features(tensors["policy/scale.mean"], tensors["policy/scale.variance"])
        cell = ARRAY_CELLS[network["cell"]]
        steps, sizes = [], []
        for layer in range(int(network["n_layers"])):
            own = weights(f"actor.layers.{layer}")
            steps.append(cell.make(own, numpy_linear))
            sizes.append(cell.state_sizes(int(network["hidden_size"]), own))
        trunk = stack_step(steps, [len(parts) for parts in sizes])
        self._trunk = with_features(trunk) if network["skip"] else trunk
        self._initial = tuple(np.zeros((1, size), np.float32) for parts in sizes for size in parts)
        layers = weights("actor_net")
        pairs = [
            (layers[f"{2 * i}.weight"], layers[f"{2 * i}.bias"])
            for i in range(len(network["net_arch"]) + 1)
        ]  # fmt: skip
        self._held_noise = HeldNoise(int(network["sde_sample_freq"])) if network.get("use_sde") else None
        self._net = mlp(pairs, network["activation"], with_latent=self._held_noise is not None)
        self._std = np.exp(tensors.get("policy/network.head.log_std", np.zeros(0, np.float32)))

    def initial_state(self, num_envs: int) -> ArrayState:
        """Return the state at the start of an episode, each part [N, ...]."""
        return tuple(np.repeat(part, num_envs, 0) for part in self._initial)

    def predict(
        self,
        observation: NDArray[Any],
        state: ArrayState | None = None,
        episode_start: NDArray[np.bool_] | bool | None = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], ArrayState]:
        """Choose actions and return the next state.

        Args:
            observation: One observation, or one for each environment [N, ...].
            state: What the last call returned, each part [N, ...]; None at the start.
            episode_start: [N] where an episode starts, so that its state is emptied.
            deterministic: The likeliest action, not a sample.
            action_masks: [P] or [N, P] bools, which choices are allowed: :mod:`rlmem.agents.recurrent.action_masks`.

        Raises:
            UserError: If the observation has another shape than the agent was trained with, or masks do not fit.
        """
        observations = np.asarray(observation, np.float32)
        single = observations.shape == self._shape
        if not single and observations.shape[1:] != self._shape:
            raise UserError(
                f"observations must have shape {self._shape} or (N, *{self._shape}), got {observations.shape}"
            )
        features = self._scale(observations.reshape(1 if single else len(observations), -1))
        starts = None if episode_start is None else np.atleast_1d(np.asarray(episode_start, bool))
        if state is None:
            state, starts = self.initial_state(len(features)), np.ones(len(features), np.bool_)
        elif starts is not None:
            state = reset_where(state, self._initial, starts)
        hidden, state = self._trunk(features, state)
        outputs = self._net(hidden)
        if action_masks is not None:
            outputs = mask_outputs(outputs, check_masks(action_masks, self._choices, len(outputs)))
        actions = self._choose(outputs, starts, deterministic=deterministic)
        return (np.asarray(actions[0]) if single else actions), state

    def _draw_noise(self, shape: tuple[int, ...]) -> FloatArray:
        """Return noise [N, A], or matrices [N, L, A] of state-dependent exploration."""
        noise: FloatArray = self._rng.standard_normal((*shape, *self._std.shape), dtype=np.float32) * self._std
        return noise

    def _choose(
        self, outputs: FloatArray, episode_start: NDArray[np.bool_] | None, *, deterministic: bool
    ) -> NDArray[Any]:
        """Return actions in the form of the action space from the outputs [N, P] of the network."""
        if self._bounds is not None:
            low, high = self._bounds
            if deterministic:
                outputs = outputs[:, : self._std.shape[-1]]
            elif self._held_noise is None:
                outputs = outputs + self._draw_noise((len(outputs),))
            else:
                noise = self._held_noise.step(self._draw_noise, len(outputs), episode_start)
                outputs = add_noise(outputs, noise)
            clipped = np.minimum(np.maximum(outputs.reshape(-1, *self._action_shape), low), high)
            dtype = np.dtype(self._space["dtype"])
            return (np.rint(clipped) if dtype.kind in "iu" else clipped).astype(dtype, copy=False)
        if not deterministic:
            # the largest of logits + Gumbel noise is a sample of their softmax
            outputs = outputs + self._rng.gumbel(size=outputs.shape).astype(np.float32)
        parts = np.split(outputs, np.cumsum(self._choices)[:-1], -1)
        choices = np.stack([part.argmax(-1) for part in parts], -1)
        choices += self._start
        return choices[:, 0] if self._space["type"] == "Discrete" else choices


def _choices(space: Mapping[str, Any]) -> list[int]:
    """Return the number of choices of each component of a discrete action space."""
    if space["type"] == "Discrete":
        return [int(space["n"])]
    if space["type"] == "MultiDiscrete":
        return [int(n) for n in space["nvec"]]
    if space["type"] == "MultiBinary":
        return [2] * int(np.prod(space["n"]))
    raise UserError(f"the action space must be Box, Discrete, MultiDiscrete or MultiBinary, got {space}")


def _shaped(bound: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return a bound, written as one number or as all of them, in the shape of an action."""
    return np.broadcast_to(bound if bound.ndim == 0 else bound.reshape(shape), shape)
