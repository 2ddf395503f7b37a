"""A training run as an agent that acts: weights, environment and knobs from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium

from rlmem.environments import make_single
from rlmem.runs.checkpoints import BEST
from rlmem.runs.named import run_folder
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.training import load_agent


@dataclass(frozen=True, repr=False)
class LoadedRun:
    """A trained agent, and the environment that it was trained on.

    Args:
        settings: All that made the run.
        agent: With its weights, a :class:`rlmem.agents.base.Agent`.
    """

    settings: RunSettings
    agent: Any

    def __repr__(self) -> str:
        return f"LoadedRun({self.settings.agent} on {self.settings.env}, seed {self.settings.seed})"

    @property
    def env(self) -> str:
        """Id of the environment."""
        return self.settings.env

    @property
    def knobs(self) -> dict[str, Any]:
        """The environment's knobs, as evaluations had them."""
        return self.settings.knobs | self.settings.eval_knobs

    def make_env(self, **arguments: Any) -> gymnasium.Env[Any, Any]:
        """Make a single environment; knobs and ``render_mode`` may be given."""
        return make_single(self.env, {**self.knobs, **arguments})

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Act on N environments at once.

        Args:
            observation: [N, ...].
            state: What :meth:`predict` returned last, None at first.
            episode_start: [N] bool, true where an observation is the first of its episode.
            deterministic: Take the mode of the policy, not a draw.

        Returns:
            Actions [N, ...] and the next state.
        """
        found: tuple[Any, Any] = self.agent.predict(observation, state, episode_start, deterministic)
        return found


def load_run(path: str | Path, which: str = BEST) -> LoadedRun:
    """Load a training run from its folder; see :func:`rlmem.load_run`."""
    folder = run_folder(path)
    settings = read_settings(folder)
    run = LoadedRun(settings, None)
    env = run.make_env()
    try:
        return LoadedRun(settings, load_agent(folder, env, which))
    finally:
        env.close()
