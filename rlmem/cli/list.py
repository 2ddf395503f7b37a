"""``rlmem list``: tasks with their ceilings, knobs, agents."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rlmem.cli.docstrings import explanations, plain
from rlmem.cli.help import cli
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.options import environment_id
from rlmem.cli.text_table import filled, table, text_width
from rlmem.environments import task_spec
from rlmem.registry import AGENTS, NAMESPACE, TASKS, task_class
from rlmem.spec import Ceiling, TaskSpec


@dataclass(frozen=True)
class List(JsonOption):
    """Tasks with their ceilings, and agents; with ENV, one task in full: its knobs, why its ceilings hold, its labels.

    Args:
        env: Task to explain, as in `rlmem list ENV`; my_module:MyTask-v0 imports the module first.

    Examples:
        rlmem list
        rlmem list TMaze-v0
        rlmem list --json
    """

    env: str = ""


def run(argv: Sequence[str]) -> int:
    """Print all tasks and agents, or one task in full."""
    arguments = [*argv]
    first = arguments.pop(0) if arguments and not arguments[0].startswith("-") else ""
    options: List = cli(List, arguments, "rlmem list", "[ENV]")
    name = first or options.env
    with json_output(options.json) as write:
        if not name:
            print("\n".join(_overview()))
            agents = {agent: entry.summary for agent, entry in AGENTS.items()}
            write({"tasks": [_task_values(f"{NAMESPACE}/{task}") for task in TASKS], "agents": agents})
        else:
            env_id = environment_id(name)
            labels = _labels(env_id)
            print("\n".join(_describe(env_id, labels)))
            write(_task_values(env_id) | {"labels": labels})
    return 0


def _task_values(env_id: str) -> dict[str, Any]:
    """Return what there is to say of a task as plain values."""
    cls, spec = task_class(env_id), _spec(env_id)
    explained = explanations(cls.Settings)
    return {
        "env": env_id,
        **{name: getattr(spec, name) for name in ("memory", "memory_length", "credit_length", "n_bits", "metric")},
        "guarantees": spec.guarantees,
        "ceilings": {name: ceiling.value for name, ceiling in _ceilings(spec).items() if ceiling.known},
        "untrained": None if spec.untrained is None else spec.untrained.value,
        "retention_only": spec.retention_only,
        "presets": {name: dict(values) for name, values in cls.Settings.PRESETS.items()},
        "knobs": {
            knob.name: {"default": knob.default, "explanation": plain(explained.get(knob.name, ""))}
            for knob in fields(cls.Settings)
        },
    }


def _labels(env_id: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the parts of a task's full state: at the default knobs, and at each preset."""
    from rlmem.envs.full_state import kept_arrays

    cls = task_class(env_id)
    return {
        name: kept_arrays(cls, cls.Settings(**knobs))
        for name, knobs in ({"default": {}} | cls.Settings.PRESETS).items()
    }


def _ceilings(spec: TaskSpec) -> dict[str, Ceiling]:
    return {"random": spec.random, "memoryless": spec.memoryless, "oracle": spec.oracle, **spec.partial}


def _overview() -> list[str]:
    """Return the tables of all tasks and agents."""
    head = ("id", "memory", "length", "bits", "without", "untrained", "oracle")
    rows = [head]
    for name in TASKS:
        spec = _spec(name)
        unit = "*" * (spec.metric != "success")
        memoryless = f"{spec.memoryless.value:.3g}{unit}" if spec.memoryless.known else "-"
        best = spec.oracle.value
        oracle = f"{best:.0f}{unit}" if best >= 100 else f"{best:.3g}{unit}"
        bits, untrained = f"{spec.n_bits:.3g}", "-"
        if spec.untrained is not None:
            untrained = f"{spec.untrained.value:.3g}{unit}" + "!" * spec.retention_only
        rows.append((name, spec.memory, _steps(spec), bits, memoryless, untrained, oracle))
    agents = [("agent", "what it is"), *((name, entry.summary) for name, entry in AGENTS.items())]
    return [
        f"Tasks (ids begin with {NAMESPACE}/)",
        *table(rows, flexible=1, right=(2, 3, 4, 5, 6)),
        *filled(
            "length: control steps, in brackets those of credit without memory. without, untrained, oracle: the best "
            "success rate without memory, with cells as initialized and what reads them trained, and of an agent that "
            "knows everything; * a score instead, - not measured, ! retention only: nothing is learnt but to read."
        ),
        "",
        "Agents",
        *table(agents, flexible=1),
        "",
        *filled("`rlmem list ENV` explains a task's knobs: keywords of gymnasium.make, and options --env.KNOB."),
        *filled("`rlmem train` also takes the id of any other Gymnasium environment."),
    ]


