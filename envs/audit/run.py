"""The audit of a task: exact properties, decoding of the cue, scripted exploiters, policy search.

Axes: N environments, F frames, D observation, A action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.adversary import (
    POLICY_SHAPES,
    PolicyShape,
    describe_frames,
    run_exploiter,
    run_search,
)
from rlmem.envs.audit.bench import Act, Bench, Seeds, Stopwatch
from rlmem.envs.audit.certificate import Certificate, Finding
from rlmem.envs.audit.decodability import check_decodability
from rlmem.envs.audit.dock import check_dock
from rlmem.envs.audit.properties import PROPERTIES, check_property
from rlmem.envs.audit.search import SearchSettings
from rlmem.envs.exploiter import Exploiter, find_exploiters
from rlmem.envs.memory_task import Floats, Ints, Phase
from rlmem.errors import UserError
from rlmem.registry import canonical_id, task_class
from rlmem.spec import TaskSpec

_PROBE_CONFIDENCE = 0.999
"""Of each accuracy's lower bound; a certificate has up to nine, so that all of them hold with probability 99 %."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How thorough an audit is.

    Args:
        num_envs: N, worlds in this process. More than the cues and at least 4.
        exact: Episodes for each exact property.
        probe: Episodes for each attempt to decode the cue; half of them are for fitting.
        test: Episodes on which each exploiter and each policy found by search is evaluated.
        search: How hard each search tries.
        policy_shapes: Kinds of policies to search among; empty for no search.

    Raises:
        UserError: If a value is out of range.
    """

    num_envs: int = 32
    exact: int = 48
    probe: int = 800
    test: int = 400
    search: SearchSettings = field(default_factory=SearchSettings)
    policy_shapes: tuple[PolicyShape, ...] = POLICY_SHAPES

    def __post_init__(self) -> None:
        if self.num_envs < 4:
            raise UserError(f"num_envs must be at least 4, got {self.num_envs}")
        if self.exact < 1 or self.probe < 8 or self.test < 2:
            raise UserError(f"exact must be at least 1, probe 8 and test 2, got {self}")


THOROUGH = Budget()
QUICK = Budget(
    num_envs=16,
    exact=12,
    probe=240,
    test=200,
    search=SearchSettings(candidates=16, generations=3, episodes=3, env_steps=40_000, least=1),
)
"""Takes some seconds; its searches are too short to find every leak."""


def audit(
    env_id: str,
    knobs: Mapping[str, Any],
    *,
    seed: int = 0,
    budget: Budget = THOROUGH,
    on_finding: Callable[[Finding], object] = lambda _: None,
    progress: Callable[[float, str], object] = lambda _share, _what: None,
) -> Certificate:
    """Check a task against what its specification claims.

    The certificate is refused when

    - a property that the task claims fails;
    - the task claims all of them, and yet a classifier predicts the cue from what there is at the query;
    - a policy without a hidden state exceeds the memoryless ceiling: its lower confidence bound is above it. That
      includes policies that see the last few observations, as long as those span less than the memory asked for, or
      no more than a dock.

    So ``guard="cue"`` is refused where a robot can note the cue in its pose right after it, and ``guard="none"`` where
    even a memoryless policy does.

    Args:
        env_id: Such as ``"rlmem/TMaze-v0"`` or ``"TMaze-v0"``.
        knobs: The task's knobs, see its documentation.
        seed: Of the audit. The same seed gives the same findings.
        budget: How thorough it is.
        on_finding: Called with each finding as it is made.
        progress: Called with the share of the work that is done, about, and with what is being checked.

    Returns:
        The certificate.

    Raises:
        UserError: If the task or a knob does not exist, or a knob has a value that it cannot have.
    """
    if seed < 0:
        raise UserError(f"seed must be at least 0, got {seed}")
    name, cls, seeds = canonical_id(env_id), task_class(env_id), Seeds.of(seed)
    settings = cls.make_settings(knobs)
    spec: TaskSpec = cls.spec(settings)
    findings: list[Finding] = []
    with Bench(cls(settings, budget.num_envs)) as bench:
        checks = _checks(bench, spec, seeds, seed, budget)
        for number, check in enumerate(checks):
            bench.on_step = _told(progress, bench, check, checks[number + 1 :])
            for finding in check.run():
                findings.append(finding)
                on_finding(finding)
    return Certificate(
        env_id=name,
        knobs=dict(knobs),
        seed=seed,
        seed_ranges=seeds._asdict(),
        spec=spec,
        findings=tuple(findings),
    )


class _Check(NamedTuple):
    """A part of an audit."""

    what: str
    steps: Callable[[float], float]
    """Mean length of an episode -> about how many control steps the check takes."""
    run: Callable[[], Sequence[Finding]]


def _checks(bench: Bench, spec: TaskSpec, seeds: Seeds, seed: int, budget: Budget) -> list[_Check]:
    """Return the checks of a task, in the order in which they are made."""
    task, claimed = bench.task, spec.guarantees
    docked = task.settings.guard == "dock"
    window = max(task.settings.dock_steps if docked else spec.memory_length[0], 1)
    found = () if bench.pictures else find_exploiters(type(task), bench.names)
    scripted = found or ()
    secret = "G1" in claimed and bool({"G3", "G4"} & set(claimed))
    players: dict[str, tuple[Act, int]] = {"expert": (_expert(bench), 1)}
    if secret:
        players |= {"random": (_random(bench, seed), 1)}
    else:
        players |= {f"exploiter, {describe_frames(e.frames)}": (_scripted(e.act), e.frames) for e in scripted}

    def exact(check: Callable[..., Finding], *which: str, label: str) -> Sequence[Finding]:
        return [check(*which, bench, seeds.exact, episodes=budget.exact, claimed=label in claimed)]

    def decode(who: str, act: Act, frames: int) -> Sequence[Finding]:
        watch = Stopwatch(bench)
        played = bench.play(act, seeds.probe + np.arange(budget.probe), frames=frames)
        options: Any = {"claimed": secret, "confidence": _PROBE_CONFIDENCE, "cost": watch.read()}
        return check_decodability(played, who, task.num_cues, **options)

    def exploit(exploiter: Exploiter) -> Sequence[Finding]:
        return [run_exploiter(bench, spec, seeds, exploiter, episodes=budget.test)]

    def searched(shape: PolicyShape) -> Sequence[Finding]:
        return [run_search(bench, spec, seeds, shape, episodes=budget.test, settings=budget.search)]

    def search_steps(length: float) -> float:
        return budget.search.steps(task.num_cues, length) + budget.test * length

    groups = 4 * budget.exact
    checks = [
        _Check(f"{label}, {words}", _episodes(groups), partial(exact, check_property, label, label=label))
        for label, words in PROPERTIES.items()
    ]
    if docked:
        checks.append(_Check("G4, the dock washes", _episodes(groups), partial(exact, check_dock, label="G4")))
    if not scripted:
        checks.append(_Check("exploiters", lambda _: 0.0, lambda: [_no_exploiter(bench, written=found is not None)]))
    checks += [
        _Check(f"cue predicted ({who})", _episodes(budget.probe), partial(decode, who, *player))
        for who, player in players.items()
    ]
    checks += [
        _Check(f"exploiter: {exploiter.name}", _episodes(budget.test), partial(exploit, exploiter))
        for exploiter in scripted
        if exploiter.frames <= window
    ]
    checks += [
        _Check(shape.name, search_steps, partial(searched, shape))
        for shape in budget.policy_shapes
        if shape.frames <= window
    ]
    return checks


def _episodes(count: int) -> Callable[[float], float]:
    """Return how many control steps so many episodes take, as a function of their length."""
    return lambda length: count * length


def _told(
    progress: Callable[[float, str], object], bench: Bench, check: _Check, later: Sequence[_Check]
) -> Callable[[], object]:
    """Return what tells of the progress of a check, which begins now."""
    begun = bench.env_steps

    def tell() -> None:
        length = bench.env_steps / max(bench.episodes, 1)
        left = max(check.steps(length) - (bench.env_steps - begun), 0.0) + sum(one.steps(length) for one in later)
        progress(bench.env_steps / (bench.env_steps + left), check.what)

    return tell


def _no_exploiter(bench: Bench, *, written: bool) -> Finding:
    """Return that no scripted exploiter tests the ceiling, and why."""
    if bench.pictures:
        why = "exploiters read numbers, and the observations are pictures"
    elif written:
        why = "the task's exploiters are not written for these knobs"
    else:
        why = "nobody has written one for this task"
    return Finding(
        check="exploiter: none",
        result="reported",
        detail=f"{why}; only the search tests the memoryless ceiling",
        episodes=0,
        env_steps=0,
        cpu_seconds=0.0,
    )


def _expert(bench: Bench) -> Act:
    """Return the task's expert as a policy."""
    return lambda _stack, _who: bench.task.expert_action()


def _scripted(act: Callable[[NDArray[np.float32]], Floats]) -> Act:
    """Return an exploiter as a policy."""
    return lambda stack, _who: act(stack)


def _random(bench: Bench, seed: int) -> Act:
    """Return a policy of uniform actions, but for those of the expert while the cue is looked for."""
    rng = np.random.default_rng(seed)
    task = bench.task

    def act(_stack: NDArray[np.float32], _who: Ints) -> Floats:
        uniform = rng.uniform(-1.0, 1.0, (task.num_envs, *task.action_space.shape))
        return np.where((task.phase == Phase.SEARCH)[:, None], task.expert_action(), uniform)

    return act
