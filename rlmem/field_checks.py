"""Values from a file or a caller, checked against the types of a dataclass's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from rlmem.errors import UserError
from rlmem.suggest import unknown

SCHEDULES = ("learning_rate", "trunk_learning_rate", "clip_range", "clip_range_vf")
"""Numbers that in Python may be functions of the progress remaining."""

WIDEST, DEEPEST = 10_000, 100
"""Units of a layer, and layers, at most: an accident with more would end in a refusal of memory by PyTorch."""


def check_widths(**given: Any) -> None:
    """Raise a UserError unless numbers of units and layers, or each in a tuple, can be those of a network.

    Args:
        given: By the setting's name; one that begins with ``n_`` is a number of layers or networks.
    """
    for name, value in given.items():
        most = DEEPEST if name.startswith("n_") else WIDEST
        if max(value, default=0) > most if isinstance(value, tuple) else value > most:
            raise UserError(f"{name} must be at most {most:,}, got {value}")


def check_fields(cls: type[Any], values: Mapping[str, Any], what: str) -> None:
    """Raise unless values fit the fields of a dataclass.

    Args:
        cls: The dataclass.
        values: Plain values by field, as a TOML or JSON file gives them; lists stand for tuples.
        what: What a field is called, such as ``"setting of agent ppo"``.

    Raises:
        UserError: If there is no such field, or a value is of another type; the message says what would be right.
    """
    hints, names = get_type_hints(cls), [field.name for field in fields(cls)]
    for name, value in values.items():
        if name not in names:
            raise UserError(unknown(what, name, names))
        if not fits(value, hints[name]):
            raise UserError(f"{what} {name!r} must be {_spelt(hints[name])}, got {value!r}")


def check_types(settings: Any) -> None:
    """Raise unless each field of a dataclass has its type; numbers of numpy become Python's.

    Raises:
        UserError: If a value is of another type; the message says what would be right.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, np.generic):
            value = value.item()
            object.__setattr__(settings, field.name, value)
        if not fits(value, hints[field.name]) and not (field.name in SCHEDULES and callable(value)):
            raise UserError(f"{field.name} must be {_spelt(hints[field.name])}, got {value!r}")


def fits(value: object, hint: Any) -> bool:
    """Return whether a plain value is of a field's type; a list is where a tuple is asked for, a bool is no number."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False
        each = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        return len(each) == len(value) and all(map(fits, value, each))
    if origin is list:
        return isinstance(value, list) and all(fits(item, parts[0]) for item in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _spelt(hint: Any) -> str:
    """Return a type in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_spelt(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple:
        one = _spelt(parts[0])
        return f"a list, each {one}" if parts[-1] is Ellipsis else f"a list of {len(parts)}, each {one}"
    if origin is list:
        return f"a list, each {_spelt(parts[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", dict: "a table"}
    return words.get(origin or hint, str(hint))
