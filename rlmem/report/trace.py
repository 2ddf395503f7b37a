"""An episode, written down step by step: what the agent saw, held, did, and what of it was changed.

Axes: T control steps, F features of the hidden state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rlmem.evaluation.episodes import PolicyPredictor
from rlmem.evaluation.hidden_state import split_state, state_features
from rlmem.evaluation.intervention import Clock, Moment, hidden_cues
from rlmem.evaluation.lesioning import Lesioned
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
    """[T + 1] of [F]: the state that the agent brings to a step, None at first, and the one that it is left with."""
    groups: list[int] = field(default_factory=list)
    """How many of F belong to each array of the state."""
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
    """Run an episode and write it down.

    Args:
        env: A single environment.
        policy: Acts, without drawing, on one environment as on many.
        seed: Of the episode.
        lesion: What changes the agent's state on the way.
        max_steps: After which it is cut off.

    Raises:
        UserError: If the agent's state is not made of arrays.
    """
    found, clock = Trace(seed), Clock(1)
    if hasattr(policy, "bind"):
        policy.bind(env)
    observation, info = env.reset(seed=seed)
    start, state = np.ones(1, dtype=np.bool_), None
    clock.began(start, info)
    for step in range(max_steps):
        seen = _batched(observation)
        moment = Moment(
            seen, state, start, np.zeros(1, dtype=np.int64), clock.step, clock.phase, clock.phase_step, hidden_cues(env)
        )
        if lesion is not None:
            moment = lesion(moment)
            if lesion.acted and found.lesioned is None:
                found.lesioned = step
        found.states.append(_features(found, moment.state))
        actions, state = policy.predict(moment.observation, moment.state, moment.episode_start, True)
        action = np.asarray(actions)[0]
        found.observations.append(seen)
        found.actions.append(action)
        found.described.append(describe_action(env, action))
        found.phases.append(str(clock.phase[0]))
        found.phase_steps.append(int(clock.phase_step[0]))
        observation, reward, terminated, truncated, info = env.step(action)
        found.rewards.append(float(reward))
        clock.passed(info)
        start = np.zeros(1, dtype=np.bool_)
        if terminated or truncated:
            said = info.get("is_success")
            found.success = None if said is None else bool(said)
            break
    found.states.append(_features(found, state))
    return found


def pictures_of(env: Env, episode: Trace, steps: list[int]) -> list[NDArray[np.uint8]]:
    """Run an episode again by its actions and return the pictures [H, W, 3] at some steps; after its end, its last.

    Args:
        env: The same environment, with ``render_mode="rgb_array"``.
        episode: What was done.
        steps: Rising, from 0.
    """
    wanted, found = set(steps), {}
    env.reset(seed=episode.seed)
    for step in range(episode.steps + 1):
        if step in wanted or step == episode.steps:
            found[step] = np.asarray(env.render())
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


def _batched(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: np.asarray(value)[None] for key, value in observation.items()}
    return np.asarray(observation)[None]
