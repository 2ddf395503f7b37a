"""``rlmem list``: tasks with their ceilings, knobs, agents."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from rlmem.errors import UserError
from rlmem.registry import AGENTS, NAMESPACE, TASKS, agent_class, canonical_id, task_class
from rlmem.spec import TaskSpec


def run(argv: Sequence[str]) -> int:
    """Print all tasks and agents, or one task in full."""
    console = Console()
    names = [word for word in argv if not word.startswith("-")]
    if set(argv) & {"-h", "--help"}:
        console.print("usage: rlmem list [ENV]\n\nAll tasks and agents; with ENV, one task in full.", markup=False)
        return 0
    if len(names) != len(argv) or len(names) > 1:
        raise UserError(f"list takes the id of one task at most, got {' '.join(argv)}")
    if names:
        _describe(console, canonical_id(names[0]))
        return 0
    tasks = Table(
        Column("id", no_wrap=True),
        Column("memory", ratio=1),
        Column("length", no_wrap=True, justify="right"),
        Column("bits", no_wrap=True, justify="right"),
        Column("memoryless", no_wrap=True, justify="right"),
        Column("oracle", no_wrap=True, justify="right"),
        title=f"Tasks (ids begin with {NAMESPACE}/; ceilings are success rates, or scores: *; -: not measured)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        expand=True,
    )
    for name in TASKS:
        spec = _spec(name)
        tasks.add_row(
            name,
            spec.memory,
            _steps(spec),
            f"{spec.n_bits:.3g}",
            f"{spec.memoryless.value:.4g}" if spec.memoryless.known else "-",
            f"{spec.oracle.value:.4g}" + "*" * (spec.metric != "success"),
        )
    agents = Table(
        Column("agent", no_wrap=True),
        Column("learns from", no_wrap=True),
        Column("what it is", ratio=1),
        title="Agents",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        expand=True,
    )
    for name in AGENTS:
        cls = agent_class(name)
        agents.add_row(name, cls.information, inspect.getdoc(cls).splitlines()[0])  # type: ignore[union-attr]
    console.print(tasks, agents, sep="\n")
    console.print("Knobs of a task: rlmem list ENV. Each is a keyword of gymnasium.make and an option --env.KNOB.")
    return 0


def _spec(name: str) -> TaskSpec:
    cls = task_class(name)
    spec: TaskSpec = cls.spec(cls.Settings())
    return spec


def _steps(spec: TaskSpec) -> str:
    return f"{spec.memory_length[1]}" if spec.memory_length[1] else f"credit {spec.credit_length[1]}"


def _describe(console: Console, env_id: str) -> None:
    cls, spec = task_class(env_id), _spec(env_id.removeprefix(f"{NAMESPACE}/"))
    console.print(f"[bold]{env_id}[/bold]\n")
    console.print(inspect.getdoc(cls) or "", markup=False, highlight=False)
    knobs = Table("knob", "default", "what it is", title="\nKnobs", title_justify="left")
    explained = explanations(cls.Settings)
    for knob in fields(cls.Settings):
        knobs.add_row(knob.name, escape(repr(knob.default)), escape(explained.get(knob.name, "")))
    console.print(knobs)
    ceilings = Table("agent", "at most", "why", title="\nCeilings at the default knobs", title_justify="left")
    for who in ("random", "memoryless", "oracle"):
        ceiling = getattr(spec, who)
        ceilings.add_row(who, f"{ceiling.value:.4g}", ceiling.why)
    for who, ceiling in spec.partial.items():
        ceilings.add_row(who, f"{ceiling.value:.4g}", ceiling.why)
    console.print(ceilings)
    console.print(f"Guarantees: {', '.join(spec.guarantees) or 'none'}. Credit length: {spec.credit_length[1]} steps.")


def explanations(settings: Any) -> dict[str, str]:
    """Return what the ``Args:`` sections of a settings class and its bases say of each knob."""
    found: dict[str, str] = {}
    for cls in reversed(settings.__mro__):
        knob = None
        _, _, section = (inspect.cleandoc(cls.__dict__.get("__doc__") or "")).partition("Args:\n")
        for line in section.partition("\nRaises:")[0].splitlines():
            name, colon, text = line.strip().partition(":")
            if colon and line.startswith("    ") and not line.startswith("     ") and name.isidentifier():
                knob, found[name] = name, text.strip()
            elif knob and line.strip():
                found[knob] += " " + line.strip()
    return {name: text.replace("``", "") for name, text in found.items()}
