"""Train an agent on a task: run folder, progress, periodic evaluation, stop and resume."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from rlmem.environments import make_vector
from rlmem.errors import UserError
from rlmem.evaluation.seeds import training_seed
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import BEST, LAST, checkpoint_path, read_checkpoint
from rlmem.runs.curriculum import Curriculum
from rlmem.runs.event_file import EventFile
from rlmem.runs.labels import is_taught
from rlmem.runs.named import run_folder
from rlmem.runs.resuming import (
    check_folder,
    go_on_without,
    is_finished,
    locked_folder,
    nothing_left_of_a_false_start,
    rewind_run,
)
from rlmem.runs.settings import RunSettings, read_settings, write_settings
from rlmem.runs.tensors_file import CheckpointError, load_checkpoint
from rlmem.runs.validation import Board, Report, ValidationCallback
from rlmem.runs.wandb_run import WandbRun
from rlmem.signals import stop_request

_EVAL_ENVS = 25


class Stopped(Exception):  # noqa: N818 - not an error
    """A signal stopped training; all is saved.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number
        """Exit status, as shells have it."""


def make_env(settings: RunSettings, num_envs: int, mode: str, **arguments: Any) -> Any:
    """Make the run's vector environment, with the knobs of evaluations where those give the seeds.

    In training, an agent that is to learn from the privileged part of observations gets it.
    """
    evaluation = mode == "disabled"
    knobs = settings.knobs | (settings.eval_knobs if evaluation else {})
    privileged = not evaluation and is_taught(settings)
    return make_vector(settings.env, num_envs, knobs, autoreset_mode=mode, privileged=privileged, **arguments)


def make_agent(settings: RunSettings, env: Any, device: str = "cpu") -> Any:
    """Make the run's agent for an environment, single or vector."""
    cls = agent_class(settings.agent)
    return agent_for(cls, settings.make_agent_settings(), env, settings.seed, device)


def agent_for(cls: Any, settings: Any, env: Any, seed: int = 0, device: str = "cpu") -> Any:
    """Make an agent of a class for the spaces and the memory of an environment, single or vector.

    Raises:
        UserError: If there is no such device, or the agent cannot use it.
    """
    check_device(cls, device)
    vector = isinstance(env, VectorEnv)
    observation_space = env.single_observation_space if vector else env.observation_space
    action_space = env.single_action_space if vector else env.action_space
    return cls(settings, observation_space, action_space, getattr(env.unwrapped, "task_spec", None), seed, device)


def check_device(cls: Any, device: str) -> None:
    """Raise UserError unless an agent's networks can run on a device, and the machine has it."""
    kind = device.partition(":")[0]
    if kind not in cls.devices or (kind == "cpu" and device != kind):
        raise UserError(f"device of agent {cls.name!r} must be {' or '.join(cls.devices)}, got {device!r}")
    if device == "cpu":
        return
    import torch

    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if not gpus:
        raise UserError(f"device {device!r} needs a GPU, and PyTorch finds none here: leave it at cpu")
    if device not in ("cuda", *gpus):
        raise UserError(f"device must be cpu, cuda or one of {', '.join(gpus)}, got {device!r}")


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
    settings = read_settings(folder)
    agent = make_agent(settings, env)
    if agent.learns:
        path = checkpoint_path(folder, which)
        try:
            read_checkpoint(path, settings)
        except CheckpointError as error:
            hint = "; --which last takes the last weights" if path.name == BEST else ""
            raise CheckpointError(f"{error}{hint}") from error
        agent.load(path)
    return agent


def train(
    settings: RunSettings,
    out: str | Path = "runs",
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    checkpoint: str | None = None,
    report: Report | None = None,
    say: Callable[[str], object] = warnings.warn,
    plan: Callable[[str], object] | None = None,
    device: str = "cpu",
    wandb: str | None = None,
) -> Path:
    """Train an agent and return the run's folder.

    Ctrl-C and SIGTERM stop after the rollout at hand, with everything saved. A killed run resumes from its last
    evaluation, and one that was killed before its first from the beginning.

    Args:
        settings: The run.
        out: Folder of all runs.
        folder: Folder of this run; None: ENV/AGENT/SEED below ``out``.
        resume: Go on with a run that lies there; ``steps``, ``stop_at``, ``workers`` and ``keep`` may be others.
        checkpoint: Resume from this one, as :func:`load_agent` names them, and forget what came after it. None: the
            last, or the newest that can be read.
        report: Called after each rollout with control steps so far and metrics.
        say: Told, in a line each, what of a run that goes on was damaged or gone: the last checkpoint, so that it goes
            on from an older one, the best weights, ``progress.csv``.
        plan: Told in one line, before training, what an update costs, where the agent can tell, or that the run is
            finished.
        device: Where the networks run: ``"cpu"``, which is fastest for small ones, or ``"cuda"``.
        wandb: Project of Weights & Biases to which metrics are sent too; None: nowhere.

    Raises:
        UserError: If the agent does not learn, another process trains in the folder, there is a run already and it is
            not to be resumed, there is nothing to resume, or the weights to start from are not there or do not fit.
        CheckpointError: If no checkpoint can be read.
        OSError: If a file cannot be written; what was saved before is whole.
        Stopped: If a signal stopped it.
    """
    if not agent_class(settings.agent).learns:
        raise UserError(f"agent {settings.agent!r} does not learn: evaluate it with `rlmem evaluate`")
    check_device(agent_class(settings.agent), device)
    folder = settings.folder(Path(out)) if folder is None else Path(folder)
    check_folder(folder, settings, resume=resume)
    with locked_folder(folder), stop_request() as stop:
        check_folder(folder, settings, resume=resume)
        begun = resume and rewind_run(folder, settings, checkpoint, say)
        if begun and is_finished(folder, settings):
            if plan is not None:
                plan("this run is finished: more --steps, or another --stop-at, let it go on")
            return folder
        if begun:
            go_on_without(folder, settings, say)
        with ExitStack() as stack:
            env = make_env(settings, settings.envs, "same_step", workers=settings.workers)
            stack.callback(env.close)
            validation_env = make_env(settings, min(_EVAL_ENVS, settings.eval_episodes), "disabled")
            stack.callback(validation_env.close)
            agent = make_agent(settings, env, device)
            if begun:
                agent.load(folder / LAST)
            elif settings.init_from:
                agent.init_from(checkpoint_path(run_folder(settings.init_from), BEST))
            stage = int(load_checkpoint(folder / LAST).meta.get("stage", 0)) if begun else 0
            curriculum = Curriculum(settings.curriculum, env, validation_env, stage, settings.stop_at)
            if not resume:
                stack.enter_context(nothing_left_of_a_false_start(folder))
            write_settings(folder, settings)
            if plan is not None and (cost := agent.cost(settings.envs)):
                plan(cost)
            env.reset(seed=training_seed(settings.seed) + agent.env_steps % 50_000)
            purged = agent.env_steps + 1 if begun else 0
            boards: list[Board] = [stack.enter_context(EventFile(folder, purged))]
            if wandb is not None:
                boards.append(stack.enter_context(WandbRun(wandb, settings, folder)))
            callback = ValidationCallback(
                settings, folder, agent, validation_env, curriculum, boards, lambda: stop.asked, report
            )
            if not stop.asked:
                agent.learn(env, settings.steps, callback)
            callback.finish()
        if stop.number is not None:
            raise Stopped(stop.number)
    return folder
