"""What would end a run of a suite after its training, found when the suite is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from gymnasium import spaces

from rlmem.environments import make_single
from rlmem.errors import UserError
from rlmem.registry import is_task, short_id, task_class


def check_tests(env: str, training: Mapping[str, Any], tests: Iterable[Mapping[str, Any]]) -> None:
    """Raise a UserError unless observations and actions of tests have the shapes of those of training.

    An environment is made for each test at knobs that cannot be changed between episodes.

    Args:
        env: Id of the environment.
        training: Knobs.
        tests: Those that tests have instead.
    """
    changeable = task_class(env).CHANGEABLE if is_task(env) else ()
    places: list[dict[str, Any]] = []
    for test in tests:
        fixed = {name: value for name, value in test.items() if name not in changeable}
        if fixed and fixed not in places:
            places.append(fixed)
    here = _shapes(env, training) if places else ""
    for fixed in places:
        there = _shapes(env, {**training, **fixed})
        if there != here:
            words = ", ".join(f"{name} {value}" for name, value in fixed.items())
            raise UserError(
                f"a test of {short_id(env)} at {words} has observations and actions of {there}, and training has "
                f"{here}: write such values under grid, each of which is trained on"
            )


def _shapes(env: str, knobs: Mapping[str, Any]) -> str:
    """Return what observations and actions must have in common, in words."""
    with closing(make_single(env, knobs)) as made:
        both = (made.observation_space, made.action_space)
    return " and ".join(str(space.shape) if isinstance(space, spaces.Box) else str(space) for space in both)


def check_cell_size(settings: Mapping[str, Any]) -> None:
    """Raise a UserError unless the cell that an agent's settings name can have their size; one is made for it."""
    if not {"cell", "hidden_size"} <= settings.keys():
        return
    import torch

    from rlmem.networks.cells import CELLS

    with torch.random.fork_rng(devices=[]):
        CELLS[settings["cell"]](1, settings["hidden_size"], memory_length=10)
