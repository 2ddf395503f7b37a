"""Train an agent on a task: run folder, progress, periodic evaluation, stop and resume."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv
from torch.utils.tensorboard import SummaryWriter

from rlmem.errors import UserError
from rlmem.evaluation.seeds import training_seed
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import checkpoint_path, checkpoints, rewind
from rlmem.runs.folder import LAST, Progress, RunSettings, read_settings, write_settings
from rlmem.runs.tensors_file import load_checkpoint
from rlmem.runs.validation import Report, ValidationCallback

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
        which: Which weights: "best", "last", or the control steps of a checkpoint that was kept.

    Raises:
        UserError: If there is no such run or checkpoint.
        CheckpointError: If the file does not fit.
    """
    agent = make_agent(read_settings(folder), env)
    if agent.learns:
        agent.load(checkpoint_path(folder, which))
    return agent


def train(
    settings: RunSettings,
    out: Path = Path("runs"),
    *,
    folder: Path | None = None,
    resume: bool = False,
    checkpoint: str | None = None,
    report: Report | None = None,
    say: Callable[[str], object] = warnings.warn,
    plan: Callable[[str], object] | None = None,
) -> Path:
    """Train an agent and return the run's folder.

    Ctrl-C stops after the rollout at hand, with everything saved. A killed run resumes from its last evaluation.

    Args:
        settings: The run.
        out: Folder of all runs.
        folder: Folder of this run; None: ENV/AGENT/SEED below ``out``.
        resume: Go on with a run that lies there; ``settings.steps`` may be more than before.
        checkpoint: Resume from this one, as :func:`load_agent` names them, and forget what came after it. None: the
            last, or the newest that can be read.
        report: Called after each rollout with control steps so far and metrics.
        say: Told in one line where the last checkpoint is damaged and the run goes on from an older one.
        plan: Told in one line, before training, what an update costs, where the agent can tell.

    Raises:
        UserError: If the agent does not learn, or if there is a run already, and it is not to be resumed.
        UserError: If there is nothing to resume.
        CheckpointError: If no checkpoint can be read.
        Stopped: If the user stopped it.
    """
    if not agent_class(settings.agent).learns:
        raise UserError(f"agent {settings.agent!r} does not learn: evaluate it with `rlmem evaluate`")
    folder = folder or settings.folder(out)
    _check_folder(folder, settings, resume=resume)
    env, validation_env = make_env(settings, settings.envs, "same_step", workers=settings.workers), None
    try:
        validation_env = make_env(settings, min(_EVAL_ENVS, settings.eval_episodes), "disabled")
        agent = make_agent(settings, env)
        if resume:
            Progress(folder / "progress.csv").rewind(rewind(folder, checkpoint, say))
            agent.load(folder / LAST)
        write_settings(folder, settings)
        if plan is not None and (cost := agent.cost(settings.envs)):
            plan(cost)
        env.reset(seed=training_seed(settings.seed) + agent.env_steps % 50_000)
        with SummaryWriter(str(folder)) as board, _StopOnInterrupt() as stop:
            callback = ValidationCallback(settings, folder, agent, validation_env, board, lambda: stop.asked, report)
            agent.learn(env, settings.steps, callback)
            callback.finish()
        if stop.asked:
            raise Stopped
    finally:
        env.close()
        if validation_env is not None:
            validation_env.close()
    return folder


def _check_folder(folder: Path, settings: RunSettings, *, resume: bool) -> None:
    present = bool(checkpoints(folder))
    if present and not resume:
        raise UserError(f"there is a run in {folder} already: resume it with --resume, or choose another --out")
    if resume and not present:
        raise UserError(f"there is nothing to resume in {folder}: it has no checkpoint")
    if resume:
        before = read_settings(folder)
        for name in ("knobs", "agent_settings", "envs"):
            if getattr(before, name) != getattr(settings, name):
                raise UserError(
                    f"{folder} was trained with {name} {getattr(before, name)}, and this asks for "
                    f"{getattr(settings, name)}: resume with the same"
                )


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
