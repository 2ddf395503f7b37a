"""The page of the suite ``working``: tasks in which the robot works while it remembers. See ``suite_page.py``."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from suite_rows import Reached, link, made_with, number, rows_of, table

from rlmem.benchmark.suite import Suite
from rlmem.benchmark.summary import Row, runs_of, score_interval
from rlmem.environments import task_spec
from rlmem.registry import short_id
from rlmem.spec import TaskSpec

_OURS, _UNTRAINED = "recurrent_ppo", "untrained memory"
_NO_MEMORY = ("no memory", "four frames")
_OTHERS = ("recurrent_ppo, reward only", "recurrent_ppo, GRU", "sb3-contrib, our LSTM start")
_LEARNT, _HARD = 0.9, 0.5
"""Memory scores: from the first on a task counts as learnt; up to the second it is too hard for untrained memory."""
_MISSING = "not measured"

_MADE = """\
In these tasks the robot works while it remembers: it drives through gates, presses pads or searches. Lamps and pads
look like the cue, and [docks](guard.md) wash away what it could note with its body. The first ten have their
preset `hard`, the last two their default knobs. An episode counts only if the robot did at least 80 % of the expert's
share of the work.

Made by `python scripts/suite_page.py --suite working` from {table}, a row a run of `rlmem benchmark working`: 200
held-out seeds, at most {steps:,} env steps{more}, ended where {validation} validation episodes reach a memory score of
{stop_at:g}, which some runs then miss in the test, {envs} environments, one thread a run."""
_TABLE = "[`working.csv`](../benchmarks/results/working.csv)"
_FURTHER = """\
`recurrent_ppo` has its tuned settings (`rlmem train` starts from them): in training its critic sees the full state, and
an [auxiliary loss](guides/train_on_your_environment.md#say-what-it-should-remember) asks of the actor's memory what is
to be remembered. Actors see the observation alone, in training and after it. In TMazeActive, TMazeEndless and
HiddenPath the expert's actions are [imitated at first](guides/train_on_your_environment.md#an-expert-to-begin-with),
with a weight that falls to 0: without it no agent learned to go and look, nor to drive on without end. *Reward only*
leaves out all three.
Settings were chosen by validation on runs with seeds from 100 on. Four were then changed after tests of runs like
those shown: where runs end, the steps of CountPress and DrawerSearch, the entropy of RememberSet, and both of
RememberSequence.
RememberSet, RememberSequence and DrawerSearch also draw the means of actions
[back into their bounds](guides/train_on_your_environment.md#when-it-knows-and-does-not-act-on-it), with more entropy.
RememberShape is left out: as numbers, it shows what RememberColor shows, and its runs are the same, step by step.
DrawerSearch as it comes is no task for trained memory: a fixed order and a counter are enough, and untrained memory
reaches 1.00. So its preset `hard` offers three of the six drawers in an act, drawn anew for each.
Its runs are of before its arm was paid for coming near from farther than 0.10 m, which changes training alone.
Concentration has three pairs. Of four in eight turns, its default knobs once, an agent with these settings finds 0.19
to 0.26 in the last seven validations of 2,490,368 steps (`rlmem train --env Concentration-v0 --env.pairs 4 --env.turns
8`, stopped then), less than guessing, which finds 0.37.

Not of the suite: how far back the T-maze's robot remembers while it drives through gates, with a dock every 100 control
steps ([table](../benchmarks/results/working_horizon.md), `python scripts/working_horizon.py`). Trained on at most 1,000
steps, 5 of 5 runs turn right in at least 0.99 of the episodes there and in 0.98 at 10,000, with either robot:
`planar`, and `diff_drive`, whose wheels roll by friction, in 133 to 401 CPU seconds."""
_LEGEND = """\
Interquartile mean over runs, in brackets its 95 % bootstrap interval; of one run the interval over its episodes. The
memory score is 0 at the ceiling without memory and 1 at the oracle. Env steps and CPU seconds are medians."""
_EXPERTS = """\
## What the experts reach

A scripted expert knows the cue. Its work is the share of gates or pads that it does."""
_REACHED = """\
## What is reached

Success, or the score that the task counts. *No memory* is `recurrent_ppo` with the memoryless cell; *four frames* sees
the last four observations, fewer than a dock lasts (both: {short:,} env steps); *untrained memory* has an LSTM that
stays as it is initialized, and trains all else ({untrained:,})."""
_SCORES = """\
## Memory scores of recurrent agents

All have one LSTM and the same settings, but for what the columns say. sb3-contrib's agent has its own settings, our
forget biases, rewards alone, and fewer env steps: its CPU time a step is many times ours."""
_IS_IT = """\
## Is it memory, and does the robot still work?

Of `recurrent_ppo`: success with the hidden state zeroed as the query begins, which falls to the ceiling where the
answer was remembered, and the share of the work that was done."""
_COST = """\
## What it costs"""


def working_page(rows: Sequence[Row], suite: Suite) -> str:
    """Return the page in Markdown.

    Args:
        rows: Of the table; those that are not of the suite are left out.
        suite: ``working``.
    """
    mine = rows_of(suite, rows)
    specs = {task.env: task_spec(task.env, task.knobs) for task in suite.task}
    of = {env: Reached([row for row in mine if row["env"] == env], _MISSING) for env in specs}
    source = _TABLE if rows else "`working.csv` (no rows yet)"
    shared = {"steps": suite.steps, "stop_at": suite.stop_at, "envs": suite.envs, "validation": suite.eval_episodes}
    made = _MADE.format(table=source, more=_more_steps(suite), **shared)
    of_agent = {agent.label: agent.steps or suite.steps for agent in suite.agent}
    reached = _REACHED.format(short=of_agent[_NO_MEMORY[0]], untrained=of_agent[_UNTRAINED])
    parts = ["# Memory while working", _summary(mine, suite, of), made, _FURTHER, _LEGEND]
    parts += [_EXPERTS, table(_expert_lines(specs, of))]
    parts += [reached, table(_lines(specs, of, (*_NO_MEMORY, _UNTRAINED, _OURS)))]
    parts += [_SCORES, table(_score_lines(of)), _IS_IT, table(_lesion_lines(specs, of)), _COST, table(_cost_lines(of))]
    parts += [made_with(mine)] if mine else []
    return "\n\n".join(parts) + "\n"


def _more_steps(suite: Suite) -> str:
    """Return which tasks have how many env steps of their own, in brackets."""
    steps = sorted({task.steps for task in suite.task if task.steps})
    named = {n: [_name(task.env) for task in suite.task if task.steps == n] for n in steps}
    said = "; ".join(f"{', '.join(names)} {n:,}" for n, names in named.items())
    return f" ({said})" if said else ""


def _summary(rows: Sequence[Row], suite: Suite, of: dict[str, Reached]) -> str:
    """Return how much is measured, and what of it reaches the bars."""
    runs, tasks = suite.jobs(), list(of)
    said = [f"**{len({row['cell'] for row in rows})} of the {len(runs)} runs of the suite are measured.**"]
    ours, untrained = ([of[env].runs(agent) for env in tasks if of[env].runs(agent)] for agent in (_OURS, _UNTRAINED))
    if ours:
        learnt = sum(min(runs_of(found, "memory_score")) >= _LEARNT for found in ours)
        counts = sorted({len(found) for found in ours})
        each = " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))
        said.append(
            f"`{_OURS}` reaches a memory score of {_LEARNT} on {learnt} of {len(ours)} tasks measured, in each of "
            f"{each} runs."
        )
    if untrained:
        hard = sum(score_interval(found).value <= _HARD for found in untrained)
        said.append(f"Untrained memory reaches at most {_HARD} on {hard} of {len(untrained)}.")
    missing = []
    for agent in suite.agent:
        lacking = [_name(env) for env in tasks if not of[env].runs(agent.label)]
        if lacking:
            which = "any task" if len(lacking) == len(tasks) else ", ".join(lacking)
            missing.append(f"{agent.label} on {which}")
    if missing:
        said.append(f"Not measured yet: {'; '.join(missing)}.")
    return " ".join(said)


def _lines(specs: dict[str, TaskSpec], of: dict[str, Reached], agents: Sequence[str]) -> list[list[str]]:
    """Return what agents reach, beside the ceiling without memory."""
    agents = _measured(of, agents)
    head = ["task", "ceiling without memory", *map(_shown, agents)]
    return [head] + [
        [_link(env), number(spec.memoryless.value), *(of[env].value(agent) for agent in agents)]
        for env, spec in specs.items()
    ]


def _score_lines(of: dict[str, Reached]) -> list[list[str]]:
    agents = _measured(of, (_UNTRAINED, _OURS, *_OTHERS))
    head = ["task", *map(_shown, agents)]
    return [head] + [[_link(env), *(reached.score(agent) for agent in agents)] for env, reached in of.items()]


def _expert_lines(specs: dict[str, TaskSpec], of: dict[str, Reached]) -> list[list[str]]:
    lines = [["task", "remembered", "ceiling without memory", "expert", "its work", "oracle"]]
    for env, spec in specs.items():
        memory, reached = f"{spec.memory}, {spec.bits_in_words}", of[env]
        values = number(spec.memoryless.value), reached.value("expert"), _mean(reached.runs("expert"), "work")
        lines.append([_link(env), memory, *values, number(spec.oracle.value)])
    return lines


def _lesion_lines(specs: dict[str, TaskSpec], of: dict[str, Reached]) -> list[list[str]]:
    lines = [["task", _shown(_OURS), "state zeroed", "ceiling without memory", "work"]]
    for env, spec in specs.items():
        zeroed, work = (_mean(of[env].runs(_OURS), column) for column in ("lesioned", "work"))
        lines.append([_link(env), of[env].value(_OURS), zeroed, number(spec.memoryless.value), work])
    return lines


def _cost_lines(of: dict[str, Reached]) -> list[list[str]]:
    agents = _measured(of, (_OURS, *_OTHERS))
    head = ["task", *(f"{_shown(agent)}: env steps, CPU s" for agent in agents)]
    return [head] + [[_link(env), *(_cost(reached, agent) for agent in agents)] for env, reached in of.items()]


def _measured(of: dict[str, Reached], agents: Sequence[str]) -> Sequence[str]:
    """Return the agents that were run on any task, since a column without a number says nothing; all if none was."""
    return [agent for agent in agents if any(reached.runs(agent) for reached in of.values())] or agents


def _cost(reached: Reached, agent: str) -> str:
    if not reached.runs(agent):
        return _MISSING
    return ", ".join(reached.cost(agent, column) for column in ("env_steps", "cpu_seconds"))


def _mean(rows: Sequence[Row], column: str) -> str:
    """Return the mean of a column, "not measured" without rows, and nothing where the task has no such number."""
    if not rows:
        return _MISSING
    values = runs_of(rows, column)
    return number(fmean(values)) if values else ""


def _shown(agent: str) -> str:
    return f"`{agent}`" if agent == _OURS else agent


def _name(env: str) -> str:
    return short_id(env).removesuffix("-v0")


def _link(env: str) -> str:
    return link(short_id(env))
