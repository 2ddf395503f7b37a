"""Metrics of a training run to Weights & Biases, beside the file for TensorBoard."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlmem.errors import UserError
from rlmem.files import json_values
from rlmem.runs.settings import RunSettings


class WandbRun:
    """A run in a project of Weights & Biases. A context manager.

    Resumed, a run goes on in the same one: its id follows from folder and settings.

    Args:
        project: The project.
        settings: Of the run; they become its configuration.
        folder: Of the run.

    Raises:
        UserError: If wandb is not installed, or refuses.
    """

    def __init__(self, project: str, settings: RunSettings, folder: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError("--wandb needs wandb: pip install 'rlmem[wandb]'") from error
        config = json_values(asdict(settings))
        identity = hashlib.sha256(f"{folder.resolve()} {json_values(settings.origin())}".encode()).hexdigest()[:16]
        try:
            self._run: Any = wandb.init(
                project=project,
                id=identity,
                resume="allow",
                name=f"{settings.agent} {settings.env.rpartition('/')[2]} {settings.seed}",
                group=settings.env,
                config=config,
                dir=str(folder),
            )
        except wandb.errors.Error as error:
            raise UserError(f"wandb refuses: {error}") from error
        self._run.define_metric("*", step_metric="env_steps")
        self._step, self._row = 0, dict[str, float]()

    def __enter__(self) -> WandbRun:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Send what is left and end the run."""
        self._send()
        self._run.finish()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Keep a scalar; all of a control step are sent together when the next begins."""
        if step != self._step:
            self._send()
            self._step = step
        self._row[name] = value

    def _send(self) -> None:
        if self._row:
            self._run.log({"env_steps": self._step, **self._row})
            self._row = {}
