"""What the tests of all tasks share: tasks of some kind, and how two episodes are compared."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from conftest import ENV_IDS, Episode

from rlmem.envs.memory_task import Phase
from rlmem.registry import task_class

RECALL_IDS = [name for name in ENV_IDS if "memory_length" in {knob.name for knob in fields(task_class(name).Settings)}]
"""Tasks in which a cue is recalled."""
T_MAZES = [name for name in ENV_IDS if "TMaze" in name]
NUM_ENVS = 8
"""N, where many episodes are run."""


def until_the_answer(first: Episode, second: Episode) -> int:
    """Return how many observations there are before an episode or its first query ends."""
    counts = []
    for episode in (first, second):
        query = episode.where(Phase.QUERY)
        left = [index for index in range(query[0], len(episode.phases)) if index not in query] if query else []
        counts.append(left[0] if left else len(episode.phases) - (episode.terminated or episode.truncated))
    return min(counts)


def assert_same(first: Episode, second: Episode, which: range) -> None:
    """Check that two episodes look and pay the same, bit for bit."""
    for index in which:
        np.testing.assert_array_equal(first.observations[index], second.observations[index])
        assert first.phases[index] == second.phases[index]
        assert first.rewards[index - 1] == second.rewards[index - 1] or index == 0
