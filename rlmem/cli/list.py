"""``rlmem list``: tasks with their ceilings, knobs, agents."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest

from rlmem.cli.docstrings import explanations, plain
from rlmem.cli.help import cli
from rlmem.errors import UserError
from rlmem.registry import AGENTS, NAMESPACE, TASKS, canonical_id, task_class
from rlmem.spec import TaskSpec


@dataclass(frozen=True)
class List:
    """Tasks with their ceilings, and agents; with ENV, one task in full: its knobs and why its ceilings hold.

    Examples:
        rlmem list
        rlmem list TMaze-v0
    """


def run(argv: Sequence[str]) -> int:
    """Print all tasks and agents, or one task in full."""
    names = [word for word in argv if not word.startswith("-")]
    cli(List, [word for word in argv if word.startswith("-")], "rlmem list", "[ENV]")
    if len(names) > 1:
        raise UserError(f"list takes the id of one task at most, got {' '.join(names)}")
    print("\n".join(_describe(canonical_id(names[0])) if names else _overview()))
    return 0


def _overview() -> list[str]:
    """Return the tables of all tasks and agents."""
    head = ("id", "memory", "length", "bits", "memoryless", "oracle")
    rows = [head]
    for name in TASKS:
        spec = _spec(name)
        memoryless = f"{spec.memoryless.value:.3g}" if spec.memoryless.known else "-"
        oracle = f"{spec.oracle.value:.4g}" + "*" * (spec.metric != "success")
        rows.append((name, spec.memory, _steps(spec), f"{spec.n_bits:.3g}", memoryless, oracle))
    agents = [("agent", "what it is"), *((name, entry.summary) for name, entry in AGENTS.items())]
    return [
        f"Tasks (ids begin with {NAMESPACE}/; ceilings are success rates, or scores: *; -: not measured)",
        *_table(rows, flexible=1, right=(2, 3, 4, 5)),
        "",
        "Agents",
        *_table(agents, flexible=1),
        "",
        "Knobs of a task: rlmem list ENV. Each is a keyword of gymnasium.make and an option --env.KNOB.",
        "`rlmem train` takes any other Gymnasium id too.",
    ]


def _spec(name: str) -> TaskSpec:
    cls = task_class(name)
    spec: TaskSpec = cls.spec(cls.Settings())
    return spec


def _steps(spec: TaskSpec) -> str:
    return f"{spec.memory_length[1]}" if spec.memory_length[1] else f"credit {spec.credit_length[1]}"


def _describe(env_id: str) -> list[str]:
    """Return all there is to say of a task."""
    cls, spec = task_class(env_id), _spec(env_id)
    explained = explanations(cls.Settings)
    knobs = [("knob", "default", "what it is")]
    knobs += [(knob.name, str(knob.default), plain(explained.get(knob.name, ""))) for knob in fields(cls.Settings)]
    ceilings = [("agent", "at most", "why")]
    named = {"random": spec.random, "memoryless": spec.memoryless, "oracle": spec.oracle, **spec.partial}
    ceilings += [(who, f"{ceiling.value:.4g}", ceiling.why) for who, ceiling in named.items()]
    return [
        env_id,
        "",
        *(line for part in (inspect.getdoc(cls) or "").split("\n\n") for line in [*_paragraph(part), ""]),
        "Knobs",
        *_table(knobs, flexible=2),
        "",
        "Ceilings at the default knobs",
        *_table(ceilings, flexible=2),
        "",
        f"Guarantees: {', '.join(spec.guarantees) or 'none'}. Credit length: {spec.credit_length[1]} steps.",
    ]


def _paragraph(text: str) -> list[str]:
    """Return a paragraph of a docstring, filled; a list or table as it is."""
    if any(line.startswith((" ", "-", "=")) for line in text.splitlines()):
        return text.replace("``", "").replace("**", "").splitlines()
    return textwrap.wrap(plain(text).replace("**", ""), _width())


def _table(rows: Sequence[Sequence[str]], flexible: int, right: Sequence[int] = ()) -> list[str]:
    """Return the lines of a table that fits the terminal; the text of one column is wrapped for that."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    others = sum(width + 2 for column, width in enumerate(widths) if column != flexible)
    widths[flexible] = max(12, min(widths[flexible], _width() - others))
    lines = []
    for number, row in enumerate(rows):
        wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for cells in zip_longest(*wrapped, fillvalue=""):
            padded = (
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            lines.append("  ".join(padded).rstrip())
        if number == 0:
            lines.append("-" * min(_width(), sum(widths) + 2 * len(widths) - 2))
    return lines


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 120)
