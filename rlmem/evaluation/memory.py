"""All that can be measured of an agent's memory in one go: lesions, noise, probe, horizon, gradient, rewriting.

One evaluation without intervention serves them all; each other is run on the same held-out episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from rlmem.errors import UserError
from rlmem.evaluation.capacity import Capacity, Rewriting, capacity, rewriting
from rlmem.evaluation.episodes import EnvMaker, Evaluation, PolicyPredictor, evaluate_on, make_test_env
from rlmem.evaluation.gradient import GradientLag, ObservationRecorder, trained_gradient
from rlmem.evaluation.horizon import LENGTHS, HorizonCurve, horizon_curve
from rlmem.evaluation.intervention import in_turn
from rlmem.evaluation.lesion import Lesion, LesionTest, lesion_test
from rlmem.evaluation.lesioning import DonorRecorder
from rlmem.evaluation.noise import Burst, NoiseTest, PhaseLengths, noise_test
from rlmem.evaluation.probe import CueProbe, StateRecorder, probe_states
from rlmem.evaluation.seeds import test_seeds
from rlmem.spec import TaskSpec

LESIONS = (Lesion(kind="zero"), Lesion(kind="swap"), Lesion(kind="freeze", phase="cue"))
"""What is done to every agent."""
FACTORS = (1, 2, 5, 10)
"""Multiples of the longest memory length of training at which generalization is read off."""
_LONGEST = LENGTHS[-1]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """What was measured. What could not be measured is None, with the reason in :attr:`not_measured`."""

    intact: Evaluation
    lesions: list[LesionTest]
    noise: NoiseTest | None = None
    probe: CueProbe | None = None
    horizon: HorizonCurve | None = None
    gradient: GradientLag | None = None
    capacity: Capacity | None = None
    rewriting: Rewriting | None = None
    trained_length: int | None = None
    """The longest memory length of training, control steps."""
    not_measured: dict[str, str] = field(default_factory=dict)
    """What -> why not."""

    @property
    def spec(self) -> TaskSpec | None:
        """The task's ceilings."""
        return self.intact.spec

    @property
    def remembers(self) -> bool:
        """Whether success needs the hidden state: above the ceiling with it, not above it after every lesion made."""
        return bool(self.lesions) and all(test.needed_memory for test in self.lesions)

    @property
    def verdict(self) -> str:
        """What the lesions say, in a sentence."""
        if self.spec is None:
            return "the task states no ceiling without memory: compare the lesioned agent with the intact one"
        ceiling = f"the ceiling without memory, {self.spec.memoryless.value:.3g}"
        if self.spec.memoryless.value >= self.spec.oracle.value:
            return "this task needs no memory: nothing is proved by it"
        if self.intact.interval[0] <= self.spec.memoryless.value:
            return f"no memory shown: the intact agent is not above {ceiling}"
        if not self.lesions:
            return f"above {ceiling}, and no lesion could be made: {self.not_measured.get('lesions', 'not tried')}"
        spared = [test for test in self.lesions if not test.needed_memory]
        if spared:
            names = " and ".join(test.lesion.words for test in spared)
            return f"not proved: above {ceiling}, but it stays so with its hidden state {names}"
        return f"it remembers: above {ceiling}, and not above it once its hidden state is zeroed, swapped or frozen"

    @property
    def generalization(self) -> dict[int, float]:
        """Multiple of the longest trained memory length -> memory score, where it was measured."""
        if self.horizon is None or self.trained_length is None:
            return {}
        known = {point.knob: point.result.memory_score for point in self.horizon.points}
        lengths = {factor: factor * self.trained_length for factor in FACTORS}
        return {factor: known[length] for factor, length in lengths.items() if length in known}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        found: dict[str, Any] = {"verdict": self.verdict, "remembers": self.remembers, "intact": self.intact.as_dict()}
        found["lesions"] = [test.as_dict() for test in self.lesions]
        if self.noise is not None:
            burst = {"steps": self.noise.burst.steps, "sigma": self.noise.burst.sigma}
            found["noise"] = burst | self.noise.disturbed.as_dict()
        for name in ("probe", "horizon"):
            part = getattr(self, name)
            if part is not None:
                found[name] = part.as_dict()
        if self.generalization:
            found["generalization"] = {str(factor): score for factor, score in self.generalization.items()}
        if self.gradient is not None:
            found["gradient"] = {"lags": self.gradient.lags, "norms": self.gradient.norms.tolist()}
        if self.capacity is not None:
            found["capacity"] = {"asked": self.capacity.asked, "recalled": self.capacity.recalled._asdict()}
        if self.rewriting is not None:
            parts = self.rewriting
            found["rewriting"] = {"first": parts.first._asdict(), "later": parts.later._asdict(), "score": parts.score}
        return found | {"not_measured": self.not_measured}


