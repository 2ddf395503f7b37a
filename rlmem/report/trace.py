"""Traces of single episodes: observations, hidden states and actions at every step, with or without a lesion.

Axes: T control steps, F features of the hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlmem.evaluation.episodes import PolicyPredictor
from rlmem.evaluation.hidden_state import split_state, state_features
from rlmem.evaluation.lesioning import Lesioned
from rlmem.evaluation.single_episode import SingleEpisode
from rlmem.figures.recording import describe_action

Env = gymnasium.Env[Any, Any]


@dataclass
class Trace:
    """An episode of T control steps. Lists are [T] unless said otherwise."""

    seed: int
    observations: list[Any] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    described: list[Mapping[str, float] | str] = field(default_factory=list)
    """Actions by the names of their parts, see :func:`rlmem.figures.recording.describe_action`."""
    phases: list[str] = field(default_factory=list)
    phase_steps: list[int] = field(default_factory=list)
    states: list[NDArray[np.float32] | None] = field(default_factory=list)
    """[T + 1] of [F]: the hidden state before each step, None before the first, and the one after the last."""
    groups: list[int] = field(default_factory=list)
    """Number of features of each array of the state."""
    lesioned: int | None = None
    """The step at which the state was lesioned first."""
    rewards: list[float] = field(default_factory=list)
    success: bool | None = None
    """None where the environment does not say, or the episode did not end."""

    @property
    def steps(self) -> int:
        """T."""
        return len(self.actions)

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        end = {True: "success", False: "failure", None: "ended"}[self.success]
        return f"{end} after {self.steps:,} control steps, return {sum(self.rewards):.2f}"


def trace(
    env: Env, policy: PolicyPredictor, seed: int, *, lesion: Lesioned | None = None, max_steps: int = 20_000
) -> Trace:
    """Run an episode and record it.

    Args:
        env: A single environment.
        policy: The agent; its actions are deterministic.
        seed: Seed of the episode.
        lesion: Lesion of the agent's hidden state.
        max_steps: Control steps after which the episode is cut off.

    Raises:
        UserError: If the agent's state is not made of arrays.
    """
    found = Trace(seed)
    episode = SingleEpisode(env, policy, seed, intervention=lesion, max_steps=max_steps)
    state = None
    for turn in episode:
        moment, state = turn.moment, turn.state
        if lesion is not None and lesion.acted and found.lesioned is None:
            found.lesioned = turn.step
        found.states.append(_features(found, moment.state))
        found.observations.append(moment.observation)
        found.actions.append(turn.action)
        found.described.append(describe_action(env, turn.action))
        found.phases.append(str(moment.phase[0]))
        found.phase_steps.append(int(moment.phase_step[0]))
    found.states.append(_features(found, state))
    found.rewards, found.success = episode.rewards, episode.success
    return found


def pictures_of(
    env: Env, episode: Trace, steps: list[int], progress: Callable[[float], object] = float
) -> list[NDArray[np.uint8]]:
    """Repeat the actions of an episode and return pictures [H, W, 3] at some steps; after its end, the last one.

    Args:
        env: The same environment, with ``render_mode="rgb_array"``.
        episode: The episode to repeat.
        steps: Control steps to render, rising, from 0.
        progress: Called with the share of the pictures that are rendered.
    """
    wanted, found = set(steps), {}
    env.reset(seed=episode.seed)
    for step in range(episode.steps + 1):
        if step in wanted or step == episode.steps:
            found[step] = np.asarray(env.render())
            progress(len(found) / len(wanted))
        if step < episode.steps:
            env.step(episode.actions[step])
    return [found[min(step, episode.steps)] for step in steps]


def _features(found: Trace, state: Any) -> NDArray[np.float32] | None:
    if state is None:
        return None
    if not found.groups:
        found.groups = [array.size * (2 if np.iscomplexobj(array) else 1) for array in split_state(state, 1)]
    row: NDArray[np.float32] = state_features(state, 1)[0]
    return row
