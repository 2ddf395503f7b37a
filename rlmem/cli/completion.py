"""``rlmem completion``: a script that completes verbs, options, tasks, agents and knobs in a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, get_args, get_origin

from rlmem.cli.arguments import Group, Option
from rlmem.cli.help import cli
from rlmem.environments import knobs_class
from rlmem.errors import UserError
from rlmem.registry import AGENTS, NAMESPACE, TASKS, agent_settings_class

SHELLS = ("bash", "zsh", "fish")
_TASK_FIRST = ("list", "audit", "play")
"""Verbs whose first argument is a task."""
_KNOBS = ("train", "evaluate", "memory", "render", "report", "export", "play", "audit")
"""Verbs that take the task's knobs."""
_AGENT = ("train", "evaluate", "memory", "render")
"""Verbs that take an agent."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes verbs, options, tasks, agents and knobs in bash, zsh or fish.

    The knobs are those of the task that --env names, or of all tasks where none is named.

    Examples:
        rlmem completion bash >> ~/.bashrc
        rlmem completion zsh >> ~/.zshrc
        rlmem completion fish > ~/.config/fish/completions/rlmem.fish
    """


def run(argv: Sequence[str]) -> int:
    """Print the script."""
    names = [word for word in argv if not word.startswith("-")]
    cli(Completion, [word for word in argv if word.startswith("-")], "rlmem completion", "|".join(SHELLS))
    if len(names) != 1 or names[0] not in SHELLS:
        raise UserError(f"for which shell? {', '.join(SHELLS)}, as in rlmem completion bash")
    print(_fish() if names[0] == "fish" else _bash(zsh=names[0] == "zsh"))
    return 0


def _verbs() -> dict[str, Group]:
    """Return the options of each verb."""
    from rlmem.cli.main import VERBS

    return {verb: Group(getattr(import_module(f"rlmem.cli.{verb}"), verb.title())) for verb in VERBS}


def _flags(group: Group) -> list[str]:
    return [group.flag(name) for name in group.options]


def _choices(option: Option) -> list[str]:
    """Return the words that an option may have, where they are few."""
    parts = [option.hint, *get_args(option.hint)]
    return [*option.names, *(str(word) for part in parts if get_origin(part) is Literal for word in get_args(part))]


def _knobs(task: str) -> Group:
    return Group(knobs_class(f"{NAMESPACE}/{task}"), prefix="env.")


def _settings(agent: str) -> Group:
    return Group(agent_settings_class(agent), prefix="agent.")


def _cases(table: dict[str, list[str]]) -> Iterator[str]:
    """Return the branches of a shell's ``case`` that print words."""
    for name, words in table.items():
        yield f"    {name}) echo {shlex.quote(' '.join(words))} ;;"


