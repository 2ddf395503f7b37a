"""A cheap environment that needs memory: a cue, blank steps, then a question whose answer is the cue."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv


class MemoryBandit(VecEnv):
    """N delayed-recall episodes at once, and all of their state can be taken and given.

    Observation: cue (+1 or -1 in the first step, else 0), question flag, constant 1. Reward 1 for the right answer at
    the question, -1 for the wrong one; right is an action 0 < a for the cue +1 (continuous), or action 1 (discrete).

    Args:
        n_envs: N.
        gap: Steps between cue and question.
        action: "continuous", "discrete" or "multi".
        observation: "vector", "dict", "image", or "privileged": the vector, and for critics the cue and the time.
        truncate_every: Episodes are cut off after so many steps (0 for never).
    """

    def __init__(
        self,
        n_envs: int = 8,
        gap: int = 20,
        *,
        action: str = "discrete",
        observation: str = "vector",
        truncate_every: int = 0,
        seed: int = 0,
    ) -> None:
        vector = spaces.Box(-2.0, 2.0, (3,), np.float32)
        observation_spaces: dict[str, spaces.Space[Any]] = {
            "vector": vector,
            "dict": spaces.Dict({"a": vector, "b": spaces.Box(-1.0, 1.0, (2, 2), np.float32)}),
            "image": spaces.Box(0, 255, (3, 36, 36), np.uint8),
            "privileged": spaces.Dict({"observation": vector, "privileged": spaces.Box(-99.0, 99.0, (2,), np.float32)}),
        }
        action_spaces: dict[str, spaces.Space[Any]] = {
            "continuous": spaces.Box(-1.0, 1.0, (1,), np.float32),
            "discrete": spaces.Discrete(2),
            "multi": spaces.MultiDiscrete([2, 3]),
            "binary": spaces.MultiBinary(2),
        }
        super().__init__(n_envs, observation_spaces[observation], action_spaces[action])
        self.gap, self.truncate_every, self.kind = gap, truncate_every, observation
        self.rng = np.random.default_rng(seed)
        self.t, self.cue = np.zeros(n_envs, np.int64), np.zeros(n_envs)
        self.seeds: list[int | None] = []

    def reset(self) -> Any:
        self.t[:] = 0
        self.cue = self.rng.choice([-1.0, 1.0], self.num_envs)
        return self._observe()

    def _observe(self) -> Any:
        vector = np.stack((self.cue * (self.t == 0), self.t == self.gap, np.ones(self.num_envs)), 1).astype(np.float32)
        if self.kind == "dict":
            return {"a": vector, "b": np.repeat(vector[:, :1, None], 2, 1).repeat(2, 2)}
        if self.kind == "privileged":
            return {"observation": vector, "privileged": np.stack((self.cue, self.t), 1).astype(np.float32)}
        if self.kind == "image":
            return np.broadcast_to(
                ((vector + 1) * 120).astype(np.uint8)[:, :, None, None], (len(vector), 3, 36, 36)
            ).copy()
        return vector

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        answer = self.actions.reshape(self.num_envs, -1)[:, 0]
        chosen = np.where(answer > 0, 1.0, -1.0)
        asked = self.t == self.gap
        rewards = np.where(asked, chosen * self.cue, 0.0).astype(np.float32)
        self.t += 1
        cut_off = ~asked & (self.t == self.truncate_every)
        dones = asked | cut_off
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = self._observe()
        for n in np.flatnonzero(dones):
            observation = {key: part[n] for key, part in last.items()} if isinstance(last, dict) else last[n]
            infos[n] = {
                "terminal_observation": observation,
                "TimeLimit.truncated": bool(cut_off[n]),
                "episode": {"r": float(rewards[n]), "l": int(self.t[n]), "t": 0.0},
                "is_success": bool(rewards[n] > 0),
            }
        self.t[dones] = 0
        self.cue = np.where(dones, self.rng.choice([-1.0, 1.0], self.num_envs), self.cue)
        return self._observe(), rewards, dones, infos

    def get_state(self) -> dict[str, Any]:
        return {"t": self.t.tolist(), "cue": self.cue.tolist(), "rng": self.rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        self.t, self.cue = np.array(state["t"], np.int64), np.array(state["cue"])
        self.rng.bit_generator.state = state["rng"]

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set."""

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs
