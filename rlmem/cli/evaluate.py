"""``rlmem evaluate``: success or return on held-out seeds, with a 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rlmem.cli.arguments import check_least
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.options import Parsed, parse
from rlmem.cli.text_table import filled
from rlmem.cli.work_bar import work_bar
from rlmem.digits import measured_number, short_number
from rlmem.environments import LENGTH_KNOBS, by_preset
from rlmem.envs.work import ENOUGH
from rlmem.errors import UserError
from rlmem.evaluation.seeds import test_seeds, validation_seeds
from rlmem.registry import agent_class

if TYPE_CHECKING:
    from rlmem.evaluation.episodes import Evaluation
    from rlmem.evaluation.lesion import Kind, Lesion, LesionTest

_ENVS = 50
_UNKNOWN = "its own"
"""What is said of an agent that does not tell how far back it sees, or what it learned from, as in benchmarks."""
_CHOSEN = (
    "This step is the middle of an episode, chosen since no episode comes to a query (for freeze: a cue) at which to "
    "make the lesion: --lesion-step N names another"
)


@dataclass(frozen=True, kw_only=True)
class Evaluate(JsonOption):
    """Evaluate a training run, a baseline, or an agent of your own, on held-out seeds.

    Knobs may differ from those of training. --lesion zeroes, swaps or freezes the hidden state during the episode: if
    the agent uses its memory, success then falls to the ceiling without memory.

    Args:
        policy: An agent of your own, as module:name or path/to/file.py:name: an object with a recurrent predict, or a
            function that acts or that makes such an object. Its code is run.
        lesion: Zero the hidden state, swap it with that of another episode, or freeze it.
        lesion_phase: Phase in which the lesion is made; the query if not given, and the cue for freeze.
        lesion_step: Control step of the episode at which the lesion is made, instead of a phase; the middle of an
            episode if neither is given and no episode comes to a query.
        episodes: Number of episodes, each with a seed of its own.
        seeds: Use test seeds for results, validation seeds for choosing settings.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.
        stochastic: Sample actions instead of taking the most likely.

    Examples:
        rlmem evaluate runs/TMaze-v0/recurrent_ppo/0 --env.memory-length 50
        rlmem evaluate runs/TMaze-v0/recurrent_ppo/0 --json
        rlmem evaluate --policy examples/own_agent.py:WriteItDown --lesion zero
    """

    policy: str | None = None
    lesion: Literal["zero", "freeze", "swap"] | None = None
    lesion_phase: str | None = None
    lesion_step: int | None = None
    episodes: int = 200
    seeds: Literal["test", "validation"] = "test"
    which: str = "best"
    stochastic: bool = False

    def __post_init__(self) -> None:
        check_least(self, episodes=1, lesion_step=1)


def run(argv: Sequence[str]) -> int:
    """Evaluate and print a table."""
    parsed = parse(Evaluate, argv, name="evaluate", agent="expert", run=True)
    options: Evaluate = parsed.verb
    with json_output(options.json) as write:
        write(_evaluate(parsed))
    return 0


def _evaluate(parsed: Parsed) -> dict[str, Any]:
    """Evaluate, print a table, and return the numbers."""
    options: Evaluate = parsed.verb
    seeds = {"test": test_seeds, "validation": validation_seeds}[options.seeds](options.episodes)
    lesion = _lesion(options)
    name, agent = acting_agent(parsed)
    from rlmem.evaluation.episodes import evaluate, make_test_env
    from rlmem.evaluation.lesion import lesion_test

    env = make_test_env(parsed.env, min(_ENVS, options.episodes), parsed.knobs)
    try:
        test: LesionTest | None = None
        what = f"evaluating {options.episodes} episodes"
        with work_bar(what) as tell:
            given: dict[str, Any] = {
                "deterministic": not options.stochastic,
                "progress": lambda share: tell(share, what),
            }
            if lesion is None:
                result = evaluate(agent, env, seeds, **given)
            else:
                test = lesion_test(agent, env, lesion, seeds=seeds, **given)
                result = test.intact
    finally:
        env.close()
    context, information = (getattr(agent, name, _UNKNOWN) for name in ("context", "information"))
    known = "" if information == _UNKNOWN else f"; information: {information}"
    print(f"{heading(parsed, name)}\n{options.episodes} {options.seeds} seeds, context: {context}{known}")
    print(summary(result))
    if test is not None:
        print(lesion_summary(test))
        if isinstance(lesion, str) and test.lesion.step is not None:
            print("\n".join(f"  {line}" for line in filled(_CHOSEN, less=2)))
    row: dict[str, Any] = {"env": parsed.env, "agent": name, "knobs": parsed.knobs, "seeds": options.seeds}
    row |= {"context": context, "information": information}
    row |= {"run": parsed.run_name, "which": options.which, "stochastic": options.stochastic}
    return row | result.as_dict() | ({"lesion": test.as_dict()} if test else {})


def acting_agent(parsed: Parsed) -> tuple[str, Any]:
    """Return the name of the agent that a command line names, and the agent.

    Raises:
        UserError: If a run and a policy are named, or an agent and a policy, or a learning agent without a run.
    """
    from rlmem.evaluation.episodes import make_test_env

    env = make_test_env(parsed.env, 1, parsed.knobs)
    try:
        return named_agent(parsed, env)
    finally:
        env.close()


def named_agent(parsed: Parsed, env: Any) -> tuple[str, Any]:
    """Return the same for an environment, single or vector."""
    from rlmem.evaluation.own_agent import load_policy

    options = parsed.verb
    if options.policy is None:
        return parsed.agent or "", chosen_agent(parsed, env, options.which)
    if parsed.run is not None or "--agent" in parsed.given:
        raise UserError("--policy names the agent: leave out the run and --agent")
    return options.policy, load_policy(options.policy, env)


def chosen_agent(parsed: Parsed, env: Any, which: str) -> Any:
    """Return the agent that a command line names, with its weights, for an environment, single or vector.

    Raises:
        UserError: If a learning agent is named without a run.
    """
    from rlmem.runs.training import agent_for, load_agent

    if parsed.run is not None:
        return load_agent(parsed.run, env, which)
    cls = agent_class(parsed.agent or "")
    if cls.learns:
        raise UserError(
            f"agent {parsed.agent!r} must be trained first: name the folder of its run, runs/ENV/AGENT/SEED"
        )
    return agent_for(cls, cls.Settings(**parsed.agent_settings), env)


def _lesion(options: Evaluate) -> Lesion | Kind | None:
    """Return the lesion that is asked for, or its kind where it is not said when."""
    from rlmem.evaluation.lesion import Lesion

    if options.lesion is None:
        if options.lesion_phase is not None or options.lesion_step is not None:
            raise UserError("--lesion-phase and --lesion-step need --lesion zero, freeze or swap")
        return None
    if options.lesion_phase is not None and options.lesion_step is not None:
        raise UserError("give --lesion-phase or --lesion-step, not both")
    if options.lesion_phase is not None:
        return Lesion(kind=options.lesion, phase=options.lesion_phase)
    return options.lesion if options.lesion_step is None else Lesion(kind=options.lesion, step=options.lesion_step)


def heading(parsed: Parsed, agent: str) -> str:
    """Return which agent acts, of which run, and where: ``ppo (zoo:TMaze-v0) on rlmem/TMaze-v0, memory length 20``."""
    run = f" ({parsed.run_name})" if parsed.run_name else ""
    return f"{agent}{run} on {task_in_words(parsed)}"


def task_in_words(parsed: Parsed) -> str:
    """Return the environment, the preset that its other knobs are, if any, and its memory and credit lengths."""
    preset = by_preset(parsed.env, parsed.knobs, besides=LENGTH_KNOBS).get("preset")
    named = f", preset {preset}" if preset else ""
    return f"{parsed.env}{named}{lengths_in_words(parsed.knobs)}"


def lengths_in_words(knobs: Mapping[str, Any]) -> str:
    """Return the memory and credit lengths among knobs in words, such as ", memory length 5 to 20"."""
    words = ""
    for knob in LENGTH_KNOBS:
        length = knobs.get(knob)
        if length is not None:
            value = f"{length[0]} to {length[1]}" if isinstance(length, (list, tuple)) else str(length)
            words += f", {knob.replace('_', ' ')} {value}"
    return words


def summary(result: Evaluation) -> str:
    """Return the numbers of an evaluation in a few lines."""
    lines = [_value(result)]
    if result.spec is not None:
        spec = result.spec
        without = f" {short_number(result.ceiling)}" if spec.memoryless.known else ": not measured"
        lines.append(f"  {'ceilings':<14}memoryless{without}, oracle {short_number(spec.oracle.value)}")
        if spec.memoryless.known:
            score = "none" if math.isnan(result.memory_score) else f"{result.memory_score:.3f}"
            lines.append(f"  {'memory score':<14}{score}{'   (no memory to measure)' * (spec.n_bits == 0)}")
        if result.work is not None:
            least = 0.0 if spec.expert_work is None else ENOUGH * spec.expert_work
            enough = f"   an episode counts from {least:.2g} on" if least else ""
            lines.append(f"  {'work done':<14}{result.mean_work:.3f}{enough}")
    if result.quantity != "return":
        lines.append(f"  {'mean return':<14}{measured_number(float(result.returns.mean()))}")
    lines += [
        f"  {'mean length':<14}{result.lengths.mean():.1f} control steps",
        f"  {'cost':<14}{result.env_steps:,} env steps, {result.cpu_seconds:.1f} CPU seconds",
    ]
    return "\n".join(lines)


def _value(result: Evaluation) -> str:
    """Return what was reached, with its interval, in a line."""
    value, low, high = map(measured_number, (result.value, *result.interval))
    return f"  {result.measure:<14}{value}   95 % interval {low} to {high}"


def lesion_summary(test: LesionTest) -> str:
    """Return the effect of a lesion in a few lines."""
    lines = [f"hidden state {test.lesion.words} (in {test.acted} episodes)", _value(test.lesioned)]
    if len(test.same_cue) and len(test.other_cue):
        same, other = test.same_cue, test.other_cue
        lines.append(f"  {'of these':<14}{same.mean():.3f} where the other episode had the same cue ({len(same)}), ")
        lines[-1] += f"{other.mean():.3f} where it had another ({len(other)})"
    return "\n".join([*lines, *(f"  {line}" for line in filled(test.verdict, less=2))])
