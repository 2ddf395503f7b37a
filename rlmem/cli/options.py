"""Command lines whose options follow from the environment and the agent: ``--env TMaze-v0 --env.memory-length 50``.

The knobs of the environment and the settings of the agent are options, so a new one is on the command line as soon as
it exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlmem.cli.arguments import Group, HelpWanted, parse_groups
from rlmem.cli.help import help_text
from rlmem.environments import knobs_class, with_preset
from rlmem.errors import UserError
from rlmem.registry import agent_name, agent_settings_class, canonical_id, is_environment, short_id
from rlmem.runs.named import ZOO, is_named, run_folder, zoo
from rlmem.runs.settings import RunSettings, read_settings
from rlmem.runs.tuned import Tuned, tuned_settings
from rlmem.suggest import one_of

_FIRST_TASK = "TMaze-v0"


@dataclass(frozen=True)
class Parsed:
    """A command line, parsed."""

    verb: Any
    """The verb's own options."""
    env: str
    """Id of the environment."""
    knobs: dict[str, Any]
    agent: str | None
    agent_settings: dict[str, Any]
    run: Path | None
    """Folder of the run named on the command line."""
    run_name: str
    """How it is named there, such as ``"zoo:TMaze-v0"``; "" if none is."""
    run_settings: RunSettings | None
    given: Mapping[str, Any]
    """The options that were given, such as ``"--agent"``, and their values."""
    tuned: Tuned | None = None
    """Settings found by tuning from which ``agent_settings`` start, where they were asked for and fit the knobs."""


@dataclass(frozen=True, kw_only=True)
class _TaskChoice:
    """The task.

    Args:
        env: Task; `rlmem list` shows them all.
    """

    env: str = _FIRST_TASK


@dataclass(frozen=True, kw_only=True)
class _Choice(_TaskChoice):
    """The environment and the agent.

    Args:
        env: Task (`rlmem list` shows them all), or the id of any Gymnasium environment; module:Name-v0 imports the
            module first.
        agent: Agent (`rlmem list` shows them all); module:Class is one of your own.
    """

    agent: str = ""


def parse(
    verb: type[Any],
    argv: Sequence[str],
    *,
    name: str,
    prog: str = "rlmem",
    agent: str | None = None,
    run: bool = False,
    positional_env: bool = False,
    tuned: bool = False,
) -> Parsed:
    """Parse a verb's command line; print its help and exit if that is asked for.

    Args:
        verb: Dataclass of the verb's own options; its docstring is the help.
        argv: Arguments after the verb.
        name: The verb.
        prog: The program whose verb it is, as its help names it.
        agent: Default agent; None where the verb has no agent.
        run: Whether the first argument may be a training run: its folder, or a name as of
            :func:`rlmem.runs.named.run_folder`.
        positional_env: Whether the first argument may be an environment's id.
        tuned: Whether the agent's settings start from those found by tuning, where they fit the task's knobs.

    Raises:
        UserError: If the environment, agent or run is unknown, or an option is unknown or has a wrong value.
        SystemExit: After the help.
    """
    rest, folder, run_name, loaded = list(argv), None, "", None
    chosen = _peek(rest, ("env", "agent"))
    if rest and not rest[0].startswith("-") and (run or positional_env):
        first = rest.pop(0)
        if run:
            folder, loaded = run_folder(first), _read_run(first)
            run_name = first if is_named(first) else str(folder)
        else:
            chosen.setdefault("env", first)
    env = environment_id(chosen.get("env", loaded.env if loaded else _FIRST_TASK))
    acting = None if agent is None else agent_name(chosen.get("agent", loaded.agent if loaded else agent))
    if loaded is not None and (env, acting or loaded.agent) != (loaded.env, loaded.agent):
        raise UserError(f"{run_name} is a run of {loaded.agent} on {loaded.env}: leave --env and --agent out")
    if loaded is not None and (word := next((word for word in rest if word.startswith("--agent.")), "")):
        raise UserError(f"{run_name} keeps the settings of its agent: leave {word.partition('=')[0]} out")
    options, knobs = Group(verb), _knob_group(env, _take(rest, "--env.preset"), _test_knobs(loaded))
    groups = [options, knobs]
    if agent is not None:
        groups.insert(0, Group(_Choice, "environment and agent", start={"env": env, "agent": acting}))
    elif not run:
        groups.insert(0, Group(_TaskChoice, "task", start={"env": env}))
    found = None
    if acting is not None and loaded is None:
        found = tuned_settings(acting, env) if tuned else None
        groups.append(_agent_group(acting, found))
    command, argument = f"{prog} {name}", "[ENV]" if positional_env else ""
    asking = f"{command} --env {short_id(env)}" if "--env" in {word.partition("=")[0] for word in rest} else command
    if run:
        argument = "RUN" if agent is None else "[RUN]"
    try:
        made, given = parse_groups(rest, groups, asking)
    except HelpWanted:
        print(help_text(verb, groups, command, argument))
        raise SystemExit(0) from None
    chosen_knobs = asdict(made[groups.index(knobs)])
    if found is not None and (fitting := found.fitting(chosen_knobs)) is not found:
        found, groups[-1] = fitting, _agent_group(acting or "", fitting)
        made, _ = parse_groups(rest, groups, command)
    return Parsed(
        verb=made[groups.index(options)],
        env=env,
        knobs=chosen_knobs,
        agent=acting,
        agent_settings=loaded.agent_settings if loaded else asdict(made[-1]) if acting else {},
        run=folder,
        run_name=run_name,
        run_settings=loaded,
        given=given,
        tuned=found,
    )


