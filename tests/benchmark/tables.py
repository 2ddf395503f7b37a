"""Tables of benchmarks that nobody ran: what agents of given skill would have got."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlmem.benchmark.job import Job
from rlmem.benchmark.table import ResultsTable
from rlmem.evaluation.episodes import clopper_pearson
from rlmem.registry import task_class

Skill = Callable[[Job, dict[str, Any], np.random.Generator], float]
"""Memory score of a run in a test, which has these knobs."""


def invent(jobs: Sequence[Job], folder: Path, skill: Skill) -> Path:
    """Write the table that runs of such skill would have given, and return its path."""
    with ResultsTable(folder) as table:
        for job in jobs:
            rng = np.random.default_rng(int(job.key, 16))
            table.add([row(job, number, skill(job, knobs, rng)) for number, knobs in enumerate(job.tests)])
    return folder / "results.csv"


def row(job: Job, number: int, score: float) -> dict[str, Any]:
    settings, knobs = job.settings, job.tests[number]
    cls = task_class(settings.env)
    spec = cls.spec(cls.make_settings(knobs))
    floor, top = spec.memoryless.value, spec.oracle.value
    value = floor + score * (top - floor) if top > floor else top
    low, high = value - 0.02, value + 0.02
    if spec.metric == "success":
        low, high = clopper_pearson(round(200 * value), 200)
    learnt = job.learns
    lesioned = learnt and settings.agent != "ppo"
    return {
        "task": job.task,
        "test": job.test_names[number],
        "agent": job.label,
        "seed": settings.seed,
        "metric": spec.metric,
        "value": value,
        "low": low,
        "high": high,
        "memory_score": score if top > floor else float("nan"),
        "lesioned": floor if lesioned else "",
        "lesioned_low": floor - 0.05 if lesioned else "",
        "lesioned_high": floor + 0.05 if lesioned else "",
        "memoryless": floor,
        "oracle": top,
        "memory_length": spec.memory_length[1],
        "credit_length": spec.credit_length[1],
        "information": "reward",
        "env_steps": 100_000 if learnt else 0,
        "cpu_seconds": 12.5 if learnt else "",
        "env": settings.env,
        "name": settings.agent,
        "knobs": json.dumps(settings.knobs),
        "test_knobs": json.dumps(knobs),
        "version": "0.1",
        "machine": "a machine",
        "cell": job.key,
    }
