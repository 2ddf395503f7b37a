"""Reading and changing the knobs of a task through its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from rlmem.errors import UserError
from rlmem.suggest import unknown


class KnobAccess:
    """Mixin that makes the knobs in ``self.settings`` attributes of an environment.

    Setting one goes through :meth:`change_knobs`, so that ``env.memory_length = 100``, ``set_attr`` of vector
    environments and ``set_wrapper_attr`` all do the same: the new value
    holds from the next episode on, or an error is raised.
    """

    def change_knobs(self, knobs: Mapping[str, Any]) -> None:
        """Change knobs from the next episodes on; see :meth:`rlmem.envs.memory_task.MemoryTask.change_knobs`."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name in _knob_names(self):
            return getattr(self.__dict__["settings"], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _knob_names(self):
            self.change_knobs({name: value})
        else:
            super().__setattr__(name, value)


def reset_knobs(options: Mapping[str, Any], others: Sequence[str], settings: Any) -> dict[str, Any]:
    """Return the knobs among the options of a reset.

    Args:
        options: Names and values.
        others: Names of options that are not knobs.
        settings: The task's settings.

    Raises:
        UserError: If an option is unknown.
    """
    names = [field.name for field in fields(settings)]
    for option in options:
        if option not in names and option not in others:
            raise UserError(unknown("option of reset", str(option), dict.fromkeys([*others, *names])))
    return {option: value for option, value in options.items() if option not in others}


def _knob_names(env: KnobAccess) -> frozenset[str]:
    settings = env.__dict__.get("settings")
    return frozenset() if settings is None else _names(type(settings))  # type: ignore[arg-type]


@cache  # every attribute that an environment sets asks for them
def _names(settings: type[Any]) -> frozenset[str]:
    return frozenset(field.name for field in fields(settings))
