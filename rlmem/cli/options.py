"""Command lines whose options follow from the task and the agent: ``--env TMaze-v0 --env.memory-length 50``.

The task's and the agent's own settings classes are the options, so a new knob or hyperparameter is on the command
line as soon as it exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, make_dataclass
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

import tyro

from rlmem.errors import UserError
from rlmem.registry import AGENTS, NAMESPACE, TASKS, agent_class, canonical_id, task_class
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.tuned import Tuned, tuned_settings


@dataclass(frozen=True)
class Parsed:
    """A command line, parsed."""

    verb: Any
    """The verb's own options."""
    env: str
    """Id of the task."""
    knobs: dict[str, Any]
    agent: str | None
    agent_settings: dict[str, Any]
    run: Path | None
    run_settings: RunSettings | None
    """Of the run named on the command line."""
    tuned: Tuned | None = None
    """Settings found by tuning from which ``agent_settings`` start, where they were asked for and fit the knobs."""


def _is_task(name: str) -> bool:
    short = name.removeprefix(f"{NAMESPACE}/")
    return short in TASKS or f"{short}-v0" in TASKS


def parse(
    verb: type[Any],
    argv: Sequence[str],
    *,
    name: str,
    agent: str | None = None,
    run: bool = False,
    positional_env: bool = False,
    tuned: bool = False,
    prog: str = "rlmem",
) -> Parsed:
    """Parse a verb's command line.

    Args:
        verb: Dataclass of the verb's own options; its docstring is the help.
        argv: Arguments after the verb.
        name: The verb.
        agent: Default agent; None where the verb has no agent.
        run: Whether the first argument may be a training run's folder.
        positional_env: Whether the first argument may be a task's id.
        tuned: Whether the agent's settings start from those found by tuning, where they fit the task's knobs.
        prog: What the verb is an argument of, for the help.

    Raises:
        UserError: If the task, agent or run is unknown or a knob has a value that it cannot have, or if the first
            argument is no run.
        SystemExit: If an option is unknown, after a message, or help was asked for.
    """
    rest, chosen = _extract(argv, ("env", "agent") if agent is not None else ("env",))
    folder, loaded = None, None
    if rest and not rest[0].startswith("-") and (run or positional_env):
        first = rest.pop(0)
        if run:
            folder = Path(first)
            if not folder.exists() and _is_task(first):
                raise UserError(f"{first} is a task and not a training run: write --env {first}")
            loaded = read_settings(folder)
        else:
            chosen.setdefault("env", first)
    default_env = loaded.env if loaded else f"{NAMESPACE}/TMaze-v0"
    env = canonical_id(chosen.get("env", default_env))
    agent_name = None
    if agent is not None:
        agent_name = chosen.get("agent", loaded.agent if loaded else agent).replace("-", "_")
        agent_class(agent_name)
    if folder is not None and loaded is not None and (env, agent_name) != (loaded.env, loaded.agent):
        raise UserError(f"{folder} is a run of {loaded.agent} on {loaded.env}: leave --env and --agent out")

    knobs = task_class(env).Settings
    omit: Any = tyro.conf.OmitArgPrefixes
    known = loaded.knobs | loaded.eval_knobs if loaded else {}
    fields: list[Any] = [
        ("verb", omit[verb], field(default_factory=verb)),
        ("env", knobs, field(default_factory=partial(knobs, **known))),
    ]
    where = "[RUN] " if run else ("[ENV] " if positional_env else "")
    summary = cleandoc(verb.__doc__ or "").partition("\n\nArgs:")[0]
    description = f"{summary}\n\nusage: {prog} {name} {where}[options]   Task: {env}, choose with --env ("
    description += ", ".join(TASKS) + ")."
    if agent_name is not None:
        description += f" Agent: {agent_name}, choose with --agent ({', '.join(AGENTS)})."

    def parsed_with(start: dict[str, Any]) -> Any:
        """Parse with the agent's options starting from some settings."""
        more: list[Any] = []
        if agent_name is not None and folder is None and agent_class(agent_name).Settings.__dataclass_fields__:
            settings = agent_class(agent_name).Settings
            more.append(("agent", settings, field(default_factory=partial(settings, **start))))
        options = make_dataclass("Options", fields + more, frozen=True)
        return tyro.cli(options, args=rest, prog=f"{prog} {name}", description=description)

    found = tuned_settings(agent_name, env) if tuned and agent_name is not None and folder is None else None
    parsed = parsed_with(found.agent if found else {})
    if found is not None and not found.fits(asdict(parsed.env)):
        found, parsed = None, parsed_with({})
    own = asdict(parsed.agent) if hasattr(parsed, "agent") else {}
    return Parsed(
        verb=parsed.verb,
        env=env,
        knobs=asdict(parsed.env),
        agent=agent_name,
        agent_settings=loaded.agent_settings if loaded else own,
        run=folder,
        run_settings=loaded,
        tuned=found,
    )


def _extract(argv: Sequence[str], names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Take ``--name value`` and ``--name=value`` out of a command line.

    Raises:
        UserError: If a value is missing.
    """
    rest, found, arguments = [], {}, list(argv)
    while arguments:
        word = arguments.pop(0)
        key, equals, value = word.partition("=")
        if key.removeprefix("--") in names and key.startswith("--"):
            if not equals:
                if not arguments or arguments[0].startswith("-"):
                    raise UserError(f"{key} needs a name, as in {key} {'TMaze-v0' if key == '--env' else 'ppo'}")
                value = arguments.pop(0)
            found[key.removeprefix("--")] = value
        else:
            rest.append(word)
    return rest, found
