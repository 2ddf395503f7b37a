"""Error messages that name the nearest right word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_FEW = 15
"""Names that are listed even where one of them was probably meant."""


def one_of(words: Iterable[str]) -> str:
    """Return words as a list with "or" before the last: "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def unknown(what: str, name: str, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """Say that a name is unknown, which one may have been meant, or else which there are.

    Args:
        what: What is named, such as ``"agent"``.
        name: The unknown name.
        known: The right names.
        also: More right names, too many to list.
    """
    names = sorted(known)
    candidates = [*sorted(also, key=lambda entry: "/" not in entry), *names]
    spellings = {form: entry for entry in candidates for form in (_plain(entry), entry.lower())}
    near = difflib.get_close_matches(_plain(name), spellings, n=1, cutoff=0.5)
    hint = f" Did you mean {spellings[near[0]]!r}?" if near else ""
    listed = "" if near and len(names) > _FEW else f" Known: {', '.join(names)}"
    return f"unknown {what} {name!r}.{hint}{listed}"


def _plain(name: str) -> str:
    """Return a name without case, namespace and version."""
    return re.sub(r"-v\d+$", "", name.lower().rpartition("/")[2])
