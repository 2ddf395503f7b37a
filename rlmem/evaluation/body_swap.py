"""Body swap: is the memory in the hidden state or in the body?

In the delay the bodies of episodes with different cues are swapped while the hidden states stay, which is the same as
swapping the hidden states while the bodies stay. The answer then follows the cue that the hidden state was shown, or
the cue that the body was in. An agent that leans to one side in the delay and reads its own pose at the query keeps
its memory in the body.

Axes: E episodes, N environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.errors import UserError
from rlmem.evaluation.episodes import Env, PolicyPredictor, clopper_pearson, evaluate_on
from rlmem.evaluation.hidden_state import join_state, split_state
from rlmem.evaluation.intervention import Moment
from rlmem.evaluation.lesioning import Donor, DonorRecorder, Lesion
from rlmem.evaluation.statistics import Estimate

FEWEST = 10
"""Swapped episodes below which nothing is said."""


@dataclass(frozen=True, kw_only=True)
class BodySwap:
    """What the answers followed, in the S episodes whose hidden state and body were shown different cues."""

    when: str
    """The moment in words."""
    hidden: NDArray[np.bool_]
    """[S] whether the answer was that of the hidden state's cue."""
    body: NDArray[np.bool_]
    """[S] whether the answer was that of the body's cue."""

    @property
    def rates(self) -> dict[str, Estimate]:
        """What the answer followed -> rate with its exact 95 % interval: the hidden state, the body, neither."""
        counts = {"hidden state": self.hidden, "body": self.body, "neither": ~(self.hidden | self.body)}
        return {
            name: Estimate(float(found.mean()), *clopper_pearson(int(found.sum()), len(found)))
            for name, found in counts.items()
        }

    @property
    def verdict(self) -> str:
        """Where the memory is, in a sentence."""
        rates = self.rates
        if rates["hidden state"].low > 0.5:
            return "the memory is in the hidden state: with bodies swapped in the delay the answer follows it"
        if rates["body"].low > 0.5:
            return "the memory is in the body: with bodies swapped in the delay the answer follows the body"
        return "with bodies swapped in the delay the answer follows neither hidden state nor body reliably"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        rates = {name: estimate._asdict() for name, estimate in self.rates.items()}
        return {"when": self.when, "episodes": len(self.body), "follows": rates, "verdict": self.verdict}


def swap_moment(delay: int, dock_every: int = 0) -> Lesion:
    """Return the moment of a body swap: the middle of a delay, or of its part before the first dock.

    Args:
        delay: Control steps.
        dock_every: Control steps between docks in the delay; 0 if there are none.
    """
    return Lesion(kind="swap", phase="delay", phase_step=max(0, min(delay, dock_every or delay) // 2))


def body_swap_test(
    policy: PolicyPredictor,
    env: Env,
    moment: Lesion,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    donors: Mapping[tuple[int, int], Donor] | None = None,
    num_envs: int = 25,
) -> BodySwap:
    """Swap the bodies of episodes with different cues at one moment of the delay, and see what the answers follow.

    Each body goes on with one hidden state and each hidden state with one body, so that a swap and its reverse are
    both among the episodes.

    Args:
        policy: Any agent whose ``predict`` hands on a state of arrays, see :mod:`rlmem.evaluation.hidden_state`.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`. It says its cues, and the answers that are given.
        moment: When, see :func:`swap_moment`.
        knobs: Of the task.
        seeds: E of them; None: the 200 test seeds.
        donors: What a :class:`rlmem.evaluation.lesioning.DonorRecorder` found at the moment, where it is known.
        num_envs: Environments side by side; it changes no result of an agent that does not draw.

    Raises:
        UserError: If the environment does not say cues and answers, the agent has no hidden state, or too few episodes
            come to the moment.
    """
    arguments: dict[str, Any] = {"knobs": knobs, "seeds": seeds, "num_envs": num_envs}
    if donors is None:
        recorder = DonorRecorder(moment)
        evaluate_on(policy, env, **arguments, intervention=recorder)
        donors = recorder.donors
    found = {episode: donor for (episode, before), donor in donors.items() if before == 0}
    if not found:
        raise UserError(f"no episode comes to the moment of a body swap, {moment.when}")
    if any(donor.cue is None or np.ndim(donor.cue) for donor in found.values()):
        raise UserError("a body swap needs an environment that says its cue, one of a few (an attribute cue would)")
    if not next(iter(found.values())).arrays:
        raise UserError("the agent has no hidden state")
    partners = _partners({episode: donor.cue for episode, donor in found.items()})
    if len(partners) < FEWEST:
        raise UserError(
            f"a body swap needs at least {FEWEST} episodes that last until {moment.when} and have a partner with "
            f"another cue, got {len(partners)}"
        )
    swapped = evaluate_on(policy, env, **arguments, intervention=_Swap(moment, found, partners))
    if swapped.answers is None:
        raise UserError(
            "a body swap needs an environment that says which answer was given (an attribute answer would): among this "
            "package's tasks the T-mazes and those in which one of several boxes is touched"
        )
    mine = sorted(partners)
    answers = swapped.answers[mine]
    hidden = np.array([found[partners[episode]].cue for episode in mine])
    body = np.array([found[episode].cue for episode in mine])
    return BodySwap(when=moment.when, hidden=answers == hidden, body=answers == body)


def _partners(cues: Mapping[int, Any]) -> dict[int, int]:
    """Return episode -> episode whose hidden state its body goes on with, for those that get one with another cue.

    With the episodes in the order of their cues, the partner is the one as many places on as the commonest cue has
    episodes: that one has another cue wherever there are enough others.
    """
    order = sorted(cues, key=lambda episode: (cues[episode], episode))
    if not order:
        return {}
    places = max(np.unique(list(cues.values()), return_counts=True)[1])
    pairs = {episode: order[(place + places) % len(order)] for place, episode in enumerate(order)}
    return {episode: partner for episode, partner in pairs.items() if cues[episode] != cues[partner]}


class _Swap:
    """Intervention that gives each episode the hidden state of its partner, once."""

    def __init__(self, moment: Lesion, donors: Mapping[int, Donor], partners: Mapping[int, int]) -> None:
        self._moment, self._donors, self._left = moment, donors, dict(partners)

    def __call__(self, moment: Moment) -> Moment:
        rows = np.flatnonzero(self._moment.begins(moment) & (moment.step > 0)).tolist()
        rows = [row for row in rows if int(moment.episode[row]) in self._left]
        if not rows:
            return moment
        arrays = split_state(moment.state, len(moment.episode))
        for row in rows:
            donor = self._donors[self._left.pop(int(moment.episode[row]))]
            for array, given in zip(arrays, donor.arrays, strict=True):
                array[row] = given
        return moment._replace(state=join_state(moment.state, len(moment.episode), arrays))
