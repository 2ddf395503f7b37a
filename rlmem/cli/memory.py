"""``rlmem memory``: measure whether an agent remembers, how far back, and how much."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlmem import __version__
from rlmem.cli.arguments import check_least
from rlmem.cli.evaluate import acting_agent, heading, task_in_words
from rlmem.cli.json_output import JsonOption, json_output
from rlmem.cli.options import Parsed, parse
from rlmem.cli.outputs import writable_file
from rlmem.cli.text_table import filled
from rlmem.cli.work_bar import work_bar
from rlmem.digits import measured_number, short_number
from rlmem.errors import UserError
from rlmem.evaluation.seeds import test_seeds
from rlmem.files import json_text, json_values, write_text
from rlmem.registry import agent_class
from rlmem.runs.checkpoints import checkpoint_path, fingerprint
from rlmem.runs.named import file_name, is_named

if TYPE_CHECKING:
    from rlmem.evaluation.episodes import Evaluation
    from rlmem.evaluation.memory import MemoryReport


@dataclass(frozen=True, kw_only=True)
class Memory(JsonOption):
    """Measure an agent's memory: lesions, noise, a probe of the hidden state, memory horizon, decay of the gradient.

    Prints a table, and writes numbers and a figure to the folder RUN/memory. Knobs are those at which the run was
    evaluated, unless given. On environments of other packages, lesions and horizon are measured by success or return.

    Args:
        policy: An agent of your own, as for rlmem evaluate.
        episodes: Episodes of each measurement, each with a test seed of its own.
        lengths: Memory lengths of the horizon curve; if not given, up to ten times the longest of training.
        which: Weights of the run: best on validation seeds, last, or the control steps of a checkpoint that was kept.
        out: Folder for numbers and figure; RUN/memory if not given, memory/NAME for zoo:NAME, and memory if there is
            no run.

    Examples:
        rlmem memory runs/TMaze-v0/recurrent_ppo/0 --lengths 20 50 100
        rlmem memory --policy my_agent.py:Agent --env CartPole-v1
    """

    policy: str | None = None
    episodes: int = 200
    lengths: tuple[int, ...] = ()
    which: str = "best"
    out: Path | None = None

    def __post_init__(self) -> None:
        check_least(self, episodes=2, lengths=1)


def run(argv: Sequence[str]) -> int:
    """Measure, print a table, leave numbers and a figure."""
    parsed = parse(Memory, argv, name="memory", agent="expert", run=True)
    options: Memory = parsed.verb
    if parsed.run is None and options.policy is None and "--agent" not in parsed.given:
        raise UserError("whose memory? Name the folder of a run, runs/ENV/AGENT/SEED, or --policy module:name")
    with json_output(options.json) as write:
        write(_measure(parsed))
    return 0


def _measure(parsed: Parsed) -> dict[str, Any]:
    """Measure, print a table, leave numbers and a figure, and return the numbers."""
    options: Memory = parsed.verb
    seeds = test_seeds(options.episodes)
    out = options.out or _folder(parsed)
    name, agent = acting_agent(parsed)
    numbers, figure = (writable_file(out / f"memory{ending}", "--out") for ending in (".json", ".png"))
    made = {"agent": name, "env": parsed.env, "knobs": parsed.knobs, "episodes": options.episodes} | _weights(parsed)
    _keep_better(numbers, made)
    from rlmem.evaluation.memory import measure_memory
    from rlmem.figures.memory import plot_memory

    with work_bar("measuring") as tell:
        report = measure_memory(
            agent,
            parsed.env,
            knobs=parsed.knobs,
            seeds=seeds,
            lengths=sorted(set(options.lengths)) or None,
            trained_length=_trained(parsed),
            num_envs=min(25, options.episodes),
            progress=lambda share, what: tell(share, f"measuring {what}"),
        )
    _print(report, f"{heading(parsed, name)}, {options.episodes} test episodes")
    measured = made | report.as_dict()
    write_text(numbers, json_text(measured, indent=2) + "\n")
    plot_memory(report, figure, title=f"{name} on {task_in_words(parsed)}")
    print(f"numbers {out / 'memory.json'}   figure {out / 'memory.png'}")
    return measured


def _folder(parsed: Parsed) -> Path:
    """Return the folder of the results if ``--out`` names none."""
    if is_named(parsed.run_name):
        return Path("memory") / file_name(parsed.run_name)
    return (parsed.run or Path()) / "memory"


def _weights(parsed: Parsed) -> dict[str, str]:
    """Return which weights of a run are measured, and of what version of this package."""
    made = {"version": __version__}
    if parsed.run is not None and agent_class(parsed.agent or "").learns:
        path = checkpoint_path(parsed.run, parsed.verb.which)
        made |= {"run": parsed.run_name, "which": path.stem, "weights": fingerprint(path)}
    return made


def _keep_better(path: Path, made: Mapping[str, Any]) -> None:
    """Raise a UserError if a file holds a result of the same agent from more episodes, or with other knobs."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = all(found[name] == made[name] for name in ("agent", "env", "weights") if name in made)
        better = found["episodes"] > made["episodes"] or found["knobs"] != json_values(made["knobs"])
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
        return
    if same and better:
        raise UserError(f"{path} holds a result of more episodes or with other knobs: choose another --out")


