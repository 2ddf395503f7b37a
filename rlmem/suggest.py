"""Error messages that name the nearest right word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_LIKE = 0.55
"""Share of letters in common from which a name may have been meant: a wrong guess is worse than none."""
_FEW = 15
"""Names that are listed even where one of them was probably meant."""


def one_of(words: Iterable[str]) -> str:
    """Return words as a list with "or" before the last: "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def unknown(what: str, name: str, known: Iterable[str], also: Iterable[str] = (), where: str = "") -> str:
    """Say that a name is unknown, which one may have been meant, or else which there are.

    Args:
        what: What is named, such as ``"agent"``.
        name: The unknown name.
        known: The right names.
        also: More right names, too many to list.
        where: Where the right names are found, said instead of their list.
    """
    names = sorted(known)
    candidates = [*sorted(also, key=lambda entry: "/" not in entry), *names]
    spellings = {form: entry for entry in candidates for form in (_plain(entry), entry.lower())}
    near = difflib.get_close_matches(_plain(name), spellings, n=1, cutoff=_LIKE)
    hint = f" Did you mean {spellings[near[0]]!r}?" if near else ""
    listed = "" if near and len(names) > _FEW else f" Known: {', '.join(names)}"
    listed = f" {where}" if where else listed
    return f"unknown {what} {name!r}.{hint}{listed}"


def _plain(name: str) -> str:
    """Return a name without case, namespace and version."""
    return re.sub(r"-v\d+$", "", name.lower().rpartition("/")[2])
