"""Interventions: hooks that the evaluation loop calls between environment and agent, to record or to change.

An intervention is called before the agent acts and returns the :class:`Moment` that the agent then acts on. One that
only records returns what it was given.

Axes: N environments, E episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Moment(NamedTuple):
    """What an agent is about to act on: observation, hidden state, and where in its episode each environment is."""

    observation: Any
    """[N, ...], or a dictionary of such."""
    state: Any
    """What ``predict`` returned last, None at first."""
    episode_start: Bools
    """[N] where the agent empties its state before it acts."""
    episode: Ints
    """[N] which of the E episodes, -1 where an environment rests."""
    step: Ints
    """[N] control steps since the episode began."""
    phase: NDArray[Any]
    """[N] words such as ``"query"``; empty ones where the environment names no phases."""
    phase_step: Ints
    """[N] control steps since the phase began."""
    cue: NDArray[Any] | None
    """[N] the hidden answer, None where the environment does not say; no agent sees it."""


Intervention = Callable[[Moment], Moment]


def in_turn(*interventions: Intervention) -> Intervention:
    """Return one intervention that calls all of these, one after the other."""

    def all_of_them(moment: Moment) -> Moment:
        for intervention in interventions:
            moment = intervention(moment)
        return moment

    return all_of_them


class Clock:
    """Counts control steps of episodes and of their phases.

    Args:
        num_envs: N.
    """

    def __init__(self, num_envs: int) -> None:
        self.step = np.zeros(num_envs, dtype=np.int64)
        self.phase_step = np.zeros(num_envs, dtype=np.int64)
        self.phase: NDArray[Any] = np.full(num_envs, "", dtype="U16")

    def began(self, which: Bools, infos: Mapping[str, Any]) -> None:
        """Start episodes where ``which`` [N] is true."""
        self.step[which], self.phase_step[which] = 0, 0
        self.phase[which] = self._named(infos)[which]

    def passed(self, infos: Mapping[str, Any]) -> None:
        """Count a control step in every environment."""
        named = self._named(infos)
        self.step += 1
        self.phase_step = np.where(named == self.phase, self.phase_step + 1, 0)
        self.phase = named

    def _named(self, infos: Mapping[str, Any]) -> NDArray[Any]:
        """Return the phases [N] that infos name, as they were where they name none."""
        if "phase" not in infos:
            return self.phase.copy()
        given: NDArray[Any] = np.asarray(infos["phase"])
        said = np.asarray(infos.get("_phase", np.ones(len(self.phase), dtype=np.bool_)))
        return np.where(said, given.astype("U16"), self.phase)


def hidden_cues(env: Any) -> NDArray[Any] | None:
    """Return the cues [N] that an environment hides from its agents, None where it does not say.

    Tasks of this package say it where they run in this process; any other environment by an attribute ``cue``.
    """
    task = getattr(env.unwrapped, "task", None)
    return np.array(task.cue) if task is not None else _attribute(env, "cue")


def given_answers(env: Any) -> NDArray[Any] | None:
    """Return the cue that each answer given so far is right for, [N], -1 before; None where the environment is silent.

    Tasks of this package say it where they run in this process and their answer is a choice; any other environment by
    an attribute ``answer``.
    """
    task = getattr(env.unwrapped, "task", None)
    if task is None:
        return _attribute(env, "answer")
    return task.answered_cue()  # type: ignore[no-any-return]


def _attribute(env: Any, name: str) -> NDArray[Any] | None:
    """Return an attribute of each of the environments that a vector environment of somebody else is made of."""
    if getattr(env.unwrapped, "task_spec", None) is None and hasattr(env, "get_attr"):
        try:
            return np.asarray(env.get_attr(name))
        except AttributeError:
            return None
    return None
