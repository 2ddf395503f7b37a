"""Episodes for the player: recorded, lesioned, filmed, and laid out on common frames.

Axes: T control steps, F frames, K classes, U units of the hidden state.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.evaluation.lesioning import Lesion, Lesioned
from rlmem.evaluation.probe import CueProbe
from rlmem.figures.recording import cue_names, describe_cue
from rlmem.figures.video import VideoWriter
from rlmem.files import json_values
from rlmem.report.content import DIGITS, Number, Pane, PlayerEpisode
from rlmem.report.critic import critic_values
from rlmem.report.trace import Env, Trace, pictures_of, trace

FPS = 20.0
_MOST_FRAMES = 400
_STRIDES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
_MOST_UNITS = 256
_NONE = 255


class _Units(NamedTuple):
    """Units of the hidden state that are shown."""

    order: NDArray[np.int64]
    """[U] their numbers among all."""
    scale: NDArray[np.float64]
    """[U] the largest value of their array in the first intact episode: full color."""


class Recorder:
    """Makes what the player shows.

    Args:
        env: A single environment with ``render_mode="rgb_array"``.
        agent: Acts.
        probe: Of the cue, fitted on other episodes; None where there is none.
        lesion: Of the second pane; None: no such pane.
    """

    def __init__(self, env: Env, agent: Any, probe: CueProbe | None, lesion: Lesion | None) -> None:
        self._env, self._agent, self._probe, self._lesion = env, agent, probe, lesion
        self._units: _Units | None = None
        self.missing: dict[str, str] = {}
        """What is left out -> why."""

    def episode(self, seed: int, progress: Callable[[float], object] = float) -> PlayerEpisode:
        """Record an episode, intact and lesioned.

        Args:
            seed: Seed of the episode.
            progress: Called with the share of the pictures that are rendered.
        """
        progress(0.0)
        intact = trace(self._env, self._agent, seed)
        cue = describe_cue(self._env)
        found = [("intact", intact)]
        if self._lesion is not None:
            lesioning = Lesioned(self._lesion)
            lesioned = trace(self._env, self._agent, seed, lesion=lesioning)
            if lesioned.lesioned is None:
                self.missing["the lesioned episode"] = f"episode {seed} does not come to the {self._lesion.phase}"
            elif lesioning.stateless:
                self.missing["the lesioned episode"] = "the agent has no hidden state"
            else:
                found.append((f"hidden state {self._lesion.words}", lesioned))
        frames = chosen_frames([one for _, one in found])
        units = self._units = self._units or self._chosen_units(intact)
        video, size = self._film([one for _, one in found], frames, progress)
        described = intact.described[0]
        return PlayerEpisode(
            title=f"seed {seed}",
            cue=cue,
            fps=FPS,
            video=video,
            size=size,
            frames=frames,
            units=len(units.order),
            classes=self._classes(),
            actions=["action"] if isinstance(described, str) else [_side(name) for name in described],
            panes=[self._pane(title, one, frames, units) for title, one in found],
        )

    def _pane(self, title: str, one: Trace, frames: Sequence[int], units: _Units) -> Pane:
        shown: list[int | None] = [step if step < one.steps else None for step in frames]
        acted = [action if isinstance(action, str) else [*action.values()] for action in one.described]
        lesioned = None if one.lesioned is None else next(i for i, step in enumerate(frames) if step >= one.lesioned)
        return Pane(
            title=title,
            outcome=one.outcome,
            success=one.success,
            steps=one.steps,
            lesion=lesioned,
            phase=[None if step is None else one.phases[step] for step in shown],
            action=json_values([None if step is None else acted[step] for step in shown], DIGITS),
            value=json_values([None if step is None else value for step, value in self._values(one, shown)], DIGITS),
            belief=json_values(self._beliefs(one, shown), DIGITS),
            state=_packed(one, [step if step <= one.steps else None for step in frames], units),
        )

    def _values(self, one: Trace, shown: Sequence[int | None]) -> list[tuple[int | None, Number]]:
        try:
            values = critic_values(self._agent, one)
        except UserError as error:
            self.missing["the value"] = str(error)
            return []
        return [(step, None if step is None else values[step]) for step in shown]

    def _classes(self) -> list[str]:
        """Return the names of the cues that the probe tells apart, None of them if it was not fitted."""
        if self._probe is None:
            return []
        known = sorted({value for probe in self._probe.probes.values() for value in probe.classes.tolist()})
        names = cue_names(self._env)
        return [names[value] if names and 0 <= value < len(names) else str(value) for value in known]

    def _beliefs(self, one: Trace, shown: Sequence[int | None]) -> list[list[float] | None]:
        if self._probe is None:
            return []
        known = sorted({value for probe in self._probe.probes.values() for value in probe.classes.tolist()})
        return [None if step is None else self._belief(one, step, known) for step in shown]

    def _belief(self, one: Trace, step: int, known: Sequence[Any]) -> list[float] | None:
        state, phase, since = one.states[step], one.phases[step], one.phase_steps[step]
        point = None if self._probe is None or state is None else self._probe.at(phase, since)
        if self._probe is None or state is None or point is None:
            return None
        probe = self._probe.probes[phase, point.phase_step]
        believed = dict(zip(probe.classes.tolist(), probe.belief(state[None])[0].tolist(), strict=True))
        return [believed.get(value, 0.0) for value in known]

    def _chosen_units(self, intact: Trace) -> _Units:
        """Return which units are shown: those that move most, in the order of the array and of their last value."""
        known = [state for state in intact.states if state is not None]
        if not known or not len(known[0]):
            self.missing["the hidden state"] = "the agent has no hidden state"
            return _Units(np.zeros(0, dtype=np.int64), np.zeros(0))
        states = np.stack(known)
        moving = np.argsort(-states.std(axis=0), kind="stable")[:_MOST_UNITS]
        query = next((t for t, phase in enumerate(intact.phases) if phase == "query"), intact.steps)
        before = states[max(0, query - 1)]
        group = np.repeat(np.arange(len(intact.groups)), intact.groups)
        order = moving[np.lexsort((-before[moving], group[moving]))]
        edges = np.cumsum([0, *intact.groups])
        largest = [max(float(np.abs(states[:, a:b]).max(initial=0.0)), 1e-9) for a, b in pairwise(edges)]
        return _Units(order, np.repeat(largest, intact.groups)[order])

    def _film(
        self, episodes: list[Trace], frames: list[int], progress: Callable[[float], object]
    ) -> tuple[str, tuple[int, int]]:
        """Return the episodes one above the other as one video, a data URI, and the size of each."""
        count = len(episodes)
        films = [
            pictures_of(self._env, one, frames, lambda share, n=number: progress((n + share) / count))  # type: ignore[misc]
            for number, one in enumerate(episodes)
        ]
        height, width, _ = films[0][0].shape
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "episode.mp4")
            with VideoWriter(path, FPS) as video:
                for pictures in zip(*films, strict=True):
                    video.add(np.concatenate(pictures))
            data = base64.b64encode(path.read_bytes()).decode()
        return f"data:video/mp4;base64,{data}", (width, height)


def chosen_frames(episodes: Sequence[Trace]) -> list[int]:
    """Return the control steps that are shown, rising: all, or where those are too many, fewer of the delays.

    The first step of every phase, those of lesions and those after the last action are always among them.
    """
    longest = max(one.steps for one in episodes)
    marks, waiting = {0}, np.ones(longest + 1, dtype=np.bool_)
    for one in episodes:
        marks |= {t + 1 for t, (before, after) in enumerate(pairwise(one.phases)) if before != after}
        marks |= {one.steps} | ({one.lesioned} if one.lesioned is not None else set())
        waiting[: one.steps] &= np.isin(one.phases, ("delay", "wait"))
        waiting[one.steps] = False
    for everything in (False, True):
        for stride in _STRIDES:
            kept = np.arange(longest + 1) % stride == 0
            frames = sorted(marks | set(np.flatnonzero(kept if everything else kept | ~waiting).tolist()))
            if len(frames) <= _MOST_FRAMES:
                return frames
    return frames


def _packed(one: Trace, shown: Sequence[int | None], units: _Units) -> str:
    """Return the hidden state at some steps in bytes [F, U] as base64."""
    rows = np.full((len(shown), len(units.order)), _NONE, dtype=np.uint8)
    for frame, step in enumerate(shown):
        state = None if step is None else one.states[step]
        if state is not None and rows.size:
            rows[frame] = np.round(127 * np.clip(state[units.order] / units.scale, -1.0, 1.0)).astype(np.int64) + 127
    return base64.b64encode(rows.tobytes()).decode()


def _side(name: str) -> str:
    """Say which way a bar of steering points, see :func:`rlmem.figures.recording.describe_action`."""
    return "steering (− left, + right)" if name == "steering" else name
