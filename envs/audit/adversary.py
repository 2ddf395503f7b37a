"""Test the memoryless ceiling with policies without a hidden state: scripted exploiters, and ones found by search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlmem.envs.audit.bench import Act, Bench, Seeds, Stopwatch
from rlmem.envs.audit.bounds import mean_bounds, rate_bounds
from rlmem.envs.audit.certificate import Finding
from rlmem.envs.audit.search import SearchSettings, search
from rlmem.envs.exploiter import Exploiter
from rlmem.spec import TaskSpec

CONFIDENCE = 0.99
"""Of each policy's lower bound: a policy that is at the ceiling breaks it falsely with a probability of at most 1 %."""


@dataclass(frozen=True)
class PolicyShape:
    """A kind of policy without a hidden state, among which the audit searches.

    Args:
        frames: F, observations that it sees; 1 is memoryless.
        hidden: H, hidden units; 0 is linear.
    """

    frames: int
    hidden: int

    @property
    def name(self) -> str:
        """What it is, in words."""
        kind = f"network of {self.hidden} units" if self.hidden else "linear policy"
        return f"search: {kind}, {describe_frames(self.frames)}"


POLICY_SHAPES = (PolicyShape(1, 0), PolicyShape(1, 8), PolicyShape(4, 0))


def run_exploiter(bench: Bench, spec: TaskSpec, seeds: Seeds, exploiter: Exploiter, *, episodes: int) -> Finding:
    """Evaluate a scripted exploiter on test episodes."""
    watch = Stopwatch(bench)
    check = f"exploiter: {exploiter.name}, {describe_frames(exploiter.frames)}"
    return _test(
        check, "", bench, spec, seeds, lambda stack, _: exploiter.act(stack), exploiter.frames, episodes, watch
    )


def run_search(
    bench: Bench, spec: TaskSpec, seeds: Seeds, shape: PolicyShape, *, episodes: int, settings: SearchSettings
) -> Finding:
    """Search for the best policy on training episodes, and evaluate it on test episodes."""
    watch = Stopwatch(bench)
    found = search(bench, spec, seeds.train, frames=shape.frames, hidden=shape.hidden, settings=settings)
    effort = f"; {found.family.size} weights, {found.generations} generations of {settings.candidates} policies"
    return _test(shape.name, effort, bench, spec, seeds, found.act, shape.frames, episodes, watch)


def _test(
    check: str,
    effort: str,
    bench: Bench,
    spec: TaskSpec,
    seeds: Seeds,
    act: Act,
    frames: int,
    episodes: int,
    watch: Stopwatch,
) -> Finding:
    """Play test episodes, with cues as drawn, and compare the result with the memoryless ceiling."""
    played = bench.play(act, seeds.test + np.arange(episodes), frames=frames)
    values = played.value(spec.metric)
    hits, value = int(values.sum()), float(values.mean())
    if spec.metric == "success":
        lower, upper = rate_bounds(hits, episodes, CONFIDENCE)
    else:
        lower, upper = mean_bounds(values, CONFIDENCE)
    ceiling = spec.memoryless.value
    broken = lower > ceiling + 1e-9
    steps, seconds = watch.read()
    return Finding(
        check=check,
        result="broken" if broken else "holds",
        detail=(
            f"{spec.metric} {value:.3f} [{lower:.3f}, {upper:.3f}] in {episodes} episodes, "
            f"memoryless ceiling {ceiling:.4g}{effort}"
        ),
        value=value,
        lower=lower,
        episodes=episodes,
        env_steps=steps,
        cpu_seconds=seconds,
    )


def describe_frames(frames: int) -> str:
    """Return how far back a policy sees, in words."""
    return "memoryless" if frames == 1 else f"last {frames} observations"
