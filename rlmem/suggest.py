"""Error messages that name the nearest right word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, which one may have been meant, and which there are.

    Args:
        what: What is named, such as ``"agent"``.
        name: The unknown name.
        known: The right names.
    """
    names = sorted(known)
    lowered = {entry.lower(): entry for entry in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    return f"unknown {what} {name!r}.{hint} There is: {', '.join(names)}"
