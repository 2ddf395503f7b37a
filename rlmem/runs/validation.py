"""Training loop callback: progress, evaluations on validation seeds, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rlmem.evaluation.episodes import Evaluation, evaluate
from rlmem.evaluation.seeds import validation_seeds
from rlmem.runs.checkpoints import LAST, best_evaluation, require_folder, save
from rlmem.runs.curriculum import Curriculum
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.tensors_file import load_checkpoint

Report = Callable[[int, dict[str, float]], None]


class Board(Protocol):
    """Where metrics are written."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write a scalar of a control step."""


class ValidationCallback:
    """Log metrics after each rollout, evaluate on validation seeds at intervals, and save checkpoints.

    Args:
        settings: The run.
        folder: Where it lies.
        agent: What learns, as it is at the start.
        env: For evaluations, with ``autoreset_mode="disabled"``.
        curriculum: Of the training environment and of that for evaluations.
        boards: Where metrics are written: for TensorBoard, and others.
        stopped: Whether the user asked to stop.
        report: Called after each rollout with control steps so far and metrics.
    """

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        agent: Any,
        env: Any,
        curriculum: Curriculum,
        boards: Sequence[Board],
        stopped: Callable[[], bool],
        report: Report | None,
    ) -> None:
        self._settings, self._folder, self._agent, self._env = settings, folder, agent, env
        self._curriculum = curriculum
        self._boards, self._stopped, self._report = boards, stopped, report
        self._progress = Progress(folder / "progress.csv")
        self._evaluated = self._progress.last("env_steps", 0.0)
        self._saved = self._seen = agent.env_steps
        best = best_evaluation(folder) if agent.env_steps else None
        self._best = goal(best) if best and best.get("stage", curriculum.stage) == curriculum.stage else -np.inf
        before = load_checkpoint(folder / LAST).meta if agent.env_steps else {}
        self._cpu_before, self._wall_before = (float(before.get(f"{clock}_seconds", 0.0)) for clock in ("cpu", "wall"))
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._evaluating = 0.0
        self._metrics: dict[str, float] = {}

    def __call__(self, env_steps: int, metrics: dict[str, float]) -> bool:
        """See :class:`rlmem.agents.base.Observer`. Evaluations are at multiples of ``eval_every``, however resumed."""
        self._metrics = metrics
        for name, value in metrics.items():
            self._write(name, value, env_steps)
        every, reached = self._settings.eval_every, False
        if env_steps // every > self._seen // every:
            reached = self._evaluate(env_steps)
        self._seen = env_steps
        if self._report is not None:
            self._report(env_steps, metrics)
        return not (self._stopped() or reached)

    def finish(self) -> None:
        """Save, and evaluate a last time unless that has just been done or training was stopped."""
        env_steps = self._agent.env_steps
        if self._stopped():
            if env_steps > self._saved:
                self._save(best=False)
        elif env_steps > self._evaluated:
            self._evaluate(env_steps)

    def _evaluate(self, env_steps: int) -> bool:
        """Evaluate on validation seeds and save; return whether the wanted score is reached.

        In a curriculum a score that is reached leads to the next stage, whose best checkpoint is another's.
        """
        started = time.process_time()
        result = evaluate(self._agent, self._env, validation_seeds(self._settings.eval_episodes))
        self._evaluating += time.process_time() - started
        curriculum = self._curriculum
        row = {"env_steps": float(env_steps), **self._cost(), **_eval_columns(result), **self._metrics}
        if self._settings.curriculum:
            row["eval/stage"] = float(curriculum.stage)
        require_folder(self._folder)
        self._progress.add(row)
        for name in ("eval/value", "eval/success_rate", "eval/memory_score", "eval/mean_return", "eval/work"):
            if name in row:
                self._write(name, row[name], env_steps)
        self._evaluated = env_steps
        evaluation = result.as_dict() | ({"stage": curriculum.stage} if self._settings.curriculum else {})
        now = goal(evaluation)
        best, self._best = now >= self._best, max(now, self._best)
        reached = curriculum.ends_with(now)
        if reached and not curriculum.last:
            curriculum.go_on()
            reached, self._best = False, -np.inf
        self._save(best=best, evaluation=evaluation)
        return reached

    def _write(self, name: str, value: float, env_steps: int) -> None:
        for board in self._boards:
            board.add_scalar(name, value, env_steps)

    def _save(self, *, best: bool, **meta: Any) -> None:
        stage = {"stage": self._curriculum.stage} if self._settings.curriculum else {}
        save(self._folder, self._settings, self._agent, best=best, **self._cost(), **stage, **meta)
        self._saved = self._agent.env_steps

    def _cost(self) -> dict[str, float]:
        """Return seconds of training so far, those before a resume counted in, those of evaluations left out of CPU."""
        return {
            "cpu_seconds": self._cpu_before + time.process_time() - self._cpu - self._evaluating,
            "wall_seconds": self._wall_before + time.monotonic() - self._wall,
        }


def goal(evaluation: Mapping[str, Any]) -> float:
    """Return what the best checkpoint has most of: the memory score, or where there is none the task's metric."""
    score = float(evaluation["memory_score"])
    return score if np.isfinite(score) else float(evaluation["value"])


def _eval_columns(result: Evaluation) -> dict[str, float]:
    names = ("value", "low", "high", "success_rate", "memory_score", "mean_return", "mean_length")
    values = result.as_dict()
    return {f"eval/{name}": float(values[name]) for name in (*names, "work") if name in values}
