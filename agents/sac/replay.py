"""The replay buffer of recurrent SAC: whole trajectories, from which sequences are drawn.

A ring of T steps of each of N environments. A *window* is ``burn_in + seq_len`` steps that follow one another; it may
run over the ends of episodes. Windows begin at multiples of the stride, half a sequence, so that each step is in about
two of them and the recurrent state is stored for the first step of each only. Source: Kapturowski et al., "Recurrent
Experience Replay in Distributed Reinforcement Learning" (R2D2), ICLR 2019.

Memory: 4 (F + A) + 6 bytes a step, and the bytes of the states divided by the stride; 4 F more for each truncation.

Axes: T time, N environments, W steps of a window, R windows, F features, A action components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rlmem.agents.recurrent.packing import BoolArray, IntArray
from rlmem.errors import UserError
from rlmem.networks.numpy_steps import ArrayState, FloatArray

GOES_ON, TERMINATED, TRUNCATED, BROKEN_OFF = range(4)
"""How a step ended. After one that was broken off the next observation is unknown: nothing is learned from it."""


class Windows(NamedTuple):
    """R windows that were drawn."""

    step: IntArray
    """[W, R] the places of their steps in the ring."""
    env: IntArray
    """[R]"""


class SequenceReplay:
    """A ring of steps.

    Args:
        size: Steps over all environments, rounded up to a multiple of the stride in each.
        n_envs: N.
        feature_size: F.
        action_size: A.
        states: An example of the recurrent states to be stored, each part [N, ...].
        seq_len: Steps of a sequence to learn from.
        burn_in: Steps before it.

    Raises:
        UserError: If no window has room.
    """

    def __init__(
        self,
        size: int,
        n_envs: int,
        feature_size: int,
        action_size: int,
        states: ArrayState,
        *,
        seq_len: int,
        burn_in: int,
    ) -> None:
        self.n_envs, self.burn_in, self.window = n_envs, burn_in, burn_in + seq_len
        self.stride = max(1, seq_len // 2)
        rows = -(-size // (n_envs * self.stride))
        self.length = rows * self.stride
        if self.length <= self.window + self.stride:
            raise UserError(
                f"buffer_size must be above {n_envs * (self.window + self.stride):,} for {n_envs} environments and "
                f"sequences of {seq_len} steps with {burn_in} before them, got {size:,}"
            )
        shape = (self.length, n_envs)
        self.features = np.zeros((*shape, feature_size), np.float32)
        self.actions = np.zeros((*shape, action_size), np.float32)
        self.rewards = np.zeros(shape, np.float32)
        self.episode_start = np.zeros(shape, np.bool_)
        self.ends = np.zeros(shape, np.uint8)
        self.states = tuple(np.zeros((rows, *part.shape), part.dtype) for part in states)
        self.terminal: dict[int, FloatArray] = {}
        """[F] features of the last observation of an episode that was truncated with step t N + n."""
        self.at, self.filled = 0, 0

    @property
    def nbytes(self) -> int:
        """Bytes when it is full, terminal observations left out."""
        arrays = (self.features, self.actions, self.rewards, self.episode_start, self.ends, *self.states)
        return sum(array.nbytes for array in arrays)

    def add(
        self, features: FloatArray, starts: BoolArray, states: ArrayState, actions: FloatArray, rewards: FloatArray
    ) -> None:
        """Write a step of all environments.

        Args:
            features: [N, F]
            starts: [N] where an episode starts with it.
            states: The recurrent states before it, each part [N, ...].
            actions: [N, A]
            rewards: [N]
        """
        t = self.at
        for n in np.flatnonzero(self.ends[t] == TRUNCATED).tolist():
            self.terminal.pop(t * self.n_envs + n, None)
        self.features[t], self.episode_start[t], self.actions[t], self.rewards[t] = features, starts, actions, rewards
        self.ends[t] = GOES_ON
        if t % self.stride == 0:
            for kept, part in zip(self.states, states, strict=True):
                kept[t // self.stride] = part
        self.at = (t + 1) % self.length
        self.filled = min(self.filled + 1, self.length)

    def end(self, n: int, terminal: FloatArray | None) -> None:
        """Note that an episode ended with the last step.

        Args:
            n: Of which environment.
            terminal: [F] features of its last observation if it was cut off; None if it ended for good.
        """
        last = (self.at - 1) % self.length
        self.ends[last, n] = TERMINATED if terminal is None else TRUNCATED
        if terminal is not None:
            self.terminal[last * self.n_envs + n] = terminal

    def break_off(self) -> None:
        """Note that episodes that go on will not be gone on with."""
        if self.filled:
            last = self.ends[(self.at - 1) % self.length]
            last[last == GOES_ON] = BROKEN_OFF

    def draw(self, rng: np.random.Generator, count: int) -> Windows | None:
        """Draw windows, each as likely as every other; None where there is none yet."""
        oldest = self.at if self.filled == self.length else 0
        first = -oldest % self.stride
        # the step after a window must be there too, for its observation
        places = (self.filled - 1 - self.window - first) // self.stride + 1
        if places < 1:
            return None
        begin = oldest + first + self.stride * rng.integers(places, size=count)
        env = rng.integers(self.n_envs, size=count)
        return Windows((begin + np.arange(self.window)[:, None]) % self.length, env)

    def next_features(self, step: int, env: int) -> FloatArray:
        """Return the features [F] of the observation after a step; zeros where they do not matter."""
        end = self.ends[step, env]
        if end == GOES_ON:
            following: FloatArray = self.features[(step + 1) % self.length, env]
            return following
        none: FloatArray = np.zeros_like(self.features[0, 0])
        return self.terminal.get(step * self.n_envs + env, none)

    def state(self) -> dict[str, Any]:
        """Return what is filled, as plain values and arrays."""
        rows = -(-self.filled // self.stride)
        return {
            **{name: getattr(self, name)[: self.filled] for name in _ARRAYS},
            "states": tuple(part[:rows] for part in self.states),
            "terminal_steps": np.array(sorted(self.terminal), np.int64),
            "terminal": np.array([self.terminal[step] for step in sorted(self.terminal)], np.float32),
            "at": self.at,
        }

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned, of a buffer of the same sizes.

        Raises:
            UserError: If it does not fit.
        """
        filled = len(saved["rewards"])
        rows = -(-filled // self.stride)
        pairs = [(getattr(self, name)[:filled], saved[name]) for name in _ARRAYS]
        pairs += [(kept[:rows], part) for kept, part in zip(self.states, saved["states"], strict=True)]
        if any(kept.shape != part.shape for kept, part in pairs) or not 0 <= saved["at"] < self.length:
            raise UserError("the replay buffer in the file does not fit the agent")
        for kept, part in pairs:
            kept[:] = part
        steps = saved["terminal_steps"].tolist()
        self.terminal = {step: row.copy() for step, row in zip(steps, saved["terminal"], strict=True)}
        self.at, self.filled = int(saved["at"]), filled


_ARRAYS = ("features", "actions", "rewards", "episode_start", "ends")
