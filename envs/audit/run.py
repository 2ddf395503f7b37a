"""The audit of a task: exact properties, decodability, scripted exploiters, searched-for adversaries.

Axes: N environments, F frames, D observation, A action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlmem.envs.audit.adversary import OPPONENTS, Opponent, confront, exploiters, fits, hunt, sight
from rlmem.envs.audit.bench import Act, Bench, Seeds, Stopwatch
from rlmem.envs.audit.certificate import Certificate, Finding
from rlmem.envs.audit.decodability import check_decodability
from rlmem.envs.audit.properties import PROPERTIES, check_property
from rlmem.envs.audit.search import SearchSettings
from rlmem.envs.memory_task import Floats, Ints, Phase
from rlmem.errors import UserError
from rlmem.registry import canonical_id, task_class
from rlmem.spec import TaskSpec

_PROBE_CONFIDENCE = 0.999
"""Of each accuracy's lower bound; there are up to nine in a certificate, so that all are right with 99 %."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How thorough an audit is.

    Args:
        num_envs: N, worlds in this process. More than the cues and at least 4.
        exact: Episodes a property.
        probe: Episodes a decodability check; half of them for fitting.
        test: Episodes an adversary is judged on.
        search: How hard each search is.
        opponents: What is searched among; empty for none.

    Raises:
        UserError: If a value is out of range.
    """

    num_envs: int = 32
    exact: int = 48
    probe: int = 800
    test: int = 400
    search: SearchSettings = field(default_factory=SearchSettings)
    opponents: tuple[Opponent, ...] = OPPONENTS

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
"""Some seconds; its searches are too short to trust."""


def audit(
    env_id: str,
    knobs: Mapping[str, Any],
    *,
    seed: int = 0,
    budget: Budget = THOROUGH,
    report: Callable[[Finding], object] = lambda _: None,
) -> Certificate:
    """Hold a task against what its specification claims.

    A certificate is refused when a claimed property fails, when the cue of a task that claims all three can be read
    off what is there at the query, or when any adversary's lower bound exceeds the memoryless ceiling. That goes for
    stacks of a few frames too, as long as they are shorter than the memory asked for: the ceilings of a task are those
    of agents that do not remember, and whoever looks back four steps does not remember a hundred. ``guard="cue"`` is
    refused for that reason, ``guard="none"`` since even a memoryless policy exceeds the ceiling.

    Args:
        env_id: Such as ``"rlmem/TMaze-v0"`` or ``"TMaze-v0"``.
        knobs: The task's knobs, see its documentation.
        seed: Of the audit. The same seed gives the same findings.
        budget: How thorough it is.
        report: Called with each finding as it is made, for showing progress.

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

    def add(*found: Finding) -> None:
        for finding in found:
            findings.append(finding)
            report(finding)

    with Bench(cls(settings, budget.num_envs)) as bench:
        for label in PROPERTIES:
            claimed = label in spec.guarantees
            add(check_property(label, bench, seeds.exact, episodes=budget.exact, claimed=claimed))
        scripted = () if bench.pictures else exploiters(name, bench.names)
        secret = len(PROPERTIES) == len(spec.guarantees)
        players: dict[str, tuple[Act, int]] = {"expert": (_expert(bench), 1)}
        if secret:
            players |= {"random": (_random(bench, seed), 1)}
        else:
            players |= {f"script, {sight(e.frames)}": (_scripted(e.act), e.frames) for e in scripted}
        for who, (act, frames) in players.items():
            watch = Stopwatch(bench)
            played = bench.play(act, seeds.probe + np.arange(budget.probe), frames=frames)
            add(
                *check_decodability(
                    played, who, bench.task.num_cues, claimed=secret, confidence=_PROBE_CONFIDENCE, cost=watch.read()
                )
            )
        for exploiter in scripted:
            if fits(exploiter.frames, spec):
                add(confront(bench, spec, seeds, exploiter, episodes=budget.test))
        for opponent in budget.opponents:
            if fits(opponent.frames, spec):
                add(hunt(bench, spec, seeds, opponent, episodes=budget.test, settings=budget.search))
    return Certificate(
        env_id=name,
        knobs=dict(knobs),
        seed=seed,
        seed_ranges=seeds._asdict(),
        spec=spec,
        findings=tuple(findings),
    )


def _expert(bench: Bench) -> Act:
    """Return the task's expert as a policy."""
    return lambda _stack, _who: bench.task.expert_action()


def _scripted(act: Callable[[NDArray[np.float32]], Floats]) -> Act:
    """Return an exploiter as a policy."""
    return lambda stack, _who: act(stack)


def _random(bench: Bench, seed: int) -> Act:
    """Return a policy of uniform actions that leaves the search for the cue to the expert."""
    rng = np.random.default_rng(seed)
    task = bench.task

    def act(_stack: NDArray[np.float32], _who: Ints) -> Floats:
        uniform = rng.uniform(-1.0, 1.0, (task.num_envs, *task.action_space.shape))
        return np.where((task.phase == Phase.SEARCH)[:, None], task.expert_action(), uniform)

    return act
