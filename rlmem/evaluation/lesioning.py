"""Lesions of the hidden state while an agent is evaluated: zero it, swap it with another episode's, freeze it.

Axes: N environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from rlmem.errors import UserError
from rlmem.evaluation.hidden_state import Array, join_state, split_state
from rlmem.evaluation.intervention import Bools, Moment

Kind = Literal["zero", "freeze", "swap"]
KINDS: tuple[Kind, ...] = ("zero", "freeze", "swap")


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A change of the hidden state, and when it is made.

    Args:
        kind: ``"zero"``: all of it becomes 0, once, as the phase begins; ``"swap"``: it becomes the state that another
            episode had at the same moment, once; ``"freeze"``: what is seen changes it no more while the phase lasts.
        phase: When, as ``infos["phase"]`` names it. Frozen in the ``"cue"``, an agent cannot write. Frozen later it
            keeps what it wrote, but a state that must go on moving to be read is of no use to it: this shows how an
            agent remembers, not whether.
        step: Control step of the episode, instead of a phase, at least 1; frozen from there to the end.
        phase_step: Control step of the phase at which the state is zeroed or swapped.
        every: Zero the state each so many control steps, instead of in a phase.

    Raises:
        UserError: If the kind is unknown, or a number of steps out of bounds.
    """

    kind: Kind = "zero"
    phase: str = "query"
    step: int | None = None
    phase_step: int = 0
    every: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"a lesion must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.step is not None and self.step < 1:
            raise UserError(f"step must be at least 1, since nothing is remembered before, got {self.step}")
        if self.phase_step < 0 or (self.every is not None and self.every < 1):
            raise UserError(
                f"phase_step must be at least 0 and every at least 1, got {self.phase_step} and {self.every}"
            )

    @property
    def when(self) -> str:
        """The moment in words."""
        if self.every is not None:
            return f"every {self.every:,} steps" if self.every > 1 else "at every step"
        if self.step is not None:
            return f"from step {self.step}" if self.kind == "freeze" else f"at step {self.step}"
        if self.phase_step:
            return f"{self.phase_step:,} steps into the {self.phase}"
        return f"in the {self.phase}" if self.kind == "freeze" else f"at the {self.phase}"

    @property
    def words(self) -> str:
        """What is done and when, such as "zeroed at the query"."""
        return {"zero": "zeroed", "swap": "swapped", "freeze": "frozen"}[self.kind] + f" {self.when}"

    def begins(self, moment: Moment) -> Bools:
        """Return [N] where the lesion's phase, or its step, begins in a running episode."""
        if self.every is not None:
            begun: Bools = moment.step % self.every == 0
        elif self.step is not None:
            begun = moment.step == self.step
        else:
            begun = (moment.phase == self.phase) & (moment.phase_step == self.phase_step)
        return begun & (moment.episode >= 0)

    def acts(self, moment: Moment) -> Bools:
        """Return [N] where the lesion changes the state, or holds it; before the first step there is none to change."""
        return self.lasts(moment) if self.kind == "freeze" else self.begins(moment) & (moment.step > 0)

    def lasts(self, moment: Moment) -> Bools:
        """Return [N] where a lesion that lasts, a freeze, is still on."""
        lasting: Bools = (moment.step >= self.step) if self.step is not None else (moment.phase == self.phase)
        return lasting & (moment.episode >= 0)


class Donor(NamedTuple):
    """The hidden state of an episode at one moment, to be put into another episode."""

    arrays: list[Array]
    """One environment's part of each array of the state."""
    cue: Any
    """The episode's cue, None where that is not known."""


class DonorRecorder:
    """Intervention that records the hidden state wherever a lesion would begin, and changes nothing.

    Args:
        lesion: Says when.
    """

    def __init__(self, lesion: Lesion) -> None:
        self._lesion = lesion
        self._found: dict[tuple[int, int], Donor] = {}
        self._times = _Occurrences()
        self.comes = False
        """Whether an episode has come to where the lesion acts."""
        self.phases: set[str] = set()
        """Phases that were seen."""

    def __call__(self, moment: Moment) -> Moment:
        """Record."""
        self.phases.update(seen_phases(moment))
        self.comes |= bool(self._lesion.acts(moment).any())
        rows = np.flatnonzero(self._lesion.begins(moment) & (moment.step > 0))
        if len(rows):
            arrays = split_state(moment.state, len(moment.episode))
            for row in rows.tolist():
                key = self._times.next(int(moment.episode[row]))
                self._found[key] = Donor([array[row] for array in arrays], _cue(moment, row))
        return moment

    @property
    def donors(self) -> dict[tuple[int, int], Donor]:
        """(episode, how many times before) -> donor; the order does not depend on the number of environments."""
        return dict(sorted(self._found.items()))


