"""The help of a command: what it does, its options with their defaults, examples."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from rlmem.cli.arguments import Group, HelpWanted, Option, is_flag, parse_groups
from rlmem.cli.docstrings import docstring_sections, plain

_COLUMN = 26
"""Where the explanations of options begin."""


def cli(cls: type[Any], argv: Sequence[str], command: str, argument: str = "") -> Any:
    """Parse a command line whose options are one dataclass; print the help and exit if that is asked for.

    Args:
        cls: The dataclass.
        argv: The options.
        command: Such as ``"rlmem compare"``.
        argument: What may stand before the options, for the help.

    Raises:
        UserError: If an option is unknown or has a wrong value.
        SystemExit: After the help.
    """
    try:
        return parse_groups(argv, [Group(cls)], command)[0][0]
    except HelpWanted:
        print(help_text(cls, [Group(cls)], command, argument))
        raise SystemExit(0) from None


def help_text(cls: type[Any], groups: Sequence[Group], command: str, argument: str = "") -> str:
    """Return the help of a command.

    Args:
        cls: The docstring of this class is the description; its section ``Examples:`` comes last.
        groups: Options, in this order.
        command: Such as ``"rlmem train"``.
        argument: What may stand before the options, such as ``"[RUN]"``.
    """
    width = min(shutil.get_terminal_size().columns, 120)
    sections = docstring_sections(cls)
    usage = " ".join(filter(None, ("usage:", command, argument, "[options]")))
    parts = [usage, "\n\n".join(textwrap.fill(plain(part), width) for part in sections[""].split("\n\n"))]
    for group in groups:
        lines = [line for name, option in group.options.items() for line in _explained(group.flag(name), option, width)]
        if lines:
            parts.append("\n".join([_bold(f"{group.title}:"), *lines]))
    if sections["Examples"]:
        parts.append("\n".join([_bold("examples:"), *(f"  {line}" for line in sections["Examples"].splitlines())]))
    return "\n\n".join(parts)


def _explained(flag: str, option: Option, width: int) -> list[str]:
    """Return the lines of the help on one option."""
    switch = is_flag(option.hint)
    values = _values(option.hint) if not switch else "" if option.default is False else "[true|false]"
    head = f"  {flag} {values if option.alone is None else f'[{values}]'}".rstrip()
    text = plain(option.explanation)
    text = re.sub(r"\bNone: ", "If not given: " if option.default is None else "none: ", text)
    if option.names:
        text = f"{text} Names: {', '.join(option.names)}"
    if option.default is not False and option.default not in (None, "", ()):
        text = f"{text} (default: {_shown(option.default)})".strip()
    lines = textwrap.wrap(text, width - _COLUMN, break_long_words=False, break_on_hyphens=False) or [""]
    if len(head) < _COLUMN - 1:
        return [head.ljust(_COLUMN) + lines[0], *(" " * _COLUMN + line for line in lines[1:])]
    return [head, *(" " * _COLUMN + line for line in lines)]


def _values(hint: Any) -> str:
    """Return what stands for the values of an option in the help."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return "|".join(_values(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin is tuple:
        return f"{_values(parts[0])} ..." if parts[-1] is Ellipsis else " ".join(_values(part) for part in parts)
    return {int: "N", float: "X", Path: "PATH", bool: "true|false"}.get(hint, "NAME")


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(_shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else f"{value}"


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text