def _print(report: MemoryReport, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("hidden state", report.intact.quantity, "95 % interval", "", title=title, title_justify="left")
    table.add_row("intact", *_numbers(report.intact), "")
    for test in report.lesions:
        said = "still above the ceiling" if test.lesioned.interval[0] > test.ceiling else ""
        if test.lesioned.interval[0] <= test.ceiling:
            said = "not above the ceiling"
        if len(test.same_cue) and len(test.other_cue):
            said += f"; donor's cue the same: {test.same_cue.mean():.2f}, another: {test.other_cue.mean():.2f}"
        table.add_row(test.lesion.words, *_numbers(test.lesioned), said)
    if report.noise is not None:
        burst = report.noise.burst
        said = f"{burst.steps} steps of noise on the observations, sigma {burst.sigma:g}"
        table.add_row("intact, noise in mid-delay", *_numbers(report.noise.disturbed), said)
    if report.spec is not None:
        known = report.spec.memoryless.known
        ceiling, said = (short_number(report.intact.ceiling), "the task's ceiling") if known else ("", "not measured")
        table.add_row("without memory, at most", ceiling, "", said, style="dim")
    console.print(table)
    for name, said in _others(report):
        for number, line in enumerate(filled(said, less=18)):
            console.print(f"  {'' if number else name:<16}{line}", markup=False, highlight=False, soft_wrap=True)
    verdict = "\n".join(filled(report.verdict))
    console.print(f"\n{verdict}", markup=False, highlight=False, style="bold", soft_wrap=True)


def _others(report: MemoryReport) -> list[tuple[str, str]]:
    """Return the names of the other measures and what they say."""
    from rlmem.evaluation.below_chance import in_words
    from rlmem.evaluation.horizon import length_in_words

    lines = []
    if report.body_swap is not None:
        follows = ", ".join(
            f"{name} {rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})"
            for name, rate in report.body_swap.rates.items()
        )
        swap = report.body_swap
        lines.append(("body swap", f"{swap.when}, the answer follows: {follows}; {swap.verdict}"))
    if report.span:
        spans = ", ".join(f"{point.knob:,} {short_number(point.result.value)}" for point in report.span)
        said = f"with the state zeroed every k steps: {spans}; intact {short_number(report.intact.value)}"
        lines.append(("memory span", said))
    if report.horizon is not None:
        lengths = [point.knob for point in report.horizon.points]
        at = [length_in_words(estimate, lengths) for estimate in (report.horizon.l50, report.horizon.l90)]
        said = f"longest memory length with a score of 0.5 (L50): {at[0]}, of 0.9 (L90): {at[1]} control steps"
        lines.append(("how far back", said))
    if report.below_chance:
        lines.append(("", in_words(report.below_chance)))
    if len(report.generalization) > 1:
        scores = ", ".join(f"{factor} x {score:.2f}" for factor, score in report.generalization.items())
        lines.append(("generalization", f"memory score at multiples of {report.trained_length} steps: {scores}"))
    if report.capacity is not None:
        bits = report.capacity.recalled
        interval = f"95 % interval {bits.low:.2f} to {bits.high:.2f}"
        lines.append(("how much", f"{bits.value:.2f} of {report.capacity.asked:.2f} bits ({interval})"))
    if report.rewriting is not None:
        first, later = report.rewriting.first, report.rewriting.later
        said = f"first cue right {first.value:.2f}, later ones {later.value:.2f} ({later.low:.2f} to {later.high:.2f})"
        lines.append(("rewriting", f"{said}, rewriting score {report.rewriting.score:.2f}"))
    if report.probe is not None:
        point = report.probe.at("query") or report.probe.points[-1]
        said = f"reads the cue from the hidden state in {point.accuracy:.0%} of episodes as the {point.phase} begins"
        lines.append(("linear probe", f"{said} (commonest cue: {report.probe.chance:.0%})"))
    if report.gradient is not None:
        lag, norm = report.gradient.lags[-1], report.gradient.norms[-1]
        lines.append(("gradient", f"{lag} steps before the query {norm:.2g} times as large as at it"))
    missing: dict[str, list[str]] = {}
    for what, why in report.not_measured.items():
        missing.setdefault(why, []).append(what)
    return lines + [("not measured", f"{', '.join(what)}: {why}") for why, what in missing.items()]


def _numbers(result: Evaluation) -> tuple[str, str]:
    low, high = result.interval
    return measured_number(result.value), f"{measured_number(low)} to {measured_number(high)}"


def _trained(parsed: Parsed) -> int | None:
    """Return the longest memory length that a run was trained on, if it was and the task has one."""
    length = (parsed.run_settings.knobs if parsed.run_settings else {}).get("memory_length")
    return max(length) if isinstance(length, (list, tuple)) else length