def measure_memory(
    policy: PolicyPredictor,
    env: str | EnvMaker,
    *,
    knobs: Mapping[str, Any] | None = None,
    seeds: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    trained_length: int | None = None,
    num_envs: int = 25,
    report: Callable[[str], object] = str,
) -> MemoryReport:
    """Measure an agent's memory in every way that agent and task allow.

    Args:
        policy: Any agent with a recurrent ``predict``.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        knobs: Of the task.
        seeds: One an episode; None: the 200 test seeds.
        lengths: Of the horizon curve; None: up to ten times ``trained_length`` where the task has a memory length,
            and no curve where it has none; empty: no curve.
        trained_length: The longest memory length of training; None: the task's at these knobs.
        num_envs: Environments side by side.
        report: Called with a word for what is being measured.

    Raises:
        UserError: If task or knobs do not exist, or there are no seeds.
    """
    listed = test_seeds(200) if seeds is None else seeds
    missing: dict[str, str] = {}

    def tried(what: str, measure: Callable[[], T]) -> T | None:
        report(what)
        try:
            return measure()
        except UserError as error:
            missing[what] = str(error)
            return None

    donors, states, seen = DonorRecorder(LESIONS[1]), StateRecorder(), ObservationRecorder()
    phases = PhaseLengths(Burst().phase)
    report("success")
    made = make_test_env(env, max(1, min(num_envs, len(listed))), knobs)
    try:
        intact = evaluate_on(policy, made, seeds=listed, intervention=in_turn(donors, states, seen, phases))
        known: dict[str, Any] = {"seeds": listed, "intact": intact}
        lesions = [
            tried("lesions", partial(lesion_test, policy, made, lesion, donors=donors.donors, **known))
            for lesion in LESIONS
        ]
        noise = tried("noise", partial(noise_test, policy, made, lengths=phases, **known))
    finally:
        made.close()
    spec = intact.spec
    if trained_length is None and spec is not None and spec.memory_length[1]:
        trained_length = spec.memory_length[1]
    if lengths is None:
        lengths = curve_lengths(trained_length) if trained_length and not callable(env) else ()
    curve = partial(horizon_curve, policy, env, lengths, knobs=knobs, seeds=listed, num_envs=num_envs)
    return MemoryReport(
        intact=intact,
        lesions=[test for test in lesions if test is not None],
        noise=noise,
        probe=tried("probe", lambda: probe_states(states)),
        gradient=tried("gradient", lambda: trained_gradient(policy, seen.sequences())),
        horizon=tried("horizon", curve) if lengths else None,
        capacity=capacity(intact) if spec and spec.metric == "success" and spec.n_bits > 0 else None,
        rewriting=rewriting(intact) if spec and spec.memory == "rewriting" else None,
        trained_length=trained_length,
        not_measured=missing,
    )


def curve_lengths(trained: int) -> list[int]:
    """Return the lengths of a horizon curve, up to ten times a length, its multiples counted in."""
    most = min(FACTORS[-1] * trained, _LONGEST)
    steps = {length for length in LENGTHS if length <= most} | {factor * trained for factor in FACTORS}
    return sorted(length for length in steps if length <= most)