class Lesioned:
    """Intervention that makes a lesion.

    Args:
        lesion: What and when.
        donors: For ``"swap"``: what :class:`DonorRecorder` found in an evaluation without lesion.
        seed: Of the choice of donors.

    Raises:
        UserError: If there are too few donors.
    """

    def __init__(self, lesion: Lesion, donors: Mapping[tuple[int, int], Donor] | None = None, *, seed: int = 0) -> None:
        self._lesion, self._donors, self._seed = lesion, dict(donors or {}), seed
        if lesion.kind == "swap" and len({episode for episode, _ in self._donors}) < 2:
            raise UserError(f"swapping {lesion.when} needs two episodes at least that come there")
        self._times = _Occurrences()
        self._held: list[Array] = []
        self._frozen: Bools = np.zeros(0, dtype=np.bool_)
        self._from_start: Bools = np.zeros(0, dtype=np.bool_)
        self.acted: set[int] = set()
        """Episodes in which it has acted."""
        self.same_cue: dict[int, bool] = {}
        """Episode -> whether its donor had the same cue, for ``"swap"`` where cues are known and it acts once."""
        self.stateless = False
        """Whether the agent has no hidden state."""
        self.phases: set[str] = set()
        """Phases that were seen."""

    def __call__(self, moment: Moment) -> Moment:
        """Return the moment with another state."""
        self.phases.update(seen_phases(moment))
        if self._lesion.kind == "freeze":
            return self._freeze(moment)
        rows = np.flatnonzero(self._lesion.acts(moment))
        if not len(rows):
            return moment
        self.acted.update(moment.episode[rows].tolist())
        arrays = split_state(moment.state, len(moment.episode))
        self.stateless = not arrays
        for row in rows.tolist():
            donor = self._donor(moment, row) if self._lesion.kind == "swap" else None
            for number, array in enumerate(arrays):
                array[row] = donor.arrays[number] if donor else 0
        return moment._replace(state=join_state(moment.state, len(moment.episode), arrays))

    def _freeze(self, moment: Moment) -> Moment:
        """Replace the state by the one that the phase began with, in each step of the phase and the one after it."""
        size = len(moment.episode)
        if len(self._frozen) != size:
            self._frozen, self._from_start = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
        self.stateless = moment.state is None and bool((moment.step > 0).any())
        self._frozen &= moment.step > 0  # a freeze ends with its episode
        begins, lasts = self._lesion.begins(moment), self._lesion.lasts(moment)
        self.acted.update(moment.episode[lasts].tolist())
        given, start = moment.state, moment.episode_start
        if (self._frozen & ~begins).any():
            # the state before the first step is not known here: the agent makes it where an episode starts
            back = self._frozen & ~begins
            start = start | (back & self._from_start)
            keep = back & ~self._from_start
            if keep.any():
                arrays = split_state(given, size)
                for array, held in zip(arrays, self._held, strict=True):
                    array[keep] = held[keep]
                given = join_state(given, size, arrays)
        if begins.any():
            arrays = split_state(given, size)
            self._held = self._held or [np.zeros_like(array) for array in arrays]
            for array, held in zip(arrays, self._held, strict=True):
                held[begins] = array[begins]
            self._from_start = np.where(begins, moment.episode_start, self._from_start)
        self._frozen = lasts
        return moment._replace(state=given, episode_start=start)

    def _donor(self, moment: Moment, row: int) -> Donor:
        """Draw a donor from the other episodes; which one depends on the episode alone."""
        episode, before = self._times.next(int(moment.episode[row]))
        others = [key for key in self._donors if key[0] != episode]
        drawn = int(np.random.default_rng([self._seed, episode, before]).integers(len(others)))
        donor: Donor = self._donors[others[drawn]]
        cue = _cue(moment, row)
        if before:
            self.same_cue.pop(episode, None)
        elif cue is not None and donor.cue is not None:
            self.same_cue[episode] = cue == donor.cue
        return donor


class _Occurrences:
    """Counts how often something has happened in each episode."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def next(self, episode: int) -> tuple[int, int]:
        """Count once more, and return the episode and its count before."""
        before = self._seen.get(episode, 0)
        self._seen[episode] = before + 1
        return episode, before


def seen_phases(moment: Moment) -> set[str]:
    """Return the phases of the running episodes; those without a name are none."""
    return set(np.unique(moment.phase[moment.episode >= 0]).tolist()) - {""}


def _cue(moment: Moment, row: int) -> Any:
    return None if moment.cue is None else moment.cue[row].tolist()
