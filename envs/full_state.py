"""The full state of a task, as numbers: what a privileged critic sees, see :mod:`rlmem.privileged`.

It is read off what a task keeps for each environment in public arrays [N, ...]: phase, time, cue and robot, and what
the task has drawn or counted. A task need not do anything for it but keep its state under public names.

Axes: N environments, I whole numbers, P components.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.memory_task import MemoryTask
from rlmem.privileged import NamedBox

_OF_RECORD = ("everyone", "success", "score")
"""What tells nothing of what is to come: numbers of environments, and how the episode has gone."""
_NAMED = np.arange(9)
"""Whole numbers that are shown one by one too, since they may name things, such as cues."""
_FAR = 1e3
"""What stands for infinity."""


class FullState:
    """Reads the full state of the environments of a task.

    Whole numbers are shown by which of 0 to 8 they are and by their logarithm, others by a logarithm that keeps the
    sign and is near the number itself for small ones: sign(x) log(1 + abs(x)).

    Args:
        task: The task.
    """

    def __init__(self, task: MemoryTask[Any]) -> None:
        self._whole: list[Any] = []
        self._others: list[Any] = []
        whole: list[str] = []
        others: list[str] = []
        for name in kept_arrays(type(task), task.settings):
            array = attrgetter(name)(task)
            (self._whole if array.dtype.kind == "i" else self._others).append(attrgetter(name))
            (whole if array.dtype.kind == "i" else others).extend([name] * (array.size // task.num_envs))
        self._task = task
        self.space = NamedBox([*np.repeat(whole, len(_NAMED)).tolist(), *whole, *others])
        """Of one environment; each component has the name of its array."""

    def __call__(self) -> NDArray[np.float32]:
        """Return the present state [N, P]."""
        whole = self._joined(self._whole)
        named = (whole[:, :, None] == _NAMED).reshape(len(whole), -1)
        numbers = np.concatenate((whole, self._joined(self._others)), axis=1)
        np.nan_to_num(numbers, copy=False, posinf=_FAR, neginf=-_FAR)
        return np.concatenate((named, np.sign(numbers) * np.log1p(np.abs(numbers))), axis=1, dtype=np.float32)

    def _joined(self, arrays: list[Any]) -> NDArray[Any]:
        """Return the present values of some arrays, [N, ...] in all."""
        count = self._task.num_envs
        return np.concatenate([array(self._task).reshape(count, -1) for array in arrays], axis=1, dtype=np.float64)


@cache
def kept_arrays(task: type[MemoryTask[Any]], settings: Any) -> tuple[str, ...]:
    """Return the names of the public arrays that a task keeps for each environment: those that grow with their number.

    Arrays of an object that the task holds count too, with a dot in their name, and so do properties that it names in
    :attr:`~rlmem.envs.memory_task.MemoryTask.derived`.

    Args:
        task: The class of the task.
        settings: Its knobs.
    """
    with closing(task(settings, 1)) as one, closing(task(settings, 2)) as two:
        names = [
            name
            for name, array in (*_public_arrays(one), *((name, getattr(one, name)) for name in task.derived))
            if name not in _OF_RECORD and array.shape[:1] == (1,) and attrgetter(name)(two).shape[:1] == (2,)
        ]
    return tuple(sorted(names))


def _public_arrays(holder: Any, prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield names and values of the public arrays of an object, and of the objects that it holds."""
    for name, value in vars(holder).items():
        if name.startswith("_"):
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
            yield prefix + name, value
        elif not prefix and hasattr(value, "__dict__"):
            yield from _public_arrays(value, f"{name}.")