def _spec(name: str) -> TaskSpec:
    return task_spec(name, {})


def _steps(spec: TaskSpec) -> str:
    return f"{spec.memory_length[1]}" if spec.memory_length[1] else f"({spec.credit_length[1]})"


def _describe(env_id: str, labels: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all there is to say of a task."""
    cls, spec = task_class(env_id), _spec(env_id)
    explained = explanations(cls.Settings)
    knobs = [("knob", "default", "what it is")]
    knobs += [(knob.name, str(knob.default), plain(explained.get(knob.name, ""))) for knob in fields(cls.Settings)]
    ceilings = [("agent", "at most", "why")]
    ceilings += [(who, f"{ceiling.value:.4g}", ceiling.why) for who, ceiling in _ceilings(spec).items()]
    ceilings.append(("untrained memory", *untrained_words(spec)))
    return [
        env_id,
        "",
        *(line for part in (inspect.getdoc(cls) or "").split("\n\n") for line in [*_paragraph(part), ""]),
        "Knobs",
        *table(knobs, flexible=2),
        "",
        *(line for preset in cls.Settings.PRESETS.items() for line in [*_preset(*preset), ""]),
        "Ceilings at the default knobs",
        *table(ceilings, flexible=2),
        "",
        "Labels",
        *filled(f"{_in_words(labels)}."),
        *filled(
            "Parts of the full state, which the robot does not see. `rlmem train --agent.auxiliary NAME ...` "
            "(recurrent_ppo, recurrent_a2c) makes the memory learn to predict those named, in training only: name what "
            "is worth remembering."
        ),
        "",
        f"Guarantees: {', '.join(spec.guarantees) or 'none'}. Credit length: {spec.credit_length[1]} steps.",
    ]


def _in_words(labels: Mapping[str, Sequence[str]]) -> str:
    """Return the labels at the default knobs, and which there are at a preset beside."""
    usual = labels["default"]
    more = {name: [label for label in found if label not in usual] for name, found in labels.items()}
    also = [f"; at the preset {name} also {', '.join(found)}" for name, found in more.items() if found]
    return ", ".join(usual) + "".join(also)


def _preset(name: str, values: Mapping[str, Any]) -> list[str]:
    """Return what a preset sets, in a sentence."""
    knobs = ", ".join(f"{knob} {value}" for knob, value in values.items())
    return filled(f'preset="{name}", or --env.preset {name}: {knobs}.')


def untrained_words(spec: TaskSpec) -> tuple[str, str]:
    """Return what untrained memory reaches, and where that was measured."""
    if spec.untrained is None:
        return "", "not measured"
    only = "; retention only" if spec.retention_only else ""
    return f"{spec.untrained.value:.4g}", spec.untrained.why + only


def _paragraph(text: str) -> list[str]:
    """Return a paragraph of a docstring, filled; a list or table as it is."""
    if text.startswith("- ") or any(line.startswith((" ", "---", "=")) for line in text.splitlines()):
        return text.replace("``", "").replace("**", "").splitlines()
    return textwrap.wrap(plain(text).replace("**", ""), text_width())
