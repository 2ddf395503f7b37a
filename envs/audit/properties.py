"""The guard's exact properties: episodes that differ only in what must not matter are compared bit for bit.

A group of V worlds runs the same episode: same seed, same actions, except for what the property says must not matter
(the cue, the actions during the cue, the actions during the delay). From the end of the cue until the answer all worlds
of a group must observe and earn the same, to the last bit.

Axes: N worlds, G groups of V variants, D observation, A action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.bench import Bench, Stopwatch
from rlmem.envs.audit.certificate import Finding, Result
from rlmem.envs.memory_task import PHASE_NAMES, Bools, Floats, Ints, Phase

PROPERTIES = {
    "G1": "the cue leaves no trace",
    "G2": "actions during the cue change nothing later",
    "G3": "actions during the delay change nothing",
}
_VARIANTS = 4
"""Of the actions, for G2 and G3: the given ones, random ones, and the two opposite corners of the action space."""
_STYLES = 3
"""Of the actions that all variants share: the expert's, the expert's with noise, and uniformly random ones."""


@dataclass
class _Comparison:
    """State of a comparison."""

    open: Bools
    """[G] whether the group is still compared."""
    past_cue: Bools
    """[N]"""
    reached: Bools
    """[G] whether a query began."""
    cues: Ints
    """[G, V] the cue of each variant."""
    cue_steps: Ints
    """[G, V] control steps that it lasts; 0 in tasks that do not say so."""
    fault: str = ""
    """The first difference, in words."""

    def uneven_cue(self, group: int) -> str:
        """Say between which cues of a group the length differs: then one variant is in the delay before the other."""
        steps, cues = self.cue_steps[group], self.cues[group]
        other = int((steps != steps[0]).argmax())
        if steps[other] == steps[0]:
            return ""
        return (
            f"the cue lasts {steps[0]} control steps with cue {cues[0]} and {steps[other]} with cue {cues[other]}, "
            "but cue_steps must not depend on the cue"
        )


def check_property(name: str, bench: Bench, first_seed: int, *, episodes: int, claimed: bool) -> Finding:
    """Check one property.

    Args:
        name: ``"G1"``, ``"G2"`` or ``"G3"``.
        bench: Where to play.
        first_seed: Of ``episodes`` in a row.
        episodes: Groups to compare.
        claimed: Whether the task claims the property; one that is not is only reported.

    Returns:
        Broken if a claimed property fails, or if no episode reached the query, since nothing was compared then.
    """
    watch = Stopwatch(bench)
    variants = min(bench.task.num_cues if name == "G1" else _VARIANTS, bench.task.num_envs)
    size = bench.task.num_envs // variants
    reached, fault = 0, ""
    for first in range(0, episodes, size):
        numbers = np.arange(first, min(first + size, episodes))
        compared = _compare(name, bench, first_seed + numbers, numbers % _STYLES, variants)
        reached += int(compared.reached.sum())
        fault = fault or compared.fault
    if not fault and not reached:
        fault = "no episode reached the query, so that nothing was compared"
    what = "cues" if name == "G1" else "sequences of actions"
    compared_with = f"{episodes} episodes, each with {variants} {what}; {reached} reached the query"
    result: Result = ("broken" if fault else "holds") if claimed else "reported"
    detail = fault or f"identical bit for bit: {compared_with}"
    steps, seconds = watch.read()
    return Finding(
        check=f"{name}, {PROPERTIES[name]}",
        result=result,
        detail=detail if claimed else f"not claimed, {'does not hold' if fault else 'holds'}: {detail}",
        episodes=episodes,
        env_steps=steps,
        cpu_seconds=seconds,
    )


def _compare(name: str, bench: Bench, seeds: Ints, styles: Ints, variants: int) -> _Comparison:
    """Run one group for each seed, and compare its variants until all groups have answered."""
    task, groups = bench.task, len(seeds)
    worlds, n = task.num_envs, groups * variants
    rng = np.random.default_rng(int(seeds[0]))
    mask = np.arange(worlds) < n
    all_seeds: list[int | None] = [*np.repeat(seeds, variants).tolist(), *[None] * (worlds - n)]
    task.enter(task.everyone, Phase.OVER)
    cues = np.zeros(worlds, dtype=np.int64)
    drawn = rng.integers(0, task.num_cues, groups)
    shift = np.arange(variants) if name == "G1" else np.zeros(variants, dtype=np.int64)
    cues[:n] = ((drawn[:, None] + shift) % task.num_cues).ravel()
    bench.episodes += n
    _, phase = bench.batch.reset(mask, all_seeds, cues)
    state = _Comparison(
        open=np.ones(groups, dtype=np.bool_),
        past_cue=np.zeros(n, dtype=np.bool_),
        reached=np.zeros(groups, dtype=np.bool_),
        cues=cues[:n].reshape(groups, variants),
        cue_steps=getattr(task, "cue_steps", np.zeros(worlds, dtype=np.int64))[:n].reshape(groups, variants).copy(),
    )
    while state.open.any():
        before = phase[:n].copy()
        actions = _actions(name, task.expert_action()[:n], before, styles, variants, rng)
        bench.count(int((before != Phase.OVER).sum()))
        step = bench.batch.step(np.concatenate((actions, np.zeros((worlds - n, actions.shape[1])))))
        phase = task.phase.copy()
        _compare_step(state, seeds, variants, before, phase[:n], step.observation[:n], step.reward[:n], bench.names)
    return state


def _actions(name: str, expert: Floats, phase: Ints, styles: Ints, variants: int, rng: np.random.Generator) -> Floats:
    """Return actions [N, A]: the same within a group, except in the phase in which the property lets them differ."""
    n, size = expert.shape
    reference = expert[::variants]
    noise = rng.normal(0.0, 0.4, reference.shape)
    uniform = rng.uniform(-1.0, 1.0, reference.shape)
    style = styles[:, None]
    shared = np.where(style == 0, reference, np.where(style == 1, reference + noise, uniform))
    searching = phase[::variants] == Phase.SEARCH
    shared[searching] = reference[searching]
    actions = np.repeat(shared, variants, axis=0)
    freed = {"G1": None, "G2": Phase.CUE, "G3": Phase.DELAY}[name]
    other = rng.uniform(-1.0, 1.0, (n, size))
    which = np.arange(n) % variants
    corner = np.ones(size)
    corner[0] = -1.0
    other[which == 2], other[which == 3] = -corner, corner
    differs = (which > 0) & (phase == freed) if freed is not None else np.zeros(n, dtype=np.bool_)
    actions[differs] = other[differs]
    return actions.clip(-1.0, 1.0)


def _compare_step(
    state: _Comparison,
    seeds: Ints,
    variants: int,
    before: Ints,
    after: Ints,
    observation: NDArray[Any],
    reward: Floats,
    names: tuple[str, ...],
) -> None:
    """Compare one step within each group, in place."""

    def grouped(array: NDArray[Any]) -> NDArray[Any]:
        return array.reshape(len(seeds), variants, *array.shape[1:])

    state.past_cue |= (after == Phase.DELAY) | (after == Phase.QUERY)
    was, now, past = grouped(before), grouped(after), grouped(state.past_cue)
    answered = ((was == Phase.QUERY) & (now != Phase.QUERY)).any(axis=1)
    over = now == Phase.OVER
    state.open &= ~answered
    compared = state.open & past.any(axis=1)
    state.reached |= compared & (now == Phase.QUERY).all(axis=1)
    seen, earned = grouped(observation.reshape(len(observation), -1)), grouped(reward)
    unlike = {
        "ends": over.any(axis=1) & ~over.all(axis=1),
        "observes": (seen != seen[:, :1]).any(axis=(1, 2)),
        "earns": (earned != earned[:, :1]).any(axis=1),
    }
    for what, where in unlike.items():
        guilty = np.flatnonzero(compared & where)
        if len(guilty) and not state.fault:
            group = int(guilty[0])
            gap = np.abs(seen[group].astype(np.float64) - seen[group, :1]).max(axis=0)
            most = names[int(gap.argmax())] if len(names) == len(gap) else "the picture"
            amount = {
                "ends": "the episode ends in some variants only",
                "observes": f"{most!r} differs by {gap.max():.2g}",
                "earns": f"the reward differs by {np.ptp(earned[group]):.2g}",
            }[what]
            fault = state.uneven_cue(group) or f"{amount} in the {PHASE_NAMES[now[group, 0]]} phase"
            state.fault = f"{fault} (seed {seeds[group]})"
        state.open[guilty] = False
    state.open &= ~over.any(axis=1)
