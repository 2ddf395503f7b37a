"""All memory measures of an agent: lesions, body swap, noise, probe, horizon, gradient, rewriting.

One evaluation without intervention serves them all; every other is run on the same held-out episodes.

Any Gymnasium environment will do. Where no ceiling is known, success or return without the hidden state is compared
with that of the intact agent; where no episode comes to a query, lesions are made in the middle of an episode. What
needs a task of this package, or an environment that says its cue, is left out with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, TypeVar

from rlmem.digits import short_number
from rlmem.errors import UserError
from rlmem.evaluation.below_chance import why_below_chance
from rlmem.evaluation.body_swap import BodySwap, body_swap_test, swap_moment
from rlmem.evaluation.capacity import Capacity, Rewriting, capacity, rewriting
from rlmem.evaluation.episodes import EnvMaker, Evaluation, PolicyPredictor, evaluate_on, make_test_env
from rlmem.evaluation.gradient import GradientLag, ObservationRecorder, trained_gradient
from rlmem.evaluation.horizon import LENGTHS, HorizonCurve, Point, horizon_curve, span_curve
from rlmem.evaluation.intervention import in_turn
from rlmem.evaluation.lesion import Lesion, LesionTest, lesion_test, middle, usual_lesion, without_ceiling
from rlmem.evaluation.lesioning import DonorRecorder
from rlmem.evaluation.noise import Burst, NoiseTest, PhaseLengths, noise_test
from rlmem.evaluation.probe import CueProbe, StateRecorder, probe_states
from rlmem.evaluation.seeds import test_seeds
from rlmem.spec import TaskSpec

LESIONS = (usual_lesion("zero"), usual_lesion("swap"), usual_lesion("freeze"))
"""Lesions of every agent, where episodes come to a query."""
FACTORS = (1, 2, 5, 10)
"""Multiples of the longest memory length of training at which generalization is read off."""
_LONGEST = LENGTHS[-1]
_REST = 40
"""Control steps of an episode besides its delay, about."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """All measures of an agent. What could not be measured is None, with the reason in :attr:`not_measured`."""

    intact: Evaluation
    lesions: list[LesionTest]
    body_swap: BodySwap | None = None
    noise: NoiseTest | None = None
    probe: CueProbe | None = None
    horizon: HorizonCurve | None = None
    span: list[Point] = field(default_factory=list)
    """Evaluations with the hidden state zeroed every k control steps; only where there is no horizon to measure."""
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
        """Whether success needs the hidden state, by every lesion made; see :attr:`LesionTest.needed_memory`.

        Where no ceiling is known, one lesion is enough: an agent may recover from one that is made once.
        """
        if math.isnan(self.intact.ceiling):
            return bool(self._worse)
        return bool(self.lesions) and all(test.needed_memory for test in self.lesions)

    @property
    def verdict(self) -> str:
        """The result of the lesions in a sentence."""
        if self.spec is None or math.isnan(self.intact.ceiling):
            return self._verdict_without_ceiling
        ceiling = f"the ceiling without memory, {short_number(self.intact.ceiling)}"
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
    def _worse(self) -> list[str]:
        """Lesions after which success or return is below that of the intact agent, by their 95 % intervals."""
        worse = [test.lesion.words for test in self.lesions if test.needed_memory]
        spans = [point for point in self.span if point.result.interval[1] < self.intact.interval[0]]
        return worse + [Lesion(every=point.knob).words for point in spans[-1:]]

    @property
    def _verdict_without_ceiling(self) -> str:
        if not self.lesions:
            return f"no lesion could be made: {self.not_measured.get('lesions', 'not tried')}"
        return without_ceiling(self.intact, self._worse)

    @property
    def generalization(self) -> dict[int, float]:
        """Multiple of the longest trained memory length -> memory score, where it was measured."""
        if self.horizon is None or self.trained_length is None:
            return {}
        known = {point.knob: point.result.memory_score for point in self.horizon.points}
        lengths = {factor: factor * self.trained_length for factor in FACTORS}
        return {factor: known[length] for factor, length in lengths.items() if length in known}

    @property
    def below_chance(self) -> dict[int, str]:
        """Memory length of the horizon curve -> why success there is below the ceiling without memory, where it is."""
        points = self.horizon.points if self.horizon else []
        found = {point.knob: why_below_chance(point.result) for point in points}
        return {length: why for length, why in found.items() if why}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        found: dict[str, Any] = {"verdict": self.verdict, "remembers": self.remembers, "intact": self.intact.as_dict()}
        found["lesions"] = [test.as_dict() for test in self.lesions]
        if self.body_swap is not None:
            found["body_swap"] = self.body_swap.as_dict()
        if self.span:
            found["span"] = [{"every": point.knob, **point.result.as_dict()} for point in self.span]
        if self.noise is not None:
            burst = {"steps": self.noise.burst.steps, "sigma": self.noise.burst.sigma}
            found["noise"] = burst | self.noise.disturbed.as_dict()
        for name in ("probe", "horizon"):
            part = getattr(self, name)
            if part is not None:
                found[name] = part.as_dict()
        if self.below_chance:
            found["below_chance"] = {str(length): why for length, why in self.below_chance.items()}
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
    progress: Callable[[float, str], object] | None = None,
) -> MemoryReport:
    """Measure an agent's memory in every way that agent and environment allow.

    Args:
        policy: Any agent with a recurrent ``predict``.
        env: As in :func:`rlmem.evaluation.episodes.evaluate_on`.
        knobs: Of the task.
        seeds: One an episode; None: the 200 test seeds.
        lengths: Of the horizon curve; None: up to ten times ``trained_length`` where the task has a memory length,
            and elsewhere the hidden state is zeroed every 1, 2, 5, 10, ... steps instead; empty: no curve.
        trained_length: The longest memory length of training; None: the task's at these knobs.
        num_envs: Environments side by side.
        progress: Called before each measure, and before each length of the horizon curve, with the share of the work
            that is done, about, and with the measure's name.

    Raises:
        UserError: If task or knobs do not exist, or there are no seeds.
    """
    listed = test_seeds(200) if seeds is None else seeds
    missing: dict[str, str] = {}

    work = _Work(progress)

    def tried(what: str, measure: Callable[[], T]) -> T | None:
        work.begin(what)
        try:
            return measure()
        except UserError as error:
            missing[what] = str(error)
            return None

    states, seen, phases = StateRecorder(), ObservationRecorder(), PhaseLengths(Burst().phase)
    made = make_test_env(env, max(1, min(num_envs, len(listed))), knobs)
    try:
        spec = getattr(made.unwrapped, "task_spec", None)
        if trained_length is None and spec is not None and spec.memory_length[1]:
            trained_length = spec.memory_length[1]
        by_steps = lengths is None
        if lengths is None:
            lengths = curve_lengths(trained_length) if trained_length and not callable(env) else ()
        work.plan(lengths, 0 if spec is None else spec.memory_length[1], span=by_steps and not lengths)
        work.begin("success")
        every = getattr(getattr(made.unwrapped, "settings", None), "dock_every", 0)
        moment = swap_moment(spec.memory_length[0] if spec is not None else 0, every)
        donors, bodies = DonorRecorder(LESIONS[1]), DonorRecorder(moment)
        recorders = in_turn(donors, bodies, states, seen, phases)
        intact = evaluate_on(policy, made, seeds=listed, intervention=recorders)
        known: dict[str, Any] = {"seeds": listed, "intact": intact}
        chosen, swapped = (LESIONS, donors.donors) if donors.comes else (mid_episode_lesions(intact), None)
        lesions = [
            tried("lesions", partial(lesion_test, policy, made, lesion, donors=swapped, **known)) for lesion in chosen
        ]
        swap = tried("body swap", partial(body_swap_test, policy, made, moment, seeds=listed, donors=bodies.donors))
        noise = tried("noise", partial(noise_test, policy, made, lengths=phases, **known))
        by_steps = by_steps and not donors.comes and math.isnan(intact.ceiling)
        span = tried("span", partial(span_curve, policy, made, seeds=listed, intact=intact)) if by_steps else None
    finally:
        made.close()
    common: dict[str, Any] = {"knobs": knobs, "seeds": listed, "num_envs": num_envs}
    curve = partial(horizon_curve, policy, env, lengths, **common, progress=work.within)
    return MemoryReport(
        intact=intact,
        lesions=[test for test in lesions if test is not None],
        body_swap=swap,
        noise=noise,
        span=span or [],
        probe=tried("probe", lambda: probe_states(states)),
        gradient=tried("gradient", lambda: trained_gradient(policy, seen.sequences())),
        horizon=tried("horizon", curve) if lengths else None,
        capacity=capacity(intact) if spec and spec.metric == "success" and spec.n_bits > 0 else None,
        rewriting=rewriting(intact) if spec and spec.memory == "rewriting" else None,
        trained_length=trained_length,
        not_measured=missing,
    )


class _Work:
    """Share of the work that is done, from the number of control steps that measures take, about.

    Args:
        tell: Called with the share and the name of the next measure.
    """

    _OTHERS: ClassVar[dict[str, float]] = {"lesions": 1, "body swap": 2, "noise": 1, "probe": 0.5, "gradient": 0.5}
    """Measure -> its cost, in evaluations."""

    def __init__(self, tell: Callable[[float, str], object] | None) -> None:
        self._tell, self._done, self._doing = tell, 0.0, ""
        self._costs: dict[str, float] = {}

    def plan(self, lengths: Sequence[int], present: int, *, span: bool) -> None:
        """Estimate the cost of all measures.

        Args:
            lengths: Of the horizon curve, control steps.
            present: Memory length of the other measures.
            span: Whether the hidden state is zeroed every k steps, for about six k.
        """
        horizon = sum((_REST + length) / (_REST + present) for length in lengths)
        self._costs = {"success": 1.0, **self._OTHERS, "horizon": horizon, "span": 6.0 * span}
        self._total = sum(self._costs.values()) + 2 * self._costs["lesions"]  # there are three lesions

    def begin(self, what: str) -> None:
        """Note that a measure begins, and that the one before it is done."""
        self._done += self._costs.get(self._doing, 0.0)
        self._doing = what
        self.within(0.0)

    def within(self, share: float) -> None:
        """Note which share of the present measure is done."""
        if self._tell is not None:
            done = self._done + share * self._costs[self._doing]
            self._tell(min(done / self._total, 1.0), self._doing)


def mid_episode_lesions(intact: Evaluation) -> tuple[Lesion, ...]:
    """Return lesions at half of the median length of episodes, where these come to no query."""
    step = middle(intact)
    return Lesion(kind="zero", step=step), Lesion(kind="swap", step=step), Lesion(kind="freeze", step=step)


def curve_lengths(trained: int) -> list[int]:
    """Return the lengths of a horizon curve, up to ten times a length, its multiples counted in."""
    most = min(FACTORS[-1] * trained, _LONGEST)
    steps = {length for length in LENGTHS if length <= most} | {factor * trained for factor in FACTORS}
    return sorted(length for length in steps if length <= most)
