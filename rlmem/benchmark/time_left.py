"""How long the rest of a benchmark takes, from what runs of the same agents took.

Work is counted in control steps of training; a test counts as so many of them. Nothing is said while nothing is known
of agents that learn: those that do not are far cheaper, and tell nothing of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from rlmem.benchmark.job import Job
from rlmem.benchmark.local import Run, Running

_TEST = 20_000
"""Control steps of training that cost about as much as a test."""
_ENOUGH = 0.02
"""Share of its budget after which the pace of a run is believed: the first steps are no measure of the others."""


class _Sample(NamedTuple):
    """What a run tells of others."""

    job: Job
    pace: float
    """Seconds of each control step of work."""
    share: float | None
    """Part of the budget after which it stopped, None while it trains."""


class TimeLeft:
    """Estimates how long the rest takes.

    The pace of a run is its own once it has trained for a while; before that it is the median of runs of the same
    agent on the same task, else of the same agent, else of all agents that learn (or of all that do not). How much of
    its budget it will use, where training may stop early, is a median too.

    Args:
        jobs: All of the suite.
        rows: Of the table: runs of this suite in it are learnt from.
        slots: Runs at a time.
    """

    def __init__(self, jobs: Sequence[Job], rows: Iterable[Mapping[str, str]], slots: int) -> None:
        self._slots = slots
        self._finished: list[_Sample] = []
        self._seen: dict[str, tuple[Run, Run]] = {}
        known = {row["cell"]: row for row in rows}
        for job in jobs:
            if job.key in known:
                self.learn(job, known[job.key])

    def learn(self, job: Job, row: Mapping[str, object]) -> None:
        """Note how long a run took, as a row of the table says."""
        wall, cpu, steps = (float(str(row[name]) or 0.0) for name in ("wall_seconds", "cpu_seconds", "env_steps"))
        # of a run that was killed and went on, the wall seconds are those of the last part only
        seconds = max(wall, cpu)
        self._finished.append(_Sample(job, seconds / (steps + _tests(job)), steps / job.settings.steps))

    def left(self, waiting: Sequence[Job], running: Running) -> float | None:
        """Return seconds until all are finished, None while that is not known.

        Args:
            waiting: All that are not finished, in the order in which they start.
            running: Those of them that run now.
        """
        paces = {key: pace for key, run in running.items() if (pace := self._own_pace(run)) is not None}
        samples = self._finished + [_Sample(running[key].job, pace, None) for key, pace in paces.items()]
        now: list[float] = []
        later: list[float] = []
        for job in waiting:
            usual = _usual([(sample.job, sample.pace) for sample in samples], job)
            pace = paces.get(job.key, usual)
            if pace is None:
                return None
            share = _usual([(sample.job, sample.share) for sample in samples if sample.share is not None], job)
            run = running.get(job.key)
            rest = _rest(job, run, pace, 1.0 if share is None else share)
            (later if run is None else now).append(rest)
        free = now + [0.0] * (self._slots - len(now))
        heapq.heapify(free)
        for seconds in later:
            heapq.heapreplace(free, free[0] + seconds)
        return max(free)

    def _own_pace(self, run: Run) -> float | None:
        """Return seconds for each step since the run was first heard of, None while those are few.

        What came before is left out: imports, and steps of the part of a run that was killed and went on.
        """
        if not run.steps:
            return None
        first, last = self._seen.get(run.job.key, (run, run))
        # while it is evaluated or tested its steps stand still
        last = run if run.steps > last.steps else last
        self._seen[run.job.key] = first, last
        steps = last.steps - first.steps
        return (last.seconds - first.seconds) / steps if steps >= _ENOUGH * run.job.settings.steps else None


def _rest(job: Job, run: Run | None, pace: float, share: float) -> float:
    """Return seconds until a run ends."""
    budget = job.settings.steps if job.learns else 0
    usual, tests = share * budget, _tests(job)
    if run is None:
        return pace * (usual + tests)
    if not run.steps:
        return max(pace * (usual + tests) - run.seconds, 0.0)
    # one that trains for longer than usual is taken to be half way through what it has more
    return pace * (min(budget - run.steps, abs(usual - run.steps)) + tests)


def _usual(known: Sequence[tuple[Job, float]], job: Job) -> float | None:
    """Return the median of what is known of runs that are most like one."""
    alike = [(like, value) for like, value in known if like.learns == job.learns]
    same_agent = [(like, value) for like, value in alike if like.label == job.label]
    same_task = [(like, value) for like, value in same_agent if like.task == job.task]
    found = same_task or same_agent or alike
    return median(value for _, value in found) if found else None


def _tests(job: Job) -> float:
    return float(_TEST * len(job.tests))
