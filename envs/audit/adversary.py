"""Policies without a state against the memoryless ceiling: scripted ones, and ones that are searched for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rlmem.envs.audit.bench import Act, Bench, Seeds, Stopwatch
from rlmem.envs.audit.bounds import mean_bounds, rate_bounds
from rlmem.envs.audit.certificate import Finding
from rlmem.envs.audit.search import SearchSettings, search
from rlmem.envs.exploiter import Exploiter
from rlmem.registry import load_object
from rlmem.spec import TaskSpec

SCRIPTED = {
    "TMaze-v0": "rlmem.envs.corridor.exploiters:t_maze",
    "TMazeActive-v0": "rlmem.envs.corridor.exploiters:t_maze_active",
    "TMazeEndless-v0": "rlmem.envs.corridor.exploiters:t_maze",
    "KeyToDoor-v0": "rlmem.envs.corridor.exploiters:key_to_door",
    "RememberColor-v0": "rlmem.envs.table.exploiters.recall:remember_color",
    "RememberShape-v0": "rlmem.envs.table.exploiters.recall:remember_color",
    "DelayedReach-v0": "rlmem.envs.table.exploiters.recall:delayed_reach",
    "CountPress-v0": "rlmem.envs.table.exploiters.press:count_press",
    "TimedPress-v0": "rlmem.envs.table.exploiters.press:timed_press",
    "PlaceBack-v0": "rlmem.envs.table.exploiters.motion:place_back",
    "Intercept-v0": "rlmem.envs.table.exploiters.motion:intercept",
    "RememberSet-v0": "rlmem.envs.table.exploiters.collect:remember_set",
    "ShellGame-v0": "rlmem.envs.table.exploiters.shell:shell_game",
    "RememberSequence-v0": "rlmem.envs.table.exploiters.collect:remember_sequence",
    "RepeatPrevious-v0": "rlmem.envs.table.exploiters.repeat:repeat_previous",
    "MazeRecall-v0": "rlmem.envs.ground.exploiters:maze_recall",
    "HiddenPayload-v0": "rlmem.envs.table.exploiters.payload:hidden_payload",
    "HiddenPolarity-v0": "rlmem.envs.locomotion.exploiters:hidden_polarity",
    "FlashedGoal-v0": "rlmem.envs.control.exploiters:flashed_goal",
}
"""Name of a task (without the namespace) -> the function that makes its exploiters from its observation's names."""

CONFIDENCE = 0.99
"""Of an adversary's lower bound: a sound task is refused falsely with probability 1 % an adversary at most."""


@dataclass(frozen=True)
class Opponent:
    """A kind of policy to search among.

    Args:
        frames: F, observations that it sees; 1 is memoryless.
        hidden: H, hidden units; 0 is linear.
    """

    frames: int
    hidden: int

    @property
    def name(self) -> str:
        """What it is, in words."""
        kind = f"network of {self.hidden}" if self.hidden else "linear policy"
        return f"search: {kind}, {sight(self.frames)}"


OPPONENTS = (Opponent(1, 0), Opponent(1, 8), Opponent(4, 0))


def exploiters(env_id: str, names: tuple[str, ...]) -> tuple[Exploiter, ...]:
    """Return a task's scripted exploiters; none if it has none."""
    entry = SCRIPTED.get(env_id.rpartition("/")[2])
    made: tuple[Exploiter, ...] = load_object(entry)(names) if entry else ()
    return made


def fits(frames: int, spec: TaskSpec) -> bool:
    """Return whether a stack of F frames is shorter than the memory that the task asks for."""
    return frames == 1 or spec.memory_length[0] >= frames


def confront(bench: Bench, spec: TaskSpec, seeds: Seeds, exploiter: Exploiter, *, episodes: int) -> Finding:
    """Let a scripted exploiter try on test episodes."""
    watch = Stopwatch(bench)
    check = f"script: {exploiter.name}, {sight(exploiter.frames)}"
    return _test(
        check, "", bench, spec, seeds, lambda stack, _: exploiter.act(stack), exploiter.frames, episodes, watch
    )


def hunt(
    bench: Bench, spec: TaskSpec, seeds: Seeds, opponent: Opponent, *, episodes: int, settings: SearchSettings
) -> Finding:
    """Search for a policy on training episodes, and let the one found try on test episodes."""
    watch = Stopwatch(bench)
    found = search(bench, spec, seeds.train, frames=opponent.frames, hidden=opponent.hidden, settings=settings)
    effort = f"; {found.family.size} weights, {found.generations} generations of {settings.candidates}"
    return _test(opponent.name, effort, bench, spec, seeds, found.act, opponent.frames, episodes, watch)


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
    """Play test episodes, with cues as drawn, and hold the result against the memoryless ceiling."""
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
            f"{spec.metric} {value:.3f} [{lower:.3f}, {upper:.3f}] of {episodes} episodes, "
            f"memoryless ceiling {ceiling:.4g}{effort}"
        ),
        value=value,
        lower=lower,
        episodes=episodes,
        env_steps=steps,
        cpu_seconds=seconds,
    )


def sight(frames: int) -> str:
    """Return how far back a policy sees, in words."""
    return "memoryless" if frames == 1 else f"stack of {frames}"