def _bash(*, zsh: bool) -> str:
    """Return the script for bash, or the same for zsh, which can run it."""
    verbs = _verbs()
    options = {verb: _flags(group) for verb, group in verbs.items()}
    for verb in options:
        options[verb] += ["--help", *(["--env"] * (verb in _AGENT)), *(["--agent"] * (verb in _AGENT))]
    known = [*verbs.values(), *map(_knobs, TASKS), *map(_settings, AGENTS)]
    values = {
        group.flag(name): words
        for group in known
        for name, option in group.options.items()
        if (words := _choices(option))
    }
    values |= {"--env": [*TASKS], "--agent": [*AGENTS]}
    knobs = {task: _flags(_knobs(task)) for task in TASKS}
    agents = {agent: _flags(_settings(agent)) for agent in AGENTS}
    every = sorted({knob for found in knobs.values() for knob in found})
    lines = [
        "# completion of rlmem, made by `rlmem completion`",
        *(["autoload -U +X compinit && compinit", "autoload -U +X bashcompinit && bashcompinit"] if zsh else []),
        "_rlmem_options() {",
        '  case "$1" in',
        *_cases(options),
        "  esac",
        "}",
        "_rlmem_values() {",
        '  case "$1" in',
        *_cases(values),
        "  esac",
        "}",
        "_rlmem_knobs() {",
        '  case "$1" in',
        *_cases(knobs | {"*": every}),
        "  esac",
        "}",
        "_rlmem_settings() {",
        '  case "$1" in',
        *_cases(agents),
        "  esac",
        "}",
        "_rlmem() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="${COMP_WORDS[1]}"',
        '  local env="" agent="" words="" i',
        "  for ((i = 1; i < COMP_CWORD; i++)); do",
        '    [ "${COMP_WORDS[i]}" = --env ] && env="${COMP_WORDS[i+1]#*/}"',
        '    [ "${COMP_WORDS[i]}" = --agent ] && agent="${COMP_WORDS[i+1]}"',
        "  done",
        f'  case "$verb" in {"|".join(_TASK_FIRST)}) env="${{COMP_WORDS[2]#*/}}" ;; esac',
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f"    words={shlex.quote(' '.join([*verbs, '--help', '--version']))}",
        '  elif [ -n "$(_rlmem_values "$before")" ]; then',
        '    words="$(_rlmem_values "$before")"',
        '  elif [ "${word#-}" != "$word" ]; then',
        '    words="$(_rlmem_options "$verb")"',
        f'    case "$verb" in {"|".join(_KNOBS)}) words="$words $(_rlmem_knobs "$env")" ;; esac',
        f'    case "$verb" in {"|".join(_AGENT)})',
        '      words="$words $(_rlmem_settings "${agent:-recurrent_ppo}")" ;; esac',
        '  elif [ "$COMP_CWORD" -eq 2 ]; then case "$verb" in',
        f"    {'|'.join(_TASK_FIRST)}) words={shlex.quote(' '.join(TASKS))} ;;",
        f"    completion) words={shlex.quote(' '.join(SHELLS))} ;;",
        "  esac; fi",
        '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "}",
        "complete -o default -F _rlmem rlmem",
    ]
    return "\n".join(lines)


def _fish() -> str:
    """Return the script for fish, where each option has its line of help."""
    from rlmem.cli.main import VERBS

    lines = ["# completion of rlmem, made by `rlmem completion`"]
    lines += [f"complete -c rlmem -f -n __fish_use_subcommand -a {v} -d {_fish_quoted(w)}" for v, w in VERBS.items()]
    for verb, group in _verbs().items():
        lines += _fish_options(group, [verb])
    for verb in _TASK_FIRST:
        lines.append(f"complete -c rlmem -f -n '__fish_seen_subcommand_from {verb}' -a {_fish_quoted(' '.join(TASKS))}")
    seen: set[str] = set()
    for groups, verbs in ((map(_knobs, TASKS), _KNOBS), (map(_settings, AGENTS), _AGENT)):
        for group in groups:
            lines += _fish_options(group, verbs, seen)
    for option, words in (("env", TASKS), ("agent", AGENTS)):
        seen_verbs = f"'__fish_seen_subcommand_from {' '.join(_AGENT)}'"
        lines.append(f"complete -c rlmem -x -n {seen_verbs} -l {option} -a {_fish_quoted(' '.join(words))}")
    return "\n".join(lines)


def _fish_options(group: Group, verbs: Sequence[str], seen: set[str] | None = None) -> Iterator[str]:
    """Return a line for each option of a group that has not been seen yet."""
    for name, option in group.options.items():
        flag = group.flag(name).removeprefix("--")
        if seen is not None:
            if flag in seen:
                continue
            seen.add(flag)
        words = _choices(option)
        takes = "" if option.hint is bool else f" -x -a {_fish_quoted(' '.join(words))}" if words else " -r"
        about = _fish_quoted(option.explanation.partition(". ")[0].rstrip("."))
        yield f"complete -c rlmem -n '__fish_seen_subcommand_from {' '.join(verbs)}' -l {flag}{takes} -d {about}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("``", "") + "'"
