"""What all recurrent agents share of stable-baselines3's contract, on-policy and off-policy ones.

Axes: N environments.
"""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from rlmem.agents.check_spaces import check_spaces
from rlmem.agents.plain_data import LostSchedule
from rlmem.agents.sb3.vec_env import GymnasiumVecEnv
from rlmem.errors import UserError
from rlmem.field_checks import SCHEDULES


class Contract(BaseAlgorithm):
    """Settings as attributes, environments, seeds and ``predict``.

    The fields of :attr:`settings` are attributes of the agent too; one that is assigned is checked and used from then.
    """

    settings: Any
    policy: Any
    own_attributes: ClassVar[frozenset[str]] = frozenset({"lr_schedule"})
    """Names of settings that are something else as attributes, as stable-baselines3 has them."""

    def _is_hyperparameter(self, name: str) -> bool:
        settings = self.__dict__.get("settings")
        return settings is not None and name in settings.__dataclass_fields__ and name not in self.own_attributes

    def __getattr__(self, name: str) -> Any:
        if not self._is_hyperparameter(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.__dict__["settings"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_hyperparameter(name):
            name, value = "settings", replace(self.settings, **{name: value})
        super().__setattr__(name, value)

    def check_can_learn(self, total_timesteps: Any) -> None:
        """Raise a UserError if there is no environment, steps are no number, or a function is missing from a file."""
        if not isinstance(total_timesteps, Real) or not float(total_timesteps) >= 0:
            raise UserError(f"total_timesteps must be a number of at least 0, got {total_timesteps!r}")
        if self.env is None:
            raise UserError("there is no environment to learn in: pass env=... to the constructor, load or set_env")
        for name in SCHEDULES:
            if isinstance(value := getattr(self.settings, name, None), LostSchedule):
                value(1.0)

    def check_env(self, env: Any) -> None:
        """Raise a UserError if there is no environment whose spaces the networks could be made for."""
        if env is None:
            name = type(self).__name__
            raise UserError(
                f"{name} needs an environment, whose spaces its networks are made for: pass env=..., a Gymnasium "
                f"environment, its id or a VecEnv; {name}.load reads a saved agent without one"
            )

    def check_spaces(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        """Raise a UserError for spaces that the agent cannot see or act in."""
        check_spaces(observation_space, action_space)

    def _wrap_env(self, env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:  # type: ignore[override]
        given: Any = GymnasiumVecEnv(env) if isinstance(env, VectorEnv) else env
        if hasattr(given, "observation_space"):
            self.check_spaces(given.observation_space, given.action_space)
        return super()._wrap_env(given, verbose, monitor_wrapper)

    def set_random_seed(self, seed: int | None = None) -> None:
        """Seed the spaces and the environment; the global generators of numpy and PyTorch are left as they are."""
        if seed is not None:
            self.action_space.seed(seed)
            if self.env is not None:
                self.env.seed(seed)

    def predict(
        self,
        observation: Any,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Choose actions and return the next state; see :meth:`RecurrentPolicy.predict`."""
        found: tuple[np.ndarray, tuple[np.ndarray, ...] | None] = self.policy.predict(
            observation, state, episode_start, deterministic, action_masks
        )
        return found
