"""Knobs that several tasks share, and the checks of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from rlmem.errors import UserError

Guard = Literal["delay", "cue", "none"]
Cue = Literal["flash", "always", "never"]

MAX_LENGTH = 10_000
"""Control steps: the longest memory or credit length."""


def check_choice(knob: str, value: object, choices: Sequence[object]) -> None:
    """Raise UserError unless the value of a knob is one of the choices."""
    if value not in choices:
        raise UserError(f"{knob} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_whole(knob: str, value: object, *, least: int, most: int) -> None:
    """Raise UserError unless a knob is a whole number within bounds."""
    if not _is_whole(value) or not least <= value <= most:  # type: ignore[operator]
        raise UserError(f"{knob} must be a whole number from {least} to {most}, got {value!r}")


def as_length(knob: str, value: Any) -> int | tuple[int, int]:
    """Check a number of control steps, or a range (low, high) of them, and return it as int or tuple.

    Raises:
        UserError: If it is neither, or out of bounds.
    """
    ends = list(value) if isinstance(value, (tuple, list)) else [value, value]
    if len(ends) != 2 or not all(map(_is_whole, ends)) or not 1 <= ends[0] <= ends[1] <= MAX_LENGTH:
        raise UserError(
            f"{knob} must be a whole number of control steps from 1 to {MAX_LENGTH}, "
            f"or a range (low, high) of them, got {value!r}"
        )
    return (int(ends[0]), int(ends[1])) if isinstance(value, (tuple, list)) else int(value)


def length_range(length: int | tuple[int, int]) -> tuple[int, int]:
    """Return minimum and maximum of a length that :func:`as_length` has checked."""
    return length if isinstance(length, tuple) else (length, length)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Knobs of every task.

    Args:
        guard: ``"delay"``: the robot is held during cue and delay, and does not observe its own state until the query,
            so that it cannot store the cue in its pose; ``"cue"``: it is held during the cue only; ``"none"``: it is
            never held, for studying how an agent uses its body as memory.
        cue: ``"flash"``: shown at the start only; ``"always"``: shown throughout, so that no memory is needed;
            ``"never"``: not shown, which gives the score without information.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    GUARDS: ClassVar[tuple[str, ...]] = ("delay", "cue", "none")
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of knobs; ``"hard"`` has work, docks and distractors, and for some tasks more to remember."""
    guard: Guard = "delay"
    cue: Cue = "flash"

    def __post_init__(self) -> None:
        check_choice("guard", self.guard, self.GUARDS)
        check_choice("cue", self.cue, ("flash", "always", "never"))


@dataclass(frozen=True, kw_only=True)
class RecallSettings(TaskSettings):
    """Knobs of every task in which a cue is recalled. See also :class:`TaskSettings`.

    Args:
        memory_length: Control steps between the end of the cue and the query, or a range (low, high) from which each
            episode draws log-uniformly.

    Raises:
        UserError: If a knob has a value that it cannot have.
    """

    memory_length: int | tuple[int, int] = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "memory_length", as_length("memory_length", self.memory_length))

    @property
    def expert_work(self) -> float | None:
        """Share of the work in the delay that the expert does; None where there is no work."""
        return None

    @property
    def lengths(self) -> tuple[int, int]:
        """Minimum and maximum of ``memory_length``."""
        return length_range(self.memory_length)


S = TypeVar("S", bound=TaskSettings)


def draw_length(rng: np.random.Generator, lengths: tuple[int, int]) -> int:
    """Draw a whole number log-uniformly from ``low`` to ``high``, both included."""
    low, high = lengths
    draw = rng.random()
    if low == high:
        return low
    return min(high, int(np.exp(np.log(low) + draw * (np.log(high + 1) - np.log(low)))))