def environment_id(name: str) -> str:
    """Return the whole id of an environment, as :func:`rlmem.registry.canonical_id` does.

    Raises:
        UserError: If there is none; the message says so if a trained agent has the name.
    """
    if is_named(name) or (name in zoo() and not is_environment(name)):
        agent = name if is_named(name) else f"{ZOO}{name}"
        more = f": `rlmem zoo {agent.removeprefix(ZOO)}` shows its card" if agent.startswith(ZOO) else ""
        raise UserError(f"{agent} is a trained agent and no environment{more}")
    return canonical_id(name)


def _test_knobs(run: RunSettings | None) -> dict[str, Any]:
    return run.knobs | run.eval_knobs if run else {}


def _knob_group(env: str, preset: str | None, start: dict[str, Any]) -> Group:
    """Return the options of an environment's knobs; those of a preset may be changed one by one."""
    cls = knobs_class(env)
    names = " or ".join(getattr(cls, "PRESETS", {}))
    title = f"knobs of {env}" + (f" (--env.preset {names} sets several)" if names else "")
    named = {} if preset is None else with_preset(cls, {"preset": preset}, env)
    return Group(cls, title, "env.", start | named)


def _agent_group(agent: str, tuned: Tuned | None) -> Group:
    return Group(agent_settings_class(agent), f"settings of {agent}", "agent.", tuned.agent if tuned else {})


def _read_run(name: str) -> RunSettings:
    if not is_named(name) and not Path(name).exists() and is_environment(name):
        trained = [f"{ZOO}{found}" for found in zoo() if found in (short_id(name), f"{short_id(name)}-v0")]
        raise UserError(f"{name} is no training run: write {one_of([f'--env {name}', *trained])}")
    return read_settings(run_folder(name))


def _take(argv: list[str], flag: str) -> str | None:
    """Remove an option from the arguments and return its value, None if it is not there."""
    for at, word in enumerate(argv):
        if word == flag or word.startswith(f"{flag}="):
            value = word.partition("=")[2] if "=" in word else argv.pop(at + 1) if at + 1 < len(argv) else ""
            del argv[at]
            return value
    return None


def _peek(argv: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the values of some options before the others are known, since these depend on them."""
    found = {}
    for word, following in zip(argv, [*argv, ""][1:], strict=True):
        key, equals, value = word.partition("=")
        if key in (f"--{name}" for name in names) and (equals or (following and not following.startswith("--"))):
            found[key.removeprefix("--")] = value if equals else following
    return found
