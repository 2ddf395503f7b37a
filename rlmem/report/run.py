"""The page of a training run, from its folder; memory measures that it does not hold yet are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rlmem.environments import LENGTH_KNOBS, task_spec
from rlmem.errors import UserError
from rlmem.evaluation.episodes import evaluate_on
from rlmem.evaluation.intervention import hidden_cues
from rlmem.evaluation.lesion import lesion_test
from rlmem.evaluation.lesioning import Lesion
from rlmem.evaluation.memory import measure_memory
from rlmem.evaluation.probe import CueProbe, StateRecorder, probe_states
from rlmem.evaluation.seeds import test_seeds, validation_seeds
from rlmem.files import json_values
from rlmem.report.content import DIGITS, Page, Player, PlayerEpisode, Section, Table
from rlmem.report.evidence import memory_sections
from rlmem.report.learning import learning_section
from rlmem.report.player import Recorder
from rlmem.runs.checkpoints import checkpoint_path, fingerprint
from rlmem.runs.progress import Progress
from rlmem.runs.settings import RunSettings
from rlmem.runs.toml import read_toml
from rlmem.runs.training import load_agent

_LOOKED_THROUGH = 20
"""Test seeds among which those with different cues are looked for."""
_ENVS = 25
_MEASURED, _PROBED = 0.2, 0.3
"""Shares of the work, about, that are done after the memory measures and after the probe; the rest is rendering."""

Tell = Callable[[float, str], object]
"""Called with the share of the work that is done, about, and with what is being done."""


def _silent(_share: float, _what: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, kw_only=True)
class RunPageSettings:
    """Settings of the page of a run.

    Args:
        folder: The run.
        settings: Of the run.
        knobs: At which it is tested and shown.
        which: Weights of the run, see :func:`rlmem.runs.training.load_agent`.
        episodes: Of each measurement.
        shown: Episodes in the player.
        size: Of a picture, width and height, pixels.
        name: Of the run, such as ``"zoo:TMaze-v0"``; if not given, its folder.

    Raises:
        UserError: If a number is out of bounds.
    """

    folder: Path
    settings: RunSettings
    knobs: Mapping[str, Any]
    which: str = "best"
    episodes: int = 200
    shown: int = 2
    size: tuple[int, int] = (480, 270)
    name: str = ""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(f"episodes must be at least 1, got {self.episodes}")
        if not 1 <= self.shown <= _LOOKED_THROUGH:
            raise UserError(f"shown must be from 1 to {_LOOKED_THROUGH} episodes, got {self.shown}")

    @property
    def named(self) -> str:
        """What the page calls the run."""
        return self.name or str(self.folder)


def run_page(report: RunPageSettings, progress: Tell = _silent) -> Page:
    """Make the page of a run.

    Args:
        report: Settings of the page.
        progress: Called with the share of the work that is done, about, and with what is being done.

    Raises:
        UserError: If the run or its weights are not there, or if task, knobs or weights do not fit.
    """
    settings, width, height = report.settings, *report.size
    env = gymnasium.make(
        settings.env, render_mode="rgb_array", camera="both", width=width, height=height, **report.knobs
    )
    try:
        agent = load_agent(report.folder, env, report.which)
        found, source = _memory(report, agent, lambda share, what: progress(_MEASURED * share, what))
        progress(_MEASURED, "fitting the probe")
        probe, unread = _probe(report, agent)
        rest = 1.0 - _PROBED
        player, missing = _player(report, env, agent, probe, lambda share, what: progress(_PROBED + rest * share, what))
    finally:
        env.close()
    if unread is not None:
        missing["the probe's belief"] = unread
    spec = task_spec(settings.env, dict(report.knobs))
    learning, not_learned = learning_section(report.folder, spec)
    sections = [*memory_sections(found, spec, source), *([learning] if learning else []), _settings(report)]
    missing |= not_learned
    missing |= {f"{what} of the memory measures": why for what, why in found.get("not_measured", {}).items()}
    if "horizon" not in found and spec.memory_length[1]:
        missing["the horizon curve"] = f"it takes a while: `rlmem memory {report.named}` measures it"
    return Page(
        title=f"{settings.agent} on {settings.env.rpartition('/')[2]}",
        subtitle=_lengths(report.knobs),
        verdict=str(found["verdict"]),
        facts=_facts(report, agent),
        player=player,
        sections=sections,
        missing=[f"{what}: {why}" for what, why in missing.items()],
    )


def _memory(report: RunPageSettings, agent: Any, progress: Tell) -> tuple[dict[str, Any], str]:
    """Return the memory measures and their source: those of ``rlmem memory``, if of the same weights and knobs."""
    path, knobs = report.folder / "memory" / "memory.json", json_values(dict(report.knobs), DIGITS)
    weights = checkpoint_path(report.folder, report.which) if agent.learns else None
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        measured_weights = weights is None or found.get("weights") == fingerprint(weights)
        if measured_weights and json_values(found.get("knobs"), DIGITS) == knobs:
            return found, f"{found['episodes']} held-out test episodes, as rlmem memory measured them."
    trained = report.settings.knobs.get("memory_length")
    measured = measure_memory(
        agent,
        report.settings.env,
        knobs=report.knobs,
        seeds=test_seeds(report.episodes),
        lengths=(),
        trained_length=max(trained) if isinstance(trained, (list, tuple)) else trained,
        num_envs=min(_ENVS, report.episodes),
        progress=lambda share, what: progress(share, f"measuring {what}"),
    )
    return json_values(measured.as_dict(), DIGITS), f"{report.episodes} held-out test episodes."


def _probe(report: RunPageSettings, agent: Any) -> tuple[CueProbe | None, str | None]:
    """Return the probe, fitted on validation episodes, none of which is shown; or why there is none."""
    recorder = StateRecorder()
    seeds = validation_seeds(report.episodes)
    try:
        evaluate_on(
            agent,
            report.settings.env,
            knobs=report.knobs,
            seeds=seeds,
            num_envs=min(_ENVS, report.episodes),
            intervention=recorder,
        )
        return probe_states(recorder), None
    except UserError as error:
        return None, str(error)


def _player(
    report: RunPageSettings, env: Any, agent: Any, probe: CueProbe | None, progress: Tell
) -> tuple[Player, dict[str, str]]:
    recorder = Recorder(env, agent, probe, Lesion())
    seeds, recorded = shown_seeds(report, env, agent), []
    for number, seed in enumerate(seeds):
        what = f"recording episode {number + 1} of {len(seeds)}"
        recorded.append(
            recorder.episode(seed, lambda share, n=number, w=what: progress((n + share) / len(seeds), w))  # type: ignore[misc]
        )
    episodes = separating_first(recorded)
    notes = [
        f"Episodes are chosen among the first {_LOOKED_THROUGH} test seeds: their cues differ, and those in which the "
        "agent needs its hidden state to succeed come first. The agent takes its likeliest action."
    ]
    if len(episodes[0].panes) > 1:
        notes.append(
            "On the right the same episode is run again, and the hidden state is set to zero once, as the query begins."
        )
        notes.append(_lesion_note(episodes))
    if probe is not None:
        notes.append(
            f"Belief: a linear probe reads the cue from the hidden state that the agent brings to a step. It is fitted "
            f"on {report.episodes} other episodes, and says what the state holds, not what the agent uses."
        )
    if episodes[0].units:
        notes.append(
            "Hidden state: a row a unit, those that move most, each array in the order of its values before the query "
            "of the first episode, and on a scale of its own."
        )
    return Player(episodes=episodes, notes=notes), recorder.missing


def separating_first(episodes: Sequence[PlayerEpisode]) -> list[PlayerEpisode]:
    """Return episodes with those first in which the agent succeeds intact and fails with its state zeroed."""
    return sorted(episodes, key=lambda episode: not _separates(episode))


def _separates(episode: PlayerEpisode) -> bool:
    return [pane.success for pane in episode.panes] == [True, False]


def _lesion_note(episodes: Sequence[PlayerEpisode]) -> str:
    """Say in which episodes the zeroed agent succeeds too, since a guess is right for one of the cues."""
    lucky = [episode.cue or episode.title for episode in episodes if all(pane.success for pane in episode.panes)]
    if not any(map(_separates, episodes)):
        return "In none of these episodes does zeroing the hidden state turn success into failure: see the tables."
    if not lucky:
        return "In these episodes the agent succeeds with its hidden state and fails without."
    return (
        "The episodes in which the agent succeeds with its hidden state and fails without come first. With the state "
        f"zeroed it can only guess, and its guess is right where the cue is {' or '.join(lucky)}: look at both cues."
    )


def shown_seeds(report: RunPageSettings, env: Any, agent: Any) -> list[int]:
    """Return test seeds with different cues, where there are so many, those first that show memory at work.

    These are episodes in which the agent succeeds, and fails with its hidden state zeroed; then those in which it
    succeeds both times, where a guess was right.
    """
    seeds = list(test_seeds(_LOOKED_THROUGH))
    options: Any = {"knobs": report.knobs, "seeds": seeds, "num_envs": _LOOKED_THROUGH}
    try:
        test = lesion_test(agent, report.settings.env, Lesion(), **options)
    except UserError:  # nothing to zero, or no query
        listed = seeds
    else:
        rank = 2 * ~test.intact.success + test.lesioned.success
        listed = [seeds[place] for place in np.argsort(rank, kind="stable")]
    cues, found = set(), []
    for seed in listed:
        env.reset(seed=seed)
        cue = hidden_cues(env)
        key = None if cue is None else str(cue.tolist())
        if key not in cues:
            cues.add(key)
            found.append(seed)
        if len(found) == report.shown:
            break
    return found + [seed for seed in listed if seed not in found][: report.shown - len(found)]


def _facts(report: RunPageSettings, agent: Any) -> list[tuple[str, str]]:
    settings = report.settings
    facts = [("task", settings.env), ("agent", settings.agent), ("seed of the run", str(settings.seed))]
    facts.append(("context", str(getattr(agent, "context", "its own"))))
    if agent.learns:
        facts.append(("weights", f"{report.which}, after {agent.env_steps:,} control steps"))
        table = report.folder / "progress.csv"
        if table.is_file():  # else it is a run of the zoo or the hub, whose training was longer than it tells
            steps, seconds = (Progress(table).last(column, 0.0) for column in ("env_steps", "cpu_seconds"))
            facts.append(("training", f"{steps:,.0f} control steps, {seconds:,.1f} CPU seconds"))
    path = report.folder / "versions.toml"
    if path.is_file():
        versions = read_toml(path)
        facts.append(("rlmem", str(versions.get("rlmem", ""))))
        facts.append(("machine", str(versions.get("machine", {}).get("processor", ""))))
    return [*facts, ("run", report.named)]


def _settings(report: RunPageSettings) -> Section:
    def rows(values: Mapping[str, Any]) -> list[list[str]]:
        return [[name.replace("_", " "), _said(value)] for name, value in values.items()]

    own = report.settings.agent_settings
    tables = [Table(title="Task", head=["knob", "value"], rows=rows(report.knobs))]
    if own:
        tables.append(Table(title="Agent", head=["setting", "value"], rows=rows(own)))
    return Section(title="Settings", tables=tables, folded=True)


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lengths(knobs: Mapping[str, Any]) -> str:
    words: Sequence[str] = [
        f"{name.replace('_', ' ')} {' to '.join(map(str, np.atleast_1d(knobs[name]).tolist()))} control steps"
        for name in LENGTH_KNOBS
        if knobs.get(name) is not None
    ]
    return ", ".join(words)
