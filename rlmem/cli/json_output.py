"""The option ``--json`` of every verb that reports numbers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlmem import __version__
from rlmem.cli.outputs import writable_file
from rlmem.files import json_text, write_text

_STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """Options of a verb that reports numbers.

    Args:
        json: Print the numbers as JSON, and everything else on standard error; with a path, write them to that file.
    """

    json: Path | None = field(default=None, metadata={"alone": str(_STANDARD_OUTPUT)})


@contextlib.contextmanager
def json_output(path: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give a function that takes the numbers, as JSON values by name.

    Args:
        path: Where they go: nowhere if None, to standard output if ``-``; what is printed meanwhile then goes to
            standard error.

    Raises:
        UserError: If the file cannot be written.
    """
    if path is None:
        yield lambda _: None
    elif path == _STANDARD_OUTPUT:
        output = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):
            yield lambda values: print(_text(values), file=output, flush=True)
    else:
        file = writable_file(path, "--json")

        def write(values: Mapping[str, Any]) -> None:
            write_text(file, _text(values) + "\n")
            print(f"written to {file}")

        yield write


def _text(values: Mapping[str, Any]) -> str:
    return json_text({"rlmem_version": __version__, **values}, indent=2)
