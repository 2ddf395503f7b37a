"""Options from frozen dataclasses: fields are options, their types are checked, the docstring is the help.

``memory_length: int | tuple[int, int] = 10`` is the option ``--memory-length``, with one value or two. Nothing here
needs to be registered: a new field is on the command line, with its default and its line of help. The names in a table,
given as ``field(metadata={"names": TABLE})``, are listed in the help.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from rlmem.cli.docstrings import explanations
from rlmem.errors import UserError
from rlmem.suggest import one_of

_TRUTH = ("true", "false", "none")
"""Words that may follow an option of truth values."""


class HelpWanted(Exception):  # noqa: N818 - not an error
    """``--help`` is among the arguments."""


class Option(NamedTuple):
    """One option of a command line."""

    hint: Any
    default: Any
    explanation: str
    alone: str | None = None
    """What it stands for without a value, where it may be given so."""
    names: Sequence[str] = ()
    """The names that it may have, where they are kept in a table."""


@dataclass(frozen=True)
class Group:
    """The options of one dataclass.

    Args:
        cls: The dataclass.
        title: Heading of its options in the help.
        prefix: Stands before the name of each option, such as ``"env."``.
        start: Values that options have instead of the fields' defaults.
    """

    cls: type[Any]
    title: str = "options"
    prefix: str = ""
    start: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Option]:
        """The options by the name of their field, in the order of the fields."""
        hints, texts = get_type_hints(self.cls), explanations(self.cls)
        found = {}
        for one in fields(self.cls):
            default = one.default if one.default_factory is MISSING else one.default_factory()
            given = self.start.get(one.name, default)
            alone, names = one.metadata.get("alone"), tuple(one.metadata.get("names", ()))
            found[one.name] = Option(hints[one.name], given, texts.get(one.name, ""), alone, names)
        return found

    def flag(self, name: str) -> str:
        """Return the option of a field as it is written on the command line."""
        return f"--{self.prefix}{name.replace('_', '-')}"

    def make(self, given: Mapping[str, Any]) -> Any:
        """Make the dataclass from the values given; a value it refuses is named by its option."""
        try:
            return self.cls(**{**self.start, **given})
        except UserError as error:
            name, _, rest = str(error).partition(" ")
            if name not in self.cls.__dataclass_fields__:
                raise
            raise UserError(f"{self.flag(name)} {rest}") from error


def parse_groups(argv: Sequence[str], groups: Sequence[Group], command: str) -> tuple[list[Any], dict[str, Any]]:
    """Parse options.

    Args:
        argv: The arguments.
        groups: What may be given.
        command: Such as ``"rlmem train"``, for messages.

    Returns:
        The dataclass of each group; and the values that were given, by option.

    Raises:
        HelpWanted: If ``-h`` or ``--help`` is among the arguments.
        UserError: If an option is unknown, lacks its value, or has one that it cannot have.
    """
    if {"-h", "--help"} & set(argv):
        raise HelpWanted
    known = {
        group.flag(name): (number, name, option)
        for number, group in enumerate(groups)
        for name, option in group.options.items()
    }
    values: list[dict[str, Any]] = [{} for _ in groups]
    given: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        flag = "--" + flag.removeprefix("--").replace("_", "-") if flag.startswith("--") else flag
        negated = flag.startswith("--no-") and flag not in known
        target = f"--{flag.removeprefix('--no-')}" if negated else flag
        if target not in known or (negated and not is_flag(known[target][2].hint)):
            raise UserError(_unknown(word, known, command))
        number, name, option = known[target]
        taken = [value] if equals else []
        if is_flag(option.hint) and not equals:
            said = words and not negated and words[0].lower() in _TRUTH
            taken = [words.pop(0)] if said else ["false" if negated else "true"]
        elif not equals:
            while words and not words[0].startswith("--") and (not taken or many(option.hint)):
                taken.append(words.pop(0))
            if not taken and option.alone is not None:
                taken = [option.alone]
        values[number][name] = given[target] = convert(taken, option.hint, target)
    return [group.make(chosen) for group, chosen in zip(groups, values, strict=True)], given


def is_flag(hint: Any) -> bool:
    """Return whether an option of a type is true where it stands alone: one of truth values, or of these and None."""
    return hint is bool or set(get_args(hint)) == {bool, NoneType}


def check_least(options: Any, **least: float) -> None:
    """Raise UserError unless options are at least so large; None passes, of several values each counts."""
    for name, bound in least.items():
        value = getattr(options, name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and not one >= bound:
                raise UserError(f"{name} must be at least {bound:,}, got {one:,}")


def many(hint: Any) -> bool:
    """Return whether an option of a type takes several values."""
    return get_origin(hint) is tuple or any(many(part) for part in get_args(hint) if get_origin(part) or part is tuple)


def convert(words: Sequence[str], hint: Any, flag: str) -> Any:
    """Return the value that words stand for.

    Raises:
        UserError: If they stand for none of the type.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    wanted = " or ".join(spelled(kind) for kind in kinds if kind is not NoneType)
    if not words:
        raise UserError(f"{flag} needs a value: {wanted}")
    for kind in kinds:
        try:
            return _converted(words, kind)
        except ValueError:
            continue
    raise UserError(f"{flag} must be {wanted}, got {' '.join(words)!r}")


