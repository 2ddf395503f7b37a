"""Runs of a benchmark on a Ray cluster: the same jobs, one core each, wherever there is one free."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from rlmem.benchmark.job import Job, Row, run_job
from rlmem.benchmark.local import JobOutcome, Run, Running
from rlmem.errors import UserError
from rlmem.files import write_bytes

_KEPT = ("settings.toml", "versions.toml", "progress.csv", "best.safetensors", "last.safetensors")
"""Files of a run that are brought back."""
_PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
_AHEAD = 2
"""Runs handed to the cluster for each core, so that none waits for the next."""


class RayCluster:
    """A Ray cluster whose machines have this package; see :class:`rlmem.benchmark.local.Engine`.

    Args:
        address: ``"auto"``, ``"ray://host:10001"`` or ``"host:6379"``; ``"local"`` starts Ray on this machine.

    Raises:
        UserError: On entering, if Ray is not installed, or there is no cluster.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self.slots = 1

    def __enter__(self) -> RayCluster:
        local = self._address == "local"
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise UserError("--ray needs Ray: pip install 'rlmem[ray]'") from error
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        _check_answers(self._address)
        try:
            arguments: dict[str, Any] = {"include_dashboard": False} if local else {"address": self._address}
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **arguments)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"there is no Ray cluster at {self._address!r}: {error}") from error
        self._ray = ray
        self.slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def run(self, jobs: Sequence[Job], out: Path, progress: Callable[[Running], object]) -> Iterator[JobOutcome]:
        """Run jobs and yield each as it ends. See :meth:`rlmem.benchmark.local.Engine.run`."""
        remote = self._ray.remote(num_cpus=1, max_retries=2)(_remote_job)
        waiting = list(jobs)
        pending: dict[Any, tuple[Job, float]] = {}
        while waiting or pending:
            while waiting and len(pending) < _AHEAD * self.slots:
                job = waiting.pop(0)
                pending[remote.remote(job)] = job, time.monotonic()
            ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=1.0)
            for future in ready:
                yield self._outcome(future, pending.pop(future)[0], out)
            now, first = time.monotonic(), list(pending.values())[: self.slots]
            progress({job.key: Run(job, now - since, 0) for job, since in first})

    def _outcome(self, future: Any, job: Job, out: Path) -> JobOutcome:
        """Fetch the rows and files of a run."""
        try:
            rows, files = self._ray.get(future)
        except self._ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            return JobOutcome(job, [], lines[-1] if lines else type(error).__name__)
        for name, data in files.items():
            path = out / job.folder / name
            write_bytes(path, data)
        return JobOutcome(job, rows, "")


def _check_answers(address: str) -> None:
    """Raise UserError unless something answers at ``host:port``, since Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise UserError(f"there is no Ray cluster at {address!r}: {error}") from error


def _remote_job(job: Job) -> tuple[list[Row], dict[str, bytes]]:
    """Run a job on a machine of the cluster."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rlmem-") as scratch:
        rows = run_job(job, Path(scratch))
        folder = Path(scratch) / job.folder
        found = [folder / name for name in _KEPT if (folder / name).is_file()]
        return rows, {path.name: path.read_bytes() for path in found}
