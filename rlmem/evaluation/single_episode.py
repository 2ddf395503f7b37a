"""One episode in a single environment, turn by turn: for traces, videos and windows.

Axes: T control steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from rlmem.evaluation.checks import check_actions
from rlmem.evaluation.episodes import PolicyPredictor
from rlmem.evaluation.intervention import Clock, Intervention, Moment, hidden_cues


class ControlStep(NamedTuple):
    """A control step that is about to be made."""

    step: int
    observation: Any
    """As the environment gave it."""
    moment: Moment
    """What the agent acted on, with an axis of one environment, after the intervention."""
    action: Any
    state: Any
    """What the agent carries on."""


class SingleEpisode:
    """An episode; iterating runs it and yields each control step before the environment makes it.

    Args:
        env: A single environment.
        policy: Acts on one environment as on many.
        seed: Of the episode.
        deterministic: Take the mode of the policy, not a draw.
        intervention: See :func:`rlmem.evaluation.episodes.evaluate`.
        max_steps: Control steps after which the episode is cut off.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        policy: PolicyPredictor,
        seed: int | None,
        *,
        deterministic: bool = True,
        intervention: Intervention | None = None,
        max_steps: int = 20_000,
    ) -> None:
        self._env, self._policy, self._seed, self._deterministic = env, policy, seed, deterministic
        self._intervention, self._max_steps = intervention, max_steps
        self.rewards: list[float] = []
        """[T] so far."""
        self.phase = ""
        """As the environment names it now, empty where it does not."""
        self.ended = False
        """Whether the environment has ended it."""
        self.success: bool | None = None
        """None where the environment does not say, or the episode has not ended."""
        self.score: float | None = None
        """Likewise."""

    @property
    def total(self) -> float:
        """The return so far."""
        return sum(self.rewards)

    def __iter__(self) -> Iterator[ControlStep]:
        if hasattr(self._policy, "bind"):
            self._policy.bind(self._env)
        observation, info = self._env.reset(seed=self._seed)
        start, state, clock = np.ones(1, dtype=np.bool_), None, Clock(1)
        clock.began(start, info)
        space = batch_space(self._env.action_space, 1)
        for step in range(self._max_steps):
            self.phase = str(clock.phase[0])
            times, episode = (clock.step, clock.phase, clock.phase_step), np.zeros(1, dtype=np.int64)
            moment = Moment(_batched(observation), state, start, episode, *times, hidden_cues(self._env))
            if self._intervention is not None:
                moment = self._intervention(moment)
            actions, state = self._policy.predict(
                moment.observation, moment.state, moment.episode_start, self._deterministic
            )
            check_actions(actions, space, step)
            action = np.asarray(actions)[0]
            yield ControlStep(step, observation, moment, action, state)
            observation, reward, terminated, truncated, info = self._env.step(action)
            self.rewards.append(float(reward))
            clock.passed(info)
            self.phase = str(clock.phase[0])
            start = np.zeros(1, dtype=np.bool_)
            if terminated or truncated:
                self.ended, said = True, info.get("is_success")
                self.success = None if said is None else bool(said)
                self.score = None if info.get("score") is None else float(info["score"])
                return


def _batched(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: np.asarray(value)[None] for key, value in observation.items()}
    return np.asarray(observation)[None]