def _converted(words: Sequence[str], kind: Any) -> Any:
    """Return the value of one type; raise a ValueError if there is none."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple:
        if parts[-1] is Ellipsis and list(words) == ["none"]:
            return ()
        each = [parts[0]] * len(words) if parts[-1] is Ellipsis else list(parts)
        if len(each) != len(words):
            raise ValueError(words)
        return tuple(_converted([word], part) for word, part in zip(words, each, strict=True))
    if len(words) != 1:
        raise ValueError(words)
    word = words[0]
    if kind is NoneType:
        if word.lower() != "none":
            raise ValueError(word)
        return None
    if origin is Literal:
        return {str(part): part for part in parts}[word] if word in map(str, parts) else _converted([word], NoneType)
    if kind is bool:
        if word.lower() not in ("true", "false"):
            raise ValueError(word)
        return word.lower() == "true"
    if kind is int:
        number = float(word)
        if not number.is_integer():
            raise ValueError(word)
        return int(word) if re.fullmatch(r"[+-]?[\d_]+", word) else int(number)
    if kind is float:
        return float(word)
    return Path(word) if kind is Path else word


def spelled(hint: Any) -> str:
    """Return what values a type has, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(spelled(part) for part in parts)
    if origin is Literal:
        return one_of(map(str, parts))
    if origin is tuple:
        return f"{spelled(parts[0])}, several, or none" if parts[-1] is Ellipsis else f"{len(parts)} values"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a word", NoneType: "none"}
    return words.get(hint, "a path" if hint is Path else str(hint))


def _unknown(word: str, known: Iterable[str], command: str) -> str:
    """Say that an option is unknown, and which ones may have been meant."""
    flag = word.partition("=")[0]
    if not word.startswith("--"):
        return f"there is an argument too many: {word!r}"
    near = similar_options(flag, known)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"unknown option {flag}.{hint} `{command} --help` lists all"


def similar_options(flag: str, known: Iterable[str]) -> list[str]:
    """Return the options that an unknown one may stand for, at most three; none rather than a wrong guess.

    Names are compared without their prefix (``env.``, ``agent.``), in this order: the same name or its initials; a name
    that shares a whole word, or begins the same; a name with few letters different.
    """
    prefix, _, name = flag.removeprefix("--").replace("_", "-").rpartition(".")
    names = {option: option.removeprefix("--").rpartition(".")[2] for option in known}
    words = set(name.split("-"))

    def initials(other: str) -> str:
        return "".join(part[0] for part in other.split("-") if part)

    def nested(other: str) -> bool:
        others = set(other.split("-"))
        return others <= words or words <= others or (len(other) > 2 and name.startswith(other))

    close = difflib.get_close_matches(name, set(names.values()), n=3, cutoff=0.8)
    rules: tuple[Callable[[str], bool], ...] = (
        lambda other: name in (other, initials(other)),
        nested,
        lambda other: other in close,
    )
    found = [option for rule in rules for option, other in names.items() if rule(other)]
    ordered = sorted(dict.fromkeys(found), key=lambda option: not option.startswith(f"--{prefix}."))
    return ordered[:3]
