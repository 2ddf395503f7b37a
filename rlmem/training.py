"""Train an agent on a task: run folder, progress, periodic evaluation, stop and resume."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from torch.utils.tensorboard import SummaryWriter

from rlmem.checkpoint import load_checkpoint
from rlmem.evaluation import Evaluation, evaluate
from rlmem.registry import agent_class
from rlmem.run_folder import BEST, LAST, Progress, RunSettings, read_settings, write_settings
from rlmem.seeds import training_seed, validation_seeds

Report = Callable[[int, dict[str, float]], None]
_EVAL_ENVS = 25


class Stopped(Exception):  # noqa: N818 - not an error
    """Training was stopped by the user; all is saved."""


def make_env(settings: RunSettings, num_envs: int, mode: str, **arguments: Any) -> Any:
    """Make the run's vector environment, with the knobs of evaluations where those give the seeds."""
    knobs = settings.knobs | (settings.eval_knobs if mode == "disabled" else {})
    return gymnasium.make_vec(settings.env, num_envs=num_envs, autoreset_mode=mode, **knobs, **arguments)


def make_agent(settings: RunSettings, env: Any) -> Any:
    """Make the run's agent for an environment, single or vector."""
    cls = agent_class(settings.agent)
    return agent_for(cls, settings.make_agent_settings(), env, settings.seed)


def agent_for(cls: Any, settings: Any, env: Any, seed: int = 0) -> Any:
    """Make an agent of a class for the spaces and the memory of an environment, single or vector."""
    vector = isinstance(env, VectorEnv)
    observation_space = env.single_observation_space if vector else env.observation_space
    action_space = env.single_action_space if vector else env.action_space
    return cls(settings, observation_space, action_space, getattr(env.unwrapped, "task_spec", None), seed)


def load_agent(folder: Path, env: Any, which: str = LAST) -> Any:
    """Make a run's agent and read its weights.

    Args:
        folder: The run.
        env: An environment of the task, single or vector.
        which: File of the weights.

    Raises:
        FileNotFoundError: If there is no such run or file.
        CheckpointError: If the file does not fit.
    """
    agent = make_agent(read_settings(folder), env)
    if agent.learns:
        agent.load(folder / which)
    return agent


