"""What docstrings say, as text for the help: descriptions, fields, examples."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTIONS = ("Args", "Raises", "Examples")


def docstring_sections(cls: type[Any]) -> dict[str, str]:
    """Return the sections of a class's own docstring by their heading; the text before the first is ``""``."""
    found, current = {"": "", **dict.fromkeys(_SECTIONS, "")}, ""
    for line in inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines():
        if line.rstrip(":") in _SECTIONS and line.endswith(":"):
            current = line.rstrip(":")
        else:
            found[current] += f"{line.removeprefix('    ') if current else line}\n"
    return {heading: text.strip("\n") for heading, text in found.items()}


def explanations(cls: type[Any]) -> dict[str, str]:
    """Return what the ``Args:`` sections of a class and its bases say of each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        name = None
        for line in docstring_sections(base)["Args"].splitlines():
            begin = re.match(r"(\w+): ?(.*)", line)
            if begin:
                name, found[begin[1]] = begin[1], begin[2].strip()
            elif name and line.strip():
                found[name] += " " + line.strip()
    return found


def plain(text: str) -> str:
    """Return a docstring's text without markup: roles become the last part of their name, quotes go."""
    text = re.sub(r":\w+(?::\w+)?:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return " ".join(text.replace("``", "").split())
