"""Property G4, the dock washes: what was done before it, and the cue, change nothing after it, bit for bit.

A group of V worlds plays the same seed with different cues, and with different actions up to a dock. From its first
step on they get the same actions. Worlds arrive at different times, so observations are compared by the control steps
since the dock began: the first world of a group that gets there sets what the others must observe and earn.

Axes: N worlds, G groups of V variants, D observation, A action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.bench import Bench, Stopwatch
from rlmem.envs.audit.certificate import Finding, Result
from rlmem.envs.dock import DockSettings
from rlmem.envs.memory_task import DOCK, OVER, PHASE_NAMES, QUERY, Floats, Ints

VARIANTS = 4


@dataclass
class _Group:
    """Actions and observations of one group from the dock's first step on."""

    seed: int
    rng: np.random.Generator
    actions: list[Floats] = field(default_factory=list)
    """What to do at each control step since the dock began, [A] each."""
    seen: list[tuple[NDArray[Any], float, int]] = field(default_factory=list)
    """Observation, reward and phase after each of these control steps; before the first, the dock's first step."""
    worlds: int = 0
    """How many worlds have got from the dock to the query."""

    def action(self, step: int, phase: int, expert: Floats) -> Floats:
        """Return the group's action at a control step: the expert's with noise, or a random one in the query."""
        if step == len(self.actions):
            noise = self.rng.normal(0.0, 0.3, expert.shape)
            anything = self.rng.uniform(-1.0, 1.0, expert.shape)  # the expert reads the cue
            self.actions.append(anything if phase == QUERY else np.clip(expert + noise, -1.0, 1.0))
        return self.actions[step]

    def compare(self, step: int, observation: NDArray[Any], reward: float, phase: int, names: tuple[str, ...]) -> str:
        """Compare what one world got with what the first got, and return the difference in words, if there is one."""
        if step == len(self.seen):
            self.seen.append((observation.copy(), reward, phase))
        seen, earned, then = self.seen[step]
        where = f"{step} control steps after the dock began (seed {self.seed})"
        if phase != then:
            return f"the phase is {PHASE_NAMES[phase]} or {PHASE_NAMES[then]} {where}"
        if (observation != seen).any():
            gap = np.abs(observation.astype(np.float64) - seen).ravel()
            what = repr(names[int(gap.argmax())]) if len(names) == len(gap) else "the picture"
            return f"{what} differs by {gap.max():.2g} {where}"
        if step and reward != earned:
            return f"the reward differs by {abs(reward - earned):.2g} {where}"
        return ""


def check_dock(bench: Bench, first_seed: int, *, episodes: int, claimed: bool) -> Finding:
    """Check G4.

    Args:
        bench: Where to play; a task with docks.
        first_seed: Of ``episodes`` in a row.
        episodes: Groups to compare.
        claimed: Whether the task claims the property; one that is not is only reported.

    Returns:
        Broken if a claimed property fails, or if no two worlds of a group got from the dock to the query.
    """
    watch, size = Stopwatch(bench), bench.task.num_envs // VARIANTS
    fault, compared = "", 0
    for first in range(0, episodes, size):
        numbers = np.arange(first, min(first + size, episodes))
        groups = [_Group(int(seed), np.random.default_rng(int(seed))) for seed in first_seed + numbers]
        fault = _run(bench, groups, numbers % 2) or fault
        compared += sum(group.worlds > 1 for group in groups)
    if not fault and not compared:
        fault = "no two worlds reached the query, so that nothing was compared"
    result: Result = ("broken" if fault else "holds") if claimed else "reported"
    what = f"{episodes} episodes, each with {VARIANTS} cues and ways to the dock; {compared} reached the query"
    detail = fault or f"identical bit for bit: {what}"
    steps, seconds = watch.read()
    return Finding(
        check="G4, the dock washes",
        result=result,
        detail=detail if claimed else f"not claimed, {'does not hold' if fault else 'holds'}: {detail}",
        episodes=episodes,
        env_steps=steps,
        cpu_seconds=seconds,
    )


def _run(bench: Bench, groups: list[_Group], docks: Ints) -> str:
    """Play one episode with every group, and return the first difference after its dock number ``docks``, [G].

    Where there is no second dock, the first counts.
    """
    task, n = bench.task, len(groups) * VARIANTS
    worlds, rng = task.num_envs, np.random.default_rng(groups[0].seed)
    docks = np.minimum(docks, not isinstance(task.settings, DockSettings) or task.settings.dock_every > 0)
    seeds: list[int | None] = [*np.repeat([group.seed for group in groups], VARIANTS).tolist(), *[None] * (worlds - n)]
    cues = np.arange(worlds) % VARIANTS % task.num_cues
    task.enter(task.everyone, OVER)
    bench.episodes += n
    _, phase = bench.batch.reset(np.arange(worlds) < n, seeds, cues)
    entered, since = np.zeros(n, dtype=np.int64), np.full(n, -1)
    """[N] docks entered, and control steps since the one that counts began, -1 before."""
    lean = np.array([0.0, 0.3, -0.3, 0.0])[np.arange(n) % VARIANTS]
    answering = np.ones(n, dtype=np.bool_)
    while (running := answering & (phase[:n] != OVER)).any():
        expert = task.expert_action()
        actions = np.zeros_like(expert)
        actions[:n] = expert[:n] + rng.normal(0.0, 0.3, expert[:n].shape) * (lean != 0.0)[:, None]
        actions[:n, -1] += lean
        for world in np.flatnonzero(since >= 0).tolist():
            actions[world] = groups[world // VARIANTS].action(since[world], phase[world], expert[world])
        before = phase[:n].copy()
        bench.count(int(running.sum()))
        step = bench.batch.step(actions.clip(-1.0, 1.0))
        phase = task.phase.copy()
        since[since >= 0] += 1
        begins = (before != DOCK) & (phase[:n] == DOCK)
        entered += begins
        since[begins & (since < 0) & (entered == docks.repeat(VARIANTS) + 1)] = 0
        answering &= ~((before == QUERY) & (phase[:n] != QUERY) & (since >= 0))
        for world in np.flatnonzero(running & answering & (since >= 0)).tolist():
            group, reward = groups[world // VARIANTS], float(step.reward[world])
            group.worlds += before[world] != QUERY and phase[world] == QUERY
            fault = group.compare(since[world], step.observation[world], reward, int(phase[world]), bench.names)
            if fault:
                return fault
    return ""