def train(
    settings: RunSettings,
    out: Path = Path("runs"),
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> Path:
    """Train an agent and return the run's folder.

    Ctrl-C stops after the rollout at hand, with everything saved. A killed run resumes from its last evaluation.

    Args:
        settings: The run.
        out: Folder of all runs.
        folder: Folder of this run; None: ENV/AGENT/SEED below ``out``.
        resume: Go on with a run that lies there; ``settings.steps`` may be more than before.
        report: Called after each rollout with control steps so far and metrics.

    Raises:
        ValueError: If the agent does not learn.
        FileExistsError: If there is a run already, and it is not to be resumed.
        FileNotFoundError: If there is nothing to resume.
        Stopped: If the user stopped it.
    """
    if not agent_class(settings.agent).learns:
        raise ValueError(f"agent {settings.agent!r} does not learn: evaluate it with `rlmem evaluate`")
    folder = folder or settings.folder(out)
    _check_folder(folder, settings, resume=resume)
    env, judge_env = make_env(settings, settings.envs, "same_step", workers=settings.workers), None
    try:
        judge_env = make_env(settings, min(_EVAL_ENVS, settings.eval_episodes), "disabled")
        agent = make_agent(settings, env)
        if resume:
            agent.load(folder / LAST)
        write_settings(folder, settings)
        env.reset(seed=training_seed(settings.seed) + agent.env_steps % 50_000)
        with SummaryWriter(str(folder)) as board, _StopOnInterrupt() as stop:
            judge = _Judge(settings, folder, agent, judge_env, board, stop, report)
            agent.learn(env, settings.steps, judge)
            judge.finish()
        if stop.asked:
            raise Stopped
    finally:
        env.close()
        if judge_env is not None:
            judge_env.close()
    return folder


def _check_folder(folder: Path, settings: RunSettings, *, resume: bool) -> None:
    present = (folder / LAST).is_file()
    if present and not resume:
        raise FileExistsError(f"there is a run in {folder} already: resume it with --resume, or choose another --out")
    if resume and not present:
        raise FileNotFoundError(f"there is nothing to resume in {folder}: it has no {LAST}")
    if resume:
        before = read_settings(folder)
        for name in ("knobs", "agent_settings", "envs"):
            if getattr(before, name) != getattr(settings, name):
                raise ValueError(
                    f"{folder} was trained with {name} {getattr(before, name)}, and this asks for "
                    f"{getattr(settings, name)}: resume with the same"
                )


class _Judge:
    """Looks on: logs, evaluates every so often, saves the last and the best."""

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        agent: Any,
        env: Any,
        board: SummaryWriter,
        stop: _StopOnInterrupt,
        report: Report | None,
    ) -> None:
        self._settings, self._folder, self._agent, self._env = settings, folder, agent, env
        self._board, self._stop, self._report = board, stop, report
        self._progress = Progress(folder / "progress.csv")
        self._evaluated = agent.env_steps
        self._best = max((float(row["eval/memory_score"] or "-inf") for row in self._progress.rows), default=-np.inf)
        self._cpu_before = self._progress.last("cpu_seconds", 0.0) if agent.env_steps else 0.0
        self._wall_before = self._progress.last("wall_seconds", 0.0) if agent.env_steps else 0.0
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._judging = 0.0
        self._metrics: dict[str, float] = {}

    def __call__(self, env_steps: int, metrics: dict[str, float]) -> bool:
        """See :class:`rlmem.agents.base.Observer`."""
        self._metrics = metrics
        for name, value in metrics.items():
            self._board.add_scalar(name, value, env_steps)
        reached = False
        if env_steps - self._evaluated >= self._settings.eval_every:
            reached = self._evaluate(env_steps)
        if self._report is not None:
            self._report(env_steps, metrics)
        return not (self._stop.asked or reached)

    def finish(self) -> None:
        """Evaluate and save a last time, unless that has just been done."""
        if self._agent.env_steps > self._evaluated or not (self._folder / LAST).is_file():
            self._evaluate(self._agent.env_steps)

    def _evaluate(self, env_steps: int) -> bool:
        """Evaluate on validation seeds and save; return whether the wanted score is reached."""
        started = time.process_time()
        result = evaluate(self._agent, self._env, validation_seeds(self._settings.eval_episodes))
        self._judging += time.process_time() - started
        row = {
            "env_steps": float(env_steps),
            "cpu_seconds": self._cpu_before + time.process_time() - self._cpu - self._judging,
            "wall_seconds": self._wall_before + time.monotonic() - self._wall,
            **_eval_columns(result),
            **self._metrics,
        }
        self._progress.add(row)
        for name in ("eval/value", "eval/success_rate", "eval/memory_score", "eval/mean_return"):
            self._board.add_scalar(name, row[name], env_steps)
        self._evaluated = env_steps
        meta = {"env": self._settings.env, "knobs": _json(self._settings.knobs), "evaluation": result.as_dict()}
        self._agent.save(self._folder / LAST, **meta)
        goal = result.memory_score if np.isfinite(result.memory_score) else result.value
        if goal >= self._best:
            self._best = goal
            self._agent.save(self._folder / BEST, **meta)
        return self._settings.stop_at is not None and goal >= self._settings.stop_at


def _eval_columns(result: Evaluation) -> dict[str, float]:
    names = ("value", "low", "high", "success_rate", "memory_score", "mean_return", "mean_length")
    values = result.as_dict()
    return {f"eval/{name}": float(values[name]) for name in names}


def _json(knobs: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in knobs.items()}


class _StopOnInterrupt(AbstractContextManager["_StopOnInterrupt"]):
    """Turns the first Ctrl-C into a wish to stop; the second interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> _StopOnInterrupt:
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:  # not the main thread, which alone may catch signals
            self._before = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def trained_steps(folder: Path) -> int:
    """Return the control steps that a run's last checkpoint has learnt from."""
    return int(load_checkpoint(folder / LAST).meta["env_steps"])
