"""Episodes of a policy on held-out seeds, and what they say with an interval.

Axes: N environments, E episodes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from scipy import stats

from rlmem.spec import TaskSpec


class Policy(Protocol):
    """Anything that acts as stable-baselines3's models do."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Return actions [N, ...] and the next state."""


def clopper_pearson(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a success rate.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.
    """
    interval = stats.binomtest(successes, episodes).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def bootstrap_mean(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Return a percentile-bootstrap interval of a mean, from 10,000 seeded resamples."""
    data = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(data), (10_000, len(data)))
    low, high = np.quantile(data[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a policy did in E episodes."""

    success: NDArray[np.bool_]
    """[E] in the order of the seeds."""
    score: NDArray[np.float64]
    """[E] what the task's ceilings count."""
    returns: NDArray[np.float64]
    """[E] undiscounted."""
    lengths: NDArray[np.int64]
    """[E] control steps."""
    spec: TaskSpec | None
    env_steps: int
    cpu_seconds: float

    @property
    def value(self) -> float:
        """The task's metric: the rate of success, or the mean score."""
        return float(self.success.mean() if self._counts_success else self.score.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of :attr:`value`: Clopper-Pearson for success, bootstrap for scores."""
        if self._counts_success:
            return clopper_pearson(int(self.success.sum()), len(self.success))
        return bootstrap_mean(self.score)

    @property
    def memory_score(self) -> float:
        """0 at the memoryless ceiling, 1 at the oracle; not a number where the task cannot tell them apart."""
        return self.spec.memory_score(self.value) if self.spec else float("nan")

    @property
    def _counts_success(self) -> bool:
        return self.spec is None or self.spec.metric == "success"

    def as_dict(self) -> dict[str, float | int | str]:
        """Return plain values, for tables and JSON."""
        low, high = self.interval
        return {
            "episodes": len(self.success),
            "metric": self.spec.metric if self.spec else "success",
            "value": self.value,
            "low": low,
            "high": high,
            "success_rate": float(self.success.mean()),
            "memory_score": self.memory_score,
            "mean_return": float(self.returns.mean()),
            "mean_length": float(self.lengths.mean()),
            "env_steps": self.env_steps,
            "cpu_seconds": self.cpu_seconds,
        }


def evaluate(
    policy: Policy, env: VectorEnv[Any, Any, Any], seeds: Sequence[int], *, deterministic: bool = True
) -> Evaluation:
    """Run one episode a seed.

    Args:
        policy: Acts on N environments at once.
        env: With ``autoreset_mode="disabled"``. Which environment runs which seed changes no episode.
        seeds: E of them.
        deterministic: Take the mode of the policy, not a draw.

    Raises:
        ValueError: If the environment resets itself, or there are no seeds.
    """
    if env.metadata.get("autoreset_mode") is not AutoresetMode.DISABLED:
        raise ValueError("evaluation gives each episode its seed: make the environment with autoreset_mode='disabled'")
    if not len(seeds):
        raise ValueError("there must be at least one episode")
    if hasattr(policy, "bind"):
        policy.bind(env)
    started, n, episodes = time.process_time(), env.num_envs, len(seeds)
    success, score = np.zeros(episodes, dtype=np.bool_), np.zeros(episodes)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    running = np.arange(n)
    running[running >= episodes] = -1
    waiting = iter(range(n, episodes))
    first = [seeds[min(i, episodes - 1)] for i in range(n)]
    reset: Any = env.reset  # Gymnasium's signature has no list of seeds, its vector environments do
    observation, _ = reset(seed=first)
    start, state, steps = np.ones(n, dtype=np.bool_), None, 0
    while (running >= 0).any():
        actions, state = policy.predict(observation, state, start, deterministic)
        observation, reward, terminated, truncated, infos = env.step(actions)
        live = running >= 0
        steps += int(live.sum())
        returns[running[live]] += reward[live]
        lengths[running[live]] += 1
        start = np.asarray(terminated | truncated)
        ended = start & live
        for index in np.flatnonzero(ended).tolist():
            episode = running[index]
            success[episode] = bool(infos["is_success"][index]) if "is_success" in infos else terminated[index]
            score[episode] = infos["score"][index] if "score" in infos else returns[episode]
            running[index] = next(waiting, -1)
        again = ended & (running >= 0)
        if again.any():
            fresh = [seeds[running[i]] if again[i] else None for i in range(n)]
            first_seen, _ = reset(seed=fresh, options={"reset_mask": again})
            observation = np.where(again.reshape(-1, *(1,) * (observation.ndim - 1)), first_seen, observation)
    return Evaluation(
        success=success,
        score=score,
        returns=returns,
        lengths=lengths,
        spec=getattr(env.unwrapped, "task_spec", None),
        env_steps=steps,
        cpu_seconds=time.process_time() - started,
    )
