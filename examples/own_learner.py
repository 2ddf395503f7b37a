"""An agent of one's own that learns and resumes as those of the package do; see docs/extend/add_an_agent.md.

On the command line, in this folder: rlmem train --agent own_learner:HillClimber --env TMaze-v0 --env.robot planar
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import rlmem
from rlmem import UserError
from rlmem.agents.base import Agent
from rlmem.runs.settings import RunSettings
from rlmem.runs.training import train


@dataclass(frozen=True, kw_only=True)
class HillClimberSettings:
    """Hyperparameters of HillClimber.

    Args:
        n_steps: Control steps of each environment with one set of weights.
        sigma: Standard deviation of a change of the weights.
        decay: Part of the memory that is left after a control step.
    """

    n_steps: int = 64
    sigma: float = 0.3
    decay: float = 0.95

    def __post_init__(self):
        if self.n_steps < 1:
            raise UserError(f"n_steps must be at least 1, got {self.n_steps}")
        if not 0 <= self.decay <= 1:
            raise UserError(f"decay must be from 0 to 1, got {self.decay}")


class HillClimber(Agent):
    """A linear policy of the observation and a fading trace of it; a random change is kept if it earns no less."""

    name = "own_learner:HillClimber"
    Settings = HillClimberSettings
    context = "a fading trace"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rng = np.random.default_rng(self.seed)
        self.weights = np.zeros((*self.action_space.shape, 2 * self.observation_space.shape[0]))  # [A, 2 D]
        self.best = -np.inf

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        """Return actions [N, A] for observations [N, D], and the trace [N, D]."""
        trace = np.zeros_like(observation) if state is None else np.where(episode_start[:, None], 0.0, state)
        trace = np.maximum(self.settings.decay * trace, observation)
        return np.tanh(np.concatenate((observation, trace), axis=1) @ self.weights.T), trace

    def learn(self, env, steps, observer):
        """Learn until ``env_steps`` reaches ``steps`` or the observer says to stop."""
        while self.env_steps < steps:
            before = self.weights
            self.weights = before + self.settings.sigma * self.rng.standard_normal(before.shape)
            earned = self.try_out(env)
            if earned < self.best:
                self.weights = before
            self.best = max(earned, self.best)
            self.env_steps += self.settings.n_steps * env.num_envs
            if not observer(self.env_steps, {"rollout/reward": self.best}):
                return

    def try_out(self, env):
        """Return the mean reward of a control step with the present weights."""
        observation, _ = env.reset()
        state, start, earned = None, np.ones(env.num_envs, dtype=bool), 0.0
        for _ in range(self.settings.n_steps):
            actions, state = self.predict(observation, state, start)
            observation, reward, terminated, truncated, _ = env.step(actions)
            start, earned = terminated | truncated, earned + reward.mean()
        return earned / self.settings.n_steps

    def tensors(self):
        """Return what a checkpoint holds."""
        return {"weights": self.weights, "best": np.array(self.best)}

    def restore(self, tensors):
        """Take back what ``tensors`` gave."""
        self.weights, self.best = tensors["weights"], float(tensors["best"])


def main(steps: int = 20_000):
    """Train it, resume it for as long again, and return the run."""
    settings = {"env": "TMaze-v0", "agent": "own_learner:HillClimber", "eval_every": steps}
    knobs = {"robot": "planar", "memory_length": 5}
    with TemporaryDirectory() as out:
        train(RunSettings(**settings, knobs=knobs, steps=steps), Path(out))
        folder = train(RunSettings(**settings, knobs=knobs, steps=2 * steps), Path(out), resume=True)
        run = rlmem.load_run(folder)
    print(f"{run.settings.agent} on {run.env}: {run.agent.env_steps:,} control steps")
    return run


if __name__ == "__main__":
    main()
