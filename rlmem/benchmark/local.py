"""Runs of a benchmark in processes of this machine, each in one of its own, so that a crash costs one run only."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from rlmem.benchmark.job import Job, Row, run_job
from rlmem.files import locked
from rlmem.signals import leave_signals_to_parent, undisturbed

_REPORT_EVERY = 1.0
"""Seconds."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class JobOutcome(NamedTuple):
    """How a run ended."""

    job: Job
    rows: list[Row]
    """Empty where it failed."""
    error: str
    """Why it failed, empty where it did not."""


class Run(NamedTuple):
    """A run that goes on."""

    job: Job
    seconds: float
    steps: int
    """Control steps trained so far."""


Running = dict[str, Run]
"""Key of the job -> run."""


class Engine(Protocol):
    """Runs jobs somewhere; a context manager."""

    slots: int
    """Runs at a time."""

    def __enter__(self) -> Engine:
        """Get ready."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""

    def run(self, jobs: Sequence[Job], out: Path, progress: Callable[[Running], object]) -> Iterator[JobOutcome]:
        """Run jobs and yield each as it ends.

        Args:
            jobs: In the order in which they start.
            out: The benchmark's folder.
            progress: Told about once a second what is running.
        """


class _Worker(NamedTuple):
    job: Job
    process: Any
    pipe: Connection
    started: float


class Local:
    """This machine; see :class:`Engine`.

    Args:
        processes: Runs at a time; each uses one thread.
    """

    def __init__(self, processes: int) -> None:
        self.slots = processes
        self._workers: list[_Worker] = []
        self._steps: dict[str, int] = {}

    def __enter__(self) -> Local:
        for name in _THREADS:
            os.environ.setdefault(name, "1")
        # a server that has imported everything once lets each run start in milliseconds
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["rlmem.benchmark.job"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()

    def run(self, jobs: Sequence[Job], out: Path, progress: Callable[[Running], object]) -> Iterator[JobOutcome]:
        """Run jobs and yield each as it ends. See :meth:`Engine.run`."""
        waiting, workers = list(jobs), self._workers
        while waiting or workers:
            while waiting and len(workers) < self.slots:
                with undisturbed():
                    workers.append(self._start(waiting.pop(0), out))
            ready = wait([worker.pipe for worker in workers], timeout=_REPORT_EVERY)
            for worker in [worker for worker in workers if worker.pipe in ready]:
                outcome = self._hear(worker)
                if outcome is not None:
                    worker.process.join()
                    worker.pipe.close()
                    workers.remove(worker)
                    yield outcome
            now, steps = time.monotonic(), self._steps
            progress({j.job.key: Run(j.job, now - j.started, steps.get(j.job.key, 0)) for j in workers})

    def _start(self, job: Job, out: Path) -> _Worker:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(job, out, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Worker(job, process, ours, time.monotonic())

    def _hear(self, worker: _Worker) -> JobOutcome | None:
        """Return how a run ended, None if it has not."""
        try:
            kind, said = worker.pipe.recv()
        except EOFError:
            worker.process.join()
            return JobOutcome(worker.job, [], f"its process ended with exit code {worker.process.exitcode}")
        if kind == "steps":
            self._steps[worker.job.key] = said
            return None
        return JobOutcome(worker.job, said, "") if kind == "rows" else JobOutcome(worker.job, [], said)


def _work(job: Job, out: Path, pipe: Connection) -> None:
    """Run a job in a process of its own, which ends if the benchmark does."""
    leave_signals_to_parent()
    told = time.monotonic()
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()

    def report(steps: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _REPORT_EVERY:
            told = time.monotonic()
            pipe.send(("steps", steps))

    lock = out / job.folder.parent / f".{job.key}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        # a benchmark that was killed and at once started again: wait until its run has seen that and ended
        with locked(lock, wait=True):
            pipe.send(("rows", run_job(job, out, report)))
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - any failure is one run's, to be told and not to end the benchmark
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"
        with contextlib.suppress(BrokenPipeError):  # the benchmark has ended too
            pipe.send(("error", said))


def end_with(parent: int) -> None:
    """End this process once its parent has ended, whatever it does then: an evaluation may take minutes."""
    while os.getppid() == parent:
        time.sleep(_REPORT_EVERY)
    os._exit(1)
