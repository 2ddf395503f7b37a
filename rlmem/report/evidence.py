"""Tables and charts of memory measures, from the plain values of a memory report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlmem.digits import short_number
from rlmem.evaluation.below_chance import in_words
from rlmem.report.content import Chart, Level, Line, Section, Table
from rlmem.report.learning import ceilings, limits, measure
from rlmem.spec import TaskSpec

_DONE = {"zero": "zeroed", "swap": "swapped", "freeze": "frozen"}

Values = Mapping[str, Any]


def memory_sections(found: Values, spec: TaskSpec, source: str) -> list[Section]:
    """Return what was measured, section by section.

    Args:
        found: As ``MemoryReport.as_dict`` gives it, infinite numbers replaced by None.
        spec: The task's ceilings.
        source: A sentence that says which episodes were measured.
    """
    parts = (_lesions(found, spec, source), _body_swap(found), _horizon(found, spec), _inside(found))
    return [part for part in parts if part]


def _lesions(found: Values, spec: TaskSpec, source: str) -> Section:
    rows = [("intact", found["intact"])]
    rows += [(f"{_DONE[row['lesion']]} {row['when']}", row) for row in found.get("lesions", [])]
    if "noise" in found:
        rows.append(("intact, noise in mid-delay", found["noise"]))
    table = [
        [name, _two(row["value"]), _interval(row), _two(row.get("memory_score")), _donors(row)] for name, row in rows
    ]
    lines = [
        Line(
            label=name,
            x=[row["value"]],
            y=[None],
            low=[row["low"]],
            high=[row["high"]],
            color=0 if name.startswith("intact") else 1,
        )
        for name, row in rows
    ]
    what = measure(spec.metric)
    return Section(
        title="Does success need the hidden state?",
        text=[f"{source} Whiskers and intervals: 95 %. {_ceiling(spec)}"],
        charts=[
            Chart(
                title="With the hidden state intact, and lesioned",
                x=what,
                y="hidden state",
                lines=lines,
                kind="forest",
                levels=ceilings(spec),
                limits=limits(spec.metric),
            )
        ],
        tables=[
            Table(
                title="The same in numbers",
                head=["hidden state", what, "95 % interval", "memory score", "by the donor's cue"],
                rows=table,
                note="Memory score: 0 at the ceiling without memory, 1 at the oracle. Swapped: the state of another "
                "episode, the donor; an agent that acts on what it is given fails where the donor's cue was another.",
            )
        ],
    )


def _body_swap(found: Values) -> Section | None:
    """Return what answers follow where the bodies of episodes with different cues are swapped in the delay."""
    if "body_swap" not in found:
        return None
    swap = found["body_swap"]
    rows = [[name, _two(rate["value"]), _interval(rate)] for name, rate in swap["follows"].items()]
    said = str(swap["verdict"])
    return Section(
        title="Is the memory in the hidden state or in the body?",
        text=[
            f"{said[:1].upper()}{said[1:]}. Once, {swap['when']}, the robots of episodes with different cues are "
            "swapped while the agent keeps its hidden state. The answer then follows the cue that the hidden state was "
            "shown, or the cue of the body, which an agent may have leaned or placed as a reminder."
        ],
        tables=[
            Table(
                title=f"What the answer follows, of {swap['episodes']} swapped episodes",
                head=["the answer follows", "rate", "95 % interval"],
                rows=rows,
            )
        ],
    )


def _ceiling(spec: TaskSpec) -> str:
    if not spec.memoryless.known:
        return "The ceiling without memory is not measured."
    why = spec.memoryless.why.rstrip(".")
    said = f"Without memory at most {short_number(spec.memoryless.value)}: {why}."
    if spec.untrained is None:
        return said
    only = ", so that this task asks for retention only" if spec.retention_only else ""
    return f"{said} Untrained memory reaches {short_number(spec.untrained.value)} at the default knobs{only}."


def _donors(row: Values) -> str:
    if "same_cue" not in row or "other_cue" not in row:
        return ""
    return f"same {row['same_cue']['value']:.2f}, another {row['other_cue']['value']:.2f}"


def _horizon(found: Values, spec: TaskSpec) -> Section | None:
    if "horizon" not in found:
        return None
    curve = found["horizon"]
    points: Sequence[Values] = curve["points"]
    names = ("memory_length", "value", "low", "high")
    x, y, low, high = ([point[name] for point in points] for name in names)
    rows = [
        [f"{point['memory_length']:,}", _two(point["value"]), _interval(point), _two(point["memory_score"])]
        for point in points
    ]
    text = [
        f"L50 {curve['l50_in_words']}, L90 {curve['l90_in_words']}: control steps of memory at which the memory score "
        "has fallen to 0.5 and to 0.9."
    ]
    if found.get("below_chance"):
        said = in_words({int(length): why for length, why in found["below_chance"].items()})
        text.append(f"{said[:1].upper()}{said[1:]}.")
    if found.get("generalization"):
        said = ", ".join(f"{factor} x {_two(score)}" for factor, score in found["generalization"].items())
        text.append(f"Memory score at multiples of the longest length in training: {said}.")
    chart = Chart(
        title="Success over memory length",
        x="memory length (control steps)",
        y=measure(spec.metric),
        lines=[Line(label="this agent", x=x, y=y, low=low, high=high)],
        logarithmic=True,
        marks=True,
        levels=ceilings(spec),
        limits=limits(spec.metric),
        note="Band: 95 % interval over episodes.",
    )
    head = ["memory length", measure(spec.metric), "95 % interval", "memory score"]
    table = Table(title="The same in numbers", head=head, rows=rows)
    return Section(title="How far back?", text=text, charts=[chart], tables=[table])


def _inside(found: Values) -> Section | None:
    """Return what is read from the hidden state, and how its gradient decays."""
    charts = []
    if "probe" in found:
        points: Sequence[Values] = found["probe"]["points"]
        phases = list(dict.fromkeys(point["phase"] for point in points))
        lines = []
        for number, phase in enumerate(phases):
            mine = [point for point in points if point["phase"] == phase]
            x, y, low, high = ([point[name] for point in mine] for name in ("step", "accuracy", "low", "high"))
            lines.append(Line(label=phase, x=x, y=y, low=low, high=high, color=number))
        charts.append(
            Chart(
                title="Linear probe: the cue, read from the hidden state",
                x="control step of the episode (mean)",
                y="accuracy",
                lines=lines,
                marks=True,
                levels=[Level(value=found["probe"]["chance"], label="always the commonest cue")],
                limits=(0.0, 1.0),
                note="Judged by cross-validation over episodes. Band: 95 % interval.",
            )
        )
    if "gradient" in found:
        gradient = found["gradient"]
        charts.append(
            Chart(
                title="Gradient of the trained cell, back from the query",
                x="lag (control steps)",
                y="gradient norm, part of that at lag 0",
                lines=[Line(label="gradient", x=gradient["lags"], y=gradient["norms"])],
                marks=True,
            )
        )
    return Section(title="Inside the hidden state", charts=charts) if charts else None


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(row: Values) -> str:
    return f"{row['low']:.2f} to {row['high']:.2f}"
