"""stable-baselines3's PPO on a stack of frames: what an agent reaches that sees the last few observations.

Axes: N environments, D observation, K frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from rlmem.agents.base import Array, as_rows
from rlmem.agents.check_spaces import shown
from rlmem.agents.sb3.agent import SB3Agent
from rlmem.agents.sb3.memoryless import PPOSettings, feed_forward_ppo
from rlmem.errors import UserError


@dataclass(frozen=True, kw_only=True)
class FrameStackSettings(PPOSettings):
    """Hyperparameters of PPO on a stack of frames. See also :class:`PPOSettings`.

    Args:
        frames: Observations in the stack, the present one counted in.
    """

    frames: int = 4


class FrameStackPPO(SB3Agent):
    """stable-baselines3's PPO on the last few observations."""

    name = "frame_stack_ppo"
    Settings = FrameStackSettings

    @property
    def context(self) -> str:
        """How far back it can see, in words."""
        return f"{self.settings.frames} observations"

    def model_spaces(self) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
        """Return the spaces that the model sees: K observations in one, pictures one behind the other."""
        box = self.observation_space
        picture = is_image_space(box) and not is_image_space_channels_first(box)  # type: ignore[arg-type]
        if not isinstance(box, spaces.Box) or (len(box.shape) != 1 and not picture):
            raise UserError(f"agent {self.name!r} stacks vectors or pictures [height, width, colors], got {shown(box)}")
        low, high = (np.concatenate([bound] * self.settings.frames, axis=-1) for bound in (box.low, box.high))
        return spaces.Box(low, high, dtype=box.dtype.type), self.action_space

    def build(self, env: VecEnv) -> OnPolicyAlgorithm:
        """Make the model. See :meth:`SB3Agent.build`."""
        return feed_forward_ppo(env, self.settings, self.seed, self.device)

    def wrap(self, env: VecEnv) -> VecEnv:
        """Stack frames, zeros before an episode's start."""
        return VecFrameStack(env, self.settings.frames)

    def predict(
        self, observation: Array, state: Any = None, episode_start: Array | None = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act on the stack [N, ..., K D], which is the state. See :meth:`Agent.predict`."""
        observation = self.scaled(observation)
        *rows, size = observation.shape
        shape = (*rows, size * self.settings.frames)
        stack = np.zeros(shape, observation.dtype) if state is None else np.array(state)
        stack[as_rows(episode_start, len(stack))] = 0
        stack = np.concatenate((stack[..., size:], observation), axis=-1)
        actions, _ = self.act(stack, deterministic=deterministic)
        return actions, stack
