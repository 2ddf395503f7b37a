"""Saving and loading of recurrent SAC, with the replay buffer. Loading executes nothing.

A run that is saved between two rollouts and resumed equals the uninterrupted one bit for bit, when the environment can
give and take its state; otherwise it starts new episodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from rlmem.agents.recurrent import checkpoint
from rlmem.agents.recurrent.resumable import Resumable
from rlmem.agents.sac.learner import SACLearner
from rlmem.agents.sac.replay import SequenceReplay
from rlmem.errors import UserError
from rlmem.networks.numpy_steps import ArrayState


class ResumableSAC(Resumable):
    """What recurrent SAC writes to a file."""

    learner: SACLearner
    replay_buffer: SequenceReplay | None
    _states: ArrayState | None = None
    """Of the actor, then of the critic, after the last step; each part [N, ...]."""

    _stepping = False
    """Whether the environments are a step ahead of what is written."""

    def make_replay(self, n_envs: int) -> SequenceReplay:
        """Return an empty replay buffer for so many environments."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return all that training changes, as nested plain values, arrays and tensors."""
        env: Any = self.env
        replay, whole = self.replay_buffer, not self._stepping and hasattr(env, "get_state")
        return {
            "policy": dict(self.policy.state_dict()),
            "learner": self.learner.state(),
            **checkpoint.progress_state(self),
            "replay": replay.state() if replay is not None and self.settings.save_replay else None,
            "place": {
                "env": env.get_state() if whole else None,
                "states": self._states,
                "observations": self._last_obs,
                "episode_start": self._last_episode_starts,
            },
        }

    def restore(self, state: Mapping[str, Any], *, force_reset: bool = False) -> None:
        """Take back what :meth:`state` returned.

        Args:
            state: Of an agent with the same settings and spaces.
            force_reset: Start new episodes even if the environment could go on where it was.

        Raises:
            UserError: If it does not fit.
        """
        checkpoint.set_weights(self.policy, state["policy"])
        self.learner.restore(state["learner"])
        checkpoint.set_progress_state(self, state)
        place, env, replay = state["place"], self.env, state["replay"]
        if replay is not None and replay["rewards"].shape[1] == self.n_envs:
            self.replay_buffer = self.make_replay(self.n_envs)
            self.replay_buffer.set_state(replay)
        if force_reset or place["env"] is None or env is None or not hasattr(env, "set_state"):
            return
        if len(place["episode_start"]) == env.num_envs:
            env.set_state(place["env"])
            self._states = place["states"]
            self._last_obs, self._last_episode_starts = place["observations"], place["episode_start"]

    def set_parameters(
        self,
        load_path_or_dict: str | dict[str, Any],
        exact_match: bool = True,
        device: torch.device | str = "auto",
    ) -> None:
        """Take the weights of a dictionary as of :meth:`get_parameters`, or of a file of ours.

        Raises:
            UserError: If the file does not fit.
        """
        if isinstance(load_path_or_dict, dict):
            BaseAlgorithm.set_parameters(self, load_path_or_dict, exact_match, device)
            return
        try:
            checkpoint.set_weights(self.policy, checkpoint.read_state(checkpoint.read(load_path_or_dict))["policy"])
        except checkpoint.DAMAGE as error:
            raise UserError(f"the weights in {load_path_or_dict} do not fit this agent: {error}") from error

    def save_replay_buffer(self, path: Any) -> None:
        """Write nothing, and warn: the replay buffer is in the file of the agent, without pickle.

        It is no error, so that stable-baselines3's ``CheckpointCallback(save_replay_buffer=True)`` works.
        """
        kept = "the replay buffer is saved with the agent, agent.save(path)"
        left = "save_replay=False leaves the replay buffer out of the agent's file"
        why = kept if self.settings.save_replay else left
        warnings.warn(f"{why}: no file of its own is written", stacklevel=2)

    def load_replay_buffer(self, path: Any, truncate_last_traj: bool = True) -> NoReturn:
        """Refuse: the replay buffer is in the file of the agent, without pickle."""
        raise UserError("the replay buffer is loaded with the agent: RecurrentSAC.load(path, env)")
