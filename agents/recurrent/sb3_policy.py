"""The contract of stable-baselines3's and sb3-contrib's policies: predict, evaluate, save and load.

Observations of several steps stand one environment after the other, as in sb3-contrib: [N T, ...].

Axes: N environments, T time.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.distributions import Distribution, make_proba_distribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from rlmem.agents.base import as_rows, check_state
from rlmem.agents.plain_data import pack_space, unpack_space
from rlmem.agents.recurrent import checkpoint
from rlmem.agents.recurrent.action_masks import FORBIDDEN, check_masks, mask_outputs
from rlmem.errors import UserError
from rlmem.learning.divergence import check_finite
from rlmem.networks.actor_critic import ActorCritic, ActorStep, Trunk, Trunks, array_state
from rlmem.networks.heads import Actions, GaussianHead
from rlmem.networks.held_noise import HeldNoise
from rlmem.networks.numpy_steps import ArrayState, FloatArray, reset_where
from rlmem.networks.settings import NetworkSettings
from rlmem.networks.state_dependent_head import StateDependentHead
from rlmem.privileged import PRIVILEGED, actor_part

State = tuple[Tensor, ...]


class SB3Policy(BasePolicy):
    """Predicts, evaluates, saves and loads as stable-baselines3's policies do; training uses none of it."""

    network: ActorCritic
    full_space: spaces.Space[Any]
    """The observations with their privileged part."""
    privileged: bool
    """Whether the critic sees the privileged part."""
    critic_extractor: BaseFeaturesExtractor | None
    """The critic's features extractor; None where it is the actor's, or none is needed."""
    rng: np.random.Generator
    held_noise: HeldNoise

    def encode(self, observations: Any) -> FloatArray:
        """Return features [M, F] of observations [M, ...] as arrays, without gradient."""
        raise NotImplementedError

    def critic_encode(self, observations: Any) -> FloatArray:
        """Return what the critic sees of observations [M, ...] as arrays [M, C], without gradient."""
        raise NotImplementedError

    def actor_step(self) -> ActorStep:
        """Return one step of the actor on arrays, with the present weights."""
        raise NotImplementedError

    def to_env(self, actions: Actions) -> NDArray[Any]:
        """Return stored actions [N, A] in the form of the action space."""
        raise NotImplementedError

    def act(
        self,
        observation: Any,
        state: ArrayState | None,
        episode_start: NDArray[np.bool_] | None,
        rng: np.random.Generator | None,
        action_masks: Any = None,
    ) -> tuple[NDArray[Any], ArrayState]:
        """Choose actions, as stable-baselines3's ``predict``; deterministic without ``rng``."""
        self.set_training_mode(False)
        if isinstance(observation, tuple):
            raise UserError(
                "predict was given a tuple, perhaps by mixing Gym API and VecEnv API: reset of a Gymnasium environment "
                "returns observation and info, and predict takes the observation"
            )
        tensors, vectorized = self.obs_to_tensor(actor_part(observation))
        arrays: Any = (
            {key: value.cpu().numpy() for key, value in tensors.items()}
            if isinstance(tensors, dict)
            else tensors.cpu().numpy()
        )
        rows = len(next(iter(arrays.values())) if isinstance(arrays, dict) else arrays)
        if not rows:
            raise UserError("predict was given no observation: a batch must hold at least one")
        if episode_start is not None:
            episode_start = as_rows(episode_start, rows)
        features = self.encode(arrays)
        actor = self.actor_step()
        if state is None:
            state = array_state(self.network.actor.initial_state(rows))
            episode_start = np.ones(rows, np.bool_)
        else:
            check_state(state, actor.initial_state, rows)
            if episode_start is not None:
                state = reset_where(state, actor.initial_state, episode_start)
        outputs, state = actor.step(features, state)
        if not np.isfinite(outputs).all():
            for name, part in arrays.items() if isinstance(arrays, dict) else [("", arrays)]:
                check_finite(f"the observation {name}".strip(), part)
            check_finite("what the policy puts out", outputs)
        if action_masks is not None:
            outputs = mask_outputs(outputs, self.check_masks(action_masks, len(outputs)))
        if rng is None:
            actions = self.network.head.mode(outputs)
        else:
            actions = self.network.head.sample(outputs, self._noise(rng, len(outputs), episode_start))
        env_actions = self.to_env(actions)
        return (env_actions if vectorized else np.asarray(env_actions[0])), state

    def _noise(self, rng: np.random.Generator, rows: int, episode_start: NDArray[np.bool_] | None) -> FloatArray:
        """Return noise for actions of N environments: of this step, or held since an earlier one."""
        head = self.network.head
        if not isinstance(head, StateDependentHead):
            return head.draw_noise(rng, (rows,))
        return self.held_noise.step(partial(head.draw_noise, rng), rows, episode_start)

    def reset_noise(self, n_envs: int = 1) -> None:
        """Draw new noise matrices at the next step, where ``use_sde`` is set."""
        self.held_noise.reset()

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Choose actions and return the next state; see stable-baselines3.

        Args:
            observation: One observation, or one for each environment [N, ...], with or without a privileged part.
            state: What the last call returned, each part [N, ...]; None at the start.
            episode_start: [N] where an episode starts, so that its state is emptied.
            deterministic: The likeliest action, not a sample.
            action_masks: [P] or [N, P] bools, which choices are allowed: :mod:`rlmem.agents.recurrent.action_masks`.

        Returns:
            The actions and the next state.

        Raises:
            UserError: If there is no observation, or the state or the episode starts are of another number N.
        """
        return self.act(observation, state, episode_start, None if deterministic else self.rng, action_masks)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        """Unused: :meth:`predict` has the state."""
        raise NotImplementedError("a recurrent policy needs its state: use predict")

    def evaluate_actions(
        self, obs: Any, actions: Tensor, states: Trunks, episode_starts: Tensor, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, log-probabilities and entropies, each [N T].

        Args:
            obs: [N T, ...] observations as tensors.
            actions: [N T, A]
            states: The states before the first steps, each part [N, ...].
            episode_starts: [N T] where an episode starts.
            action_masks: [N T, P] which choices were allowed; None where all were.
        """
        outputs, _ = self._unfold(self.network.actor, obs, states.actor, episode_starts)
        critic, _ = self._unfold(self.network.critic, obs, states.critic, episode_starts)
        head = self.network.head
        start = torch.as_tensor(getattr(self.action_space, "start", 0), device=actions.device)
        stored = (actions - start).reshape(len(actions), -1)
        outputs = self._allowed(self.network.actor_outputs(outputs), action_masks)
        log_probs, entropy = head.log_prob_and_entropy(outputs, stored)
        return self.network.critic_net(critic).squeeze(-1), log_probs, entropy

    def get_distribution(
        self, obs: Any, state: State | None = None, episode_starts: Tensor | None = None, action_masks: Any = None
    ) -> tuple[Distribution, State]:
        """Return the distribution of actions [N T] and the actor's state after the last step.

        Without ``state``, each observation is the first of an episode.
        """
        hidden, state = self._unfold(self.network.actor, obs, state, episode_starts)
        outputs, head = self._allowed(self.network.actor_outputs(hidden), action_masks), self.network.head
        distribution: Any
        if isinstance(head, StateDependentHead):
            distribution = make_proba_distribution(self.action_space, use_sde=True)
            distribution.sample_weights(head.log_std, len(outputs))
            means, latent = outputs[:, : head.n_actions], outputs[:, head.n_actions :]
            return distribution.proba_distribution(means, head.log_std, latent), state
        if isinstance(head, GaussianHead):
            distribution = make_proba_distribution(self.action_space)
            return distribution.proba_distribution(outputs, head.log_std), state
        binary = isinstance(self.action_space, spaces.MultiBinary)  # a choice of two each, where theirs has one logit
        distribution = make_proba_distribution(spaces.MultiDiscrete(head.choices) if binary else self.action_space)
        return distribution.proba_distribution(outputs), state

    def predict_values(self, obs: Any, state: State | None = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return values [N T, 1] from the critic's state; without it, each observation is the first of an episode."""
        values: Tensor = self.network.critic_net(self._unfold(self.network.critic, obs, state, episode_starts)[0])
        return values

    def check_masks(self, masks: Any, rows: int) -> NDArray[np.bool_]:
        """Return action masks as bools [N, P], or raise a UserError; see :func:`check_masks`."""
        head = self.network.head
        return check_masks(masks, getattr(head, "choices", ()), rows)

    def _allowed(self, outputs: Tensor, action_masks: Any) -> Tensor:
        """Return outputs [N T, P] of the actor in which what is not allowed is never chosen."""
        if action_masks is None:
            return outputs
        masks = self.check_masks(torch.as_tensor(action_masks).cpu().numpy(), len(outputs))
        return outputs.masked_fill(torch.from_numpy(~masks).to(outputs.device), FORBIDDEN)

    def _unfold(
        self, trunk: Trunk, obs: Any, state: State | None, episode_starts: Tensor | None
    ) -> tuple[Tensor, State]:
        """Return the outputs of a trunk [N T, H] and its state after the last step."""
        if self.privileged and trunk is self.network.critic:
            given = {PRIVILEGED: obs[PRIVILEGED].cpu().numpy()}
            features = torch.from_numpy(self.critic_encode(given)).to(self.device)
        else:
            own = self.critic_extractor if trunk is self.network.critic else None
            features = self.extract_features(actor_part(obs), own or self.features_extractor)
        if state is None or episode_starts is None:
            state, episode_starts = trunk.initial_state(len(features)), torch.ones(len(features), device=self.device)
        rows = len(state[0]) if state else len(features)
        starts = episode_starts.view(rows, -1).t().bool()
        output, after = trunk.unfold(features.view(rows, len(starts), -1).transpose(0, 1), starts, state)
        return output.transpose(0, 1).flatten(0, 1), after

    def save(self, path: str | Path | BufferedIOBase) -> None:
        """Write the weights and what is needed to build the policy; no code.

        Raises:
            UserError: If the features extractor is one of the user's own.
        """
        if type(self.features_extractor).__name__ not in checkpoint.EXTRACTORS:
            raise UserError("a policy with a features extractor of one's own is saved with its agent: agent.save(path)")
        header = {
            "policy": type(self).__name__,
            "observation_space": pack_space(self.full_space),
            "action_space": pack_space(self.action_space),
            "features_extractor_kwargs": self.features_extractor_kwargs,
            "normalize_images": self.normalize_images,
            "share_features_extractor": self.critic_extractor is None,
        }
        shape = NetworkSettings(**{name: getattr(self.network.settings, name) for name in asdict(NetworkSettings())})
        weights = {name: value for name, value in self.state_dict().items() if not name.startswith("auxiliary.")}
        checkpoint.write(path, header, shape, {"policy": weights})

    @classmethod
    def load(cls, path: str | Path | BufferedIOBase, device: torch.device | str = "cpu") -> Self:
        """Build a policy from a file of :meth:`save`. Loading executes nothing.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file is not one of ours, or damaged.
        """
        file = checkpoint.read(path)
        try:
            if file.meta["policy"] != cls.__name__:
                raise UserError(f"{path} holds a {file.meta['policy']}, not a {cls.__name__}: load it with that class")
            checkpoint.check_imported(file.meta["settings"])
            settings = NetworkSettings(**file.meta["settings"])
            checkpoint.check_sizes(settings, file)
            seen_and_done = (unpack_space(file.meta[name]) for name in ("observation_space", "action_space"))
            arguments = {name: file.meta[name] for name in ("features_extractor_kwargs", "normalize_images")}
            arguments["share_features_extractor"] = file.meta.get("share_features_extractor", True)
            with torch.random.fork_rng(devices=[]):
                policy = cls(*seen_and_done, settings, **arguments)
            checkpoint.set_weights(policy, checkpoint.read_state(file)["policy"])
        except checkpoint.DAMAGE as error:
            raise UserError(f"{path} does not hold a complete {cls.__name__}: {error!r}") from error
        return policy.to(device)
