"""Evaluate a policy on held-out seeds: one episode a seed, success and score with 95 % intervals.

Axes: N environments, E episodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from scipy.special import betaincinv

from rlmem.environments import make_vector
from rlmem.errors import UserError
from rlmem.evaluation.checks import check_actions, check_observations
from rlmem.evaluation.intervention import Clock, Intervention, Moment, given_answers, hidden_cues
from rlmem.evaluation.seeds import test_seeds
from rlmem.spec import TaskSpec

AnyVectorEnv = VectorEnv[Any, Any, Any]
EnvMaker = Callable[..., AnyVectorEnv]
"""Makes a vector environment that does not reset itself, from ``num_envs`` and knobs."""
Env = str | EnvMaker | AnyVectorEnv
"""An id, a function that makes a vector environment, or one that is made already and does not reset itself."""
Progress = Callable[[float], object]
"""Called with the share of the episodes that have ended, from 0 to 1."""
_ENVS = 25


class PolicyPredictor(Protocol):
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
    failures, tail = episodes - successes, (1.0 - confidence) / 2.0
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    return low, float(betaincinv(successes + 1, failures, 1.0 - tail)) if failures else 1.0


def bootstrap_mean(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Return a percentile-bootstrap interval of a mean, from 10,000 seeded resamples."""
    data = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(0).integers(0, len(data), (10_000, len(data)))
    low, high = np.quantile(data[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results of a policy in E episodes."""

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
    says_success: bool = True
    """Whether the environment says ``is_success``; one that does not, and has no ceilings, is judged by its return."""
    answers: NDArray[np.int64] | None = None
    """[E] the cue that each answer is right for, -1 where none was given; None where the environment does not say."""
    work: NDArray[np.float64] | None = None
    """[E] share of the work in the delay that was done, NaN where there was none; None if no episode had any."""

    @property
    def mean_work(self) -> float:
        """Mean share of the work that was done, over the episodes that had some; not a number where none had."""
        found = np.zeros(0) if self.work is None else self.work[~np.isnan(self.work)]
        return float(found.mean()) if len(found) else float("nan")

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
    def ceiling(self) -> float:
        """The most without memory; not a number where the environment states none, or it was not measured."""
        return self.spec.memoryless.value if self.spec and self.spec.memoryless.known else float("nan")

    @property
    def why_no_ceiling(self) -> str:
        """A sentence on why :attr:`ceiling` is not a number, without its full stop; "" where it is one."""
        if self.spec is None:
            return "The environment states no ceiling without memory"
        return "" if self.spec.memoryless.known else "The ceiling without memory is not measured"

    @property
    def quantity(self) -> str:
        """What :attr:`value` is, in a word: ``"success"``, ``"score"``, or ``"return"`` where no ceiling is stated."""
        return "return" if self.spec is None and self.metric == "score" else self.metric

    @property
    def measure(self) -> str:
        """The same as tables name it: "success rate", "mean score" or "mean return"."""
        return "success rate" if self.metric == "success" else f"mean {self.quantity}"

    @property
    def metric(self) -> str:
        """``"success"`` or ``"score"``: what :attr:`value` is."""
        return self.spec.metric if self.spec else "success" if self.says_success else "score"

    @property
    def _counts_success(self) -> bool:
        return self.metric == "success"

    def as_dict(self) -> dict[str, float | int | str]:
        """Return plain values, for tables and JSON."""
        low, high = self.interval
        return {
            "episodes": len(self.success),
            "metric": self.metric,
            "value": self.value,
            "low": low,
            "high": high,
            "success_rate": float(self.success.mean()),
            "memory_score": self.memory_score,
            "mean_return": float(self.returns.mean()),
            "mean_length": float(self.lengths.mean()),
            **({} if self.work is None else {"work": self.mean_work}),
            "env_steps": self.env_steps,
            "cpu_seconds": self.cpu_seconds,
        }


def evaluate_on(
    policy: PolicyPredictor,
    env: Env,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    num_envs: int = _ENVS,
    deterministic: bool = True,
    intervention: Intervention | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run one episode a seed in an environment that is made for it, and closed after it.

    Args:
        policy: Acts on N environments at once.
        env: Id of a task of this package or of any environment that Gymnasium knows; or a function that makes a vector
            environment, with ``autoreset_mode="disabled"``, from the keyword ``num_envs`` and the knobs; or such a
            vector environment, which is used as it is and stays open.
        knobs: Of the task, or arguments of the environment.
        seeds: E of them; None: the 200 test seeds.
        num_envs: N at most.
        deterministic: Take the mode of the policy, not a draw.
        intervention: See :func:`evaluate`.
        progress: See :func:`evaluate`.

    Raises:
        UserError: If task or knobs do not exist, there are no seeds, actions are not finite numbers, or observations
            are outside the declared space.
    """
    listed = test_seeds(200) if seeds is None else seeds
    options: dict[str, Any] = {"deterministic": deterministic, "intervention": intervention, "progress": progress}
    if isinstance(env, VectorEnv):
        if knobs:
            raise UserError(f"this environment is made already: knobs come too late, got {dict(knobs)}")
        return evaluate(policy, env, listed, **options)
    made = make_test_env(env, max(1, min(num_envs, len(listed))), knobs)
    try:
        return evaluate(policy, made, listed, **options)
    finally:
        made.close()


def make_test_env(env: str | EnvMaker, num_envs: int, knobs: Mapping[str, Any] | None = None) -> AnyVectorEnv:
    """Make a vector environment for evaluation; see :func:`evaluate_on`."""
    if callable(env):
        return env(num_envs=num_envs, **(knobs or {}))
    return make_vector(env, num_envs, knobs or {}, autoreset_mode="disabled")


def evaluate(
    policy: PolicyPredictor,
    env: AnyVectorEnv,
    seeds: Sequence[int],
    *,
    deterministic: bool = True,
    intervention: Intervention | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run one episode a seed in a vector environment.

    Args:
        policy: Acts on N environments at once.
        env: With ``autoreset_mode="disabled"``. Which environment runs which seed changes no episode.
        seeds: E of them.
        deterministic: Take the mode of the policy, not a draw.
        intervention: Called before the policy acts, with the :class:`rlmem.evaluation.intervention.Moment`; the
            policy acts on what it returns.
        progress: Called after each control step with the share of the episodes that have ended.

    Raises:
        UserError: If the environment resets itself, there are no seeds, actions are not finite numbers, or
            observations are outside the declared space.
    """
    if env.metadata.get("autoreset_mode") is not AutoresetMode.DISABLED:
        raise UserError("evaluation gives each episode its seed: make the environment with autoreset_mode='disabled'")
    if not len(seeds):
        raise UserError("there must be at least one episode")
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
    observation, infos = reset(seed=first)
    start, state, steps, says_success = np.ones(n, dtype=np.bool_), None, 0, True
    answers: NDArray[np.int64] | None = None
    work: NDArray[np.float64] | None = None
    rounds = done = 0
    # environments of this package rest after their end at no cost; others must be reset to be stepped again
    rests = hasattr(env.unwrapped, "task_spec")
    clock = Clock(n)
    clock.began(start, infos)
    while (running >= 0).any():
        check_observations(observation, env.observation_space)
        if intervention is None:
            actions, state = policy.predict(observation, state, start, deterministic)
        else:
            times = clock.step, clock.phase, clock.phase_step
            moment = intervention(Moment(observation, state, start, running, *times, hidden_cues(env)))
            actions, state = policy.predict(moment.observation, moment.state, moment.episode_start, deterministic)
        check_actions(actions, env.action_space, rounds)
        rounds += 1
        observation, reward, terminated, truncated, infos = env.step(actions)
        if intervention is not None:
            clock.passed(infos)
        live = running >= 0
        steps += int(live.sum())
        returns[running[live]] += reward[live]
        lengths[running[live]] += 1
        start = np.asarray(terminated | truncated)
        ended = start & live
        given = given_answers(env) if ended.any() else None
        if given is not None:
            answers = np.full(episodes, -1, dtype=np.int64) if answers is None else answers
            answers[running[ended]] = given[ended]
        for index in np.flatnonzero(ended).tolist():
            episode = running[index]
            says_success = "is_success" in infos
            success[episode] = bool(infos["is_success"][index]) if says_success else terminated[index]
            score[episode] = infos["score"][index] if "score" in infos else returns[episode]
            if rests and "work" in infos and infos["_work"][index]:
                work = np.full(episodes, np.nan) if work is None else work
                work[episode] = infos["work"][index]
            running[index] = next(waiting, -1)
            done += 1
        if progress is not None:
            progress(done / episodes)
        again = ended & (running >= 0) if rests else start
        if again.any():
            fresh = [seeds[running[i]] if again[i] and running[i] >= 0 else None for i in range(n)]
            first_seen, infos = reset(seed=fresh, options={"reset_mask": again})
            clock.began(again, infos)
            observation = _where(again, first_seen, observation)
    return Evaluation(
        success=success,
        score=score,
        returns=returns,
        lengths=lengths,
        spec=getattr(env.unwrapped, "task_spec", None),
        env_steps=steps,
        cpu_seconds=time.process_time() - started,
        says_success=says_success,
        answers=answers,
        work=work,
    )


def _where(mask: NDArray[np.bool_], new: Any, old: Any) -> Any:
    """Return observations [N, ...], ``new`` where ``mask`` [N] is true."""
    if isinstance(new, Mapping):
        return {key: _where(mask, new[key], old[key]) for key in new}
    return np.where(mask.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
